package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// play serves as one of the peers until ctx ends.
func play(ctx context.Context, role, target string) error {
	var handler http.Handler
	switch role {
	case "flood":
		return playFlood(ctx)
	case "burner":
		return playBurner(ctx)
	case "upstream":
		handler = http.HandlerFunc(upstreamAnswer)
	case "reverseproxy":
		to, err := url.Parse(target)
		if err != nil {
			return err
		}
		// The pools of both proxies are alike, so that neither dials more than the other.
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConns, transport.MaxIdleConnsPerHost, transport.DisableCompression = 5000, 5000, true
		proxy := &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(to)
				r.Out.Header.Set("Authorization", "Bearer sk-bench-provider-key")
			},
			Transport: transport, // event streams are flushed chunk by chunk without being told
		}
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Without this the server closes the request body when the answer begins, and net/http's transport, which
			// looks behind the last byte of a body, then breaks the answer off: seen with bodies of 100 KB under load.
			_ = http.NewResponseController(w).EnableFullDuplex()
			proxy.ServeHTTP(w, r)
		})
	default:
		return fmt.Errorf("no role %q", role)
	}
	return serve(ctx, handler)
}

// serve serves until ctx ends, after it has told the parent where.
func serve(ctx context.Context, handler http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + listener.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// upstreamAnswer is a chat completion of as many bytes as the request's last header asks for, or a stream, or a refusal of
// the key. It parses nothing, so that the machine's time goes to the proxies.
func upstreamAnswer(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if mark := r.Header.Get("X-Bench-Mark"); mark != "" {
		w.Header().Set("X-Bench-Mark", mark)
	}
	if status, _ := strconv.Atoi(r.Header.Get("X-Bench-Status")); status != 0 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, refusedKey)
		return
	}
	if chunks, _ := strconv.Atoi(r.Header.Get("X-Bench-Chunks")); chunks > 0 {
		gap, _ := time.ParseDuration(r.Header.Get("X-Bench-Gap"))
		streamAnswer(w, r, chunks, gap)
		return
	}
	if delay, _ := time.ParseDuration(r.Header.Get("X-Bench-Delay")); delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	size, _ := strconv.Atoi(r.Header.Get("X-Bench-Size"))
	body := answer(size)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = io.WriteString(w, body)
}

// refusedKey is what OpenAI says of a key that it does not know.
const refusedKey = `{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`

func answer(size int) string {
	const before, after = `{"id":"chatcmpl-bench","object":"chat.completion","model":"gpt-bench","choices":[{"index":0,"message":{"role":"assistant","content":"`, `"},"finish_reason":"stop"}]}`
	return before + strings.Repeat("x", max(size-len(before)-len(after), 0)) + after
}

const (
	streamChunk = `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","model":"gpt-bench","choices":[{"index":0,"delta":{"content":"token"},"finish_reason":null}]}` + "\n\n"
	streamEnd   = `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","model":"gpt-bench","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
)

func streamAnswer(w http.ResponseWriter, r *http.Request, chunks int, gap time.Duration) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	tick := time.NewTicker(max(gap, time.Millisecond))
	defer tick.Stop()
	for range chunks {
		if _, err := io.WriteString(w, streamChunk); err != nil {
			return
		}
		_ = control.Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
	_, _ = io.WriteString(w, streamEnd)
}
