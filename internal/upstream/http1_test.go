package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gpt-load/internal/upstream"
)

// held is a body in memory as the data plane sends it: net/http's types are not in it.
type held struct{ *bytes.Reader }

func (held) Close() error { return nil }

// post makes a request with a body in memory. again says that it may be had twice, marked that doing it twice is harmless.
func post(ctx context.Context, target, body string, again, marked bool) *http.Request {
	request, _ := http.NewRequestWithContext(ctx, http.MethodPost, target, nil)
	request.Body, request.ContentLength = held{bytes.NewReader([]byte(body))}, int64(len(body))
	if again {
		request.GetBody = func() (io.ReadCloser, error) { return held{bytes.NewReader([]byte(body))}, nil }
	}
	if marked {
		request.Header["X-Idempotency-Key"] = []string{}
	}
	return request
}

// converse sends a request and reads the answer to its end.
func converse(t *testing.T, rt http.RoundTripper, request *http.Request) (string, error) {
	t.Helper()
	response, err := rt.RoundTrip(request) //nolint:bodyclose // finish does
	if err != nil {
		return "", err
	}
	return finish(response)
}

func finish(response *http.Response) (string, error) {
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// TestReplays: what a connection that was used before swallowed is sent once more when nothing was received and doing it
// twice is harmless, and in no other case; net/http's transport decides the same.
func TestReplays(t *testing.T) {
	t.Parallel()
	vanish := func(v *visit) { v.over = true }
	for _, c := range []struct {
		name    string
		ask     func(ctx context.Context, target string) *http.Request
		second  func(*visit) // what becomes of the request on the connection that was used before
		fresh   bool         // there is no such connection: the first request meets second
		calls   int          // of the request, by the peer's count
		reason  string
		timeout time.Duration
	}{
		{name: "GET", ask: getX, second: vanish, calls: 2},
		{name: "a marked POST", ask: func(ctx context.Context, to string) *http.Request { return post(ctx, to, "{}", true, true) }, second: vanish, calls: 2},
		{name: "a reset", ask: getX, second: (*visit).reset, calls: 2},
		{name: "a POST that is not marked", ask: func(ctx context.Context, to string) *http.Request { return post(ctx, to, "{}", true, false) }, second: vanish, calls: 1, reason: "closed_before_headers"},
		{name: "a POST without a body that is not marked", ask: func(ctx context.Context, to string) *http.Request { return post(ctx, to, "", true, false) }, second: vanish, calls: 1, reason: "closed_before_headers"},
		{name: "a POST that can be had once", ask: func(ctx context.Context, to string) *http.Request { return post(ctx, to, "{}", false, true) }, second: vanish, calls: 1, reason: "closed_before_headers"},
		{name: "something was received", ask: getX, second: func(v *visit) {
			v.send("HTTP/1.1 200 OK\r\n")
			v.over = true
		}, calls: 1, reason: "closed_before_headers"},
		{name: "on a fresh connection", ask: getX, second: vanish, fresh: true, calls: 1, reason: "closed_before_headers"},
		{name: "silence is not the end", ask: getX, second: func(v *visit) { v.awaitEnd() }, calls: 1, reason: "timeout_headers", timeout: 100 * time.Millisecond},
	} {
		for _, scheme := range []string{"http", "https"} {
			t.Run(c.name+"/"+scheme, func(t *testing.T) {
				t.Parallel()
				limits := config
				if c.timeout > 0 {
					limits.ResponseHeaderTimeout = c.timeout
				}
				short, long := upstream.Both(limits, trusting(), 0)
				defer long.CloseIdleConnections()
				for name, rt := range map[string]http.RoundTripper{"ours": short, "net/http": long} {
					var met atomic.Bool
					p := startPeerOver(t, scheme, func(v *visit) {
						next := v.isNext()
						v.readRequest()
						if !next && met.CompareAndSwap(false, true) {
							c.second(v)
							return
						}
						v.send(answerOf("well"))
					})
					if !c.fresh {
						if got := mustGet(t, rt, p.url()+"/next"); got != "well" {
							t.Fatal(got)
						}
					}
					body, err := converse(t, rt, c.ask(t.Context(), p.url()+"/x"))
					if got := reason(err, 0); got != c.reason || (body == "well") != (c.reason == "") {
						t.Errorf("%s: %q, %v (%s), want %s", name, body, err, got, c.reason)
					}
					calls := 0
					for _, seen := range p.requests() {
						if strings.Contains(seen.request, " /x ") {
							calls++
						}
					}
					if calls != c.calls {
						t.Errorf("%s: the peer saw the request %d times, want %d", name, calls, c.calls)
					}
				}
				short.Close()
			})
		}
	}
}

func getX(ctx context.Context, target string) *http.Request {
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	return request
}

// TestIdleConnectionsAreLookedAt: what a server does to a connection that is idle is seen before the next request goes
// out on it. A request that cannot be sent twice is served all the same, and bytes that nobody asked for never become
// the answer to the next request, which may be another client's.
func TestIdleConnectionsAreLookedAt(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(*visit){
		"closed":      func(v *visit) { _ = v.Close() },
		"half closed": func(v *visit) { _ = v.tcp().CloseWrite() },
		"cut off":     func(v *visit) { _ = v.tcp().Close() },
		"half of one": func(v *visit) { _, _ = v.tcp().Write([]byte{23, 3, 3, 0, 99, 1}) }, // over TLS, of a record
		"reset":       (*visit).reset,
		"one byte":    func(v *visit) { v.send("H") },
		"an answer":   func(v *visit) { v.send(answerOf("poison")) },
		"a time-out":  func(v *visit) { v.send("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n") },
	} {
		for _, scheme := range []string{"http", "https"} {
			t.Run(name+"/"+scheme, func(t *testing.T) {
				t.Parallel()
				short, _ := upstream.Both(config, trusting(), 0)
				defer short.Close()
				idle, done := make(chan struct{}), make(chan struct{})
				p := startPeerOver(t, scheme, func(v *visit) {
					v.readRequest()
					v.send(answerOf("well"))
					if v.number == 1 {
						<-idle // the client has put the connection away
						trouble(v)
						close(done)
						v.awaitEnd()
					}
				})
				mustGet(t, short, p.url())
				if n := short.Idle(); n != 1 {
					t.Fatalf("%d connections are kept", n)
				}
				close(idle)
				<-done
				if body, err := converse(t, short, post(t.Context(), p.url(), "once", false, false)); err != nil || body != "well" {
					t.Errorf("%q, %v", body, err)
				}
				seen := p.requests()
				if len(seen) != 2 || seen[1].conn != 2 || seen[1].body != "once" {
					t.Errorf("the peer saw %+v", seen)
				}
			})
		}
	}
}

// TestIdleBounds: no address keeps more than its share, and all together no more than the bound; the connection that was
// idle longest makes room.
func TestIdleBounds(t *testing.T) {
	t.Parallel()
	limits := config
	limits.MaxIdleConns, limits.MaxIdleConnsPerHost = 3, 2
	short, _ := upstream.Both(limits, upstream.Options{}, 0)
	defer short.Close()
	var peers [3]*peer
	for i := range peers {
		peers[i] = startPeer(t, func(v *visit) {
			v.readRequest()
			v.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
		})
	}
	// use has so many exchanges with a peer at the same time, and so as many connections.
	use := func(p *peer, n int) {
		t.Helper()
		var open []*http.Response
		for range n {
			response, err := short.RoundTrip(getX(t.Context(), p.url())) //nolint:bodyclose // finish does
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, response) //nolint:bodyclose // finish does
		}
		for _, response := range open {
			if body, err := finish(response); err != nil || body != "ok" {
				t.Errorf("%q, %v", body, err)
			}
		}
	}
	for _, step := range []struct {
		peer, uses int
		want       [3]int
	}{
		{0, 4, [3]int{2, 0, 0}},
		{1, 1, [3]int{2, 1, 0}},
		{1, 2, [3]int{1, 2, 0}},
		{2, 1, [3]int{0, 2, 1}},
		{2, 1, [3]int{0, 2, 1}},
		{0, 2, [3]int{2, 0, 1}},
	} {
		use(peers[step.peer], step.uses)
		var got [3]int
		for i, p := range peers {
			got[i] = short.IdleTo(p.address())
		}
		if got != step.want || short.Idle() != 3 && step.want != [3]int{2, 0, 0} {
			t.Errorf("%d exchanges with %d: kept %v (%d), want %v", step.uses, step.peer, got, short.Idle(), step.want)
		}
	}
}

