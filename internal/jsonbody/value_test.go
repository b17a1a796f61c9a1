package jsonbody

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestValue(t *testing.T) {
	body := []byte(` {"a":{"b":[1, "two" ,{"c":null}]},"d":"x","d":"\u0079","e":{} , "f":[ ],"g":"","h":false,"i":0}`)
	v := Parse(body)
	var got []string
	for element := range v.Member("a").Member("b").Elements() {
		if span := element.Span(); string(body[span.Start:span.End]) != string(element.Raw) {
			t.Errorf("%s is not at %v", element.Raw, span)
		}
		got = append(got, string(element.Raw))
	}
	if want := []string{`1`, `"two"`, `{"c":null}`}; !reflect.DeepEqual(got, want) {
		t.Errorf("elements are %q, want %q", got, want)
	}
	if text, ok := v.Member("d").Text(); !ok || text != "y" || !v.Member("d").Is("y") {
		t.Errorf("d is %q, want the last one, decoded", text)
	}
	for _, name := range []string{"e", "f", "g", "h", "absent"} {
		if !v.Member(name).IsEmpty() {
			t.Errorf("%s is not empty", name)
		}
	}
	for _, name := range []string{"a", "d", "i"} {
		if v.Member(name).IsEmpty() {
			t.Errorf("%s is empty", name)
		}
	}
	if v.Member("d").Member("x").Kind() != KindNone || v.Member("i").Is("0") {
		t.Error("a string has members, or a number is a string")
	}
}

func FuzzValue(f *testing.F) {
	for _, seed := range scanSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v := Parse(body)
		got := tree(v) // must not panic, whatever the body
		if !json.Valid(body) {
			return
		}
		want := decodeAny(body)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("Parse(%q)\n got %#v\nwant %#v", body, got, want)
		}
	})
}

// tree builds with Value what encoding/json builds.
func tree(v Value) any {
	switch v.Kind() {
	case KindObject:
		members := map[string]any{}
		for name, value := range v.Members() {
			text, _ := name.Text()
			members[text] = tree(value)
		}
		return members
	case KindArray:
		elements := []any{}
		for element := range v.Elements() {
			elements = append(elements, tree(element))
		}
		return elements
	case KindString:
		text, _ := v.Text()
		return text
	case KindNone:
		return nil
	default:
		if !json.Valid(v.Raw) {
			return nil
		}
		return decodeAny(v.Raw)
	}
}

func FuzzAppendQuoted(f *testing.F) {
	for _, seed := range []string{"", "plain", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "é\u2028😀", "\xff\xed\xa0\x80", "\ufffd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted := AppendQuoted(nil, text)
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil {
			t.Fatalf("AppendQuoted(%q) = %s: %v", text, quoted, err)
		}
		reference, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var want string
		if err := json.Unmarshal(reference, &want); err != nil || got != want {
			t.Errorf("AppendQuoted(%q) decodes to %q, want %q", text, got, want)
		}
		if own, ok := Parse(quoted).Text(); !ok || own != want {
			t.Errorf("%s decodes to %q here, want %q", quoted, own, want)
		}
	})
}
