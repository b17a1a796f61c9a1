package fakeprovider_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"gpt-load/internal/fakeprovider"
)

// said joins what a stream's events say at a gjson path.
func said(evs []event, path string) string {
	var out strings.Builder
	for _, e := range evs {
		out.WriteString(gjson.Get(e.data, path).String())
	}
	return out.String()
}

func names(evs []event) string {
	var out []string
	for _, e := range evs {
		if n := len(out); n == 0 || out[n-1] != e.name {
			out = append(out, e.name)
		}
	}
	return strings.Join(out, " ")
}

const wholeText = "Hello! I am a fake provider, and every word of this answer is made up."

func TestChatStream(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	r := c.post("/v1/chat/completions", `{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}`)
	evs := events(r.body)
	last := evs[len(evs)-1]
	if r.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" || last.data != "[DONE]" {
		t.Fatalf("type %s, last event %v", r.Header.Get("Content-Type"), last)
	}
	if got := said(evs, "choices.0.delta.content"); got != wholeText {
		t.Errorf("the deltas say %q", got)
	}
	if got := said(evs, "choices.0.finish_reason"); got != "stop" {
		t.Errorf("finish_reason %q", got)
	}
	if usage := evs[len(evs)-2].data; gjson.Get(usage, "choices.#").Int() != 0 || gjson.Get(usage, "usage.total_tokens").Int() == 0 {
		t.Errorf("the chunk before [DONE] is %s, want usage and no choices", usage)
	}
	if !gjson.Get(evs[0].data, "usage").Exists() {
		t.Error("with include_usage every chunk has a usage member")
	}
	if without := c.post("/v1/chat/completions", chatBody("m", true)); strings.Contains(without.body, "usage") {
		t.Error("without include_usage no chunk has one")
	}
	tool := events(c.post("/v1/chat/completions", `{"model":"m","messages":[],"stream":true`+chatTools+`}`).body)
	if got := said(tool, "choices.0.delta.tool_calls.0.function.arguments"); got != `{"city":"Paris"}` {
		t.Errorf("the tool's arguments are %s", got)
	}
	legacy := events(c.post("/v1/completions", `{"model":"m","prompt":"","stream":true}`).body)
	if got := said(legacy, "choices.0.text"); got != wholeText {
		t.Errorf("completions say %q", got)
	}
}

func TestResponsesStream(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	evs := events(c.post("/v1/responses", `{"model":"m","input":"","stream":true}`).body)
	want := "response.created response.in_progress response.output_item.added response.content_part.added response.output_text.delta " +
		"response.output_text.done response.content_part.done response.output_item.done response.completed"
	if got := names(evs); got != want {
		t.Errorf("events are\n%s\nwant\n%s", got, want)
	}
	for i, e := range evs {
		if gjson.Get(e.data, "type").String() != e.name || gjson.Get(e.data, "sequence_number").Int() != int64(i) || !gjson.Valid(e.data) {
			t.Errorf("event %d is %s %s", i, e.name, e.data)
		}
	}
	if got := said(evs[:len(evs)-3], "delta"); got != wholeText {
		t.Errorf("the deltas say %q", got)
	}
	if got := gjson.Get(evs[len(evs)-1].data, "response.output.0.content.0.text").String(); got != wholeText {
		t.Errorf("response.completed says %q", got)
	}
	evs = events(c.post("/v1/responses", `{"model":"m","input":"","stream":true`+responsesTools+`}`).body)
	want = "response.created response.in_progress response.output_item.added response.function_call_arguments.delta " +
		"response.function_call_arguments.done response.output_item.done response.completed"
	if got := names(evs); got != want {
		t.Errorf("events are\n%s\nwant\n%s", got, want)
	}
	if got := said(evs, "delta"); got != `{"city":"Paris"}` {
		t.Errorf("the tool's arguments are %s", got)
	}
	for i, e := range evs {
		if gjson.Get(e.data, "sequence_number").Int() != int64(i) {
			t.Errorf("event %d has another number: %s", i, e.data)
		}
	}
}

func TestAnthropicStream(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	const want = "message_start content_block_start ping content_block_delta content_block_stop message_delta message_stop"
	evs := events(c.post("/v1/messages", `{"model":"m","max_tokens":1,"messages":[],"stream":true}`, claude).body)
	if got := names(evs); got != want {
		t.Errorf("events are\n%s\nwant\n%s", got, want)
	}
	if got := said(evs, "delta.text"); got != wholeText {
		t.Errorf("the deltas say %q", got)
	}
	evs = events(c.post("/v1/messages", `{"model":"m","max_tokens":1,"messages":[],"stream":true`+anthropicTools+`}`, claude).body)
	if got := said(evs, "delta.partial_json"); got != `{"unit":"c"}` || names(evs) != want {
		t.Errorf("the tool's input is %s in %s", got, names(evs))
	}
}

