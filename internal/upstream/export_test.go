package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
)

// IsPrivate is checked address by address.
var IsPrivate = isPrivate

// Short is our own HTTP/1.1 client, as tests look into it.
type Short struct{ *transport }

// Both gives the two ways to an upstream by HTTP/1.1: ours and net/http's. sendBuffer bounds, in bytes, what the kernel
// takes of the writes to a connection; 0 leaves it.
func Both(c TransportConfig, o Options, sendBuffer int) (short *Short, long *http.Transport) {
	c.Protocol = ProtocolHTTP1
	t := newTransport(c, o, nil)
	if sendBuffer > 0 {
		t.dialer.toUpstream.Control = func(_, _ string, c syscall.RawConn) (err error) {
			broken := c.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer)
			})
			return errors.Join(err, broken)
		}
	}
	return &Short{t}, t.direct
}

// DialWith replaces the way to a connection.
func (s *Short) DialWith(dial func(ctx context.Context) (net.Conn, error)) {
	s.http1.dial = func(ctx context.Context, to route) (*link, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		if to.secured {
			return s.dialer.secure(ctx, newLink(conn), to.address())
		}
		return newLink(conn), nil
	}
}

// Takes reports whether a request goes this way.
func (s *Short) Takes(r *http.Request) bool { return s.http1.takes(r) }

// RoundTrip sends a request this way only.
func (s *Short) RoundTrip(r *http.Request) (*http.Response, error) {
	return s.http1.roundTrip(r, route{secured: r.URL.Scheme == "https", host: r.URL.Host})
}

// Idle counts the connections that are kept.
func (s *Short) Idle() int {
	s.http1.idle.mu.Lock()
	defer s.http1.idle.mu.Unlock()
	return s.http1.idle.total
}

// IdleTo counts the connections that are kept to one host.
func (s *Short) IdleTo(host string) int {
	s.http1.idle.mu.Lock()
	defer s.http1.idle.mu.Unlock()
	return len(s.http1.idle.routes[route{host: host}]) + len(s.http1.idle.routes[route{secured: true, host: host}])
}

// Close closes what is idle.
func (s *Short) Close() { s.closeIdle() }
