package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// plain sends requests with bodies in memory over HTTP/1.1 without TLS, and reads the answers, on the caller's own
// goroutine. net/http hands each request to a writing and a reading goroutine and back, which costs more than the
// rest of the proxy together. Everything else (TLS and HTTP/2, bodies that stream, absolute form for proxies) stays with net/http, whose
// parser and serialiser are used here too.
type plain struct {
	dial          func(ctx context.Context, network, address string) (net.Conn, error)
	headerTimeout time.Duration
	idle          idlePool
}

// Bounds of one exchange.
const (
	// largestPlain is the largest body that plain takes, in bytes. Larger ones gain nothing by it.
	largestPlain = 1 << 20
	// unattended is how much is written without looking whether an answer comes first: less than what a peer that has
	// stopped reading still takes in (tcp_rmem's default is 128 KiB).
	unattended = 64 << 10
	// lookEvery is how often a longer write that makes no progress looks for an early answer.
	lookEvery = time.Second
	// maxInterim is net/http's bound of 1xx answers before the one that counts.
	maxInterim = 5
)

// takes reports whether the request is one for plain.
func (p *plain) takes(r *http.Request) bool {
	switch body := r.Body.(type) {
	case nil:
		return true
	case held:
		return int64(body.Len()) == r.ContentLength && r.ContentLength <= largestPlain
	default:
		if r.Body == http.NoBody {
			return r.ContentLength == 0
		}
		// io.NopCloser around a bytes.Reader: net/http knows it, and so do we by the length that its owner gives.
		return r.GetBody != nil && r.ContentLength > 0 && r.ContentLength <= largestPlain
	}
}

// errBeforeAnswer marks the failure of a connection that was used before and gave nothing for this request: the
// server had closed it, most likely while it was idle.
type errBeforeAnswer struct{ error }

func (e errBeforeAnswer) Unwrap() error { return e.error }

// roundTrip sends the request. A connection from the pool that turns out to be closed is replaced once by a fresh one;
// nothing was received then, and the body can be had again.
func (p *plain) roundTrip(r *http.Request) (*http.Response, error) {
	address := hostWithPort(r.URL.Host, "80")
	c := p.idle.take(address)
	if c != nil {
		response, err := p.exchange(c, r)
		var stale errBeforeAnswer
		if err == nil || !errors.As(err, &stale) || r.Context().Err() != nil || (r.Body != nil && r.Body != http.NoBody && r.GetBody == nil) {
			return response, err
		}
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			again := *r // RoundTrip must not change the request of its caller
			again.Body = body
			r = &again
		}
	}
	nc, err := p.dial(r.Context(), "tcp", address)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	c = &plainConn{conn: nc, pool: p, address: address}
	c.r, c.w = bufio.NewReader(c), bufio.NewWriter(c)
	return p.exchange(c, r)
}

// exchange writes the request and reads the answer's header. The connection is the answer's from then on.
func (p *plain) exchange(c *plainConn, r *http.Request) (*http.Response, error) {
	c.received, c.headerLeft = false, maxResponseHeader
	// Cancelling closes the connection, which ends every read and write on it at once.
	c.uncancel = context.AfterFunc(r.Context(), c.kill)
	response, err := c.send(r, p.headerTimeout)
	if err != nil {
		c.discard()
		if cause := r.Context().Err(); cause != nil {
			return nil, cause
		}
		if c.used && !c.received {
			err = errBeforeAnswer{err}
		}
		return nil, err
	}
	c.used = true
	if response.Body == http.NoBody || response.StatusCode == http.StatusSwitchingProtocols {
		c.finish(response.Close || response.StatusCode == http.StatusSwitchingProtocols)
		response.Body = http.NoBody
		return response, nil
	}
	response.Body = &plainBody{from: response.Body, conn: c, last: response.Close}
	return response, nil
}

// plainConn is one connection. Only one goroutine uses it at a time, but for kill.
type plainConn struct {
	conn    net.Conn
	pool    *plain
	address string
	r       *bufio.Reader
	w       *bufio.Writer

	used       bool // an exchange went well on it
	received   bool // something of this answer came
	headerLeft int  // bytes that the header may still have; below 0 outside of it
	uncancel   func() bool
	dead       atomic.Bool
	idleUntil  time.Time // in the pool
}

