package provider

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"gpt-load/internal/jsonbody"
)

func TestKindOf(t *testing.T) {
	for contentType, want := range map[string]Kind{
		"text/event-stream":                  KindSSE,
		"Text/Event-Stream ; charset=utf-8":  KindSSE,
		"application/json":                   KindJSON,
		"application/json; charset=UTF-8":    KindJSON,
		"application/problem+json":           KindJSON,
		"text/plain; charset=utf-8":          KindJSON,
		"":                                   KindJSON,
		"audio/mpeg":                         KindBinary,
		"application/octet-stream":           KindBinary,
		"application/vnd.amazon.eventstream": KindBinary,
		"application/x-ndjson":               KindBinary,
		"text/html":                          KindBinary,
	} {
		if got := KindOf(http.Header{"Content-Type": {contentType}}); got != want {
			t.Errorf("KindOf(%q) = %v, want %v", contentType, got, want)
		}
	}
}

// inspection is one 200 and what it turns out to be once all of it is there.
type inspection struct {
	name   string
	format Format
	kind   Kind
	body   string
	want   Decision
	error  string // ErrorBody
}

const (
	chatRole   = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}` + "\n\n"
	chatText   = `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n"
	chatStop   = `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	chatUsage  = `data: {"id":"c","object":"chat.completion.chunk","choices":[],"usage":{"total_tokens":3}}` + "\n\n"
	chatDone   = "data: [DONE]\n\n"
	azureFirst = `data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false}}}]}` + "\n\n"

	responseCreated  = "event: response.created\n" + `data: {"type":"response.created","sequence_number":0,"response":{"id":"r","object":"response","status":"in_progress","error":null,"instructions":"be kind","output":[],"usage":null}}` + "\n\n"
	responseProgress = "event: response.in_progress\n" + `data: {"type":"response.in_progress","sequence_number":1,"response":{"id":"r","status":"in_progress","error":null,"output":[]}}` + "\n\n"
	responseItem     = "event: response.output_item.added\n" + `data: {"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"msg","type":"message","status":"in_progress","content":[],"role":"assistant"}}` + "\n\n"
	responseDelta    = "event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg","output_index":0,"content_index":0,"delta":"Hi"}` + "\n\n"
	responseFailed   = "event: response.failed\n" + `data: {"type":"response.failed","sequence_number":2,"response":{"id":"r","object":"response","status":"failed","error":{"code":"rate_limit_exceeded","message":"Rate limit reached"},"output":[],"usage":null}}` + "\n\n"
	responseDone     = "event: response.completed\n" + `data: {"type":"response.completed","sequence_number":5,"response":{"id":"r","status":"completed","output":[{"type":"message"}],"usage":{"total_tokens":3}}}` + "\n\n"

	messageStart = "event: message_start\n" + `data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"usage":{"input_tokens":9,"output_tokens":1}}}` + "\n\n"
	messagePing  = "event: ping\ndata: {\"type\": \"ping\"}\n\n"
	blockStart   = "event: content_block_start\n" + `data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n"
	blockDelta   = "event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}` + "\n\n"
	messageDelta = "event: message_delta\n" + `data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3}}` + "\n\n"
	messageStop  = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	overloaded   = `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"q"}`

	geminiUsage = `{"usageMetadata":{"promptTokenCount":4},"modelVersion":"gemini","responseId":"x"}`
	geminiText  = `{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":4},"modelVersion":"gemini"}`
	geminiStop  = `{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{}}`
	geminiFault = `{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}`

	openAIFault = `{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}`
)

func delta(members string) string {
	return `data: {"choices":[{"index":0,"delta":{"role":"assistant",` + members + `},"finish_reason":null}]}` + "\n\n"
}

