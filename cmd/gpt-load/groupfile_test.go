package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
)

func TestGroupFile(t *testing.T) {
	w := &world{dir: t.TempDir()}
	a := newApp(&terminal.Streams{})
	for name, c := range map[string]struct {
		text string
		into any
		want any // nil for an error
		says string
	}{
		"yaml": {
			text: "name: a\nupstreams:\n- url: https://x\n", into: new(adminapi.GroupInput),
			want: &adminapi.GroupInput{Name: "a", Upstreams: []adminapi.Upstream{{URL: "https://x", Weight: 1}}},
		},
		"json with tabs": {
			text: "{\n\t\"name\": \"a\", \"sort\": 3, \"settings\": {\"max_retries\": 2}}", into: new(adminapi.GroupInput),
			want: &adminapi.GroupInput{Name: "a", Sort: new(3), Settings: map[string]any{"max_retries": 2.0}},
		},
		"yaml in braces": {text: "{name: a}", into: new(adminapi.GroupInput), want: &adminapi.GroupInput{Name: "a"}},
		"an answer of the API": {
			text: `{"id":"1","kind":"standard","proxy_path":"/proxy/a","key_counts":{},"revision":7,"created_at":"","description":"x"}`, into: new(adminapi.GroupPatch),
			want: &adminapi.GroupPatch{Description: new("x")},
		},
		"a value that is any JSON": {
			text: "param_overrides: [{path: a.b, value: {c: [1, {d: null}]}}]", into: new(adminapi.GroupInput),
			want: &adminapi.GroupInput{ParamOverrides: []adminapi.ParamOverride{{Path: "a.b", Value: []byte(`{"c":[1,{"d":null}]}`)}}},
		},
		"empty":              {text: "", into: new(adminapi.GroupInput), says: "empty"},
		"only a comment":     {text: "# nothing\n", into: new(adminapi.GroupInput), says: "empty"},
		"a secret":           {text: "sk-canary-pasted", into: new(adminapi.GroupInput), says: "neither YAML nor JSON"},
		"broken":             {text: "name: [sk-canary", into: new(adminapi.GroupInput), says: "line 1"},
		"a list":             {text: "- name: a\n", into: new(adminapi.GroupInput), says: "neither YAML nor JSON"},
		"two groups":         {text: "name: a\n---\nname: b\n", into: new(adminapi.GroupInput), says: "more than one"},
		"two JSON groups":    {text: `{"name":"a"}{"name":"b"}`, into: new(adminapi.GroupInput), says: "more than one"},
		"unknown":            {text: "colour: a\nvalidation: {modell: x}\nmembers: [{group_id: '1', teir: 2}]", into: new(adminapi.GroupInput), says: "colour, members[0].teir, validation.modell"},
		"unknown in a patch": {text: "upstreams: [{url: x, wieght: 1}]\nvalidation: {modell: x}", into: new(adminapi.GroupPatch), says: "upstreams[0].wieght, validation.modell"},
		"null in a patch":    {text: "description: null", into: new(adminapi.GroupPatch), says: "null"},
		"a wrong kind":       {text: "sort: first", into: new(adminapi.GroupInput), says: "sort"},
		"revision":           {text: "revision: x", into: new(adminapi.GroupInput), says: "revision"},
	} {
		t.Run(name, func(t *testing.T) {
			path := w.write(t, "group", c.text)
			revision, err := a.readGroupFile(t.Context(), path, c.into)
			if c.want == nil {
				if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(c.into, c.want) || strings.Contains(c.text, "revision") != (revision == 7) {
				t.Errorf("got %+v, revision %d, %v", c.into, revision, err)
			}
		})
	}
	if _, err := a.readGroupFile(t.Context(), filepath.Join(w.dir, "missing"), new(adminapi.GroupInput)); err == nil {
		t.Error("a missing file was read")
	}
	a.In = strings.NewReader(strings.Repeat("#", maxInputBytes+1))
	if _, err := a.readGroupFile(t.Context(), "-", new(adminapi.GroupInput)); err == nil || !strings.Contains(err.Error(), "8 MiB") {
		t.Errorf("a huge file: %v", err)
	}
}

func TestParseWords(t *testing.T) {
	for word, want := range map[string]adminapi.Upstream{
		"https://a": {URL: "https://a", Weight: 1}, "https://a=3": {URL: "https://a", Weight: 3}, "https://a/b=c": {URL: "https://a/b=c", Weight: 1}, "https://a=0": {URL: "https://a"},
	} {
		if got, err := parseUpstream(word); err != nil || got != want {
			t.Errorf("%s is %+v, %v", word, got, err)
		}
	}
	for word, want := range map[string][2]int{"": {}, "429": {429, 429}, "4xx": {400, 499}, "5XX": {500, 599}, "400-404": {400, 404}} {
		if from, to, err := parseStatus(word); err != nil || [2]int{from, to} != want {
			t.Errorf("%s is %d to %d, %v", word, from, to, err)
		}
	}
	for _, word := range []string{"x", "4x", "44xx", "404-400", "1", "-", "400-", "99999"} {
		if _, _, err := parseStatus(word); err == nil {
			t.Errorf("%s was taken", word)
		}
	}
	for _, word := range []string{"2026-01-02", "2026-01-02 03:04", "2026-01-02 03:04:05", "2026-01-02T03:04:05Z"} {
		if got, err := parseTime("--from", word); err != nil || got.Year() != 2026 || got.Day() != 2 && got.Location() != time.UTC {
			t.Errorf("%s is %v, %v", word, got, err)
		}
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if from, to, err := (&timeFlags{since: time.Hour}).span(now); err != nil || !from.Equal(now.Add(-time.Hour)) || !to.IsZero() {
		t.Errorf("--since is %v to %v, %v", from, to, err)
	}
	if _, _, err := (&timeFlags{since: -time.Hour}).span(now); err == nil {
		t.Error("a negative --since was taken")
	}
}
