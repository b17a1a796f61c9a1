package fakeprovider_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"mime/multipart"
	"strconv"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"gpt-load/internal/fakeprovider"
)

const (
	chatTools      = `,"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}}}]`
	responsesTools = `,"tools":[{"type":"function","name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}]`
	anthropicTools = `,"tools":[{"name":"weather","input_schema":{"type":"object","properties":{"unit":{"enum":["c","f"]}}}}]`
	geminiTools    = `,"tools":[{"functionDeclarations":[{"name":"weather","parameters":{"type":"OBJECT","properties":{"city":{"type":"STRING"}}}}]}]`
	claude         = "Anthropic-Version: 2023-06-01"
)

// TestShapes asks for every plain answer and looks at what makes each the format's own.
func TestShapes(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	tests := []struct {
		name, method, path, body string
		header                   string
		want                     map[string]string // gjson path to its text
	}{
		{name: "chat", path: "/v1/chat/completions", body: chatBody("gpt-x", false), want: map[string]string{
			"object": "chat.completion", "model": "gpt-x", "choices.0.message.role": "assistant", "choices.0.finish_reason": "stop",
			"choices.0.message.content": "Hello! I am a fake provider, and every word of this answer is made up.",
		}},
		{name: "chat tool", path: "/v1/chat/completions", body: `{"model":"m","messages":[{"role":"user"}]` + chatTools + `}`, want: map[string]string{
			"choices.0.finish_reason": "tool_calls", "choices.0.message.content": "", "choices.0.message.tool_calls.0.function.name": "weather",
			"choices.0.message.tool_calls.0.function.arguments": `{"city":"Paris"}`,
		}},
		{name: "chat tool answered", path: "/v1/chat/completions", body: `{"model":"m","messages":[{"role":"tool"}]` + chatTools + `}`, want: map[string]string{
			"choices.0.finish_reason": "stop",
		}},
		{name: "chat no tool wanted", path: "/v1/chat/completions", body: `{"model":"m","tool_choice":"none","messages":[]` + chatTools + `}`, want: map[string]string{
			"choices.0.finish_reason": "stop",
		}},
		{name: "azure", path: "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21", body: `{"messages":[]}`, want: map[string]string{"model": "my-gpt"}},
		{name: "completions", path: "/v1/completions", body: `{"model":"m","prompt":"a"}`, want: map[string]string{"object": "text_completion"}},
		{name: "responses", path: "/v1/responses", body: `{"model":"m","input":"hi"}`, want: map[string]string{
			"object": "response", "status": "completed", "output.0.content.0.type": "output_text", "output.0.role": "assistant", "usage.output_tokens": "19",
		}},
		{name: "responses tool", path: "/v1/responses", body: `{"model":"m","input":"hi"` + responsesTools + `}`, want: map[string]string{
			"output.0.type": "function_call", "output.0.name": "weather", "output.0.arguments": `{"city":"Paris"}`,
		}},
		{name: "response get", method: "GET", path: "/v1/responses/resp_1", want: map[string]string{"object": "response"}},
		{name: "response delete", method: "DELETE", path: "/v1/responses/resp_1", want: map[string]string{"deleted": "true"}},
		{name: "embeddings", path: "/v1/embeddings", body: `{"model":"m","input":["a","b"],"dimensions":3}`, want: map[string]string{
			"data.#": "2", "data.1.index": "1", "data.1.embedding": "[-0.03125,-0.03100586,-0.030761719]",
		}},
		{name: "embeddings base64", path: "/v1/embeddings", body: `{"model":"m","input":"a","dimensions":1,"encoding_format":"base64"}`, want: map[string]string{
			"data.0.embedding": base64.StdEncoding.EncodeToString([]byte{0, 0, 0, 0xbd}),
		}},
		{name: "embeddings tokens", path: "/v1/embeddings", body: `{"model":"m","input":[1,2,3]}`, want: map[string]string{"data.#": "1", "data.0.embedding.#": "1536"}},
		{name: "moderations", path: "/v1/moderations", body: `{"input":"x"}`, want: map[string]string{"results.0.flagged": "false"}},
		{name: "models", method: "GET", path: "/v1/models", want: map[string]string{"object": "list", "data.0.object": "model"}},
		{name: "model", method: "GET", path: "/v1/models/org/name", want: map[string]string{"id": "org/name"}},
		{name: "image", path: "/v1/images/generations", body: `{"prompt":"x"}`, want: map[string]string{"data.#": "1"}},
		{name: "files", method: "GET", path: "/v1/files", want: map[string]string{"data.0.object": "file"}},
		{name: "file", method: "GET", path: "/v1/files/file-1", want: map[string]string{"id": "file-1"}},
		{name: "file delete", method: "DELETE", path: "/v1/files/file-1", want: map[string]string{"deleted": "true"}},

		{name: "messages", path: "/v1/messages", header: claude, body: `{"model":"claude-x","max_tokens":1,"messages":[]}`, want: map[string]string{
			"type": "message", "content.0.type": "text", "stop_reason": "end_turn", "model": "claude-x", "usage.output_tokens": "19",
		}},
		{name: "messages tool", path: "/v1/messages", header: claude, body: `{"model":"claude-x","max_tokens":1,"messages":[]` + anthropicTools + `}`, want: map[string]string{
			"content.0.type": "tool_use", "content.0.input.unit": "c", "stop_reason": "tool_use",
		}},
		{name: "messages tool answered", path: "/v1/messages", header: claude, body: `{"model":"c","max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_result"}]}]` + anthropicTools + `}`, want: map[string]string{
			"stop_reason": "end_turn",
		}},
		{name: "count_tokens", path: "/v1/messages/count_tokens", header: claude, body: `{"model":"claude-x","messages":[]}`, want: map[string]string{"input_tokens": "8"}},
		{name: "anthropic models", method: "GET", path: "/v1/models", header: claude, want: map[string]string{"data.0.type": "model", "has_more": "false"}},
		{name: "anthropic model", method: "GET", path: "/v1/models/claude-z", header: claude, want: map[string]string{"id": "claude-z", "display_name": "Claude Z"}},

		{name: "gemini", path: "/v1beta/models/gemini-x:generateContent", body: `{"contents":[]}`, want: map[string]string{
			"candidates.0.finishReason": "STOP", "candidates.0.content.role": "model", "modelVersion": "gemini-x",
		}},
		{name: "gemini v1", path: "/v1/models/gemini-x:generateContent", body: `{"contents":[]}`, want: map[string]string{"modelVersion": "gemini-x"}},
		{name: "gemini tool", path: "/v1beta/models/g:generateContent", body: `{"contents":[]` + geminiTools + `}`, want: map[string]string{
			"candidates.0.content.parts.0.functionCall.name": "weather", "candidates.0.content.parts.0.functionCall.args.city": "Paris",
		}},
		{name: "gemini count", path: "/v1beta/models/g:countTokens", body: `{"contents":[]}`, want: map[string]string{"totalTokens": "3"}},
		{name: "gemini embed", path: "/v1beta/models/g:embedContent", body: `{"content":{},"outputDimensionality":2}`, want: map[string]string{"embedding.values.#": "2"}},
		{name: "gemini batch embed", path: "/v1beta/models/g:batchEmbedContents", body: `{"requests":[{},{}]}`, want: map[string]string{"embeddings.#": "2", "embeddings.0.values.#": "3072"}},
		{name: "gemini models", method: "GET", path: "/v1beta/models?key=x", want: map[string]string{"models.0.name": "models/gemini-2.5-pro"}},
		{name: "gemini model", method: "GET", path: "/v1beta/models/g-1", want: map[string]string{"name": "models/g-1"}},
		{name: "gemini openai", path: "/v1beta/openai/chat/completions", body: chatBody("g", false), want: map[string]string{"object": "chat.completion"}},
		{name: "gemini openai models", method: "GET", path: "/v1beta/openai/models", want: map[string]string{"object": "list"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			method := tt.method
			if method == "" {
				method = "POST"
			}
			c := *c
			c.t = t
			var headers []string
			if tt.header != "" {
				headers = append(headers, tt.header)
			}
			r := c.do(method, tt.path, tt.body, headers...)
			if r.StatusCode != 200 || !gjson.Valid(r.body) {
				t.Fatalf("status %d, body %s", r.StatusCode, r.body)
			}
			for path, want := range tt.want {
				if got := gjson.Get(r.body, path).String(); got != want {
					t.Errorf("%s is %q, want %q in\n%s", path, got, want, r.body)
				}
			}
		})
	}
}