var inspections = []inspection{
	// OpenAI's chat completions and whoever speaks them.
	{"chat: role", FormatOpenAI, KindSSE, chatRole, DecisionEmpty, ""},
	{"chat: role, then text", FormatOpenAI, KindSSE, chatRole + chatText, DecisionContent, ""},
	{"chat: Azure's first event", FormatOpenAI, KindSSE, azureFirst + chatRole, DecisionEmpty, ""},
	{"chat: error behind Azure's first event", FormatOpenAI, KindSSE, azureFirst + "data: " + openAIFault + "\n\n", DecisionError, openAIFault},
	{"chat: tool call", FormatOpenAI, KindSSE, delta(`"content":null,"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]`), DecisionContent, ""},
	{"chat: function call", FormatOpenAI, KindSSE, delta(`"function_call":{"name":"f"}`), DecisionContent, ""},
	{"chat: reasoning", FormatOpenAI, KindSSE, delta(`"content":null,"reasoning_content":"Hm"`), DecisionContent, ""},
	{"chat: empty reasoning", FormatOpenAI, KindSSE, delta(`"content":null,"reasoning_content":"","tool_calls":[]`), DecisionEmpty, ""},
	{"chat: refusal", FormatOpenAI, KindSSE, delta(`"refusal":"No."`), DecisionContent, ""},
	{"chat: second choice", FormatOpenAI, KindSSE, `data: {"choices":[{"index":0,"delta":{}},{"index":1,"delta":{"content":"x"}}]}` + "\n\n", DecisionContent, ""},
	{"chat: finish without text", FormatOpenAI, KindSSE, chatRole + chatStop + chatDone, DecisionContent, ""},
	{"chat: nothing but done", FormatOpenAI, KindSSE, chatDone, DecisionEmpty, ""},
	{"chat: role and done", FormatOpenAI, KindSSE, chatRole + chatUsage + chatDone + chatText, DecisionEmpty, ""},
	{"chat: comments", FormatOpenAI, KindSSE, ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n", DecisionEmpty, ""},
	{"chat: error", FormatOpenAI, KindSSE, ": ping\n\n" + chatRole + "data: " + openAIFault + "\n\n", DecisionError, openAIFault},
	{"chat: error that is a text", FormatOpenAI, KindSSE, "data: {\"error\":\"model busy\"}\n\n", DecisionError, `{"error":"model busy"}`},
	{"chat: error is null", FormatOpenAI, KindSSE, `data: {"error":null,"choices":[{"delta":{"content":"x"}}]}` + "\n\n", DecisionContent, ""},
	{
		"chat: OpenRouter's error chunk", FormatOpenAI, KindSSE,
		`data: {"id":"x","error":{"code":502,"message":"down"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}` + "\n\n",
		DecisionError, `{"id":"x","error":{"code":502,"message":"down"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}`,
	},
	{
		"chat: error in the choice", FormatOpenAI, KindSSE, `data: {"choices":[{"index":0,"delta":{},"error":{"code":429},"finish_reason":"error"}]}` + "\n\n",
		DecisionError, `{"index":0,"delta":{},"error":{"code":429},"finish_reason":"error"}`,
	},
	{"chat: error without the last empty line", FormatOpenAI, KindSSE, "data: " + openAIFault, DecisionError, openAIFault},
	{"chat: error event in words", FormatOpenAI, KindSSE, "event: error\ndata: no \"capacity\"\n\n", DecisionError, `{"error":"no \"capacity\""}`},
	{"chat: error event of its own shape", FormatOpenAI, KindSSE, "event: error\ndata: {\"message\":\"x\"}\n\n", DecisionError, `{"error":{"message":"x"}}`},
	{"chat: error after text", FormatOpenAI, KindSSE, chatText + "data: " + openAIFault + "\n\n", DecisionContent, ""},
	{"chat: error of several lines", FormatOpenAI, KindSSE, "data: {\"error\":\ndata: {\"code\":429}}\n\n", DecisionError, "{\"error\":\n{\"code\":429}}"},
	{"chat: vLLM's error", FormatOpenAI, KindSSE, `data: {"object":"error","message":"x","code":500}` + "\n\n", DecisionError, `{"object":"error","message":"x","code":500}`},
	{"chat: malformed chunk", FormatOpenAI, KindSSE, "data: {\"choices\":[{\"delta\":{\"con\n\n", DecisionContent, ""},
	{"chat: words", FormatOpenAI, KindSSE, "data: hello\n\n", DecisionContent, ""},
	{"chat: full message in a chunk", FormatOpenAI, KindSSE, `data: {"choices":[{"message":{"role":"assistant","content":"x"}}]}` + "\n\n", DecisionContent, ""},
	{"completions", FormatOpenAI, KindSSE, `data: {"choices":[{"text":"Hi","index":0,"finish_reason":null}]}` + "\n\n", DecisionContent, ""},
	{"transcription", FormatOpenAI, KindSSE, `data: {"type":"transcript.text.delta","delta":"Hi"}` + "\n\n", DecisionContent, ""},
	{"JSON error declared as a stream", FormatOpenAI, KindSSE, "\n" + openAIFault, DecisionError, openAIFault},
	{"JSON answer declared as a stream", FormatOpenAI, KindSSE, `{"choices":[{"message":{"content":"x"}}]}`, DecisionContent, ""},
	{"stream declared as JSON", FormatOpenAI, KindJSON, chatRole + "data: " + openAIFault + "\n\n", DecisionError, openAIFault},
	{"stream with an unread line", FormatOpenAI, KindSSE, "upstream error\n\n", DecisionEmpty, ""},

	// The responses API.
	{"responses: created", FormatResponses, KindSSE, responseCreated + responseProgress + "event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":2}\n\n", DecisionEmpty, ""},
	{"responses: message without text", FormatResponses, KindSSE, responseCreated + responseProgress + responseItem, DecisionEmpty, ""},
	{"responses: message", FormatResponses, KindSSE, responseCreated + responseProgress + responseItem + responseDelta, DecisionContent, ""},
	{"responses: call", FormatResponses, KindSSE, responseCreated + strings.Replace(responseItem, `"message"`, `"function_call"`, 1), DecisionContent, ""},
	{"responses: delta", FormatResponses, KindSSE, responseCreated + responseDelta, DecisionContent, ""},
	{"responses: completed at once", FormatResponses, KindSSE, responseDone, DecisionContent, ""},
	{"responses: failed", FormatResponses, KindSSE, responseCreated + responseProgress + responseFailed, DecisionError, `{"error":{"code":"rate_limit_exceeded","message":"Rate limit reached"}}`},
	{
		"responses: error", FormatResponses, KindSSE, responseCreated + "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"x\",\"param\":null,\"sequence_number\":1}\n\n",
		DecisionError, `{"error":{"type":"error","code":"server_error","message":"x","param":null,"sequence_number":1}}`,
	},
	{
		"responses: error inside error", FormatResponses, KindSSE, "event: error\ndata: {\"type\":\"error\",\"error\":{\"code\":\"insufficient_quota\"}}\n\n",
		DecisionError, `{"type":"error","error":{"code":"insufficient_quota"}}`,
	},
	{"responses: error without event lines", FormatResponses, KindSSE, `data: {"message":"x","code":"server_error","type":"error"}` + "\n\n", DecisionError, `{"error":{"message":"x","code":"server_error","type":"error"}}`},
	{"responses: type only in the event line", FormatResponses, KindSSE, "event: response.created\ndata: {\"response\":{}}\n\n", DecisionEmpty, ""},
	{"responses: unknown event", FormatResponses, KindSSE, "event: response.new\ndata: {\"type\":\"response.new\"}\n\n", DecisionContent, ""},
	{"responses: bare error", FormatResponses, KindSSE, "data: " + openAIFault + "\n\n", DecisionError, openAIFault},

	// Anthropic's messages API.
	{"messages: start", FormatAnthropic, KindSSE, messageStart + messagePing + blockStart, DecisionEmpty, ""},
	{"messages: text", FormatAnthropic, KindSSE, messageStart + blockStart + messagePing + blockDelta, DecisionContent, ""},
	{"messages: empty delta", FormatAnthropic, KindSSE, strings.Replace(messageStart+blockStart+blockDelta, `"Hi"`, `""`, 1), DecisionEmpty, ""},
	{"messages: tool", FormatAnthropic, KindSSE, messageStart + `data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}` + "\n\n", DecisionContent, ""},
	{"messages: thinking", FormatAnthropic, KindSSE, messageStart + `data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}` + "\n\n", DecisionContent, ""},
	{"messages: end of turn without text", FormatAnthropic, KindSSE, messageStart + messageDelta + messageStop, DecisionContent, ""},
	{"messages: stop without anything", FormatAnthropic, KindSSE, messageStart + messageStop, DecisionEmpty, ""},
	{"messages: overloaded at once", FormatAnthropic, KindSSE, "event: error\ndata: " + overloaded + "\n\n", DecisionError, overloaded},
	{"messages: overloaded after the start", FormatAnthropic, KindSSE, messageStart + messagePing + "event: error\r\ndata: " + overloaded + "\r\n\r\n", DecisionError, overloaded},
	{"messages: error without event line", FormatAnthropic, KindSSE, "data: " + overloaded + "\n\n", DecisionError, overloaded},
	{"messages: error of another dialect", FormatAnthropic, KindSSE, "data: " + openAIFault + "\n\n", DecisionError, openAIFault},

	// Gemini, with alt=sse and without.
	{"gemini: usage", FormatGemini, KindSSE, "data: " + geminiUsage + "\r\n\r\n", DecisionEmpty, ""},
	{"gemini: text", FormatGemini, KindSSE, "data: " + geminiUsage + "\r\n\r\ndata: " + geminiText + "\r\n\r\n", DecisionContent, ""},
	{"gemini: stop without text", FormatGemini, KindSSE, "data: " + geminiStop + "\r\n\r\n", DecisionContent, ""},
	{"gemini: thought", FormatGemini, KindSSE, `data: {"candidates":[{"content":{"parts":[{"thought":true,"text":"Hm"}]}}]}` + "\n\n", DecisionContent, ""},
	{"gemini: empty thought", FormatGemini, KindSSE, `data: {"candidates":[{"content":{"parts":[{"thought":true,"text":""}]}}]}` + "\n\n", DecisionEmpty, ""},
	{"gemini: function call", FormatGemini, KindSSE, `data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}}}]}}]}` + "\n\n", DecisionContent, ""},
	{"gemini: blocked", FormatGemini, KindSSE, `data: {"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{}}` + "\n\n", DecisionContent, ""},
	{"gemini: no candidates", FormatGemini, KindSSE, `data: {"candidates":[],"usageMetadata":{}}` + "\n\n", DecisionEmpty, ""},
	{"gemini: error", FormatGemini, KindSSE, "data: " + geminiUsage + "\n\ndata: " + geminiFault + "\n\n", DecisionError, geminiFault},
	{"gemini array: text", FormatGemini, KindJSON, "[" + geminiText + "\n,\r\n" + geminiStop + "\n]\n", DecisionContent, ""},
	{"gemini array: usage, then error", FormatGemini, KindJSON, "[" + geminiUsage + "\n,\r\n" + geminiFault + "\n]\n", DecisionError, geminiFault},
	{"gemini array: error", FormatGemini, KindJSON, " [" + geminiFault + "]", DecisionError, geminiFault},
	{"gemini array: usage", FormatGemini, KindJSON, "[" + geminiUsage + "]", DecisionEmpty, ""},
	{"gemini array: empty", FormatGemini, KindJSON, "[]", DecisionEmpty, ""},
	{"gemini array: cut", FormatGemini, KindJSON, "[" + geminiText[:40], DecisionContent, ""},
	{"gemini array: no element", FormatGemini, KindJSON, "[7]", DecisionContent, ""},
	{"openai array: error", FormatOpenAI, KindJSON, "[" + geminiFault + "]", DecisionError, geminiFault},
	{"openai array: models", FormatOpenAI, KindJSON, `[{"id":"m"}]`, DecisionContent, ""},
	{"openai array: empty", FormatOpenAI, KindJSON, `[]`, DecisionContent, ""},

	// Whole answers.
	{"answer: chat", FormatOpenAI, KindJSON, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"}}]}`, DecisionContent, ""},
	{"answer: no choices", FormatOpenAI, KindJSON, `{"id":"c","object":"chat.completion","choices":[],"usage":{}}`, DecisionEmpty, ""},
	{"answer: error", FormatOpenAI, KindJSON, openAIFault, DecisionError, openAIFault},
	{"answer: OpenRouter's error", FormatOpenAI, KindJSON, `{"error":{"message":"x","code":429},"user_id":"u"}`, DecisionError, `{"error":{"message":"x","code":429},"user_id":"u"}`},
	{"answer: error beside choices", FormatOpenAI, KindJSON, `{"error":{"message":"x"},"choices":[{"message":{}}]}`, DecisionContent, ""},
	{"answer: error beside no choices", FormatOpenAI, KindJSON, `{"error":{"message":"x"},"choices":[]}`, DecisionError, `{"error":{"message":"x"},"choices":[]}`},
	{"answer: error is null", FormatResponses, KindJSON, `{"id":"r","object":"response","error":null,"instructions":"x","output":[{"type":"message"}]}`, DecisionContent, ""},
	{"answer: failed response", FormatResponses, KindJSON, `{"id":"r","object":"response","status":"failed","error":{"code":"server_error"},"output":[]}`, DecisionError, `{"id":"r","object":"response","status":"failed","error":{"code":"server_error"},"output":[]}`},
	{"answer: failed fine tuning", FormatOpenAI, KindJSON, `{"id":"f","error":{"code":"x","message":"bad file"},"object":"fine_tuning.job","status":"failed"}`, DecisionContent, ""},
	{"answer: fine tuning without error", FormatOpenAI, KindJSON, `{"object":"chat.completion","error":{"code":null,"message":null}}`, DecisionContent, ""},
	{"answer: vLLM's error", FormatOpenAI, KindJSON, `{"object":"error","message":"x","code":400}`, DecisionError, `{"object":"error","message":"x","code":400}`},
	{"answer: embeddings", FormatOpenAI, KindJSON, `{"object":"list","data":[{"object":"embedding","embedding":[0.1,0.2]}]}`, DecisionContent, ""},
	{"answer: models", FormatOpenAI, KindJSON, `{"object":"list","data":[]}`, DecisionContent, ""},
	{"answer: message", FormatAnthropic, KindJSON, `{"id":"m","type":"message","content":[{"type":"text","text":"Hi"}]}`, DecisionContent, ""},
	{"answer: message without content", FormatAnthropic, KindJSON, `{"id":"m","type":"message","content":[],"stop_reason":"end_turn"}`, DecisionContent, ""},
	{"answer: message error", FormatAnthropic, KindJSON, overloaded, DecisionError, overloaded},
	{"answer: count_tokens", FormatAnthropic, KindJSON, `{"input_tokens":14}`, DecisionContent, ""},
	{"answer: gemini", FormatGemini, KindJSON, geminiText, DecisionContent, ""},
	{"answer: gemini without candidates", FormatGemini, KindJSON, geminiUsage, DecisionEmpty, ""},
	{"answer: gemini blocked", FormatGemini, KindJSON, `{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{}}`, DecisionContent, ""},
	{"answer: gemini countTokens", FormatGemini, KindJSON, `{"totalTokens":31}`, DecisionContent, ""},
	{"answer: gemini models", FormatGemini, KindJSON, `{"models":[{"name":"models/x"}]}`, DecisionContent, ""},
	{"answer: gemini operation", FormatGemini, KindJSON, `{"name":"operations/1","done":true,"error":{"code":3,"message":"x"}}`, DecisionContent, ""},
	{"answer: empty object", FormatGemini, KindJSON, `{}`, DecisionContent, ""},
	{"answer: nothing", FormatOpenAI, KindJSON, "", DecisionEmpty, ""},
	{"answer: white space", FormatOpenAI, KindJSON, " \r\n", DecisionEmpty, ""},
	{"answer: cut", FormatOpenAI, KindJSON, `{"id":"c","created":12`, DecisionContent, ""},
	{"answer: cut behind an error", FormatOpenAI, KindJSON, `{"error":{"code":429},"id":"c`, DecisionError, `{"error":{"code":429}}`},
	{"answer: not JSON", FormatOpenAI, KindJSON, `{"id":"c"; "error":{"code":1}}`, DecisionContent, ""},
	{"answer: page", FormatOpenAI, KindJSON, "<html>", DecisionContent, ""},
	{"answer: text", FormatOpenAI, KindJSON, "dear all", DecisionContent, ""},
	{"answer: half a field name", FormatOpenAI, KindJSON, "dat", DecisionContent, ""},
	{"audio", FormatOpenAI, KindBinary, "\xff\xfb\x90", DecisionContent, ""},
	{"no audio", FormatOpenAI, KindBinary, "", DecisionEmpty, ""},
}

// decide feeds the body in pieces that end at cuts, then all of it, and ends.
func decide(c inspection, cuts ...int) (Decision, string) {
	var i Inspector
	i.Reset(c.format, c.kind)
	for _, cut := range cuts {
		if decision := i.Feed([]byte(c.body[:cut])); decision != DecisionMore {
			return decision, string(i.ErrorBody())
		}
	}
	if decision := i.Feed([]byte(c.body)); decision != DecisionMore {
		return decision, string(i.ErrorBody())
	}
	return i.End(), string(i.ErrorBody())
}

func TestInspector(t *testing.T) {
	for _, c := range inspections {
		decision, body := decide(c)
		if decision != c.want || body != c.error {
			t.Errorf("%s: %v %s, want %v %s", c.name, decision, body, c.want, c.error)
		}
		decision, body = decide(c, everyByte([]byte(c.body))...)
		if decision != c.want || body != c.error {
			t.Errorf("%s, byte by byte: %v %s, want %v %s", c.name, decision, body, c.want, c.error)
		}
		if c.error != "" {
			v := jsonbody.Parse([]byte(body))
			if !json.Valid([]byte(body)) || v.Member("error").IsEmpty() && !v.Member("object").Is("error") {
				t.Errorf("%s: the error's body is %s", c.name, body)
			}
		}
	}
}

// What is not content yet must not wait for more, and content must not wait for its end.
func TestInspectorDecidesEarly(t *testing.T) {
	for _, test := range []struct {
		format Format
		kind   Kind
		body   string
		want   Decision
	}{
		{FormatOpenAI, KindJSON, `{"object":"list","data":[{"embedding":[0.1,`, DecisionContent},
		{FormatOpenAI, KindJSON, `{"object":"list","data":[ `, DecisionMore},
		{FormatOpenAI, KindJSON, `{"error":{"code":4`, DecisionMore},
		{FormatOpenAI, KindJSON, `{"error":{"code":4}`, DecisionMore},
		{FormatAnthropic, KindJSON, `{"content":[{`, DecisionContent},
		{FormatGemini, KindJSON, `{"candidates":[{"content"`, DecisionContent},
		{FormatGemini, KindJSON, `[{"candidates":[`, DecisionMore},
		{FormatOpenAI, KindSSE, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n", DecisionMore},
		{FormatOpenAI, KindSSE, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\r\r", DecisionContent},
		{FormatOpenAI, KindSSE, chatRole, DecisionMore},
		{FormatOpenAI, KindSSE, "", DecisionMore},
	} {
		i := NewInspector(test.format, test.kind)
		if got := i.Feed([]byte(test.body)); got != test.want {
			t.Errorf("%s: %v, want %v", test.body, got, test.want)
		}
	}
}

func TestInspectorStopsLooking(t *testing.T) {
	for _, beginning := range []string{"data: {\"x\":\"", `{"instructions":"`, `[{"x":"`, ":"} {
		i := NewInspector(FormatGemini, KindSSE)
		body := []byte(beginning + strings.Repeat("x", inspectLimit))
		if got := i.Feed(body[:inspectLimit]); got != DecisionMore {
			t.Errorf("%q...: %v within the limit", beginning, got)
		}
		if got := i.Feed(body); got != DecisionContent {
			t.Errorf("%q...: %v beyond the limit, want content", beginning, got)
		}
	}
}

func TestInspectorFindsTheKind(t *testing.T) {
	i := NewInspector(FormatGemini, KindJSON)
	i.Feed([]byte("["))
	if i.Kind() != KindJSONArray {
		t.Errorf("an array declared as JSON is %v", i.Kind())
	}
	i.Reset(FormatOpenAI, KindSSE)
	if i.Feed([]byte(openAIFault)); i.Kind() != KindJSON {
		t.Errorf("an object declared as a stream is %v", i.Kind())
	}
}

func TestInspectorAllocatesNothing(t *testing.T) {
	for name, body := range map[string]struct {
		format Format
		kind   Kind
		body   []byte
	}{
		"chat":      {FormatOpenAI, KindSSE, []byte(chatRole + chatText)},
		"responses": {FormatResponses, KindSSE, []byte(responseCreated + responseProgress + responseItem + responseDelta)},
		"messages":  {FormatAnthropic, KindSSE, []byte(messageStart + blockStart + messagePing + blockDelta)},
		"gemini":    {FormatGemini, KindSSE, []byte("data: " + geminiText + "\r\n\r\n")},
		"answer":    {FormatOpenAI, KindJSON, []byte(`{"id":"c","object":"chat.completion","choices":[{"index":0}]}`)},
	} {
		var i Inspector
		if n := testing.AllocsPerRun(100, func() {
			i.Reset(body.format, body.kind)
			if i.Feed(body.body) != DecisionContent {
				t.Fatal(name)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

// FuzzInspector: where a body is cut into reads must not change what it is taken for.
func FuzzInspector(f *testing.F) {
	for n, c := range inspections {
		f.Add(uint8(c.format), uint8(c.kind), []byte(c.body), uint16(n*7), uint16(n*13))
	}
	f.Fuzz(func(t *testing.T, format, kind uint8, body []byte, a, b uint16) {
		c := inspection{format: Format(format % 4), kind: Kind(kind % 4), body: string(body)}
		first := int(a) % (len(body) + 1)
		second := first + int(b)%(len(body)-first+1)
		wantDecision, wantBody := decide(c)
		decision, errorBody := decide(c, first, second)
		if decision != wantDecision || errorBody != wantBody {
			t.Errorf("%v %v %q is %v %q, but cut at %d and %d %v %q", c.format, c.kind, body, wantDecision, wantBody, first, second, decision, errorBody)
		}
		if decision == DecisionMore || (decision == DecisionError) != (errorBody != "") {
			t.Errorf("%q is %v with the error %q", body, decision, errorBody)
		}
	})
}

func BenchmarkInspectorFirstContent(b *testing.B) {
	held := []byte(chatRole + chatText)
	var i Inspector
	b.ReportAllocs()
	for b.Loop() {
		i.Reset(FormatOpenAI, KindSSE)
		if i.Feed(held) != DecisionContent {
			b.Fatal("no content")
		}
	}
}
