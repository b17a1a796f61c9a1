package proxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/metrics"
	"gpt-load/internal/proxy"
	"gpt-load/internal/tracing"
)

// BenchmarkSignals compares the CPU of requests without signals, with metrics, and with metrics and a tenth of the requests traced. The
// three take turns, a hundred requests at a time, so that what else runs on the machine meets them alike; client and
// upstream are in no figure but as far as they run in this process: what signals add is right, the share that it is of a request is
// less than shown by a real node. `go test -run '^$' -bench Signals -benchtime 300x ./internal/proxy` takes half a minute.
func BenchmarkSignals(b *testing.B) {
	answer := `{"choices":[{"message":{"content":"` + strings.Repeat("y", 1000) + `"}}]}`
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	defer provider.Close()
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer collector.Close()
	endpoint, err := url.Parse(collector.URL)
	if err != nil {
		b.Fatal(err)
	}
	tracer, err := tracing.New(b.Context(), tracing.Options{Endpoint: endpoint, Ratio: 0.1, Log: zap.NewNop()})
	if err != nil {
		b.Fatal(err)
	}
	defer tracer.Close()
	m := metrics.New("bench")
	m.Sync([]fleet.Group{{ID: 1, Name: "g1", Channel: fleet.ChannelOpenAI}})
	plain, measured, traced := benchHandler(provider.URL), benchHandler(provider.URL), benchHandler(provider.URL)
	measured.Metrics, traced.Metrics, traced.Tracer = m, m, tracer

	handlers, names := []*proxy.Handler{plain, measured, traced}, []string{"cpu-µs/plain", "cpu-µs/metrics", "cpu-µs/metrics+traces"}
	spent := make([]time.Duration, len(handlers))
	body := `{"messages":[{"role":"user","content":"` + strings.Repeat("x", 1000) + `"}],"model":"m"}`
	const batch = 100
	for b.Loop() {
		for i, h := range handlers {
			begun := cpuTime(b)
			for range batch {
				r := httptest.NewRequest(http.MethodPost, "/proxy/g1/v1/chat/completions", strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+proxyKey)
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
			spent[i] += cpuTime(b) - begun
		}
	}
	for i, name := range names {
		b.ReportMetric(float64(spent[i].Nanoseconds())/1000/float64(b.N)/batch, name)
	}
}

// cpuTime is what this process has used so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
