package upstream_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/upstream"
)

// TestBuffersAreLetGo: the owner of a body's memory uses it again as soon as the exchange is over, however it ended, and
// the race detector and the peer watch that nobody else still reads it. The same goes for the memory of an answer.
func TestBuffersAreLetGo(t *testing.T) {
	t.Parallel()
	const size = 900 << 10
	canary := bytes.Repeat([]byte("CANARY"), 100)
	var mu sync.Mutex
	leaked := map[string]bool{}
	look := func(name string, data []byte) {
		if bytes.Contains(data, canary[:12]) {
			mu.Lock()
			leaked[name] = true
			mu.Unlock()
		}
	}
	// swallow reads all that comes, as slowly as the network allows.
	swallow := func(v *visit, name string) {
		_ = v.SetReadDeadline(time.Now().Add(30 * time.Second))
		buffer := make([]byte, 32<<10)
		for {
			n, err := v.r.Read(buffer)
			look(name, buffer[:n])
			if err != nil {
				v.over = true
				return
			}
		}
	}
	for name, serve := range map[string]func(v *visit, over <-chan struct{}){
		"answered": func(v *visit, _ <-chan struct{}) {
			v.readRequest()
			v.send(ok2)
		},
		"answered early": func(v *visit, over <-chan struct{}) {
			v.readHeader()
			v.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
			<-over
			swallow(v, "answered early")
		},
		"closed while writing": func(v *visit, _ <-chan struct{}) {
			v.readHeader()
			v.over = true
		},
		"cancelled while writing": func(v *visit, over <-chan struct{}) {
			v.readHeader()
			<-over
			swallow(v, "cancelled while writing")
		},
		"cancelled behind the request": func(v *visit, over <-chan struct{}) {
			v.readRequest()
			<-over
			swallow(v, "cancelled behind the request")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			short, _ := upstream.Both(config, upstream.Options{}, smallBuffers)
			defer short.Close()
			over, reached := make(chan struct{}), make(chan struct{}, 1)
			p := startPeer(t, func(v *visit) {
				select {
				case reached <- struct{}{}:
				default:
				}
				serve(v, over)
			})
			memory := bytes.Repeat([]byte("x"), size)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			request := post(ctx, p.url(), "", false, false)
			request.Body, request.ContentLength = held{bytes.NewReader(memory)}, size
			if strings.HasPrefix(name, "cancelled") {
				go func() {
					<-reached
					cancel()
				}()
			}
			_, _ = converse(t, short, request)
			for i := range memory {
				memory[i] = canary[i%len(canary)]
			}
			close(over)
			for _, seen := range p.requests() {
				look(name, []byte(seen.body))
			}
		})
	}
	t.Cleanup(func() {
		if len(leaked) > 0 {
			t.Errorf("memory was read after the exchange: %v", leaked)
		}
	})
}

// TestClosedAnswers: after Close an answer gives an error and neither bytes nor a clean end, and its connection serves
// nobody else: what is still on its way would be the next answer's beginning.
func TestClosedAnswers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"a length": answerOf("first half, second half"),
		"chunks":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nfirst half\r\na\r\nmore of it\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			short, _ := upstream.Both(config, upstream.Options{}, 0)
			defer short.Close()
			p := startPeer(t, func(v *visit) {
				next := v.isNext()
				v.readRequest()
				if next {
					v.send(answerOf("next"))
					return
				}
				v.send(answer)
			})
			response, err := short.RoundTrip(getX(t.Context(), p.url()))
			if err != nil {
				t.Fatal(err)
			}
			part := make([]byte, 10)
			if _, err := io.ReadFull(response.Body, part); err != nil || string(part) != "first half" {
				t.Fatalf("%q, %v", part, err)
			}
			if err := response.Body.Close(); err != nil {
				t.Error(err)
			}
			if n, err := response.Body.Read(part); n != 0 || err == nil || err == io.EOF {
				t.Errorf("after Close: %d bytes, %v", n, err)
			}
			if err := response.Body.Close(); err != nil {
				t.Errorf("Close again: %v", err)
			}
			if got := mustGet(t, short, p.url()+"/next"); got != "next" {
				t.Errorf("the next answer is %q", got)
			}
			if seen := p.requests(); seen[1].conn == seen[0].conn {
				t.Error("the connection of half an answer was used again")
			}
		})
	}
}

// TestAnswersDoNotMix: many exchanges at the same time over few connections, some left half way, and each reads its own.
func TestAnswersDoNotMix(t *testing.T) {
	t.Parallel()
	limits := config
	limits.MaxIdleConns, limits.MaxIdleConnsPerHost = 4, 4
	short, _ := upstream.Both(limits, upstream.Options{}, 0)
	defer short.Close()
	p := startPeer(t, func(v *visit) {
		v.readRequest()
		seen := v.peer.last(v.number)
		mark := strings.TrimSuffix(seen.body, ";")
		body := strings.Repeat(mark+";", 2000)
		if v.nth%2 == 0 {
			v.send(answerOf(body))
			return
		}
		v.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body))
	})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 60 {
				mark := fmt.Sprintf("%d-%d;", worker, i)
				response, err := short.RoundTrip(post(t.Context(), p.url(), mark, true, true))
				if err != nil {
					t.Error(err)
					return
				}
				limit := int64(math.MaxInt64)
				if i%7 == 3 { // left half way
					limit = 1000
				}
				data, err := io.ReadAll(io.LimitReader(response.Body, limit))
				_ = response.Body.Close()
				if err != nil || strings.ReplaceAll(string(data[:len(data)-len(data)%len(mark)]), mark, "") != "" {
					t.Errorf("%s: got another's bytes: %.60q, %v", mark, data, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestWhatGoesTheShortWay: everything that net/http has to look after stays there.
func TestWhatGoesTheShortWay(t *testing.T) {
	t.Parallel()
	short, _ := upstream.Both(config, upstream.Options{}, 0)
	stream := post(t.Context(), "http://x", "", true, true)
	stream.Body, stream.ContentLength = io.NopCloser(strings.NewReader("x")), -1
	stream.GetBody = nil
	unknown := post(t.Context(), "http://x", "12345", true, true)
	unknown.ContentLength = -1
	differs := post(t.Context(), "http://x", "12345", true, true)
	differs.ContentLength = 4
	empty := post(t.Context(), "http://x", "", true, true)
	empty.Body, empty.ContentLength = http.NoBody, -1
	for name, c := range map[string]struct {
		request *http.Request
		want    bool
	}{
		"no body":              {getX(t.Context(), "http://x"), true},
		"a body in memory":     {post(t.Context(), "http://x", "x", false, false), true},
		"the largest body":     {post(t.Context(), "http://x", strings.Repeat("x", 1<<20), false, false), true},
		"a larger body":        {post(t.Context(), "http://x", strings.Repeat("x", 1<<20+1), false, false), false},
		"a stream":             {stream, false},
		"an unknown length":    {unknown, false},
		"another length":       {differs, false},
		"no body but a length": {empty, false},
	} {
		if got := short.Takes(c.request); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
