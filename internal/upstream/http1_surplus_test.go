package upstream_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gpt-load/internal/upstream"
)

// TestSurplus: what comes behind an answer is never the beginning of the next one, wherever it is kept meanwhile: in our
// buffer, inside TLS, decrypted or not, or in the socket.
func TestSurplus(t *testing.T) {
	t.Parallel()
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for _, scheme := range []string{"http", "https"} {
		for _, size := range []int{0, 10, 4000, 5000, 12_000, 100_000} {
			for _, together := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%d/%v", scheme, size, together), func(t *testing.T) {
					t.Parallel()
					short, _ := upstream.Both(config, trusting(), 0)
					defer short.Close()
					sent := make(chan struct{}, 10)
					p := startPeerOver(t, scheme, func(v *visit) {
						next := v.isNext()
						v.readRequest()
						defer func() { sent <- struct{}{} }()
						switch answer := answerOf(strings.Repeat("x", size)); {
						case next:
							v.send(answerOf("next"))
						case together:
							v.send(answer + poison)
						default:
							v.send(answer)
							v.send(poison)
						}
					})
					for range 3 {
						if got := mustGet(t, short, p.url()); len(got) != size {
							t.Errorf("%d bytes", len(got))
						}
						<-sent
						if got := mustGet(t, short, p.url()+"/next"); got != "next" {
							t.Errorf("%q", got)
						}
						<-sent
					}
				})
			}
		}
	}
}

// TestClosingWhileReading: Close ends a Read that waits in another goroutine, and the connection is nobody's any more.
func TestClosingWhileReading(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		for name, answer := range map[string]string{
			"a length":     "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx",
			"chunks":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
			"no end known": "HTTP/1.1 200 OK\r\n\r\nx",
		} {
			t.Run(scheme+"/"+name, func(t *testing.T) {
				t.Parallel()
				short, _ := upstream.Both(config, trusting(), 0)
				defer short.Close()
				ended := make(chan bool, 1)
				p := startPeerOver(t, scheme, func(v *visit) {
					v.readRequest()
					v.send(answer)
					ended <- v.awaitEnd()
				})
				response, err := short.RoundTrip(getX(t.Context(), p.url())) //nolint:bodyclose // below, beside a read
				if err != nil {
					t.Fatal(err)
				}
				buffer := make([]byte, 10)
				if n, err := response.Body.Read(buffer); n != 1 || err != nil {
					t.Fatalf("%d bytes, %v", n, err)
				}
				read := make(chan error, 1)
				go func() {
					_, err := response.Body.Read(buffer)
					read <- err
				}()
				if err := response.Body.Close(); err != nil {
					t.Error(err)
				}
				if err := <-read; err == nil || errors.Is(err, io.EOF) {
					t.Errorf("the read gave %v", err)
				}
				if !<-ended || short.Idle() != 0 {
					t.Error("the connection is still there")
				}
			})
		}
	}
}

// TestHeaderTimeout: the time for a header begins with each request anew, and neither the body nor the rest between two
// exchanges is bounded by it.
func TestHeaderTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := config
		limits.ResponseHeaderTimeout, limits.IdleConnTimeout = time.Second, time.Minute
		short, _ := upstream.Both(limits, upstream.Options{}, 0)
		defer short.Close()
		connections := 0
		piped(short, "http", func(conn net.Conn) {
			connections++
			in := bufio.NewReader(conn)
			for {
				request, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				switch request.URL.Path {
				case "/body":
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
					time.Sleep(3 * time.Second)
					_, _ = io.WriteString(conn, "k")
					continue
				case "/late":
					time.Sleep(990 * time.Millisecond)
				case "/never":
					_, _ = conn.Read(make([]byte, 1))
					return
				}
				_, _ = io.WriteString(conn, ok2)
			}
		})
		for _, path := range []string{"/", "/body", "/late", "/", "/late", "/body"} {
			if got := mustGet(t, short, "http://upstream.example"+path); got != "ok" {
				t.Errorf("%s: %q", path, got)
			}
			time.Sleep(5 * time.Second) // longer than the timeout
		}
		begun := time.Now()
		_, err := get(t, short, "http://upstream.example/never")
		if took := time.Since(begun); !upstream.Silent(err) || took < time.Second || took > 1010*time.Millisecond || connections != 1 {
			t.Errorf("%v after %v on connection %d", err, took, connections)
		}
	})
}
