package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var yamlLine = regexp.MustCompile(`: line \d+`)

// answerOnly are the members that the API tells of a group and does not take. A file from `groups get` has them.
var answerOnly = []string{"id", "proxy_path", "key_counts", "revision", "created_at", "updated_at"}

// readGroupFile reads a *adminapi.GroupInput or *adminapi.GroupPatch from YAML or JSON. It returns the revision that the
// file was made from, or 0.
func (a *app) readGroupFile(ctx context.Context, path string, into any) (revision int64, err error) {
	content, err := a.readInput(ctx, path)
	if err != nil {
		return 0, err
	}
	wrong := func(err error) (int64, error) {
		return 0, usage(fmt.Errorf("%s: %w", nameOfInput(path), err), "GET /api/v1/openapi.json describes the members of a group")
	}
	members, err := parseObject(content)
	if err != nil {
		return wrong(err)
	}
	if n, ok := members["revision"]; ok {
		if revision, err = strconv.ParseInt(fmt.Sprint(n), 10, 64); err != nil {
			return wrong(errors.New("revision must be a whole number"))
		}
	}
	for _, name := range answerOnly {
		delete(members, name)
	}
	kind := reflect.TypeOf(into).Elem()
	if _, takesKind := fieldsOf(kind)["kind"]; !takesKind {
		delete(members, "kind") // it cannot be changed
	}
	if unknown := unknownMembers(members, kind, ""); len(unknown) > 0 {
		return wrong(fmt.Errorf("a group has no %s", strings.Join(unknown, ", ")))
	}
	clean, err := json.Marshal(members)
	if err != nil {
		return wrong(err)
	}
	if err := json.Unmarshal(clean, into); err != nil {
		return wrong(errors.New(strings.TrimPrefix(err.Error(), "json: ")))
	}
	return revision, nil
}

// parseObject reads one YAML mapping. JSON goes the same way but for its own reader, since YAML takes no tabs.
func parseObject(content string) (map[string]any, error) {
	var members map[string]any
	if strings.HasPrefix(strings.TrimSpace(content), "{") {
		decoder := json.NewDecoder(strings.NewReader(content))
		decoder.UseNumber()
		err := decoder.Decode(&members)
		if err == nil && decoder.More() {
			err = errors.New("there is more than one group in it")
		}
		if err == nil {
			return members, nil
		}
		members = nil // YAML's own {name: value} looks alike
	}
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(content)))
	if err := decoder.Decode(&members); err != nil && !errors.Is(err, io.EOF) {
		// The reader's own words quote the file, which may hold secrets; the line helps as much.
		return nil, errors.New("it is neither YAML nor JSON of one group" + yamlLine.FindString(err.Error()))
	}
	if members == nil {
		return nil, errors.New("it is empty")
	}
	if !errors.Is(decoder.Decode(new(any)), io.EOF) {
		return nil, errors.New("there is more than one group in it")
	}
	return members, nil
}

// unknownMembers lists the paths of members that a type does not have: a typing error must not be dropped in silence.
func unknownMembers(value any, t reflect.Type, path string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var unknown []string
	switch v := value.(type) {
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return nil
		}
		known := fieldsOf(t)
		for name, member := range v {
			if field, ok := known[name]; ok {
				unknown = append(unknown, unknownMembers(member, field, path+name+".")...)
			} else {
				unknown = append(unknown, path+name)
			}
		}
	case []any:
		if t.Kind() != reflect.Slice {
			return nil
		}
		for i, element := range v {
			unknown = append(unknown, unknownMembers(element, t.Elem(), fmt.Sprintf("%s[%d].", strings.TrimSuffix(path, "."), i))...)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// fieldsOf are the members of a wire type by their names in JSON.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		fields[name] = t.Field(i).Type
	}
	return fields
}
