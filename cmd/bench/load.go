package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"gpt-load/internal/jsonbody"
)

// load is a closed loop: each worker sends its next request when it has checked the answer to the last one.
type load struct {
	url     string
	key     string
	size    int           // bytes of the request body and of the answer
	delay   time.Duration // from the request until the upstream answers
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
	if l.delay > 0 {
		request.Header.Set("X-Bench-Delay", l.delay.String())
	}
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

//go:embed *.go
var source embed.FS

// chatBody is a chat request of size bytes whose text is what coding agents send: source files, this command's own, over and
// over. The model stands behind it, where the Python SDK puts it.
func chatBody(size int) []byte {
	const before, after = `{"messages":[{"role":"system","content":"You are helpful."},{"role":"user","content":`, `],"stream":false,"model":"gpt-bench"}`
	var text []byte
	for len(text) < size {
		files, _ := source.ReadDir(".") // an embedded folder can always be read
		for _, file := range files {
			content, _ := source.ReadFile(file.Name())
			text = append(text, content...)
		}
	}
	room := max(size-len(before)-len(after)-1, 2)
	quoted := jsonbody.AppendQuoted(nil, string(text))[:room-1]
	// Cut where no escape is open.
	for len(quoted) > 1 && bytes.Count(quoted[max(1, len(quoted)-6):], []byte{'\\'}) > 0 {
		quoted = quoted[:len(quoted)-1]
	}
	return []byte(before + string(quoted) + `"}` + after)
}
