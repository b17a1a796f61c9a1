package fakeprovider_test

import (
	"io"
	"net/http"
	"testing"

	"gpt-load/internal/fakeprovider"
)

// BenchmarkAnswers measures the provider with a client of the same process, so that a benchmark of a gateway
// knows what its upstream costs.
func BenchmarkAnswers(b *testing.B) {
	for name, headers := range map[string][]string{
		"1KB":         {"X-Fake-Size: 1k"},
		"1KB-blind":   {"X-Fake-Size: 1k", "X-Fake-Blind: 1"},
		"100KB-blind": {"X-Fake-Size: 100k", "X-Fake-Blind: 1"},
		"1MB-blind":   {"X-Fake-Size: 1m", "X-Fake-Blind: 1"},
		"sse-100":     {"X-Fake-Chunks: 100", "X-Fake-Blind: 1", "X-Fake-Stream: 1"},
	} {
		b.Run(name, func(b *testing.B) {
			p := fakeprovider.Serve(b, fakeprovider.Options{KeepCalls: -1})
			c := newClient(b, p)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				response, err := c.http.Do(c.request(ctx, http.MethodPost, "/v1/chat/completions", chatBody("m", false), headers...))
				if err != nil {
					b.Fatal(err)
				}
				n, _ := io.Copy(io.Discard, response.Body)
				b.SetBytes(n)
				_ = response.Body.Close()
			}
		})
	}
}
