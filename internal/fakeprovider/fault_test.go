package fakeprovider_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"gpt-load/internal/fakeprovider"
)

func readAll(t *testing.T, r *http.Response) string {
	t.Helper()
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// formats are one call of each dialect.
var formats = []struct {
	name, path, body, header string
	stream                   string // path of a streamed call; empty for the same
	errorObject              string // gjson path of the error object
}{
	{"openai", "/v1/chat/completions", `{"model":"M","messages":[]S}`, "", "", "error"},
	{"responses", "/v1/responses", `{"model":"M","input":""S}`, "", "", "error"},
	{"anthropic", "/v1/messages", `{"model":"M","max_tokens":1,"messages":[]S}`, claude, "", "error"},
	{"gemini", "/v1beta/models/M:generateContent", `{"contents":[]}`, "", "/v1beta/models/M:streamGenerateContent?alt=sse", "error"},
	{"gemini array", "/v1beta/models/M:generateContent", `{"contents":[]}`, "", "/v1beta/models/M:streamGenerateContent", "error"},
	{"gemini openai", "/v1beta/openai/chat/completions", `{"model":"M","messages":[]S}`, "", "", "0.error"},
}

// ask calls model in the i-th format.
func ask(c *client, i int, model string, stream bool) *http.Request {
	f := formats[i]
	path, flag := f.path, ""
	if stream {
		flag = `,"stream":true`
		if f.stream != "" {
			path = f.stream
		}
	}
	header := f.header
	if header == "" {
		header = "Accept: */*"
	}
	body := strings.Replace(strings.Replace(f.body, "M", model, 1), "S", flag, 1)
	return c.request(deadline(c.t), http.MethodPost, strings.Replace(path, "M", model, 1), body, header)
}

// TestEveryFaultAnswers asks for each fault of the catalogue that says something, in every format.
func TestEveryFaultAnswers(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	for _, f := range fakeprovider.Faults() {
		status, _ := strconv.Atoi(f.Name[:min(3, len(f.Name))])
		if status == 0 {
			continue
		}
		for i, format := range formats {
			r := c.send(ask(c, i, "fault-"+f.Name, false))
			if r.StatusCode != status {
				t.Errorf("%s %s: status %d", f.Name, format.name, r.StatusCode)
			}
			if strings.Contains(r.Header.Get("Content-Type"), "html") {
				continue
			}
			object := gjson.Get(r.body, format.errorObject)
			if object.Get("message").String() == "" || strings.ContainsAny(object.Get("message").String(), "{}") {
				t.Errorf("%s %s: no message, or one with a hole: %s", f.Name, format.name, r.body)
			}
			if strings.HasPrefix(format.name, "gemini") && object.Get("code").Int() != int64(status) {
				t.Errorf("%s %s: code %s", f.Name, format.name, object.Get("code"))
			}
			if f.Name == "429" && (r.Header.Get("Retry-After") != "" || r.Header.Get("X-Ratelimit-Reset-Requests") != "" || object.Get("details").Exists()) {
				t.Errorf("429 must not hint: %v %s", r.Header, r.body)
			}
		}
	}
}

func TestHints(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 500e6, time.UTC)
	p := fakeprovider.Serve(t, fakeprovider.Options{Now: func() time.Time { return now }})
	c := newClient(t, p)
	hint := func(i int, fault, header, path string) string {
		p.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: fault, RetryAfter: 1500 * time.Millisecond}})
		r := c.send(ask(c, i, "m", false))
		if header != "" {
			return r.Header.Get(header)
		}
		return gjson.Get(r.body, path).String()
	}
	tests := []struct {
		format              int
		fault, header, path string
		want                string
	}{
		{0, "429-seconds", "Retry-After", "", "2"},
		{0, "429-date", "Retry-After", "", "Mon, 23 Nov 2026 10:00:02 GMT"},
		{0, "429-ms", "Retry-After-Ms", "", "1500"},
		{0, "429-azure-ms", "X-Ms-Retry-After-Ms", "", "1500"},
		{0, "429-reset", "X-Ratelimit-Reset-Requests", "", "1.5s"},
		{0, "429-reset", "X-Ratelimit-Remaining-Requests", "", "0"},
		{0, "429-epoch", "X-Ratelimit-Reset", "", strconv.FormatInt(now.Add(1500*time.Millisecond).UnixMilli(), 10)},
		{0, "429-quota", "", "error.code", "insufficient_quota"},
		{2, "429-reset", "Anthropic-Ratelimit-Requests-Reset", "", "2026-11-23T10:00:02Z"},
		{3, "429-reset", "", "error.details.1.retryDelay", "1.5s"},
		{3, "429-perday", "", "error.details.0.violations.0.quotaId", "GenerateRequestsPerDayPerProjectPerModel-FreeTier"},
		{3, "429-perday", "", "error.details.0.violations.0.quotaDimensions.model", "m"},
	}
	for _, tt := range tests {
		if got := hint(tt.format, tt.fault, tt.header, tt.path); got != tt.want {
			t.Errorf("%s: %s%s is %q, want %q", tt.fault, tt.header, tt.path, got, tt.want)
		}
	}
	p.Reset()
	if r := c.chat("fault-429-seconds+wait=77s"); r.Header.Get("Retry-After") != "77" {
		t.Errorf("asked for by the caller: Retry-After %q, want 77", r.Header.Get("Retry-After"))
	}
	if got := hint(0, "429-text", "", "error.message"); !strings.HasSuffix(got, "Please try again in 1.5s.") {
		t.Errorf("429-text says %q", got)
	}
}

