package provider

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
)

func TestRewriteModelList(t *testing.T) {
	redirects := []fleet.ModelRedirect{{From: "fast", To: "small"}, {From: `the "best"`, To: "unlisted"}, {From: "large", To: "small"}}
	const (
		openAI = `{"object":"list","data":[ {"id":"small","object":"model","created":1.0} , {"id":"large"},{"id":"other"} ]}`
		added  = `{"id":"fast","object":"model","created":1.0},{"id":"the \"best\"","object":"model","created":0,"owned_by":"gpt-load"}`

		anthropic = `{"data":[{"type":"model","id":"small","display_name":"Small"}],"has_more":false,"first_id":"small","last_id":"small"}`
		gemini    = `{"models":[{"name":"models/small","version":"1"}]}`
	)
	for _, test := range []struct {
		name   string
		format Format
		strict bool
		body   string
		want   string
	}{
		{"openai", FormatOpenAI, false, openAI, `{"object":"list","data":[ {"id":"small","object":"model","created":1.0} , {"id":"large"},{"id":"other"},` + added + ` ]}`},
		{"openai, strict", FormatOpenAI, true, openAI, `{"object":"list","data":[{"id":"large"},` + added + `]}`},
		{"openai, empty", FormatResponses, false, `{"data":[ ]}`, `{"data":[` +
			`{"id":"fast","object":"model","created":0,"owned_by":"gpt-load"},{"id":"the \"best\"","object":"model","created":0,"owned_by":"gpt-load"},{"id":"large","object":"model","created":0,"owned_by":"gpt-load"} ]}`},
		{"bare array, strict", FormatOpenAI, true, ` [{"id":"small"},{"id":"large"},{"id":"fast"}] `, ` [{"id":"large"},{"id":"fast"},{"id":"the \"best\"","object":"model","created":0,"owned_by":"gpt-load"}] `},
		{"bare array", FormatOpenAI, false, `[{"id":"large"},{"id":"fast"},{"id":"the \"best\""}]`, `[{"id":"large"},{"id":"fast"},{"id":"the \"best\""}]`},
		{
			"written twice, strict", FormatOpenAI, true, `{"models":[{"name":"secret"}],"data":[{"id":"secret"}],"data":[{"id":"large"},{"id":"fast"},{"id":"the \"best\""}]}`,
			`{"data":[{"id":"large"},{"id":"fast"},{"id":"the \"best\""}],"data":[{"id":"large"},{"id":"fast"},{"id":"the \"best\""}]}`,
		},
		{
			"gemini's openai dialect", FormatOpenAI, true, `{"data":[{"id":"models/small"},{"id":"models/large"}]}`,
			`{"data":[{"id":"models/large"},{"id":"models/fast"},{"id":"models/the \"best\"","object":"model","created":0,"owned_by":"gpt-load"}]}`,
		},

		{"anthropic", FormatAnthropic, false, anthropic, `{"data":[{"type":"model","id":"small","display_name":"Small"},{"type":"model","id":"fast","display_name":"Small"},` +
			`{"type":"model","id":"the \"best\"","display_name":"the \"best\"","created_at":"1970-01-01T00:00:00Z"},{"type":"model","id":"large","display_name":"Small"}],"has_more":false,"first_id":"small","last_id":"small"}`},
		{"anthropic, a page with more", FormatAnthropic, false, `{"data":[{"id":"small"}],"has_more":true}`, `{"data":[{"id":"small"}],"has_more":true}`},
		{
			"anthropic, strict, a page with more", FormatAnthropic, true, `{"data":[{"type":"model","id":"x"}],"has_more":true,"first_id":"x","last_id":"x"}`,
			`{"data":[{"type":"model","id":"fast","display_name":"fast","created_at":"1970-01-01T00:00:00Z"},{"type":"model","id":"the \"best\"","display_name":"the \"best\"","created_at":"1970-01-01T00:00:00Z"},` +
				`{"type":"model","id":"large","display_name":"large","created_at":"1970-01-01T00:00:00Z"}],"has_more":false,"first_id":"fast","last_id":"large"}`,
		},

		{"gemini", FormatGemini, false, gemini, `{"models":[{"name":"models/small","version":"1"},{"name":"models/fast","version":"1"},` +
			`{"name":"models/the \"best\"","displayName":"the \"best\"","supportedGenerationMethods":["generateContent","countTokens"]},{"name":"models/large","version":"1"}]}`},
		{"gemini, a page with more", FormatGemini, false, `{"models":[{"name":"models/small"}],"nextPageToken":"n"}`, `{"models":[{"name":"models/small"}],"nextPageToken":"n"}`},
		{
			"gemini, strict, a page with more", FormatGemini, true, `{"models":[{"name":"models/small","version":"1"},{"name":"models/large"},{"name":"models/the \"best\""}],"nextPageToken":"n"}`,
			`{"models":[{"name":"models/large"},{"name":"models/the \"best\""},{"name":"models/fast","version":"1"}]}`,
		},
	} {
		got, err := RewriteModelList(test.format, []byte(test.body), redirects, test.strict)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %v\n got %s\nwant %s", test.name, err, got, test.want)
		}
		if !json.Valid(got) {
			t.Errorf("%s: not JSON", test.name)
		}
	}
}

