package provider

import (
	"net/http"
	"net/url"
	"strings"

	"gpt-load/internal/fleet"
)

// isGeminiAction tells a custom method of Gemini's API (the part after the colon of {model}:{action}) from a
// colon inside another provider's model name, such as OpenRouter's "deepseek/deepseek-r1:free".
func isGeminiAction(action string) bool {
	switch action {
	case "generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents",
		"asyncBatchEmbedContent", "batchGenerateContent", "predict", "predictLongRunning", "computeTokens",
		"generateMessage", "generateText", "countMessageTokens", "embedText", "batchEmbedText", "countTextTokens",
		"generateAnswer", "bidiGenerateContent", "transferOwnership":
		return true
	}
	return false
}

// PathModel finds the model in a path of Gemini's API: models/{model}:{action}, tunedModels too, behind any version
// or prefix (Vertex has publishers/google/models/...), or {model} alone where one model is described. model is decoded;
// span is where it stands in escapedPath, in bytes, end exclusive; action is the part after the colon, decoded, or
// empty. ok is false on other channels, where the model stands in the body, and on every other path.
//
// The last such pair of segments counts and segment names are compared decoded, as Google's router does, so
// that "/v1beta/models/../models/x:generateContent" or "/v1beta/%6dodels/x:generateContent" hides nothing from a strict list.
func PathModel(ch fleet.Channel, escapedPath string) (model string, span [2]int, action string, ok bool) {
	if ch != fleet.ChannelGemini {
		return "", span, "", false
	}
	for rest := escapedPath; rest != ""; {
		var segment string
		segment, rest = nextSegment(rest)
		switch decodedSegment(segment) {
		case "openai": // the OpenAI dialect has its model in the body
			return "", [2]int{}, "", false
		case "models", "tunedModels":
			name, after := nextSegment(rest)
			raw, act := cutAction(name)
			decoded, err := url.PathUnescape(raw)
			if err != nil || raw == "" || raw == "." || raw == ".." {
				continue
			}
			start := len(escapedPath) - len(after) - len(name)
			model, span, action, ok = decoded, [2]int{start, start + len(raw)}, act, true
		}
	}
	return model, span, action, ok
}

func decodedSegment(segment string) string {
	if strings.IndexByte(segment, '%') < 0 {
		return segment
	}
	decoded, err := url.PathUnescape(segment)
	if err != nil {
		return segment
	}
	return decoded
}

// cutAction splits "{model}:{action}" at its last colon, escaped or not.
func cutAction(segment string) (model, action string) {
	for i := len(segment) - 1; i >= 0; i-- {
		if segment[i] == ':' {
			return segment[:i], decodedSegment(segment[i+1:])
		}
		if segment[i] == '%' && i+2 < len(segment) && segment[i+1] == '3' && segment[i+2]|0x20 == 'a' {
			return segment[:i], decodedSegment(segment[i+3:])
		}
	}
	return segment, ""
}

// ReplacePathModel puts another model in the place that PathModel found; the rest of the path keeps its bytes.
func ReplacePathModel(escapedPath string, span [2]int, model string) string {
	return escapedPath[:span[0]] + url.PathEscape(model) + escapedPath[span[1]:]
}

// PathStreams reports whether the path itself asks for a stream: Gemini's :streamGenerateContent, whose body
// has no stream member.
func PathStreams(ch fleet.Channel, escapedPath string) bool {
	_, _, action, ok := PathModel(ch, escapedPath)
	return ok && action == "streamGenerateContent"
}

// NamesDeployment reports whether a path of the OpenAI dialect names what serves it itself, beside or instead of the
// body's model: deployments/{name}/... (Azure) or engines/{name}/... (OpenAI's own of old).
func NamesDeployment(ch fleet.Channel, escapedPath string) bool {
	if ch != fleet.ChannelOpenAI && ch != fleet.ChannelOpenAIResponse {
		return false
	}
	for rest := escapedPath; rest != ""; {
		var segment string
		segment, rest = nextSegment(rest)
		switch decodedSegment(segment) {
		case "deployments", "engines":
			return strings.Trim(rest, "/") != ""
		}
	}
	return false
}

// IsModelList reports whether the request lists models: GET /v1/models, /v1beta/models and
// /v1beta/openai/models, with or without the version (an upstream address may already end in it) and with or
// without a final slash.
func IsModelList(_ fleet.Channel, method, escapedPath string) bool {
	if method != http.MethodGet {
		return false
	}
	first, rest := nextSegment(escapedPath)
	if isVersion(first) {
		first, rest = nextSegment(rest)
	}
	if first == "openai" {
		first, rest = nextSegment(rest)
		if isVersion(first) {
			first, rest = nextSegment(rest)
		}
	}
	return first == "models" && strings.Trim(rest, "/") == ""
}