// TestRefusals covers what each provider says of a call that it cannot serve.
func TestRefusals(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{Keys: []string{"good-key-123456"}, Models: []string{"m"}, MaxBody: 1 << 10})
	c := newClient(t, p)
	const bearer, goog, ant = "Authorization: Bearer good-key-123456", "X-Goog-Api-Key: good-key-123456", "X-Api-Key: good-key-123456"
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		path1, want1             string
		path2, want2             string
	}{
		{"openai no key", "POST", "/v1/chat/completions", "{}", nil, 401, "error.type", "invalid_request_error", "error.code", ""},
		{"openai wrong key", "POST", "/v1/chat/completions", "{}", []string{"Authorization: Bearer sk-wrong-wrong"}, 401, "error.code", "invalid_api_key", "error.param", ""},
		{"openai path", "POST", "/v1/nothing", "{}", []string{bearer}, 404, "error.message", "Invalid URL (POST /v1/nothing)", "error.type", "invalid_request_error"},
		{"openai method", "GET", "/v1/embeddings", "", []string{bearer}, 405, "error.code", "method_not_supported", "error.type", "invalid_request_error"},
		{"openai not json", "POST", "/v1/chat/completions", "{", []string{bearer}, 400, "error.type", "invalid_request_error", "error.code", ""},
		{"openai array", "POST", "/v1/chat/completions", "[]", []string{bearer}, 400, "error.type", "invalid_request_error", "error.code", ""},
		{"openai deep", "POST", "/v1/chat/completions", strings.Repeat("[", 1000), []string{bearer}, 400, "error.type", "invalid_request_error", "error.code", ""},
		{"openai model missing", "POST", "/v1/chat/completions", `{"messages":[]}`, []string{bearer}, 400, "error.message", "you must provide a model parameter", "error.code", ""},
		{"openai model number", "POST", "/v1/chat/completions", `{"model":4}`, []string{bearer}, 400, "error.code", "invalid_type", "error.type", "invalid_request_error"},
		{"openai messages missing", "POST", "/v1/chat/completions", `{"model":"m"}`, []string{bearer}, 400, "error.code", "missing_required_parameter", "error.type", "invalid_request_error"},
		{"openai bogus model", "POST", "/v1/chat/completions", chatBody("bogus", false), []string{bearer}, 404, "error.code", "model_not_found", "error.type", "invalid_request_error"},
		{"last model counts", "POST", "/v1/chat/completions", `{"model":"m","messages":[],"mod\u0065l":"bogus"}`, []string{bearer}, 404, "error.code", "model_not_found", "error.type", "invalid_request_error"},
		{"openai too large", "POST", "/v1/chat/completions", strings.Repeat(" ", 2<<10), []string{bearer}, 413, "error.type", "invalid_request_error", "error.code", ""},
		{"upload without file", "POST", "/v1/files", "", []string{bearer}, 400, "error.code", "missing_required_parameter", "error.type", "invalid_request_error"},
		{"anthropic no key", "POST", "/v1/messages", "{}", []string{claude}, 401, "error.type", "authentication_error", "type", "error"},
		{"anthropic wrong key", "POST", "/v1/messages", "{}", []string{claude, "X-Api-Key: wrong"}, 401, "error.message", "invalid x-api-key", "type", "error"},
		{"anthropic bearer", "POST", "/v1/messages", `{}`, []string{claude, bearer}, 400, "error.message", "model: Field required", "type", "error"},
		{"anthropic no version", "POST", "/v1/messages", `{}`, []string{ant}, 400, "error.message", "anthropic-version: header is required", "type", "error"},
		{"anthropic max_tokens", "POST", "/v1/messages", `{"model":"m"}`, []string{ant, claude}, 400, "error.message", "max_tokens: Field required", "error.type", "invalid_request_error"},
		{"anthropic bogus model", "POST", "/v1/messages", `{"model":"x","max_tokens":1,"messages":[]}`, []string{ant, claude}, 404, "error.message", "model: x", "error.type", "not_found_error"},
		{"anthropic path", "POST", "/v1/messages/nothing", `{}`, []string{ant, claude}, 404, "error.type", "not_found_error", "type", "error"},
		{"gemini no key", "POST", "/v1beta/models/m:generateContent", "{}", nil, 403, "error.status", "PERMISSION_DENIED", "error.code", "403"},
		{"gemini wrong key", "POST", "/v1beta/models/m:generateContent", "{}", []string{"X-Goog-Api-Key: wrong"}, 400, "error.details.0.reason", "API_KEY_INVALID", "error.status", "INVALID_ARGUMENT"},
		{"gemini wrong query key", "POST", "/v1beta/models/m:generateContent?key=wrong", "{}", nil, 400, "error.details.0.reason", "API_KEY_INVALID", "error.code", "400"},
		{"gemini query key", "POST", "/v1beta/models/m:generateContent?key=good-key-123456", "{}", nil, 400, "error.status", "INVALID_ARGUMENT", "error.code", "400"},
		{"gemini bogus model", "POST", "/v1beta/models/x:generateContent", `{"contents":[]}`, []string{goog}, 404, "error.status", "NOT_FOUND", "error.code", "404"},
		{"gemini path", "POST", "/v1beta/models/m:fly", `{}`, []string{goog}, 404, "error.message", "Method not found.", "error.status", "NOT_FOUND"},
		{"gemini openai wrong key", "POST", "/v1beta/openai/chat/completions", "{}", []string{"Authorization: Bearer wrong"}, 400, "0.error.details.0.reason", "API_KEY_INVALID", "0.error.code", "400"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := *c
			c.t = t
			r := c.do(tt.method, tt.path, tt.body, tt.headers...)
			if r.StatusCode != tt.status {
				t.Fatalf("status %d, want %d: %s", r.StatusCode, tt.status, r.body)
			}
			if got := gjson.Get(r.body, tt.path1).String(); got != tt.want1 {
				t.Errorf("%s is %q, want %q in %s", tt.path1, got, tt.want1, r.body)
			}
			if got := gjson.Get(r.body, tt.path2).String(); got != tt.want2 {
				t.Errorf("%s is %q, want %q in %s", tt.path2, got, tt.want2, r.body)
			}
		})
	}
}

