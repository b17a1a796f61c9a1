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

// PathModel finds the model in a path of Gemini's API: /v1beta/models/{model}:{action}, any version or none,
// tunedModels too, or {model} alone for the requests that describe one model. model is decoded; span is where
// it stands in escapedPath, in bytes, end exclusive; action is the part after the colon, decoded, or empty. ok is
// false on other channels, where the model stands in the body, and on every other path.
//
// Google cuts at the last colon, and both "%3A" and ":" separate.
func PathModel(ch fleet.Channel, escapedPath string) (model string, span [2]int, action string, ok bool) {
	if ch != fleet.ChannelGemini {
		return "", span, "", false
	}
	first, rest := nextSegment(escapedPath)
	if isVersion(first) {
		first, rest = nextSegment(rest)
	}
	if first != "models" && first != "tunedModels" {
		return "", span, "", false
	}
	last, after := nextSegment(rest)
	start := len(escapedPath) - len(after) - len(last)
	raw, action := cutAction(last)
	// Deeper paths, such as tunedModels/{model}/permissions, still name the model before the slash.
	if raw == "" || (after != "" && first != "tunedModels") {
		return "", span, "", false
	}
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return "", span, "", false
	}
	return decoded, [2]int{start, start + len(raw)}, action, true
}

// cutAction splits "{model}:{action}" at its last colon, escaped or not.
func cutAction(segment string) (model, action string) {
	for i := len(segment) - 1; i >= 0; i-- {
		if segment[i] == ':' {
			return segment[:i], unescapeAction(segment[i+1:])
		}
		if segment[i] == '%' && i+2 < len(segment) && segment[i+1] == '3' && segment[i+2]|0x20 == 'a' {
			return segment[:i], unescapeAction(segment[i+3:])
		}
	}
	return segment, ""
}

func unescapeAction(raw string) string {
	if strings.IndexByte(raw, '%') < 0 {
		return raw
	}
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return raw
	}
	return decoded
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
