package rediscluster

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

func dialTCP(ctx context.Context, address string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
	return dialer.DialContext(ctx, "tcp", address)
}

func dialUnix(ctx context.Context, path string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
	return dialer.DialContext(ctx, "unix", path)
}

// handshakeTimeout bounds a TLS handshake. It is below callTimeout so that the first caller hears what is wrong.
const handshakeTimeout = 1500 * time.Millisecond

// dialTLS verifies each server by the host that it is dialled by, where one ServerName would be right for one server only.
func dialTLS(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	plain, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Client(plain, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		if isTimeout(err) || errors.Is(err, io.EOF) {
			err = errors.Join(errHandshake, err)
		}
		return nil, err
	}
	return conn, nil
}

// connections are those that are open, so that Close can end them all: rueidis would wait for what blocks in them.
type connections struct {
	dial func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error)

	mu     sync.Mutex
	conns  map[*connection]bool
	closed bool
}

type connection struct {
	net.Conn
	owner *connections
}

func (c *connections) open(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	inner, err := c.dial(ctx, address, dialer, config)
	if err != nil {
		return nil, err
	}
	conn := &connection{Conn: inner, owner: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.Join(errClosed, inner.Close())
	}
	if c.conns == nil {
		c.conns = make(map[*connection]bool)
	}
	c.conns[conn] = true
	return conn, nil
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.conns, c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

// close ends all connections, also those that are yet to be made.
func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.conns {
		_ = conn.Conn.Close()
	}
}
