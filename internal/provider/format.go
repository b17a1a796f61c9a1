package provider

import (
	"strings"

	"gpt-load/internal/fleet"
)

// Format is the dialect in which a request's answers, errors and streams are written. It belongs to the
// request, not to the group: a Gemini group also serves OpenAI's dialect under /v1beta/openai/, and resellers
// serve several dialects under one address.
type Format uint8

// The formats. FormatOpenAI is everything of OpenAI's API that is not the responses API.
const (
	FormatOpenAI Format = iota
	FormatResponses
	FormatAnthropic
	FormatGemini
)

// String gives the format's name for logs.
func (f Format) String() string {
	switch f {
	case FormatResponses:
		return "openai-responses"
	case FormatAnthropic:
		return "anthropic"
	case FormatGemini:
		return "gemini"
	default:
		return "openai"
	}
}

// FormatOf decides the format from the path, which is the one below /proxy/{group}, escaped or not. Where the
// path is not one that a provider documents, the channel decides.
func FormatOf(ch fleet.Channel, path string) Format {
	// Documented: /v1/messages (Anthropic), /v1/responses, /v1/chat/completions (OpenAI),
	// /v1beta/openai/chat/completions (Gemini's OpenAI dialect), /v1beta/models/{model}:generateContent.
	// A client's base URL may leave the version out, when the group's upstream address has it.
	first, rest := nextSegment(path)
	if isVersion(first) {
		first, rest = nextSegment(rest)
	}
	openAI := ch == fleet.ChannelOpenAI || ch == fleet.ChannelOpenAIResponse
	if first == "openai" { // Gemini, Azure (/openai/deployments/..., /openai/v1/responses), Groq (/openai/v1/...)
		openAI = true
		first, rest = nextSegment(rest)
		if isVersion(first) {
			first, rest = nextSegment(rest)
		}
	}
	switch first {
	case "messages": // not /v1/threads/{id}/messages, which is OpenAI's
		return FormatAnthropic
	case "responses":
		return FormatResponses
	case "chat", "completions", "embeddings", "audio", "images", "moderations":
		return FormatOpenAI
	case "models", "tunedModels":
		if _, action, found := strings.Cut(rest, ":"); found && isGeminiAction(action) {
			return FormatGemini
		}
	}
	switch {
	case openAI && ch == fleet.ChannelOpenAIResponse:
		return FormatResponses
	case openAI:
		return FormatOpenAI
	case ch == fleet.ChannelAnthropic:
		return FormatAnthropic
	case ch == fleet.ChannelGemini:
		return FormatGemini
	}
	return FormatOpenAI
}

// nextSegment splits "/a/b/c" into "a" and "/b/c". Repeated slashes count as one.
func nextSegment(path string) (segment, rest string) {
	for path != "" && path[0] == '/' {
		path = path[1:]
	}
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// isVersion recognises v1, v2, v1beta, v1alpha, v1beta1 and their like.
func isVersion(segment string) bool {
	return len(segment) >= 2 && len(segment) <= 8 && segment[0] == 'v' && segment[1] >= '0' && segment[1] <= '9'
}