func TestRewriteModelListEdges(t *testing.T) {
	got, err := RewriteModelList(FormatGemini, []byte(`{}`), []fleet.ModelRedirect{{From: "a", To: "b"}}, false)
	if want := `{"models":[{"name":"models/a","displayName":"a","supportedGenerationMethods":["generateContent","countTokens"]}]}`; err != nil || string(got) != want {
		t.Errorf("an empty list of Gemini's becomes %s, %v", got, err)
	}
	got, err = RewriteModelList(FormatAnthropic, []byte(`{"data":[{"id":"x"}],"first_id":"x","last_id":"x"}`), nil, true)
	if want := `{"data":[],"first_id":null,"last_id":null}`; err != nil || string(got) != want {
		t.Errorf("a strict list without redirects becomes %s, %v", got, err)
	}
	for _, body := range []string{``, `<html>`, `{"data":{}}`, `{}`, `7`, `{"data":[{"name":"x"}]}`, `{"data":["x"]}`, `{"data":[{"id":"x"}]`} {
		if got, err := RewriteModelList(FormatOpenAI, []byte(body), nil, true); !errors.Is(err, ErrNotModelList) {
			t.Errorf("%s passes for a model list: %s", body, got)
		}
	}
}

func FuzzRewriteModelList(f *testing.F) {
	for _, seed := range []string{`{"data":[{"id":"a"},{"id":"b","x":[1]}]}`, `{"models":[{"name":"models/a"}],"nextPageToken":""}`, `[]`, `{"data":[],"data":[{"id":"\u0061","id":"b"}],"has_more":true}`} {
		f.Add(uint8(0), []byte(seed), "a", "b")
		f.Add(uint8(3), []byte(seed), "b\"", "models/a")
	}
	f.Fuzz(func(t *testing.T, format uint8, body []byte, from, to string) {
		redirects := []fleet.ModelRedirect{{From: from, To: to}}
		for _, strict := range []bool{false, true} {
			got, err := RewriteModelList(Format(format%4), body, redirects, strict)
			if err != nil {
				continue
			}
			if !json.Valid(got) {
				t.Errorf("%q becomes %q", body, got)
			}
			l, err := findModelList(Format(format%4), got)
			if err != nil {
				t.Fatalf("%q becomes %q: %v", body, got, err)
			}
			for _, e := range l.entries {
				if strict && strings.TrimPrefix(e.name, geminiPrefix) != strings.TrimPrefix(string([]rune(from)), geminiPrefix) {
					t.Errorf("the strict list %q shows %q", got, e.name)
				}
			}
		}
	})
}
