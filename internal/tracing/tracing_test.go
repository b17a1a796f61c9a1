package tracing_test

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/proto"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/tracing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a collector that keeps what it gets.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	spans  []*otlp.Span
	header http.Header
}

func newServer(t *testing.T) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var export collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/base/v1/traces" || proto.Unmarshal(body, &export) != nil {
			t.Errorf("%s, %v: not understood", r.URL.Path, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.header = r.Header
		for _, resource := range export.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				s.spans = append(s.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func tracer(t *testing.T, endpoint string, ratio float64, log *zap.Logger) *tracing.Tracer {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := tracing.New(t.Context(), tracing.Options{
		Endpoint: u, Headers: map[string]secret.Text{"X-Token": secret.New("of the collector")}, Ratio: ratio, Service: "s", Version: "1", Node: "n", Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func attributes(s *otlp.Span) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		all[a.Key] = a.Value.GetStringValue()
		if n := a.Value.GetIntValue(); n != 0 {
			all[a.Key] = time.Duration(n).String()
		}
	}
	return all
}

const theirTrace, theirSpan = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

// finish runs a request with a failed attempt and a good one.
func finish(tr *tracing.Tracer, header http.Header) (first, second string) {
	record := &fleet.RequestRecord{
		Path: "/v1/chat/completions", Method: "POST", ModelAsked: "asked", ModelSent: "sent", GroupName: "g", Status: 200, Class: fleet.ClassOK,
	}
	r := tr.Begin(context.Background(), header, time.Now())
	first, _ = r.Attempt(record, fleet.ChannelAnthropic, time.Now())
	record.Attempts = append(record.Attempts, fleet.Attempt{Class: fleet.ClassLimited, Status: 429, Reason: "rate_limited", Upstream: "a.example:443", Duration: time.Millisecond})
	second, _ = r.Attempt(record, fleet.ChannelAnthropic, time.Now())
	record.Attempts = append(record.Attempts, fleet.Attempt{Class: fleet.ClassOK, Status: 200, Reason: "ok", Upstream: "b.example:443"})
	r.End(record, fleet.ChannelAnthropic)
	return first, second
}

// TestSpans: a request is a child of the client's span, its attempts are its children, and the provider hears of them.
func TestSpans(t *testing.T) {
	s := newServer(t)
	tr := tracer(t, s.URL+"/base/", 0, zap.NewNop())
	first, second := finish(tr, http.Header{"Traceparent": {"00-" + theirTrace + "-" + theirSpan + "-01"}})
	tr.Close()
	if len(s.spans) != 3 || s.header.Get("X-Token") != "of the collector" {
		t.Fatalf("%d spans, %v", len(s.spans), s.header)
	}
	byID := map[string]*otlp.Span{}
	var request *otlp.Span
	for _, span := range s.spans {
		byID[hex.EncodeToString(span.SpanId)] = span
		if hex.EncodeToString(span.TraceId) != theirTrace {
			t.Errorf("%s is in another trace", span.Name)
		}
		if hex.EncodeToString(span.ParentSpanId) == theirSpan {
			request = span
		}
	}
	if request == nil || request.Kind != otlp.Span_SPAN_KIND_SERVER || request.Name != "chat asked" {
		t.Fatalf("the request: %v", request)
	}
	a := attributes(request)
	for name, want := range map[string]string{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "asked", "gptload.group": "g", "gptload.class": "ok", "http.request.method": "POST",
	} {
		if a[name] != want {
			t.Errorf("%s is %q, want %q", name, a[name], want)
		}
	}
	for i, sent := range []string{first, second} {
		parts := strings.Split(sent, "-")
		if len(parts) != 4 || parts[1] != theirTrace || parts[3] != "01" || byID[parts[2]] == nil {
			t.Fatalf("the provider gets %q", sent)
		}
		span := byID[parts[2]]
		want := []map[string]string{
			{"server.address": "a.example:443", "gptload.class": "limited", "error.type": "rate_limited", "gen_ai.request.model": "sent"},
			{"server.address": "b.example:443", "gptload.class": "ok", "error.type": "", "gen_ai.request.model": "sent"},
		}[i]
		if string(span.ParentSpanId) != string(request.SpanId) || span.Kind != otlp.Span_SPAN_KIND_CLIENT || span.Name != "chat sent" {
			t.Errorf("attempt %d: %v", i+1, span)
		}
		for name, value := range want {
			if attributes(span)[name] != value {
				t.Errorf("attempt %d: %s is %q, want %q", i+1, name, attributes(span)[name], value)
			}
		}
	}
}

// TestSampling: a client's decision is followed, and its trace goes on as it came where it does not sample.
func TestSampling(t *testing.T) {
	for name, c := range map[string]struct {
		ratio  float64
		parent []string
		traced bool
	}{
		"none":              {0, nil, false},
		"all":               {1, nil, true},
		"their sample":      {0, []string{"00-" + theirTrace + "-" + theirSpan + "-01"}, true},
		"not theirs":        {1, []string{"00-" + theirTrace + "-" + theirSpan + "-00"}, false},
		"another version":   {0, []string{"01-" + theirTrace + "-" + theirSpan + "-03-more"}, true},
		"nonsense":          {0, []string{"hello"}, false},
		"long nonsense":     {1, []string{strings.Repeat("x", 100)}, true},
		"two":               {0, []string{"00-" + theirTrace + "-" + theirSpan + "-01", "00-" + theirTrace + "-" + theirSpan + "-01"}, false},
		"zeroes are no ids": {0, []string{"00-" + strings.Repeat("0", 32) + "-" + strings.Repeat("0", 16) + "-01"}, true},
	} {
		s := newServer(t)
		tr := tracer(t, s.URL+"/base", c.ratio, zap.NewNop())
		header := http.Header{}
		if c.parent != nil {
			header["Traceparent"] = c.parent
		}
		first, _ := finish(tr, header)
		tr.Close()
		if traced := first != ""; traced != c.traced || traced != (len(s.spans) == 3) {
			t.Errorf("%s: %q, %d spans", name, first, len(s.spans))
		}
	}
}

// TestCollectorStuck: one that never answers costs spans, and neither time nor memory.
func TestCollectorStuck(t *testing.T) {
	release := make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
	}))
	tr := tracer(t, stuck.URL, 1, zap.NewNop())
	for range 20_000 { // many times the queue; each one that waited would take seconds
		finish(tr, http.Header{})
	}
	tr.Close()
	close(release)
	stuck.Close()
}

