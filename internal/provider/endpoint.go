package provider

import (
	"net/http"
	"strings"

	"gpt-load/internal/fleet"
)

// Endpoint is a part of a provider's API that clients use.
type Endpoint struct {
	Name   string // stable word for it
	Method string
	Path   string // below the group; {model} stands for a model's name
}

// Endpoints lists what clients of a channel use most, the main one first. It is for people: the proxy passes every
// path. versioned tells that the group's upstream addresses end in the version, so that paths go without.
func Endpoints(ch fleet.Channel, versioned bool) []Endpoint {
	var list []Endpoint
	switch ch {
	case fleet.ChannelAnthropic:
		list = []Endpoint{
			{"messages", http.MethodPost, "/v1/messages"}, {"count_tokens", http.MethodPost, "/v1/messages/count_tokens"}, {"models", http.MethodGet, "/v1/models"},
		}
	case fleet.ChannelGemini:
		list = []Endpoint{
			{"generate_content", http.MethodPost, "/v1beta/models/{model}:generateContent"},
			{"stream_generate_content", http.MethodPost, "/v1beta/models/{model}:streamGenerateContent"},
			{"models", http.MethodGet, "/v1beta/models"},
			{"openai_chat_completions", http.MethodPost, "/v1beta/openai/chat/completions"},
		}
	case fleet.ChannelOpenAIResponse:
		list = []Endpoint{{"responses", http.MethodPost, "/v1/responses"}, {"models", http.MethodGet, "/v1/models"}}
	default:
		list = []Endpoint{
			{"chat_completions", http.MethodPost, "/v1/chat/completions"}, {"embeddings", http.MethodPost, "/v1/embeddings"}, {"models", http.MethodGet, "/v1/models"},
		}
	}
	if versioned {
		for i := range list {
			_, list[i].Path = nextSegment(list[i].Path)
		}
	}
	return list
}

// SDKPath is what the provider's own SDKs take as the end of a base URL, behind the group: those of OpenAI put the version
// there, those of the others add it themselves.
func SDKPath(ch fleet.Channel, versioned bool) string {
	if versioned || ch != fleet.ChannelOpenAI && ch != fleet.ChannelOpenAIResponse {
		return ""
	}
	return "/v1"
}

// EndsInVersion reports whether an upstream address ends in a version, such as https://api.example.com/v1.
func EndsInVersion(address string) bool {
	_, rest, _ := strings.Cut(address, "://")
	_, path := nextSegment(rest)
	path = strings.TrimRight(path, "/")
	return isVersion(path[strings.LastIndexByte(path, '/')+1:])
}