// send writes the request and reads the header of the final answer.
func (c *plainConn) send(r *http.Request, headerTimeout time.Duration) (*http.Response, error) {
	writeErr := r.Write(c.w)
	if writeErr == nil {
		writeErr = c.w.Flush()
	}
	if writeErr != nil {
		if c.dead.Load() {
			return nil, writeErr
		}
		// A server may refuse a body without reading it all: its answer counts more than the broken write.
		headerTimeout = lookEvery
	}
	if headerTimeout > 0 {
		_ = c.conn.SetReadDeadline(time.Now().Add(headerTimeout))
	}
	response, err := c.readHeader(r)
	if err != nil {
		if writeErr != nil {
			return nil, writeErr
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, headerTimeoutError{headerTimeout}
		}
		return nil, err
	}
	if headerTimeout > 0 {
		_ = c.conn.SetReadDeadline(time.Time{})
	}
	response.Close = response.Close || writeErr != nil
	return response, nil
}

func (c *plainConn) readHeader(r *http.Request) (*http.Response, error) {
	for range maxInterim + 1 {
		response, err := http.ReadResponse(c.r, r)
		if err != nil {
			return nil, err
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			c.headerLeft = -1
			return response, nil
		}
	}
	return nil, fmt.Errorf("more than %d interim answers", maxInterim)
}

// Read implements io.Reader for the buffered reader and bounds the header.
func (c *plainConn) Read(b []byte) (int, error) {
	if c.headerLeft == 0 {
		return 0, fmt.Errorf("the answer's header is longer than %d bytes", maxResponseHeader)
	}
	n, err := c.conn.Read(b)
	c.received = c.received || n > 0
	if c.headerLeft > 0 {
		c.headerLeft = max(c.headerLeft-n, 0)
	}
	return n, err
}

// Write implements io.Writer for the buffered writer.
func (c *plainConn) Write(b []byte) (int, error) {
	if len(b) <= unattended {
		return c.conn.Write(b)
	}
	defer func() { _ = c.conn.SetWriteDeadline(time.Time{}) }()
	written := 0
	for {
		_ = c.conn.SetWriteDeadline(time.Now().Add(lookEvery))
		n, err := c.conn.Write(b[written:])
		written += n
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.answered() {
			return written, err
		}
	}
}

// answered looks whether an answer has begun although the request is not out yet.
func (c *plainConn) answered() bool {
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.r.Peek(1)
	_ = c.conn.SetReadDeadline(time.Time{})
	return err == nil || !errors.Is(err, os.ErrDeadlineExceeded)
}

// ReadFrom implements io.ReaderFrom, so that a body in memory leaves in one write.
func (c *plainConn) ReadFrom(r io.Reader) (int64, error) {
	return readHeld(struct{ io.Writer }{c}, r)
}

// kill closes the connection from another goroutine.
func (c *plainConn) kill() {
	c.dead.Store(true)
	_ = c.conn.Close()
}

// discard ends a connection that cannot be used again.
func (c *plainConn) discard() {
	c.uncancel()
	_ = c.conn.Close()
}

// finish gives the connection back, unless something speaks against using it again: the server said so, somebody
// cancelled, or bytes came that nobody asked for.
func (c *plainConn) finish(last bool) {
	if !c.uncancel() || last || c.r.Buffered() > 0 {
		_ = c.conn.Close()
		return
	}
	c.pool.idle.put(c)
}

// plainBody is the body of an answer; its end gives the connection back.
type plainBody struct {
	from io.ReadCloser
	conn *plainConn // nil after the end
	last bool
}

// Read implements io.Reader.
func (b *plainBody) Read(p []byte) (int, error) {
	if b.conn == nil {
		return 0, io.EOF
	}
	n, err := b.from.Read(p)
	if err == nil {
		return n, nil
	}
	c := b.conn
	b.conn = nil
	if err == io.EOF {
		c.finish(b.last)
	} else {
		c.discard()
		b.from = brokenBody{err}
		b.conn = c // further reads repeat the error
	}
	return n, err
}

// Close implements io.Closer. A body that was not read to its end costs the connection: reading on could take for ever.
func (b *plainBody) Close() error {
	if b.conn != nil {
		b.conn.discard()
		b.conn = nil
	}
	return nil
}

// brokenBody repeats the error that ended a body.
type brokenBody struct{ err error }

// Read implements io.Reader.
func (b brokenBody) Read([]byte) (int, error) { return 0, b.err }

// Close implements io.Closer.
func (b brokenBody) Close() error { return nil }

// headerTimeoutError says that the header of the answer did not come in time.
type headerTimeoutError struct{ after time.Duration }

// Error uses net/http's words, which people know from there.
func (e headerTimeoutError) Error() string {
	return "timeout awaiting response headers for " + e.after.String()
}

// Timeout implements net.Error.
func (headerTimeoutError) Timeout() bool { return true }

// Temporary implements net.Error.
func (headerTimeoutError) Temporary() bool { return true }