// TestCollectorAway is told once, without a secret.
func TestCollectorAway(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	core, logs := observer.New(zap.InfoLevel)
	tr := tracer(t, gone.URL, 1, zap.New(core))
	for range 2000 {
		finish(tr, http.Header{})
	}
	tr.Close()
	if logs.Len() != 1 || strings.Contains(logs.All()[0].Message+logs.All()[0].ContextMap()["error"].(string), "of the collector") {
		t.Errorf("%v", logs.All())
	}
}

func TestNil(t *testing.T) {
	var tr *tracing.Tracer
	if first, _ := finish(tr, http.Header{}); first != "" {
		t.Error(first)
	}
	tr.Close()
}

func BenchmarkRequest(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer s.Close()
	for name, ratio := range map[string]float64{"off": -1, "none sampled": 0, "a tenth": 0.1, "all": 1} {
		b.Run(name, func(b *testing.B) {
			var tr *tracing.Tracer
			if ratio >= 0 {
				u, _ := url.Parse(s.URL)
				tr, _ = tracing.New(b.Context(), tracing.Options{Endpoint: u, Ratio: ratio, Log: zap.NewNop()})
				defer tr.Close()
			}
			header := http.Header{}
			for b.Loop() {
				finish(tr, header)
			}
		})
	}
}
