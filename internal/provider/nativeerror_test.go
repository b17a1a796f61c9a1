package provider

import (
	"encoding/json"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

func TestWriteErrorSpeaksTheCallersFormat(t *testing.T) {
	e := GatewayError{Status: 429, Code: "keys_cooling", Message: `all keys cool, see "max_retries" & <settings>`, RetryAfter: 1500 * time.Millisecond, RequestID: "req-1"}
	for format, want := range map[Format]string{
		FormatOpenAI:    `{"error":{"message":"all keys cool, see \"max_retries\" & <settings>","type":"rate_limit_error","param":null,"code":"keys_cooling"}}`,
		FormatResponses: `{"error":{"message":"all keys cool, see \"max_retries\" & <settings>","type":"rate_limit_error","param":null,"code":"keys_cooling"}}`,
		FormatAnthropic: `{"type":"error","error":{"type":"rate_limit_error","message":"all keys cool, see \"max_retries\" & <settings>"},"request_id":"req-1"}`,
		FormatGemini: `{"error":{"code":429,"message":"all keys cool, see \"max_retries\" & <settings>","status":"RESOURCE_EXHAUSTED","details":[` +
			`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"KEYS_COOLING","domain":"gpt-load"},` +
			`{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}}`,
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Encoding", "gzip") // of the answer that was to be relayed
		WriteError(w, format, e)
		if got := w.Body.String(); got != want {
			t.Errorf("%v: %s", format, got)
		}
		for name, value := range map[string]string{
			"Content-Type": "application/json; charset=utf-8", "Content-Length": strconv.Itoa(len(want)), "Retry-After": "2",
			"X-Request-Id": "req-1", "Cache-Control": "no-store", "Content-Encoding": "",
		} {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%v: %s is %q, want %q", format, name, got, value)
			}
		}
		if w.Code != 429 {
			t.Errorf("%v: status %d", format, w.Code)
		}
	}
}

func TestEveryStatusHasAName(t *testing.T) {
	for status := 400; status < 600; status++ {
		if openAIType(status) == "" || anthropicType(status) == "" || googleStatus(status) == "" {
			t.Errorf("%d has no name", status)
		}
	}
	w := httptest.NewRecorder()
	WriteError(w, FormatGemini, GatewayError{Status: 200, Code: "x", Message: "bad \xff"})
	if w.Code != 500 || !json.Valid(w.Body.Bytes()) || w.Header().Get("Retry-After") != "" {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
}

// The gateway's own errors, seen by another gateway of this kind, must not cost that one its keys.
func TestOwnErrorsBlameNoKey(t *testing.T) {
	for _, status := range []int{500, 502, 503, 504} {
		for _, format := range []Format{FormatOpenAI, FormatResponses, FormatAnthropic, FormatGemini} {
			body := NativeError(format, GatewayError{Status: status, Code: "no_usable_key", Message: "no key of the group can be used now"})
			if v := Judge(Outcome{Status: status, Body: body, Now: testNow}, Policy{}); v.Class != "upstream" {
				t.Errorf("%v %d: %+v", format, status, v)
			}
		}
	}
}