// TestBreaks covers what happens before the headers.
func TestBreaks(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	tests := map[string]func(error) bool{
		"reset":          func(err error) bool { return errors.Is(err, syscall.ECONNRESET) },
		"eof":            func(err error) bool { return errors.Is(err, io.EOF) },
		"eof-in-headers": func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) },
		"garbage":        func(err error) bool { return strings.Contains(err.Error(), "malformed HTTP") },
	}
	for fault, is := range tests {
		for i, format := range formats {
			response, err := c.http.Do(ask(c, i, "fault-"+fault, i%2 == 0))
			if err == nil {
				_ = response.Body.Close()
				t.Errorf("%s %s: got an answer", fault, format.name)
			} else if !is(err) {
				t.Errorf("%s %s: %v", fault, format.name, err)
			}
		}
	}
}

// TestCuts covers what happens within the body, whole or streamed.
func TestCuts(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	tests := map[string]func(error) bool{
		"cut-reset":   func(err error) bool { return errors.Is(err, syscall.ECONNRESET) },
		"cut-close":   func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) },
		"bad-framing": func(err error) bool { return err != nil && strings.Contains(err.Error(), "chunk") },
		"cut-clean":   func(err error) bool { return err == nil },
		"no-end":      func(err error) bool { return err == nil },
	}
	proof := []string{"[DONE]", "response.completed", "message_stop", "finishReason", "finishReason", "[DONE]"}
	for fault, is := range tests {
		for i, format := range formats {
			for _, stream := range []bool{false, true} {
				r := c.send(ask(c, i, "fault-"+fault, stream))
				if r.StatusCode != 200 || !is(r.err) {
					t.Errorf("%s %s stream %t: status %d, %v", fault, format.name, stream, r.StatusCode, r.err)
				}
				if r.body == "" {
					t.Errorf("%s %s stream %t: nothing came before the cut", fault, format.name, stream)
				}
				if stream && strings.Contains(r.body, proof[i]) {
					t.Errorf("%s %s: the proof of the end is there", fault, format.name)
				}
				if !stream && fault != "no-end" && gjson.Valid(r.body) {
					t.Errorf("%s %s: the whole body came", fault, format.name)
				}
			}
		}
	}
}

// TestErrorsInsideSuccess covers errors that stand in a 200.
func TestErrorsInsideSuccess(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	content := []string{"choices.0.delta.content", "delta", "delta.text", "candidates.0.content.parts.0.text", "", "choices.0.delta.content"}
	for _, fault := range []string{"error-at-once", "error-first", "error-late", "failed-first", "failed-late", "router-first", "router-late"} {
		for i, format := range formats {
			r := c.send(ask(c, i, "fault-"+fault+"+inner=429-quota", true))
			if r.StatusCode != 200 || r.err != nil {
				t.Fatalf("%s %s: status %d, %v", fault, format.name, r.StatusCode, r.err)
			}
			if !strings.Contains(r.body, "quota") && !strings.Contains(r.body, "usage limits") && !strings.Contains(r.body, "credits") {
				t.Errorf("%s %s: the inner error is not there: %s", fault, format.name, r.body)
			}
			if format.name == "gemini array" {
				last := gjson.Get(r.body, "@reverse.0.error.code").Int()
				if !gjson.Valid(r.body) || last != 429 {
					t.Errorf("%s %s: %s", fault, format.name, r.body)
				}
				continue
			}
			evs := events(r.body)
			if got := said(evs, content[i]) != ""; got != strings.HasSuffix(fault, "late") {
				t.Errorf("%s %s: content before the error: %t", fault, format.name, got)
			}
			if fault == "error-at-once" && len(evs) != 1 {
				t.Errorf("%s %s: %d events", fault, format.name, len(evs))
			}
			whole := c.send(ask(c, i, "fault-"+fault+"+inner=429-quota", false))
			if whole.StatusCode != 200 || !strings.Contains(whole.body, `"error"`) || !gjson.Valid(whole.body) {
				t.Errorf("%s %s as JSON: %d %s", fault, format.name, whole.StatusCode, whole.body)
			}
		}
	}
	router := events(c.send(ask(c, 0, "fault-router-first+inner=429", true)).body)
	if got := gjson.Get(router[len(router)-1].data, "error.code"); got.Type != gjson.Number || got.Int() != 429 {
		t.Errorf("a router's code is %s, want the number 429", got.Raw)
	}
	failed := events(c.send(ask(c, 1, "fault-failed-first+inner=429-quota", true)).body)
	if last := failed[len(failed)-1]; last.name != "response.failed" || gjson.Get(last.data, "response.error.code").String() != "insufficient_quota" {
		t.Errorf("the last event is %v", last)
	}
}

