package provider

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"gpt-load/internal/fleet"
)

// Probe is the smallest request that shows whether a key works.
type Probe struct {
	Method string
	Path   string // escaped path and query, below the upstream's address
	Header http.Header
	Body   []byte // nil for GET
}

// Default models: the cheapest of each provider that every account may use.
const (
	probeModelOpenAI    = "gpt-4.1-nano"
	probeModelAnthropic = "claude-haiku-4-5"
	probeModelGemini    = "gemini-2.5-flash-lite"
)

// anthropicVersion is the header that Anthropic requires; the oldest value still served works for every model.
const anthropicVersion = "2023-06-01"

// ProbeFor makes the request that tests a key of the channel. A custom path decides the body's shape as it does for real
// traffic; one that lists models is asked with GET. A custom payload is sent as it is.
func ProbeFor(ch fleet.Channel, v fleet.Validation) Probe {
	path := v.Path
	if path == "" {
		path = probePath(ch, probeModel(ch, v.Model))
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	escapedPath, _, _ := strings.Cut(path, "?")
	format := FormatOf(ch, escapedPath)
	p := Probe{Method: http.MethodPost, Path: path, Header: http.Header{"Accept": {"application/json"}}}
	if format == FormatAnthropic {
		p.Header["Anthropic-Version"] = []string{anthropicVersion}
	}
	if v.Payload == "" && IsModelList(ch, http.MethodGet, escapedPath) {
		p.Method = http.MethodGet
		return p
	}
	p.Header["Content-Type"] = []string{"application/json"}
	if v.Payload != "" {
		p.Body = []byte(v.Payload)
	} else {
		p.Body = probeBody(format, escapedPath, probeModel(ch, v.Model))
	}
	return p
}

func probeModel(ch fleet.Channel, custom string) string {
	switch {
	case custom != "":
		return strings.TrimPrefix(custom, "models/")
	case ch == fleet.ChannelAnthropic:
		return probeModelAnthropic
	case ch == fleet.ChannelGemini:
		return probeModelGemini
	}
	return probeModelOpenAI
}

func probePath(ch fleet.Channel, model string) string {
	switch ch {
	case fleet.ChannelAnthropic:
		return "/v1/messages"
	case fleet.ChannelGemini:
		return "/v1beta/models/" + url.PathEscape(model) + ":generateContent"
	case fleet.ChannelOpenAIResponse:
		return "/v1/responses"
	}
	return "/v1/chat/completions"
}

// probeMessage is one request body that fits chat completions, messages and responses; each uses its own members.
type probeMessage struct {
	Model               string      `json:"model"`
	Messages            []probeTurn `json:"messages,omitempty"`
	Input               string      `json:"input,omitempty"`
	MaxTokens           int         `json:"max_tokens,omitempty"`
	MaxCompletionTokens int         `json:"max_completion_tokens,omitempty"`
	MaxOutputTokens     int         `json:"max_output_tokens,omitempty"`
}

type probeTurn struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

const probeWord = "hi"

func probeBody(f Format, escapedPath, model string) []byte {
	const leastOutputTokens = 16 // the responses API refuses fewer
	message := probeMessage{Model: model}
	switch {
	case f == FormatGemini:
		return []byte(`{"contents":[{"role":"user","parts":[{"text":"` + probeWord + `"}]}],"generationConfig":{"maxOutputTokens":1}}`)
	case f == FormatResponses:
		message.Input, message.MaxOutputTokens = probeWord, leastOutputTokens
	case strings.HasSuffix(escapedPath, "/embeddings"):
		message.Input = probeWord
	case f == FormatOpenAI && refusesMaxTokens(model):
		message.Messages, message.MaxCompletionTokens = []probeTurn{{"user", probeWord}}, leastOutputTokens
	default:
		message.Messages, message.MaxTokens = []probeTurn{{"user", probeWord}}, 1
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(message) // strings and numbers into memory: nothing can fail
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// refusesMaxTokens: OpenAI's reasoning models know max_completion_tokens only, most compatible servers max_tokens only.
func refusesMaxTokens(model string) bool {
	for _, prefix := range [...]string{"gpt-5", "gpt-6", "o1", "o3", "o4"} {
		if strings.HasPrefix(model, prefix) {
			return true
		}
	}
	return false
}
