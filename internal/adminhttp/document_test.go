package adminhttp_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gpt-load/pkg/adminapi"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The document is part of the product: what changes in it changes for every client. Look at the difference, then
// run go test ./internal/adminhttp -update.
func TestOpenAPIDocumentIsTheGoldenOne(t *testing.T) {
	w := newWorld(t)
	document, err := w.newClient().OpenAPI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, document, "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	golden := filepath.Join("testdata", "openapi.json")
	if *update {
		if err := os.WriteFile(golden, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pretty.Bytes(), want) {
		t.Error("the document differs from testdata/openapi.json; if that is meant, run with -update and look at the difference")
	}
}

func TestOpenAPIDocumentIsWhole(t *testing.T) {
	d := document(t)
	if d.OpenAPI != "3.1.0" || d.Info.Version != "2.0.0-test" {
		t.Errorf("openapi %q of version %q", d.OpenAPI, d.Info.Version)
	}
	seen := map[string]bool{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			if op.Summary == "" || op.OperationID == "" || len(op.Tags) != 1 {
				t.Errorf("%s %s has summary %q, id %q, tags %q", method, path, op.Summary, op.OperationID, op.Tags)
			}
			if seen[op.OperationID] {
				t.Errorf("two operations are called %s", op.OperationID)
			}
			seen[op.OperationID] = true
			if (len(op.Security) == 0) != (op.OperationID == "login") {
				t.Errorf("%s %s has the security %v", method, path, op.Security)
			}
			if op.Responses["default"].schema() == nil {
				t.Errorf("%s %s does not document its errors", method, path)
			}
		}
	}
}

// openAPI is as much of a document as the tests look at.
type openAPI struct {
	OpenAPI    string                          `json:"openapi"`
	Info       struct{ Version string }        `json:"info"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct{ Schemas map[string]schema }
}

type operation struct {
	OperationID string
	Summary     string
	Tags        []string
	Security    []map[string][]string
	Responses   map[string]response
}

type response struct {
	Content map[string]struct{ Schema *schema }
}

func (r response) schema() *schema { return r.Content["application/json"].Schema }

type schema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Enum                 []any
	Properties           map[string]*schema
	Required             []string
	Items                *schema
	AdditionalProperties any
}

func document(t *testing.T) openAPI {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d openAPI
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// documented is a transport that fails the test when an answer is not as the document says.
type documented struct {
	t    *testing.T
	next http.RoundTripper
	api  openAPI
	note func(operation string, answer *http.Response) // nil for nobody
}

// RoundTrip implements http.RoundTripper.
func (d *documented) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := d.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	path, ok := strings.CutPrefix(r.URL.Path, adminapi.Prefix)
	op, found := d.find(r.Method, path)
	if !ok || !found {
		return answer, nil
	}
	if d.note != nil {
		d.note(op.OperationID, answer)
	}
	said, ok := op.Responses[strconv.Itoa(answer.StatusCode)]
	if !ok {
		said = op.Responses["default"]
		if answer.StatusCode < http.StatusBadRequest {
			d.t.Errorf("%s %s answered %d, which the document does not know", r.Method, path, answer.StatusCode)
		}
	}
	if s := said.schema(); s != nil && mediaType(answer) == "application/json" {
		var value any
		if err := json.Unmarshal(body, &value); err != nil {
			d.t.Errorf("%s %s answered %q: %v", r.Method, path, body, err)
		}
		for _, fault := range d.check(s, value, "") {
			d.t.Errorf("%s %s answered %d: %s", r.Method, path, answer.StatusCode, fault)
		}
	} else if _, isFile := said.Content[mediaType(answer)]; len(body) > 0 && !isFile {
		d.t.Errorf("%s %s answered %d with an undocumented body", r.Method, path, answer.StatusCode)
	}
	return answer, nil
}

func mediaType(answer *http.Response) string {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	return kind
}

// find prefers a path without parameters, as the server does.
func (d *documented) find(method, path string) (operation, bool) {
	var found operation
	fewest := -1
	for template, methods := range d.api.Paths {
		op, ok := methods[strings.ToLower(method)]
		want, got := strings.Split(template, "/"), strings.Split(path, "/")
		if !ok || len(want) != len(got) {
			continue
		}
		parameters := 0
		for i := range want {
			if strings.HasPrefix(want[i], "{") {
				parameters++
			} else if want[i] != got[i] {
				parameters = -1
				break
			}
		}
		if parameters >= 0 && (fewest < 0 || parameters < fewest) {
			found, fewest = op, parameters
		}
	}
	return found, fewest >= 0
}

// check is the part of JSON Schema that the document uses for answers.
func (d *documented) check(s *schema, value any, at string) (faults []string) {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		named := d.api.Components.Schemas[name]
		return d.check(&named, value, at)
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		faults = append(faults, fmt.Sprintf("%s is %v, not one of %v", at, value, s.Enum))
	}
	if !hasType(s.Type, value) {
		return append(faults, fmt.Sprintf("%s is %v, not of type %v", at, value, s.Type))
	}
	switch v := value.(type) {
	case map[string]any:
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				faults = append(faults, at+"."+name+" is missing")
			}
		}
		for name, member := range v {
			if known := s.Properties[name]; known != nil {
				faults = append(faults, d.check(known, member, at+"."+name)...)
			} else if s.AdditionalProperties == false {
				faults = append(faults, at+"."+name+" is not documented")
			}
		}
	case []any:
		for i, item := range v {
			if s.Items == nil {
				break // anything
			}
			faults = append(faults, d.check(s.Items, item, fmt.Sprintf("%s[%d]", at, i))...)
		}
	}
	return faults
}

func hasType(want, value any) bool {
	names, _ := want.([]any)
	if name, ok := want.(string); ok {
		names = []any{name}
	}
	if len(names) == 0 {
		return true
	}
	is := "null"
	switch v := value.(type) {
	case bool:
		is = "boolean"
	case string:
		is = "string"
	case []any:
		is = "array"
	case map[string]any:
		is = "object"
	case float64:
		is = "number"
		if v == float64(int64(v)) && slices.Contains(names, any("integer")) {
			is = "integer"
		}
	}
	return slices.Contains(names, any(is))
}