func TestGeminiStreams(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	const text = "candidates.0.content.parts.0.text"
	r := c.post("/v1beta/models/g:streamGenerateContent?alt=sse", `{"contents":[]}`)
	evs := events(r.body)
	if got := said(evs, text); got != wholeText || r.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("alt=sse says %q as %s", got, r.Header.Get("Content-Type"))
	}
	if got := gjson.Get(evs[len(evs)-1].data, "candidates.0.finishReason").String(); got != "STOP" {
		t.Errorf("the last event has finishReason %q", got)
	}
	r = c.post("/v1beta/models/g:streamGenerateContent", `{"contents":[]}`)
	var joined strings.Builder
	for _, chunk := range gjson.Parse(r.body).Array() {
		joined.WriteString(chunk.Get(text).String())
	}
	if !gjson.Valid(r.body) || joined.String() != wholeText {
		t.Errorf("the JSON array says %q", joined.String())
	}
	r = c.post("/v1beta/models/g:streamGenerateContent", `{"contents":[]`+geminiTools+`}`)
	if got := gjson.Get(r.body, "0.candidates.0.content.parts.0.functionCall.args.city").String(); got != "Paris" {
		t.Errorf("the function's argument is %q in %s", got, r.body)
	}
}

func TestStreamKnobs(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	tests := []struct {
		knobs         []string
		events, bytes int
	}{
		{[]string{"X-Fake-Chunks: 7", "X-Fake-Chunk-Size: 11"}, 7, 77},
		{[]string{"X-Fake-Chunks: 1000", "X-Fake-Size: 100k", "X-Fake-Burst: 50"}, 1000, 102000},
		{[]string{"X-Fake-Size: 640"}, 10, 640},
		{[]string{"X-Fake-Text: one two"}, 2, 7},
		{[]string{"X-Fake-Chunks: 3", "X-Fake-Ttft: 1ms", "X-Fake-Gap: 1ms"}, 3, 192},
	}
	for _, tt := range tests {
		evs := events(c.post("/v1/chat/completions", chatBody("m", true), tt.knobs...).body)
		got := said(evs, "choices.0.delta.content")
		// Beside the content events: the role, the finish reason and [DONE].
		if n := len(evs) - 3; n != tt.events || len(got) != tt.bytes {
			t.Errorf("%v: %d content events of %d bytes, want %d of %d", tt.knobs, n, len(got), tt.events, tt.bytes)
		}
	}
}

// TestCompression asks for compressed answers, whole, streamed and failed.
func TestCompression(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	for _, coding := range []string{"gzip", "br", "zstd", "deflate"} {
		for name, r := range map[string]reply{
			"whole":  c.chat("m", "X-Fake-Encoding: "+coding),
			"stream": c.post("/v1/chat/completions", chatBody("m", true), "X-Fake-Encoding: "+coding),
			"error":  c.chat("fault-429-seconds+encoding=" + coding),
			"late":   c.post("/v1/chat/completions", chatBody("fault-error-late", true), "X-Fake-Encoding: "+coding),
			"clean":  c.post("/v1/chat/completions", chatBody("fault-cut-clean", true), "X-Fake-Encoding: "+coding),
		} {
			plain, err := fakeprovider.Decode(coding, []byte(r.body), 1<<20)
			if err != nil || r.Header.Get("Content-Encoding") != coding {
				t.Errorf("%s %s: %v, Content-Encoding %q", name, coding, err, r.Header.Get("Content-Encoding"))
			}
			if !strings.Contains(string(plain), "fake") && !strings.Contains(string(plain), "fault") {
				t.Errorf("%s %s: %q", name, coding, plain)
			}
		}
	}
}

// TestStreamsAreFlushed proves that each event leaves at once: the stream is held in its middle.
func TestStreamsAreFlushed(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	for _, coding := range []string{"", "gzip", "br", "zstd"} {
		gate := "gate " + coding
		p.Script(fakeprovider.Rule{Then: fakeprovider.Then{
			Flaw: fakeprovider.FlawStall, FlawAfter: 1, Hold: gate, Shape: fakeprovider.Shape{Encoding: coding},
		}})
		response, err := c.http.Do(c.request(deadline(t), http.MethodPost, "/v1/chat/completions", chatBody("m", true))) //nolint:bodyclose // readAll does
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 1)
		if _, err := response.Body.Read(first); err != nil {
			t.Errorf("%q: nothing came before the gate opened: %v", coding, err)
		}
		p.Release(gate)
		rest := readAll(t, response)
		if coding == "" && !strings.HasSuffix(rest, "data: [DONE]\n\n") {
			t.Errorf("the stream did not go on: %s", rest)
		}
	}
}

func ExampleProvider_Script() {
	p := fakeprovider.New(fakeprovider.Options{})
	base := p.Start()
	defer p.Close()
	p.Script(
		fakeprovider.Rule{
			Match: fakeprovider.Match{Key: "sk-first"},
			When:  fakeprovider.When{First: 2},
			Then:  fakeprovider.Then{Fault: "429-seconds"},
		},
	)
	for range 3 {
		r, _ := http.NewRequest(http.MethodPost, base+"/v1/chat/completions", strings.NewReader(`{"model":"gpt-4.1","messages":[]}`))
		r.Header.Set("Authorization", "Bearer sk-first")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(response.StatusCode, response.Header.Get("Retry-After"))
		_ = response.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// 429 20
	// 429 20
	// 200
}
