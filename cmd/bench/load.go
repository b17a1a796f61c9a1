package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is a closed loop: each worker sends its next request when it has checked the answer to the last one.
type load struct {
	url     string
	key     string
	size    int // bytes of the request body and of the answer
	workers int
	count   int
}

// run sends count requests and returns how long that took.
func (l load) run(ctx context.Context) (time.Duration, error) {
	transport := &http.Transport{MaxIdleConns: l.workers, MaxIdleConnsPerHost: l.workers, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	body := chatBody(l.size)
	want := int64(len(answer(l.size)))
	var next atomic.Int64
	var once sync.Once
	var failure error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var workers sync.WaitGroup
	begun := time.Now()
	for range l.workers {
		workers.Go(func() {
			for next.Add(1) <= int64(l.count) && ctx.Err() == nil {
				if err := l.once(ctx, client, body, want); err != nil {
					once.Do(func() { failure = err })
					cancel()
					return
				}
			}
		})
	}
	workers.Wait()
	return time.Since(begun), failure
}

func (l load) once(ctx context.Context, client *http.Client, body []byte, want int64) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+l.key)
	request.Header.Set("X-Bench-Size", fmt.Sprint(l.size))
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	got, err := io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK || got != want {
		return fmt.Errorf("status %d with %d bytes, want 200 with %d: %w", response.StatusCode, got, want, err)
	}
	return nil
}

// chatBody is a chat request of about size bytes whose text has the escapes of code, as agents send it, with the model behind it.
func chatBody(size int) []byte {
	const line = `func main() {\n\tfmt.Println(\"hello, world\")\n}\n\n`
	text := strings.Repeat(line, size/len(line)+1)[:max(size-120, 1)]
	text = strings.TrimRight(text, `\`)
	return []byte(`{"messages":[{"role":"system","content":"You are helpful."},{"role":"user","content":"` + text + `"}],"stream":false,"model":"gpt-bench"}`)
}
