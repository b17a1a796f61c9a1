package jsonbody

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestScan(t *testing.T) {
	long := strings.Repeat("m", 300)
	for name, test := range map[string]struct {
		body string
		want Facts
	}{
		"empty":              {``, Facts{}},
		"white space":        {" \r\n\t", Facts{}},
		"empty object":       {` { } `, Facts{Object: true}},
		"usual":              {`{"model":"gpt-4o","stream":true}`, Facts{HasModel: true, ModelIsString: true, Model: "gpt-4o", HasStream: true, Stream: true}},
		"members of others":  {`{"a":{"model":"x","stream":true},"model":"y","b":[{"model":"z"}]}`, Facts{HasModel: true, ModelIsString: true, Model: "y"}},
		"escaped name":       {`{"mod\u0065l":"x"}`, Facts{HasModel: true, ModelIsString: true, Model: "x"}},
		"case counts":        {`{"Model":"x","STREAM":true}`, Facts{Object: true}},
		"last one counts":    {`{"model":"x","mode\u006C":"y"}`, Facts{HasModel: true, ModelIsString: true, Model: "y"}},
		"last is a number":   {`{"model":"x","model":4}`, Facts{HasModel: true}},
		"last stream counts": {`{"stream":true,"stream":"true"}`, Facts{Object: true, HasStream: true}},
		"not the literal":    {`{"stream":1}`, Facts{Object: true, HasStream: true}},
		"model is null":      {`{"model":null}`, Facts{HasModel: true}},
		"escaped value":      {`{"model":"gpt\u002d4\n\ud83d\ude00"}`, Facts{HasModel: true, ModelIsString: true, Model: "gpt-4\n😀"}},
		"lone surrogate":     {`{"model":"a\ud83dz"}`, Facts{HasModel: true, ModelIsString: true, Model: "a\uFFFDz"}},
		"not UTF-8":          {"{\"model\":\"a\xffz\"}", Facts{HasModel: true, ModelIsString: true, Model: "a\uFFFDz"}},
		"NUL":                {`{"model":"a\u0000z"}`, Facts{HasModel: true, ModelIsString: true, Model: "a\x00z"}},
		"300 characters":     {`{"model":"` + long + `"}`, Facts{HasModel: true, ModelIsString: true, Model: long}},
		"quotes in text":     {`{"messages":"\"model\":\"no\" \\","model":"yes"}`, Facts{HasModel: true, ModelIsString: true, Model: "yes"}},
		"byte order mark":    {"\ufeff{}", Facts{}},
		"array":              {`[{"model":"x"}]`, Facts{}},
		"string":             {`"model"`, Facts{}},
		"something behind":   {`{"model":"x"} {}`, Facts{}},
		"two objects joined": {`{"model":"x"}{"model":"y"}`, Facts{}},
		"broken off":         {`{"model":"x"`, Facts{}},
		"broken in a string": {`{"model":"x`, Facts{}},
		"broken in an array": {`{"model":"x","a":[{}`, Facts{}},
		"no colon":           {`{"model" "x"}`, Facts{}},
		"no comma":           {`{"model":"x" "stream":true}`, Facts{}},
		"comma at the end":   {`{"model":"x",}`, Facts{}},
		"wrong bracket":      {`{"a":{],"model":"x"}`, Facts{}},
		"wrong literal":      {`{"model":"x","stream":truth}`, Facts{}},
		"wrong number":       {`{"model":"x","n":01}`, Facts{}},
		"raw line break":     {"{\"model\":\"a\nb\"}", Facts{}},
		"unknown escape":     {`{"model":"a\qb"}`, Facts{}},
		"unknown in a name":  {`{"model":"x","mod\qel":"y"}`, Facts{}},
		"too deep":           {`{"model":"x","a":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`, Facts{}},
		"as deep as allowed": {`{"model":"x","a":` + strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1) + `}`, Facts{HasModel: true, ModelIsString: true, Model: "x"}},
	} {
		got := Scan([]byte(test.body))
		want := test.want
		want.Object = want.Object || want.HasModel
		want.ModelSpan, want.ModelCount = got.ModelSpan, got.ModelCount // TestReplaceModel
		if got != want {
			t.Errorf("%s: Scan(%.60q)\n got %+v\nwant %+v", name, test.body, got, want)
		}
	}
}

// A body of brackets alone must neither recurse nor take long.
func TestDeepNesting(t *testing.T) {
	for _, open := range []string{"[", `{"a":`, "[{\"a\":"} {
		body := []byte(`{"model":` + strings.Repeat(open, 1<<20))
		if Scan(body).Object || Valid(body) || Parse(body).Kind() != KindNone {
			t.Errorf("%d times %q passes for JSON", 1<<20, open)
		}
	}
}

func TestScanKeepsNothingOfTheBody(t *testing.T) {
	body := []byte(`{"model":"kept-by-a-record"}`)
	f := Scan(body)
	clear(body)
	if f.Model != "kept-by-a-record" {
		t.Errorf("the model changed with the body: %q", f.Model)
	}
	if n := testing.AllocsPerRun(100, func() { Scan([]byte(`{"mod\u0065l":"gpt\u002d4","stream":true}`)) }); n != 0 {
		t.Errorf("Scan of a known model allocates %v times, want 0", n)
	}
}