// piped is a way to servers that live in the test's own bubble. Each serves one connection.
func piped(short *upstream.Short, scheme string, serve func(net.Conn)) {
	short.DialWith(func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		if scheme == "https" {
			config, _ := identity()
			theirs = tls.Server(theirs, config)
		}
		go serve(theirs)
		return ours, nil
	})
}

// TestIdleExpiry: a connection is closed when it was idle for so long, each by its own time.
func TestIdleExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := config
		limits.IdleConnTimeout = time.Minute
		short, _ := upstream.Both(limits, upstream.Options{}, 0)
		ends := make(chan time.Time, 3)
		piped(short, "http", func(conn net.Conn) {
			defer func() { ends <- time.Now() }()
			buffer := make([]byte, 4096)
			for {
				if _, err := conn.Read(buffer); err != nil {
					return
				}
				_, _ = io.WriteString(conn, ok2)
			}
		})
		begun := time.Now()
		ask := func() *http.Response {
			response, err := short.RoundTrip(getX(t.Context(), "http://upstream.example"))
			if err != nil {
				t.Fatal(err)
			}
			return response
		}
		first, second := ask(), ask() //nolint:bodyclose // finish does
		_, _ = finish(first)
		time.Sleep(40 * time.Second)
		_, _ = finish(second)
		synctest.Wait()
		if short.Idle() != 2 {
			t.Errorf("%d are kept", short.Idle())
		}
		for _, after := range []time.Duration{60 * time.Second, 100 * time.Second} {
			if got := (<-ends).Sub(begun); got != after {
				t.Errorf("closed after %v, want %v", got, after)
			}
		}
		_, _ = finish(ask()) //nolint:bodyclose // finish does; the pool goes on after it was empty
		if got := (<-ends).Sub(begun); got != 160*time.Second || short.Idle() != 0 {
			t.Errorf("closed after %v, %d are kept", got, short.Idle())
		}
	})
}

