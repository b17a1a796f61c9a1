package provider

import (
	"net/http"
	"testing"

	"gpt-load/internal/fleet"
)

func TestFormatOf(t *testing.T) {
	for _, test := range []struct {
		channel fleet.Channel
		path    string
		want    Format
	}{
		{fleet.ChannelOpenAI, "/v1/chat/completions", FormatOpenAI},
		{fleet.ChannelOpenAI, "/chat/completions", FormatOpenAI},
		{fleet.ChannelOpenAI, "/v1/responses", FormatResponses},
		{fleet.ChannelOpenAI, "/v1/responses/resp_1/input_items", FormatResponses},
		{fleet.ChannelOpenAI, "/openai/v1/responses", FormatResponses},
		{fleet.ChannelOpenAI, "/openai/deployments/x/chat/completions", FormatOpenAI},
		{fleet.ChannelOpenAI, "/v1/threads/t/messages", FormatOpenAI},
		{fleet.ChannelOpenAI, "/v1/messages", FormatAnthropic},
		{fleet.ChannelOpenAI, "/v1beta/models/g:streamGenerateContent", FormatGemini},
		{fleet.ChannelOpenAI, "/v1/models/deepseek-r1:free", FormatOpenAI},
		{fleet.ChannelOpenAI, "", FormatOpenAI},
		{fleet.ChannelOpenAIResponse, "/v1/responses", FormatResponses},
		{fleet.ChannelOpenAIResponse, "/v1/models", FormatResponses},
		{fleet.ChannelOpenAIResponse, "/v1/chat/completions", FormatOpenAI},
		{fleet.ChannelOpenAIResponse, "/v1/embeddings", FormatOpenAI},
		{fleet.ChannelAnthropic, "/v1/messages/count_tokens", FormatAnthropic},
		{fleet.ChannelAnthropic, "//v1//messages", FormatAnthropic},
		{fleet.ChannelAnthropic, "/v1/models", FormatAnthropic},
		{fleet.ChannelAnthropic, "/v1/chat/completions", FormatOpenAI},
		{fleet.ChannelGemini, "/v1beta/models/g:generateContent", FormatGemini},
		{fleet.ChannelGemini, "/v1beta/openai/chat/completions", FormatOpenAI},
		{fleet.ChannelGemini, "/v1beta/openai/models", FormatOpenAI},
		{fleet.ChannelGemini, "/openai/embeddings", FormatOpenAI},
		{fleet.ChannelGemini, "/v1beta/files", FormatGemini},
		{fleet.ChannelGemini, "/upload/v1beta/files", FormatGemini},
	} {
		if got := FormatOf(test.channel, test.path); got != test.want {
			t.Errorf("%s %s: %v, want %v", test.channel, test.path, got, test.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { FormatOf(fleet.ChannelGemini, "/v1beta/openai/chat/completions") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPathModel(t *testing.T) {
	for _, test := range []struct {
		path, model, action, replaced string // replaced with the model "a/b c"; empty: no model
	}{
		{"/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", "generateContent", "/v1beta/models/a%2Fb%20c:generateContent"},
		{"/v1/models/gemini-2.5-pro:streamGenerateContent", "gemini-2.5-pro", "streamGenerateContent", "/v1/models/a%2Fb%20c:streamGenerateContent"},
		{"/models/g:countTokens", "g", "countTokens", "/models/a%2Fb%20c:countTokens"},
		{"/v1beta/models/g%2Dpro%3AgenerateContent", "g-pro", "generateContent", "/v1beta/models/a%2Fb%20c%3AgenerateContent"},
		{"/v1beta/models/g:free:generateContent", "g:free", "generateContent", "/v1beta/models/a%2Fb%20c:generateContent"},
		{"/v1beta/models/g:%67enerateContent", "g", "generateContent", "/v1beta/models/a%2Fb%20c:%67enerateContent"},
		{"/v1beta/models/g", "g", "", "/v1beta/models/a%2Fb%20c"},
		{"/v1beta/models/g/", "g", "", "/v1beta/models/a%2Fb%20c/"},
		{"/v1beta/tunedModels/t:generateContent", "t", "generateContent", "/v1beta/tunedModels/a%2Fb%20c:generateContent"},
		{"/v1beta/publishers/google/models/g:generateContent", "g", "generateContent", "/v1beta/publishers/google/models/a%2Fb%20c:generateContent"},
		{"/v1beta/models/x/../models/g:generateContent", "g", "generateContent", "/v1beta/models/x/../models/a%2Fb%20c:generateContent"},
		{"/v1beta/%6dodels/g:generateContent", "g", "generateContent", "/v1beta/%6dodels/a%2Fb%20c:generateContent"},
		{"/v1beta/models", "", "", ""},
		{"/v1beta/models/", "", "", ""},
		{"/v1beta/models/:generateContent", "", "", ""},
		{"/v1beta/models/%zz:generateContent", "", "", ""},
		{"/v1beta/openai/models/g", "", "", ""},
		{"/v1beta/files/f", "", "", ""},
		{"", "", "", ""},
	} {
		model, span, action, ok := PathModel(fleet.ChannelGemini, test.path)
		if ok != (test.replaced != "") || model != test.model || action != test.action {
			t.Errorf("%s: %q %q %v", test.path, model, action, ok)
		}
		if ok {
			if got := ReplacePathModel(test.path, span, "a/b c"); got != test.replaced {
				t.Errorf("%s became %s, want %s", test.path, got, test.replaced)
			}
		}
	}
	if _, _, _, ok := PathModel(fleet.ChannelOpenAI, "/v1beta/models/g:generateContent"); ok {
		t.Error("another channel has no model in the path")
	}
	if n := testing.AllocsPerRun(100, func() { PathModel(fleet.ChannelGemini, "/v1beta/models/gemini-2.5-pro:generateContent") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPathStreams(t *testing.T) {
	for path, want := range map[string]bool{
		"/v1beta/models/g:streamGenerateContent":   true,
		"/v1beta/models/g%3AstreamGenerateContent": true,
		"/v1beta/models/g:generateContent":         false,
		"/v1beta/openai/chat/completions":          false,
	} {
		if got := PathStreams(fleet.ChannelGemini, path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestIsModelList(t *testing.T) {
	for path, want := range map[string]bool{
		"/v1/models":              true,
		"/models":                 true,
		"/models/":                true,
		"/v1beta/models":          true,
		"/v1beta/openai/models":   true,
		"/openai/v1/models":       true,
		"/v1/models/gpt-4":        false,
		"/v1/fine_tuning/models":  false,
		"/v1/models:batch":        false,
		"/":                       false,
		"/v1beta/models/g:x":      false,
		"/v1/chat/completions":    false,
		"/v1beta/openai/models/g": false,
	} {
		if got := IsModelList(fleet.ChannelOpenAI, http.MethodGet, path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	if IsModelList(fleet.ChannelOpenAI, http.MethodPost, "/v1/models") {
		t.Error("a POST lists nothing")
	}
}

func FuzzPathModel(f *testing.F) {
	f.Add("/v1beta/models/g:generateContent")
	f.Add("/models/%3A%3a:x/models/a")
	f.Add("//models//a%2Fb:%zz")
	f.Fuzz(func(t *testing.T, path string) {
		model, span, action, ok := PathModel(fleet.ChannelGemini, path)
		if !ok {
			return
		}
		replaced := ReplacePathModel(path, span, model)
		again, _, sameAction, ok := PathModel(fleet.ChannelGemini, replaced)
		if !ok || again != model || sameAction != action {
			t.Errorf("%q with its own model %q became %q, read as %q:%q", path, model, replaced, again, sameAction)
		}
	})
}