func TestUploads(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	file := bytes.Repeat([]byte("\x00\xff audio \r\n--"), 9999)
	sum := sha256.Sum256(file)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	_ = w.WriteField("model", "whisper-1")
	_ = w.WriteField("purpose", "assistants")
	part, _ := w.CreateFormFile("file", "talk.mp3")
	_, _ = part.Write(file)
	_ = w.Close()
	contentType := "Content-Type: " + w.FormDataContentType()

	for _, path := range []string{"/v1/audio/transcriptions", "/v1/files"} {
		r := c.post(path, form.String(), contentType)
		if got := gjson.Get(r.body, "bytes").Int(); got != int64(len(file)) {
			t.Errorf("%s says %d bytes, want %d: %s", path, got, len(file), r.body)
		}
		if got := gjson.Get(r.body, "sha256").String(); got != hex.EncodeToString(sum[:]) {
			t.Errorf("%s says sha256 %s, want %x", path, got, sum)
		}
	}
	calls := p.Calls()
	if calls[0].Model != "whisper-1" || calls[0].BodyBytes != int64(form.Len()) {
		t.Errorf("recorded model %q and %d bytes, want whisper-1 and %d", calls[0].Model, calls[0].BodyBytes, form.Len())
	}
}

func TestSpeechIsBinaryAndChunked(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	r := newClient(t, p).post("/v1/audio/speech", `{"model":"tts-1","input":"hi","voice":"alloy"}`, "X-Fake-Size: 10000")
	if r.ContentLength != -1 || len(r.body) != 10000 || r.Header.Get("Content-Type") != "audio/mpeg" {
		t.Errorf("length %d, %d bytes, type %s", r.ContentLength, len(r.body), r.Header.Get("Content-Type"))
	}
}