func TestReplaceModel(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"a"}`:                               `{"model":"new \"one\""}`,
		` { "model" : 4 , "b" : 1.0 } `:               ` { "model" : "new \"one\"" , "b" : 1.0 } `,
		`{"model":{"a":1},"x":{"model":"a"}}`:         `{"model":"new \"one\"","x":{"model":"a"}}`,
		`{"model":"a","b":1,"mod\u0065l":["b"]}`:      `{"model":"new \"one\"","b":1,"mod\u0065l":"new \"one\""}`,
		`{"model":1,"model":2,"model":3,"\u006d":""}`: `{"model":"new \"one\"","model":"new \"one\"","model":"new \"one\"","\u006d":""}`,
		`{"b":1}`:        `{"b":1}`,
		`{"model":"a"`:   `{"model":"a"`,
		`["model","a"]`:  `["model","a"]`,
		`{"Model":"a"} `: `{"Model":"a"} `,
	} {
		got := ReplaceModel([]byte(body), Scan([]byte(body)), `new "one"`)
		if string(got) != want {
			t.Errorf("ReplaceModel(%s)\n got %s\nwant %s", body, got, want)
		}
	}
}

// scanSeeds are bodies that the fuzzers start from; all kinds of faults and spellings are among them.
var scanSeeds = []string{
	`{}`, `[]`, `""`, `0`, `-0.5e+10`, `true`, `null`, ` `, `{"model":"x","stream":true}`, `{"model":1,"model":"y"}`,
	`{"mod\u0065l":"\ud83d\ude00\ud83d"}`, "{\"model\":\"\xff\xc3\\u00e9\"}", `{"a":[1,2,{"b":"\\\""}],"stream":false}`,
	`{"a" : { "b" : [ ] , "c" : { } } }`, `{"a":1,}`, `[1,]`, `{"a":[}]`, `{"model":"x"}{}`, `"\u12"`, `"\q"`, "\"\x00\"", `01`, `1.`, `1e`, `-`,
	`{"":1}`, `{"a":"` + "\x7f" + `"}`, `[[[[[[[[]]]]]]]]`, "\ufeff{}", `{"stream":true,"str\u0065am":null}`, `tru`, `nulll`, `{"a"}`, `{"a":}`, `{,}`,
	`"12345678\"12345678\\"`, "\"1234567\n\"", `{"model":"a\/b\b\f\n\r\t"}`, `{"model":"\u0000"}`, `{"\uD800":1,"model":"\udc00\ud800\ud800\udc00"}`,
}

func FuzzScan(f *testing.F) {
	for _, seed := range scanSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		got := Scan(body)
		if !bytes.Equal(body, before) {
			t.Fatal("Scan changed the body")
		}
		if !got.Object && got != (Facts{}) {
			t.Errorf("facts without an object: %+v", got)
		}
		replaced := ReplaceModel(body, got, "m")
		if got.HasModel && !Scan(replaced).Object {
			t.Errorf("ReplaceModel made %q of %q", replaced, body)
		}
		if !json.Valid(body) {
			return
		}
		want, isObject := factsByEncodingJSON(body)
		if got.Object != isObject {
			t.Fatalf("Object is %v for %q", got.Object, body)
		}
		got.ModelSpan, got.ModelCount = Span{}, 0
		if got != want {
			t.Errorf("Scan(%q)\n got %+v\nwant %+v", body, got, want)
		}
		if want.HasModel {
			if after, _ := factsByEncodingJSON(replaced); after.Model != "m" || !after.ModelIsString || after.Stream != want.Stream {
				t.Errorf("ReplaceModel made %q of %q", replaced, body)
			}
		}
	})
}

func factsByEncodingJSON(body []byte) (f Facts, isObject bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil || members == nil {
		return f, false
	}
	f.Object = true
	var raw json.RawMessage
	if raw, f.HasModel = members["model"]; f.HasModel {
		f.Model, f.ModelIsString = decodeAny(raw).(string)
	}
	if raw, f.HasStream = members["stream"]; f.HasStream {
		f.Stream = string(raw) == "true"
	}
	return f, true
}

// decodeAny parses valid JSON. Numbers stay as they are written: many do not fit a float64.
func decodeAny(body []byte) any {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		panic(err)
	}
	return v
}

func FuzzValid(f *testing.F) {
	for _, seed := range scanSeeds {
		f.Add([]byte(seed))
	}
	f.Add(bytes.Repeat([]byte("["), maxDepth+1))
	f.Fuzz(func(t *testing.T, body []byte) {
		if got, want := Valid(body), json.Valid(body); got != want {
			t.Errorf("Valid(%q) = %v, encoding/json says %v", body, got, want)
		}
	})
}

func TestValidAtTheDepthLimit(t *testing.T) {
	for _, depth := range []int{1, 63, 64, 65, maxDepth, maxDepth + 1} {
		arrays := []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		objects := []byte(strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth))
		for _, body := range [][]byte{arrays, objects} {
			if got, want := Valid(body), json.Valid(body); got != want {
				t.Errorf("%d levels of %.5q: Valid is %v, encoding/json says %v", depth, body, got, want)
			}
		}
	}
}
