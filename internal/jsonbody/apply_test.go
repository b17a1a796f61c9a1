package jsonbody

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	for text, want := range map[string][]step{
		"temperature":      {{"temperature", -1}},
		"a.b.0":            {{"a", -1}, {"b", -1}, {"0", 0}},
		`a\.b.c\\`:         {{"a.b", -1}, {`c\`, -1}},
		"00.-1.1234567890": {{"00", -1}, {"-1", -1}, {"1234567890", -1}},
		"999999999":        {{"999999999", 999999999}},
		"grüße.\x00":       {{"grüße", -1}, {"\x00", -1}},
	} {
		path, err := ParsePath(text)
		if err != nil || !reflect.DeepEqual(path.steps, want) || path.String() != text {
			t.Errorf("ParsePath(%q) = %v, %v", text, path.steps, err)
		}
	}
	for text, want := range map[string]string{
		"":                               "empty",
		".a":                             "empty step at byte 0",
		"a..b":                           "empty step at byte 2",
		"a.":                             "empty step at byte 2",
		`a\b`:                            "backslash at byte 1",
		`a\`:                             "backslash at byte 1",
		"\xff":                           "UTF-8",
		strings.Repeat("a", 513):         "513 bytes; the limit is 512",
		strings.Repeat("a.", 16) + "end": "more than 16 steps",
	} {
		if _, err := ParsePath(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePath(%.20q) says %v, want %q", text, err, want)
		}
	}
}

func path(t testing.TB, text string) Path {
	t.Helper()
	p, err := ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestApply(t *testing.T) {
	const remove = ""
	for _, test := range []struct{ body, path, value, want string }{
		{`{"a":1}`, "a", `2`, `{"a":2}`},
		{` { "a" : 1.0 , "b":1e5 } `, "a", `{"x": 1}`, ` { "a" : {"x": 1} , "b":1e5 } `},
		{`{}`, "a", `2`, `{"a":2}`},
		{`{ }`, "a", `2`, `{"a":2 }`},
		{`{"b":1 }`, `a"\.`, `2`, `{"b":1,"a\".":2 }`},
		{`{}`, "a.b.0", `true`, `{"a":{"b":{"0":true}}}`},
		{`{"a":null}`, "a.b", `1`, `{"a":{"b":1}}`},
		{`{"a":{"b":[1,2]}}`, "a.b.1", `[]`, `{"a":{"b":[1,[]]}}`},
		{`{"a":[1, 2]}`, "a.2", `3`, `{"a":[1, 2,3]}`},
		{`{"a":[]}`, "a.0.b", `3`, `{"a":[{"b":3}]}`},
		{`[{"a":1}]`, "0.a", `2`, `[{"a":2}]`},
		{`{"0":1}`, "0", `2`, `{"0":2}`},
		// Every one of several members is changed, so that no reader sees the old value.
		{`{"a":1,"b":2,"\u0061":3}`, "a", `9`, `{"a":9,"b":2,"\u0061":9}`},
		{`{"a":{"x":1},"a":{"y":2},"a":null}`, "a.x", `9`, `{"a":{"x":9},"a":{"y":2,"x":9},"a":{"x":9}}`},

		{`{"a":1}`, "a", remove, `{}`},
		{`{ "a":1 , "b":2 }`, "a", remove, `{ "b":2 }`},
		{`{"a":1, "b":2}`, "b", remove, `{"a":1}`},
		{`{"a":1,"b":2,"c":3}`, "b", remove, `{"a":1,"c":3}`},
		{`{"a":1,"a":2,"b":3,"a":4,"a":5,"c":6,"a":7}`, "a", remove, `{"b":3,"c":6}`},
		{`{"a":1,"a":2}`, "a", remove, `{}`},
		{`{"a":[1,2,3]}`, "a.0", remove, `{"a":[2,3]}`},
		{`{"a":[1,2,3]}`, "a.2", remove, `{"a":[1,2]}`},
		{`{"a":{"b":{"c":1}}}`, "a.b.c", remove, `{"a":{"b":{}}}`},
		{`{"a":1}`, "b", remove, `{"a":1}`},
		{`{"a":1}`, "b.c", remove, `{"a":1}`},
		{`{"a":1}`, "a.b", remove, `{"a":1}`},
		{`{"a":null}`, "a.b", remove, `{"a":null}`},
		{`{"a":[1]}`, "a.1", remove, `{"a":[1]}`},
		{`{"a":[1]}`, "a.x", remove, `{"a":[1]}`},
		{`{"a":[1]}`, "a.x.y", remove, `{"a":[1]}`},
	} {
		edit := Edit{Path: path(t, test.path)}
		if test.value != remove {
			edit.Value = []byte(test.value)
		}
		body := []byte(test.body)
		got, err := Apply(body, []Edit{edit})
		if err != nil || string(got) != test.want {
			t.Errorf("%s, %s = %s\n got %s, %v\nwant %s", test.body, test.path, test.value, got, err, test.want)
		}
		if string(body) != test.body {
			t.Errorf("the body itself changed to %s", body)
		}
		if test.want == test.body && &got[0] != &body[0] {
			t.Errorf("%s was copied though nothing changed", test.body)
		}
	}
}

func TestApplySeveral(t *testing.T) {
	got, err := Apply([]byte(`{"model":"m","max_tokens":5}`), []Edit{
		{Path: path(t, "a.b"), Value: []byte(`1`)},
		{Path: path(t, "a.c"), Value: []byte(`2`)},
		{Path: path(t, "max_tokens")},
		{Path: path(t, "a.b")},
	})
	if want := `{"model":"m","a":{"c":2}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestApplyErrors(t *testing.T) {
	for _, test := range []struct{ body, path, value, want string }{
		{`{"a":"x"}`, "a.b", `1`, `"a.b": step 1 ("a") is a string; only objects and arrays can be entered`},
		{`{"a":{"b":3}}`, "a.b.c.d", `1`, `step 2 ("b") is a number`},
		{`{"a":{},"a":true}`, "a.b", `1`, `step 1 ("a") is a boolean`},
		{`7`, "a", `1`, `the body is a number`},
		{`null`, "a", `1`, `the body is null`},
		{`{"a":[]}`, "a.b", `1`, `step 2 is a name, but an array stands there`},
		{`{"a":[1,2]}`, "a.3", `1`, `step 2 is beyond the end of an array of 2 elements`},
		{`{}`, "a", `{`, `the value to put there is not valid JSON`},
	} {
		got, err := Apply([]byte(test.body), []Edit{{Path: path(t, test.path), Value: []byte(test.value)}})
		var fault *PathError
		if got != nil || !errors.As(err, &fault) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, %s: %v, want %q", test.body, test.path, err, test.want)
		}
	}
	if _, err := Apply([]byte(`{"a":1`), []Edit{{Path: path(t, "a"), Value: []byte("1")}}); !errors.Is(err, ErrNotJSON) {
		t.Errorf("a broken body: %v", err)
	}
	if _, err := Apply([]byte(`{}`), []Edit{{Value: []byte("1")}}); err == nil {
		t.Error("the zero Path is taken")
	}
}

// FuzzApply holds a splice against the same edit made on the parsed tree, and against the bytes that it must not touch.
func FuzzApply(f *testing.F) {
	for _, body := range scanSeeds {
		f.Add([]byte(body), "model", "1")
		f.Add([]byte(body), "a.b.0", "")
	}
	f.Add([]byte(`{"a":{"x":1},"a":{"x":2},"b":[1,{"a":2}]}`), "b.1.a", "[]")
	f.Add([]byte(`{"a":1 , "a":2,"b":3}`), "a", "")
	f.Add([]byte(`[1 , 2 , 3]`), "1", "")
	f.Fuzz(func(t *testing.T, body []byte, text, value string) {
		p, err := ParsePath(text)
		if err != nil {
			return
		}
		edit := Edit{Path: p}
		if value != "" {
			edit.Value = []byte(value)
		}
		before := bytes.Clone(body)
		got, err := Apply(body, []Edit{edit})
		if !bytes.Equal(body, before) {
			t.Fatal("the body itself changed")
		}
		if valid := json.Valid(body); err != nil || !valid {
			if errors.Is(err, ErrNotJSON) == valid {
				t.Errorf("Apply(%q) says %v", body, err)
			}
			return
		}
		var put any
		if edit.Value != nil {
			put = decodeAny(edit.Value)
		}
		if !json.Valid(got) {
			t.Fatalf("Apply(%q, %q = %q) made %q, which is not JSON", body, text, value, got)
		}
		want := editTree(decodeAny(body), p.steps, edit.Value != nil, put)
		if !reflect.DeepEqual(decodeAny(got), want) {
			t.Errorf("Apply(%q, %q = %q) made %q", body, text, value, got)
		}
		checkUntouched(t, body, got, edit)
	})
}

// checkUntouched replays the splices by hand.
func checkUntouched(t *testing.T, body, got []byte, edit Edit) {
	t.Helper()
	e := editor{edit: edit}
	if err := e.visit(Parse(body), 0); err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, s := range e.splices {
		if s.Start < at || s.End < s.Start {
			t.Fatalf("splices of %q overlap: %v", body, e.splices)
		}
		if !bytes.HasPrefix(got, body[at:s.Start]) || !bytes.HasPrefix(got[s.Start-at:], s.with) {
			t.Fatalf("bytes of %q before %d changed: %q", body, s.Start, got)
		}
		got = got[s.Start-at+len(s.with):]
		at = s.End
	}
	if !bytes.Equal(got, body[at:]) {
		t.Errorf("bytes of %q behind %d changed: %q", body, at, got)
	}
}

// editTree makes the edit on what encoding/json parsed.
func editTree(v any, steps []step, set bool, put any) any {
	if len(steps) == 0 {
		return put
	}
	s, rest := steps[0], steps[1:]
	switch v := v.(type) {
	case map[string]any:
		child, found := v[s.name]
		switch {
		case set && (!found || child == nil) && len(rest) > 0:
			v[s.name] = newTree(rest, put)
		case set:
			v[s.name] = editTree(child, rest, set, put)
		case found && len(rest) == 0:
			delete(v, s.name)
		case found:
			v[s.name] = editTree(child, rest, set, put)
		}
		return v
	case []any:
		switch {
		case s.index < 0 || s.index > len(v) || (!set && s.index == len(v)):
		case !set && len(rest) == 0:
			return append(v[:s.index:s.index], v[s.index+1:]...)
		case s.index == len(v):
			return append(v, newTree(rest, put))
		case set && v[s.index] == nil && len(rest) > 0:
			v[s.index] = newTree(rest, put)
		default:
			v[s.index] = editTree(v[s.index], rest, set, put)
		}
		return v
	}
	return v
}

func newTree(steps []step, put any) any {
	if len(steps) == 0 {
		return put
	}
	return map[string]any{steps[0].name: newTree(steps[1:], put)}
}
