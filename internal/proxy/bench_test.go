package proxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/proxy"
	"gpt-load/internal/secret"
	"gpt-load/internal/snapshot"
	"gpt-load/internal/upstream"
)

// BenchmarkProxied runs whole requests over loopback through this handler and through httputil.ReverseProxy. Client,
// server and upstream are in the figures of both; cmd/bench measures the proxies alone.
func BenchmarkProxied(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10} {
		body := `{"messages":[{"role":"user","content":"` + strings.Repeat("x", size) + `"}],"model":"m"}`
		answer := `{"choices":[{"message":{"content":"` + strings.Repeat("y", size) + `"}}]}`
		provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
			_, _ = io.WriteString(w, answer)
		}))
		target, err := url.Parse(provider.URL)
		if err != nil {
			b.Fatal(err)
		}
		peers := map[string]http.Handler{
			"gpt-load":     benchHandler(provider.URL),
			"ReverseProxy": reverseProxy(target),
		}
		for name, handler := range peers {
			b.Run(name+"/"+strconv.Itoa(size>>10)+"KB", func(b *testing.B) {
				server := httptest.NewServer(handler)
				defer server.Close()
				b.ReportAllocs()
				for b.Loop() {
					request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL+"/proxy/g1/v1/chat/completions", strings.NewReader(body))
					if err != nil {
						b.Fatal(err)
					}
					request.Header.Set("Authorization", "Bearer "+proxyKey)
					request.Header.Set("Content-Type", "application/json")
					response, err := http.DefaultClient.Do(request)
					if err != nil {
						b.Fatal(err)
					}
					n, err := io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
					if err != nil || n != int64(len(answer)) {
						b.Fatal(n, err)
					}
				}
			})
		}
		provider.Close()
	}
}

// reverseProxy lets the server leave the request body open: net/http's transport looks behind its last byte, and would
// break the answer off when that fails.
func reverseProxy(target *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, r)
	})
}

// discardRecords is a recorder that keeps one record for reuse, as the real one does.
type discardRecords struct{ free chan *fleet.RequestRecord }

func (d discardRecords) Acquire() *fleet.RequestRecord {
	select {
	case r := <-d.free:
		*r = fleet.RequestRecord{Attempts: r.Attempts[:0]}
		return r
	default:
		return &fleet.RequestRecord{}
	}
}

func (d discardRecords) Record(r *fleet.RequestRecord) {
	select {
	case d.free <- r:
	default:
	}
}

func benchHandler(upstreamURL string) *proxy.Handler {
	groups := []fleet.Group{{ID: 1, Name: "g1", Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI, Upstreams: []fleet.Upstream{{URL: upstreamURL, Weight: 1}}}}
	snap, _ := snapshot.Compile(1, map[string]string{"proxy_keys": proxyKey}, groups, func(secret.Text) string { return "fp" })
	holder, routes, pools := &snapshot.Holder{}, &proxy.Routes{}, keypool.NewPools()
	holder.Store(snap)
	routes.Sync(snap.Groups())
	for i := range 1000 {
		pools.Ensure(1).Put(fleet.Key{ID: keyID(1, i+1), GroupID: 1, State: fleet.KeyActive, Value: secret.New(keyValue(1, i))})
	}
	return proxy.New(proxy.Options{
		Snapshots: holder, Pools: pools, Routes: routes, Transports: upstream.NewTransports(upstream.Options{}),
		Recorder: discardRecords{make(chan *fleet.RequestRecord, 100)}, Journal: &changeKeeper{}, MaxConcurrent: 1000,
		ReadTimeout: time.Minute, WriteTimeout: time.Minute, Log: zap.NewNop(),
	})
}
