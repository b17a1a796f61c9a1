package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gpt-load/internal/testenv"
)

const (
	streamCount  = 2000
	streamChunks = 100
	streamGap    = 100 * time.Millisecond
)

// benchStreams holds many streams open at once and checks every byte count at their end.
func benchStreams(ctx context.Context, r *report, s settings) (err error) {
	r.title(fmt.Sprintf("%d concurrent streams of %d chunks, %v apart", streamCount, streamChunks, streamGap))
	dir, err := os.MkdirTemp("", "gpt-load-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p, err := startPeers(ctx, s, dir)
	defer func() { err = errors.Join(err, p.stop()) }()
	if err != nil {
		return err
	}
	idle, err := p.ours.resident()
	if err != nil {
		return err
	}
	var open, whole, cut atomic.Int64
	var all sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: streamCount, DisableCompression: true}}
	defer client.CloseIdleConnections()
	allOpen := make(chan struct{})
	want := int64(streamChunks*len(streamChunk) + len(streamEnd))
	for range streamCount {
		all.Go(func() {
			got, err := oneStream(ctx, client, p.ours.addr, func() {
				if open.Add(1) == streamCount {
					close(allOpen)
				}
			})
			if err == nil && got == want {
				whole.Add(1)
			} else {
				cut.Add(1)
			}
		})
	}
	finished := make(chan struct{})
	go func() { all.Wait(); close(finished) }()
	select {
	case <-allOpen:
	case <-finished:
	}
	busy, err := p.ours.resident()
	<-finished
	if err != nil {
		return err
	}
	each := float64(busy-idle) / streamCount / 1024
	r.promise("streams open at once", open.Load() == streamCount, "%d", open.Load())
	r.promise("streams cut", cut.Load() == 0 && whole.Load() == streamCount, "%d", cut.Load())
	r.promise("memory of a stream, under 64 KB", each < 64, "%.1f KB (%d MB in all)", each, busy>>20)
	return nil
}

// oneStream reads a stream to its end and returns its length; opened is called at its first byte.
func oneStream(ctx context.Context, client *http.Client, base string, opened func()) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions",
		bytes.NewReader([]byte(`{"model":"gpt-bench","stream":true,"messages":[{"role":"user","content":"hi"}]}`)))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+testenv.AuthKey)
	request.Header.Set("X-Bench-Chunks", fmt.Sprint(streamChunks))
	request.Header.Set("X-Bench-Gap", streamGap.String())
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %d", response.StatusCode)
	}
	var first [1]byte
	if _, err := io.ReadFull(response.Body, first[:]); err != nil {
		return 0, err
	}
	opened()
	rest, err := io.Copy(io.Discard, response.Body)
	return rest + 1, err
}