var errLeft = errors.New("the client left")

// TestCancelling ends an exchange at once, in every phase, with the caller's own cause, and closes the connection.
func TestCancelling(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(net.Conn, *http.Request){
		"dial":   nil,
		"write":  func(net.Conn, *http.Request) {},
		"header": readAll,
		"inside the header": func(conn net.Conn, r *http.Request) {
			readAll(conn, r)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-A: ")
		},
		"body": func(conn net.Conn, r *http.Request) {
			readAll(conn, r)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok")
		},
		"inside a chunk": func(conn net.Conn, r *http.Request) {
			readAll(conn, r)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nok")
		},
	} {
		for _, scheme := range []string{"http", "https"} {
			t.Run(name+"/"+scheme, func(t *testing.T) {
				t.Parallel()
				trusted := trusting() // outside of the bubble
				synctest.Test(t, func(t *testing.T) {
					short, _ := upstream.Both(config, trusted, 0)
					defer short.Close()
					ctx, cancel := context.WithCancelCause(t.Context())
					request := post(ctx, scheme+"://upstream.example", strings.Repeat("x", 200_000), true, true)
					closed := make(chan time.Time, 1)
					if serve == nil {
						short.DialWith(func(ctx context.Context) (net.Conn, error) {
							<-ctx.Done()
							closed <- time.Now()
							return nil, ctx.Err()
						})
					} else {
						piped(short, scheme, func(conn net.Conn) {
							serve(conn, request)
							// Only now: a pipe takes nothing that is not read, so reading tells the end.
							for err := error(nil); err == nil; {
								<-ctx.Done()
								_, err = conn.Read(make([]byte, 4096))
							}
							closed <- time.Now()
						})
					}
					begun := time.Now()
					time.AfterFunc(3*time.Second, func() { cancel(errLeft) })
					_, err := converse(t, short, request)
					if !errors.Is(err, errLeft) || upstream.Silent(err) {
						t.Errorf("%v", err)
					}
					ended, seen := time.Since(begun), (<-closed).Sub(begun)
					if latest := 3*time.Second + 100*time.Millisecond; ended > latest || seen > latest {
						t.Errorf("the exchange ended after %v, the connection after %v", ended, seen)
					}
					if short.Idle() != 0 {
						t.Error("the connection is kept")
					}
				})
			})
		}
	}
}

// readAll takes a request whose length is known.
func readAll(conn net.Conn, r *http.Request) {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err == nil {
		_, _ = io.CopyN(io.Discard, request.Body, r.ContentLength)
	}
}

// TestCancelledBefore sends nothing and costs no connection.
func TestCancelledBefore(t *testing.T) {
	t.Parallel()
	short, _ := upstream.Both(config, upstream.Options{}, 0)
	defer short.Close()
	p := startPeer(t, func(v *visit) {
		v.readRequest()
		v.send(answerOf("well"))
	})
	mustGet(t, short, p.url())
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errLeft)
	body := &closing{Reader: bytes.NewReader(nil)}
	request := getX(ctx, p.url())
	request.Body = body
	if _, err := converse(t, short, request); !errors.Is(err, errLeft) || !body.closed {
		t.Errorf("%v, body closed: %v", err, body.closed)
	}
	if short.Idle() != 1 || len(p.requests()) != 1 {
		t.Errorf("%d kept, %d requests", short.Idle(), len(p.requests()))
	}
}
