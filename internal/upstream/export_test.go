package upstream

import (
	"context"
	"net"
	"net/http"
)

// IsPrivate is checked address by address.
var IsPrivate = isPrivate

// Short is our own way to an http upstream, as tests look into it.
type Short struct{ transport }

// Both gives the two ways to an http upstream: ours and net/http's. shape sees each new connection; nil leaves them as they are.
func Both(c TransportConfig, shape func(net.Conn) net.Conn) (short *Short, long *http.Transport) {
	t := newTransport(c, Options{}, nil)
	dial := t.plain.dial
	shaped := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil || shape == nil {
			return conn, err
		}
		return shape(conn), nil
	}
	t.plain.dial, t.direct.DialContext = shaped, shaped
	return &Short{*t}, t.direct
}

// DialWith replaces the way to a connection.
func (s *Short) DialWith(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	s.plain.dial = dial
}

// Takes reports whether a request goes this way.
func (s *Short) Takes(r *http.Request) bool { return s.plain.takes(r) }

// RoundTrip sends a request this way only.
func (s *Short) RoundTrip(r *http.Request) (*http.Response, error) { return s.plain.roundTrip(r) }

// Idle counts the connections that are kept.
func (s *Short) Idle() int {
	s.plain.idle.mu.Lock()
	defer s.plain.idle.mu.Unlock()
	return s.plain.idle.total
}

// IdleTo counts the connections that are kept to one address.
func (s *Short) IdleTo(address string) int {
	s.plain.idle.mu.Lock()
	defer s.plain.idle.mu.Unlock()
	return len(s.plain.idle.hosts[address])
}

// Close closes what is idle.
func (s *Short) Close() { s.closeIdle() }

// Unwrap gives the connection below.
func (c bodyConn) Unwrap() net.Conn { return c.Conn }
