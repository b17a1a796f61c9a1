package upstream_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gpt-load/internal/upstream"
)

// cutter stands between a client and a server, and cuts the first connection after so many bytes in one direction.
type cutter struct {
	listener net.Listener
	target   string
	toServer bool
	after    int64
	reset    bool // with RST instead of FIN
	wg       sync.WaitGroup

	first atomic.Bool // the first connection was taken
	cut   atomic.Bool
}

func startCutter(t *testing.T, c *cutter) *cutter {
	t.Helper()
	c.listener = listen(t)
	c.wg.Go(func() {
		for {
			near, err := c.listener.Accept()
			if err != nil {
				return
			}
			first := c.first.CompareAndSwap(false, true)
			c.wg.Go(func() { c.forward(near, first) })
		}
	})
	return c
}

// stop ends once its connections have.
func (c *cutter) stop() {
	_ = c.listener.Close()
	c.wg.Wait()
}

func (c *cutter) forward(near net.Conn, first bool) {
	far, err := net.Dial("tcp", c.target)
	if err != nil {
		_ = near.Close()
		return
	}
	var wg sync.WaitGroup
	for _, way := range []struct {
		to, from net.Conn
		toServer bool
	}{{near, far, false}, {far, near, true}} {
		wg.Go(func() {
			var from io.Reader = way.from
			cuts := first && way.toServer == c.toServer
			if cuts {
				from = io.LimitReader(from, c.after)
			}
			n, _ := io.Copy(struct{ io.Writer }{way.to}, from)
			if cuts && n == c.after {
				c.cut.Store(true)
				if c.reset {
					_ = near.(*net.TCPConn).SetLinger(0)
					_ = far.(*net.TCPConn).SetLinger(0)
				}
			}
			_ = near.Close()
			_ = far.Close()
		})
	}
	wg.Wait()
}

// marked answers each request with its own path and body, and counts the requests that it took whole.
func marked(t *testing.T, scheme string) (p *peer, taken *sync.Map) {
	t.Helper()
	taken = &sync.Map{}
	return startPeerOver(t, scheme, func(v *visit) {
		request, err := http.ReadRequest(v.r)
		if err != nil {
			v.over = true
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			v.over = true
			return
		}
		count, _ := taken.LoadOrStore(request.URL.Path, &atomic.Int64{})
		count.(*atomic.Int64).Add(1)
		text := request.URL.Path + " " + string(body)
		if request.Method == http.MethodGet {
			v.send(answerOf(text))
			return
		}
		half := len(text) / 2
		v.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x;e=1\r\n%s\r\n0\r\nX-Sum: 1\r\n\r\n",
			half, text[:half], len(text)-half, text[half:]))
	}), taken
}

// TestCuts cuts the connection of two exchanges after each of its bytes, in both directions. Each exchange gives the whole
// answer or an error; a request is sent twice only where that is allowed; and the next request is served.
func TestCuts(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		for _, toServer := range []bool{false, true} {
			for _, reset := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/to server %v/reset %v", scheme, toServer, reset), func(t *testing.T) {
					t.Parallel()
					p, taken := marked(t, scheme)
					step := int64(1)
					if scheme == "https" {
						step = 31 // a handshake takes its time
					}
					for after := int64(0); ; after += step {
						if after > 1400 && !reset {
							step = 3 // the handshake, with its post-quantum keys, is over
						}
						c := startCutter(t, &cutter{target: p.address(), toServer: toServer, after: after, reset: reset})
						more := cutOnce(t, c, scheme, after, taken)
						if !more || t.Failed() {
							break
						}
					}
				})
			}
		}
	}
}

// cutOnce reports whether the cut came before the exchanges were over.
func cutOnce(t *testing.T, c *cutter, scheme string, after int64, taken *sync.Map) bool {
	short, _ := upstream.Both(config, trusting(), 0)
	defer c.stop()
	defer short.Close()
	again := after%2 == 0
	target := fmt.Sprintf("%s://%s/%d", scheme, c.listener.Addr(), after)
	what := fmt.Sprintf("cut after %d bytes", after)
	body, err := converse(t, short, getX(t.Context(), target+"-first"))
	checkCut(t, what+", first", body, fmt.Sprintf("/%d-first ", after), err)
	request := post(t.Context(), target+"-second", strings.Repeat("b", 20), again, again)
	body, err = converse(t, short, request)
	checkCut(t, what+", second", body, fmt.Sprintf("/%d-second %s", after, strings.Repeat("b", 20)), err)
	if count, ok := taken.Load(fmt.Sprintf("/%d-second", after)); ok {
		if n := count.(*atomic.Int64).Load(); n > 2 || n > 1 && !again {
			t.Errorf("%s: the second request was taken %d times", what, n)
		}
	}
	if !c.cut.Load() {
		return false
	}
	body, err = converse(t, short, getX(t.Context(), target+"-third"))
	if want := fmt.Sprintf("/%d-third ", after); body != want || err != nil {
		t.Errorf("%s: the request behind it: %q, %v", what, body, err)
	}
	return true
}

func checkCut(t *testing.T, what, body, want string, err error) {
	t.Helper()
	switch {
	case err == nil && body != want:
		t.Errorf("%s: %q passes for an answer", what, body)
	case err != nil && !strings.HasPrefix(want, body):
		t.Errorf("%s: %q before %v", what, body, err)
	case err != nil && upstream.Silent(err):
		t.Errorf("%s: %v", what, err)
	}
}
