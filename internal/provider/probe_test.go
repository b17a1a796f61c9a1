package provider

import (
	"encoding/json"
	"testing"

	"gpt-load/internal/fleet"
)

func TestProbeFor(t *testing.T) {
	const chat = `{"model":"gpt-4.1-nano","messages":[{"role":"user","content":"hi"}],"max_tokens":1}`
	const gemini = `{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":1}}`
	for _, test := range []struct {
		name       string
		channel    fleet.Channel
		validation fleet.Validation
		method     string
		path       string
		body       string
	}{
		{"openai", fleet.ChannelOpenAI, fleet.Validation{}, "POST", "/v1/chat/completions", chat},
		{
			"openai reasoning model", fleet.ChannelOpenAI,
			fleet.Validation{Model: "gpt-5-nano"},
			"POST", "/v1/chat/completions",
			`{"model":"gpt-5-nano","messages":[{"role":"user","content":"hi"}],"max_completion_tokens":16}`,
		},
		{"openai model list", fleet.ChannelOpenAI, fleet.Validation{Path: "/v1/models?limit=1"}, "GET", "/v1/models?limit=1", ""},
		{"openai embeddings", fleet.ChannelOpenAI, fleet.Validation{Path: "v1/embeddings", Model: "e"}, "POST", "/v1/embeddings", `{"model":"e","input":"hi"}`},
		{"openai responses path", fleet.ChannelOpenAI, fleet.Validation{Path: "/v1/responses"}, "POST", "/v1/responses", `{"model":"gpt-4.1-nano","input":"hi","max_output_tokens":16}`},
		{"responses", fleet.ChannelOpenAIResponse, fleet.Validation{Model: "a<b"}, "POST", "/v1/responses", `{"model":"a<b","input":"hi","max_output_tokens":16}`},
		{"anthropic", fleet.ChannelAnthropic, fleet.Validation{}, "POST", "/v1/messages", `{"model":"claude-haiku-4-5","messages":[{"role":"user","content":"hi"}],"max_tokens":1}`},
		{"gemini", fleet.ChannelGemini, fleet.Validation{}, "POST", "/v1beta/models/gemini-2.5-flash-lite:generateContent", gemini},
		{"gemini own model", fleet.ChannelGemini, fleet.Validation{Model: "models/a/b"}, "POST", "/v1beta/models/a%2Fb:generateContent", gemini},
		{"gemini openai dialect", fleet.ChannelGemini, fleet.Validation{Path: "/v1beta/openai/chat/completions", Model: "gpt-4.1-nano"}, "POST", "/v1beta/openai/chat/completions", chat},
		{"payload", fleet.ChannelOpenAI, fleet.Validation{Payload: ` {"a":1} `}, "POST", "/v1/chat/completions", ` {"a":1} `},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := ProbeFor(test.channel, test.validation)
			if p.Method != test.method || p.Path != test.path || string(p.Body) != test.body {
				t.Errorf("%s %s %s", p.Method, p.Path, p.Body)
			}
			if len(p.Body) > 0 && !json.Valid(p.Body) {
				t.Error("the body is no JSON")
			}
			if hasVersion := p.Header.Get("Anthropic-Version") != ""; hasVersion != (test.channel == fleet.ChannelAnthropic) {
				t.Errorf("header %v", p.Header)
			}
			if hasType := p.Header.Get("Content-Type") != ""; hasType != (test.method == "POST") {
				t.Errorf("header %v", p.Header)
			}
		})
	}
}
