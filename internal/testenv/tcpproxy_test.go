package testenv

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// echoServer sends back what it gets, and its end after the client's.
func echoServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

// line is a client of the echo server.
type line struct {
	net.Conn
	answers *bufio.Reader
}

func dialLine(t *testing.T, address string) *line {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &line{conn, bufio.NewReader(conn)}
}

func (l *line) says(t *testing.T, text string) {
	t.Helper()
	_, err := io.WriteString(l, text+"\n")
	must(t, err)
}

func (l *line) hears(t *testing.T, want string) {
	t.Helper()
	must(t, l.SetReadDeadline(time.Now().Add(10*time.Second)))
	if got, err := l.answers.ReadString('\n'); err != nil || got != want+"\n" {
		t.Fatalf("heard %q, %v; want %q", got, err, want)
	}
}

func (l *line) hearsNothing(t *testing.T) {
	t.Helper()
	must(t, l.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	if got, err := l.answers.ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("heard %q, %v over a link that is cut", got, err)
	}
}

// TestLinkCut: nothing passes, no end either, and all of it arrives when the link is back.
func TestLinkCut(t *testing.T) {
	link := NewTCPProxy(t, echoServer(t))
	early := dialLine(t, link.Addr())
	early.says(t, "one")
	early.hears(t, "one")

	link.Cut()
	early.says(t, "two")
	early.hearsNothing(t)
	late := dialLine(t, link.Addr())
	late.says(t, "three")
	late.hearsNothing(t)
	must(t, early.Conn.(*net.TCPConn).CloseWrite())

	must(t, link.Heal())
	early.hears(t, "two")
	late.hears(t, "three")
	if rest, err := io.ReadAll(early.answers); err != nil || len(rest) > 0 {
		t.Errorf("after the end of the client the server's end is %q, %v", rest, err)
	}
}

// TestLinkRefuses: connections are reset, new ones refused, until the link is back at the same address.
func TestLinkRefuses(t *testing.T) {
	link := NewTCPProxy(t, echoServer(t))
	l := dialLine(t, link.Addr())
	l.says(t, "one")
	l.hears(t, "one")
	address := link.Addr()

	link.Refuse()
	must(t, l.SetReadDeadline(time.Now().Add(10*time.Second)))
	if _, err := l.answers.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the open connection ended with %v, not a reset", err)
	}
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection: %v, not refused", err)
	}

	must(t, link.Heal())
	again := dialLine(t, address)
	again.says(t, "two")
	again.hears(t, "two")
}

// TestLinkToNowhere: a target that refuses shows as a reset, and the link works once the target is there.
func TestLinkToNowhere(t *testing.T) {
	server := NewRedis(t, RedisOptions{})
	link := NewTCPProxy(t, server.Address())
	must(t, server.Kill())
	conn, err := net.Dial("tcp", link.Addr())
	if err == nil { // the reset may be faster than the dialler
		must(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v, not a reset", err)
	}
	must(t, server.Restart(t.Context()))
	again := dialLine(t, link.Addr())
	_, err = io.WriteString(again, "PING\r\n")
	must(t, err)
	again.hears(t, "+PONG\r")
}

// TestLinkClosedWhileCut: closing never waits for a link that is cut.
func TestLinkClosedWhileCut(t *testing.T) {
	link, err := StartTCPProxy(echoServer(t))
	must(t, err)
	l := dialLine(t, link.Addr())
	l.says(t, "one")
	l.hears(t, "one")
	link.Cut()
	l.says(t, "two")
	link.Close()
}
