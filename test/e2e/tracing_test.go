package e2e_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// TestTraces: the client's trace goes through the node to the provider, and the collector gets the spans between.
func TestTraces(t *testing.T) {
	var mu sync.Mutex
	var got bytes.Buffer
	var token string
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		token = r.Header.Get("Authorization")
		_, _ = io.Copy(&got, r.Body)
	}))
	defer collector.Close()
	w := start(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_EXPORTER_OTLP_HEADERS=Authorization=Basic%20b2Y6Y29sbGVjdG9y", "OTEL_TRACES_SAMPLER_ARG=0")
	w.group("openai", adminapi.ChannelOpenAI, 1)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	body := `{"model":"gpt-traced","messages":[{"role":"user","content":"a private word"}]}`
	if status, text, err := w.do(http.MethodPost, "/proxy/openai/v1/chat/completions", body, "Traceparent", "00-"+trace+"-b7ad6b7169203331-01"); status != 200 || err != nil {
		t.Fatal(status, text, err)
	}
	calls := w.provider.CallsFor(providerKey(1))
	sent := calls[len(calls)-1].Header.Get("Traceparent")
	if !strings.HasPrefix(sent, "00-"+trace+"-") || strings.Contains(sent, "b7ad6b7169203331") {
		t.Errorf("the provider got the trace %q", sent)
	}
	id, err := hex.DecodeString(trace)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the collector has the spans", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Contains(got.Bytes(), id)
	})
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"chat gpt-traced", "gen_ai.request.model", "gen_ai.operation.name", "gptload.attempt", "gpt-load"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("no %s in the spans", want)
		}
	}
	for _, secret := range []string{testenv.AuthKey, providerKey(1), "a private word", "b2Y6Y29sbGVjdG9y"} {
		if strings.Contains(got.String(), secret) || strings.Contains(w.node.Logs(), secret) {
			t.Errorf("%q stands in the spans or in the log", secret)
		}
	}
	if token != "Basic b2Y6Y29sbGVjdG9y" {
		t.Errorf("the collector got the credentials %q", token)
	}
}

// TestTracesOff: the client's own trace passes as it is.
func TestTracesOff(t *testing.T) {
	w := start(t)
	w.group("openai", adminapi.ChannelOpenAI, 1)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if status, text, err := w.do(http.MethodPost, "/proxy/openai/v1/chat/completions", `{"model":"m","messages":[]}`, "Traceparent", parent, "Tracestate", "them=1"); status != 200 || err != nil {
		t.Fatal(status, text, err)
	}
	call := w.provider.CallsFor(providerKey(1))[0]
	if call.Header.Get("Traceparent") != parent || call.Header.Get("Tracestate") != "them=1" {
		t.Errorf("the provider got %v", call.Header)
	}
}

// TestCollectorStandsStill: requests do not wait for it, and neither does the end of the node for long.
func TestCollectorStandsStill(t *testing.T) {
	release := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer collector.Close()
	defer close(release)
	w := start(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_TRACES_SAMPLER_ARG=1")
	w.group("openai", adminapi.ChannelOpenAI, 1)
	for range 50 {
		if status, body := w.chat("m"); status != 200 {
			t.Fatal(status, body)
		}
	}
	begun := time.Now()
	if err := w.node.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("the end took %v", took)
	}
}
