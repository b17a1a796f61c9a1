package upstream_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gpt-load/internal/upstream"
)

// answerHeader is what a provider behind a CDN sends.
const answerHeader = "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n" +
	"Openai-Processing-Ms: 312\r\nOpenai-Version: 2020-10-01\r\nX-Request-Id: req_0123456789abcdef\r\nX-Ratelimit-Limit-Requests: 10000\r\n" +
	"X-Ratelimit-Remaining-Requests: 9999\r\nStrict-Transport-Security: max-age=31536000\r\nServer: cloudflare\r\nCf-Ray: 0123456789-FRA\r\n"

// cpu is the time that all processors have spent on this process.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// exchanges sends requests of so many bytes at once from some goroutines, and reports CPU time for each, the server's included.
func exchanges(b *testing.B, rt http.RoundTripper, target string, size, atOnce int) {
	b.Helper()
	body := bytes.Repeat([]byte("x"), size)
	header := http.Header{
		"Content-Type": {"application/json"}, "Authorization": {"Bearer sk-0123456789abcdef0123456789abcdef"}, "Accept": {"application/json"},
		"User-Agent": {"OpenAI/Python 1.99.0"}, "X-Stainless-Lang": {"python"}, "X-Idempotency-Key": {},
	}
	ask := func(buffer []byte) {
		request := post(b.Context(), target, "", false, false)
		request.Header, request.ContentLength = header, int64(size)
		request.Body = held{bytes.NewReader(body)}
		request.GetBody = func() (io.ReadCloser, error) { return held{bytes.NewReader(body)}, nil }
		response, err := rt.RoundTrip(request)
		if err != nil {
			b.Error(err)
			return
		}
		for err == nil {
			_, err = response.Body.Read(buffer)
		}
		_ = response.Body.Close()
		if !errors.Is(err, io.EOF) {
			b.Error(err)
		}
	}
	ask(make([]byte, 32<<10))
	b.ReportAllocs()
	b.SetParallelism(atOnce)
	b.ResetTimer()
	before := cpu()
	b.RunParallel(func(pb *testing.PB) {
		buffer := make([]byte, 32<<10)
		for pb.Next() {
			ask(buffer)
		}
	})
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

// wide keeps all connections of a benchmark.
var wide = upstream.TransportConfig{
	ConnectTimeout: time.Minute, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: time.Minute, MaxIdleConns: 1000, MaxIdleConnsPerHost: 1000,
}

// BenchmarkExchange is an exchange over our client and over net/http's, with a server that does next to nothing.
func BenchmarkExchange(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10} {
		answer := []byte(answerHeader + "Content-Length: " + strconv.Itoa(size) + "\r\n\r\n" + strings.Repeat("y", size))
		for _, scheme := range []string{"http", "https"} {
			p := startPeerOver(b, scheme, func(v *visit) {
				for {
					line, err := v.r.ReadSlice('\n')
					if err != nil {
						v.over = true
						return
					}
					if len(line) == 2 {
						break
					}
				}
				_, _ = v.r.Discard(size)
				_, _ = v.Write(answer)
			})
			short, long := upstream.Both(wide, trusting(), 0)
			for name, rt := range map[string]http.RoundTripper{"ours": short, "nethttp": long} {
				b.Run(scheme+"/"+strconv.Itoa(size>>10)+"KB/"+name, func(b *testing.B) { exchanges(b, rt, p.url(), size, 4) })
			}
			short.Close()
			long.CloseIdleConnections()
		}
	}
}

// BenchmarkProtocols compares the ways to an https upstream, whose server is net/http's for all; doc.go draws on it.
func BenchmarkProtocols(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10} {
		answer := bytes.Repeat([]byte("y"), size)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = w.Write(answer)
		}))
		server.EnableHTTP2 = true
		server.StartTLS()
		o := upstream.Options{RootCAs: trust(server)}
		for _, atOnce := range []int{1, 50} {
			short, long := upstream.Both(wide, o, 0)
			asks2 := wide
			asks2.Protocol = upstream.ProtocolHTTP2
			ts := upstream.NewTransports(o)
			for name, rt := range map[string]http.RoundTripper{"http1": short, "http1-nethttp": long, "http2": ts.For(asks2)} {
				b.Run(strconv.Itoa(size>>10)+"KB/"+strconv.Itoa(atOnce)+"/"+name, func(b *testing.B) { exchanges(b, rt, server.URL, size, atOnce) })
			}
			short.Close()
			ts.Close()
			long.CloseIdleConnections()
		}
		server.Close()
	}
}