func TestRequestBodiesMayBeCompressed(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	for _, coding := range []string{"gzip", "br", "zstd", "deflate"} {
		body := string(fakeprovider.Compress(coding, []byte(chatBody("squeezed", false))))
		if r := c.post("/v1/chat/completions", body, "Content-Encoding: "+coding); gjson.Get(r.body, "model").String() != "squeezed" {
			t.Errorf("%s: %d %s", coding, r.StatusCode, r.body)
		}
	}
	if r := c.post("/v1/chat/completions", "not gzip", "Content-Encoding: gzip"); r.StatusCode != 400 {
		t.Errorf("broken gzip: status %d, want 400", r.StatusCode)
	}
}

func TestSizes(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{KeepCalls: -1})
	c := newClient(t, p)
	for _, size := range []int{1 << 10, 100 << 10, 1 << 20, 3 << 20} {
		text := strconv.Itoa(size)
		for name, r := range map[string]reply{
			"header":    c.chat("m", "X-Fake-Size: "+text),
			"query":     c.post("/v1/chat/completions?fake-size="+text, chatBody("m", false)),
			"model":     c.chat("m+size=" + text),
			"blind":     c.post("/v1/chat/completions", "anything", "X-Fake-Blind: 1", "X-Fake-Size: "+text),
			"responses": c.post("/v1/responses", `{"model":"m","input":""}`, "X-Fake-Size: "+text),
			"messages":  c.post("/v1/messages", `{"model":"m","max_tokens":1,"messages":[]}`, claude, "X-Fake-Size: "+text),
			"gemini":    c.post("/v1beta/models/m+size="+text+":generateContent", `{"contents":[]}`),
		} {
			if len(r.body) != size || r.ContentLength != int64(size) || !gjson.Valid(r.body) {
				t.Errorf("%s: %d bytes, Content-Length %d, want %d", name, len(r.body), r.ContentLength, size)
			}
		}
	}
	if calls := p.Calls(); len(calls) != 0 {
		t.Errorf("%d calls kept, want none", len(calls))
	}
}
