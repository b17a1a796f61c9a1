package tracing

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"gpt-load/internal/fleet"
)

// Names of attributes, as the semantic conventions of OpenTelemetry for generative AI and HTTP have them. The former are still
// in development and no part of the Go packages any more, so they are written down here.
const (
	genAIOperation = attribute.Key("gen_ai.operation.name")
	genAIProvider  = attribute.Key("gen_ai.provider.name")
	genAIModel     = attribute.Key("gen_ai.request.model")

	httpMethod    = attribute.Key("http.request.method")
	httpStatus    = attribute.Key("http.response.status_code")
	urlPath       = attribute.Key("url.path")
	serverAddress = attribute.Key("server.address")
	clientAddress = attribute.Key("client.address")
	errorType     = attribute.Key("error.type")

	// Our own.
	gatewayGroup     = attribute.Key("gptload.group")
	gatewayAggregate = attribute.Key("gptload.aggregate")
	gatewayClass     = attribute.Key("gptload.class")
	gatewayReason    = attribute.Key("gptload.reason")
	gatewayRequest   = attribute.Key("gptload.request.id")
	gatewayAttempts  = attribute.Key("gptload.attempts")
	gatewayAttempt   = attribute.Key("gptload.attempt")
	gatewayKeyTail   = attribute.Key("gptload.key.tail")
)

// providers are the values of gen_ai.provider.name.
var providers = map[fleet.Channel]string{
	fleet.ChannelOpenAI: "openai", fleet.ChannelOpenAIResponse: "openai", fleet.ChannelGemini: "gcp.gemini", fleet.ChannelAnthropic: "anthropic",
}

// operation is the value of gen_ai.operation.name for a path of a provider's API; empty for what is no inference.
func operation(path string) string {
	for _, known := range []struct{ suffix, name string }{
		{"/chat/completions", "chat"},
		{"/messages", "chat"},
		{"/responses", "chat"},
		{"/completions", "text_completion"},
		{"/embeddings", "embeddings"},
		{":generateContent", "generate_content"},
		{":streamGenerateContent", "generate_content"},
		{":embedContent", "embeddings"},
		{":batchEmbedContents", "embeddings"},
	} {
		if strings.HasSuffix(path, known.suffix) {
			return known.name
		}
	}
	return ""
}

// spanName is the operation and the model, as the conventions have it, or the method of what is no inference.
func spanName(operation, model, method string) string {
	switch {
	case operation == "":
		return clip(method)
	case model == "":
		return operation
	default:
		return operation + " " + clip(model)
	}
}

// inference are the attributes that the spans of a request and of its attempts have both.
func inference(operation, model string, channel fleet.Channel) []attribute.KeyValue {
	const most = 14 // of all spans
	attributes := append(make([]attribute.KeyValue, 0, most), genAIProvider.String(providers[channel]))
	if operation != "" {
		attributes = append(attributes, genAIOperation.String(operation))
	}
	if model != "" {
		attributes = append(attributes, genAIModel.String(clip(model)))
	}
	return attributes
}

// clip bounds what clients write, and copies it: a part would keep the whole request in memory as long as the span waits.
func clip(text string) string {
	const longest = 256
	return strings.ToValidUTF8(strings.Clone(text[:min(len(text), longest)]), "")
}