func TestNothingInSuccess(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	for i, format := range formats {
		for _, stream := range []bool{false, true} {
			if r := c.send(ask(c, i, "fault-empty", stream)); r.StatusCode != 200 || r.body != "" || r.ContentLength != 0 {
				t.Errorf("empty %s: %d %q", format.name, r.StatusCode, r.body)
			}
			if r := c.send(ask(c, i, "fault-empty-stream", stream)); r.body != "" || r.Header.Get("Content-Type") != "text/event-stream" {
				t.Errorf("empty-stream %s: %q", format.name, r.body)
			}
			for _, fault := range []string{"empty-answer", "blocked"} {
				r := c.send(ask(c, i, "fault-"+fault, stream))
				if r.StatusCode != 200 || strings.Contains(r.body, "Hello") || !stream && !gjson.Valid(r.body) {
					t.Errorf("%s %s stream %t: %s", fault, format.name, stream, r.body)
				}
			}
			if r := c.send(ask(c, i, "fault-bad-json", stream)); r.StatusCode != 200 || gjson.Valid(r.body) {
				t.Errorf("bad-json %s: %s", format.name, r.body)
			}
		}
		if r := c.send(ask(c, i, "fault-huge-error", false)); r.StatusCode != 500 || len(r.body) < 8<<20 || !gjson.Valid(r.body) {
			t.Errorf("huge-error %s: %d, %d bytes", format.name, r.StatusCode, len(r.body))
		}
		if r := c.send(ask(c, i, "fault-bad-json-error", false)); r.StatusCode != 500 || gjson.Valid(r.body) {
			t.Errorf("bad-json-error %s: %s", format.name, r.body)
		}
	}
	if r := c.send(ask(c, 3, "fault-blocked", false)); gjson.Get(r.body, "promptFeedback.blockReason").String() != "SAFETY" {
		t.Errorf("blocked: %s", r.body)
	}
	if r := c.send(ask(c, 0, "fault-bad-event", true)); !strings.HasSuffix(r.body, "[DONE]\n\n") {
		t.Errorf("bad-event does not go on: %s", r.body)
	}
	if r := c.chat("fault-no-such"); r.StatusCode != 400 || !strings.Contains(r.body, "/_faults") {
		t.Errorf("an unknown fault: %d %s", r.StatusCode, r.body)
	}
}

// TestSlowness measures nothing: it only proves that the pauses are where they belong.
func TestSlowness(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	pause := 30 * time.Millisecond
	tests := map[string]struct {
		then   fakeprovider.Then
		stream bool
		pauses time.Duration
	}{
		"headers":       {fakeprovider.Then{Delay: pause}, true, 1},
		"first token":   {fakeprovider.Then{Shape: fakeprovider.Shape{FirstToken: pause}}, true, 1},
		"stream":        {fakeprovider.Then{Shape: fakeprovider.Shape{Chunks: 4, Gap: pause}}, true, 3},
		"body":          {fakeprovider.Then{Shape: fakeprovider.Shape{Chunks: 4, Gap: pause}}, false, 3},
		"error headers": {fakeprovider.Then{Fault: "500", Delay: pause}, false, 1},
	}
	for name, tt := range tests {
		p.Script(fakeprovider.Rule{Then: tt.then})
		start := time.Now()
		if r := c.post("/v1/chat/completions", chatBody("m", tt.stream)); r.err != nil {
			t.Errorf("%s: %v", name, r.err)
		}
		if took := time.Since(start); took < tt.pauses*pause {
			t.Errorf("%s took %s, want at least %s", name, took, tt.pauses*pause)
		}
	}
	p.Reset()
	start := time.Now()
	c.chat("m+delay=" + pause.String())
	if took := time.Since(start); took < pause {
		t.Errorf("the caller's own delay took %s, want at least %s", took, pause)
	}
}
