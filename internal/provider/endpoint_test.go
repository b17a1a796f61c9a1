package provider_test

import (
	"strings"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/provider"
)

func TestEndpoints(t *testing.T) {
	for ch, want := range map[fleet.Channel][2]string{
		fleet.ChannelOpenAI:         {"POST /v1/chat/completions, POST /v1/embeddings, GET /v1/models", "POST /chat/completions, POST /embeddings, GET /models"},
		fleet.ChannelOpenAIResponse: {"POST /v1/responses, GET /v1/models", "POST /responses, GET /models"},
		fleet.ChannelAnthropic:      {"POST /v1/messages, POST /v1/messages/count_tokens, GET /v1/models", "POST /messages, POST /messages/count_tokens, GET /models"},
		fleet.ChannelGemini: {
			"POST /v1beta/models/{model}:generateContent, POST /v1beta/models/{model}:streamGenerateContent, GET /v1beta/models, POST /v1beta/openai/chat/completions",
			"POST /models/{model}:generateContent, POST /models/{model}:streamGenerateContent, GET /models, POST /openai/chat/completions",
		},
	} {
		for i, versioned := range []bool{false, true} {
			var got []string
			for _, e := range provider.Endpoints(ch, versioned) {
				got = append(got, e.Method+" "+e.Path)
			}
			if got := strings.Join(got, ", "); got != want[i] {
				t.Errorf("%s: %s\nwant %s", ch, got, want[i])
			}
		}
	}
	for address, want := range map[string]bool{
		"https://api.openai.com": false, "https://api.openai.com/v1": true, "https://x.example/api/v1beta/": true, "https://x.example/v1/azure": false, "https://v1": false,
	} {
		if got := provider.EndsInVersion(address); got != want {
			t.Errorf("%s ends in a version: %v", address, got)
		}
	}
}
