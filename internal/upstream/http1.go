package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// http1 sends requests with bodies in memory over HTTP/1.1, over TCP and TLS, and reads the answers, on the caller's own
// goroutine. net/http hands each request to a writing and a reading goroutine and back, which costs more than the
// rest of the proxy together. Everything else (HTTP/2, bodies that stream) stays with net/http, whose parser and
// serialiser are used here too. TestHTTP1IsNetHTTP holds the two together, exchange by exchange.
//
// net/http's reading goroutine also watches connections that are idle. Here a look at the connection before each
// further use does that: one that the server closed, or on which it sent what nobody asked for, is not used again.
type http1 struct {
	dial          func(ctx context.Context, to route) (*link, error)
	headerTimeout time.Duration
	idle          idlePool
}

// route is where a connection leads: what has the same route can share connections.
type route struct {
	secured bool     // TLS to the upstream
	host    string   // of the URL: with a port or without; empty with relay
	relay   *url.URL // the http or https proxy that takes requests for any http upstream, in absolute form
}

// address is the upstream's host with its port.
func (r route) address() string {
	if r.secured {
		return hostWithPort(r.host, "443")
	}
	return hostWithPort(r.host, "80")
}

// Bounds of one exchange.
const (
	// largestHTTP1 is the largest body that http1 takes, in bytes. Larger ones gain nothing by it.
	largestHTTP1 = 1 << 20
	// unattended is how much is written without looking whether an answer comes first: less than what a peer that has
	// stopped reading still takes in (tcp_rmem's default is 128 KiB).
	unattended = 64 << 10
	// patience is how long a longer write goes on before it is watched for an early answer.
	patience = time.Second
)

// takes reports whether the request is one for http1.
func (p *http1) takes(r *http.Request) bool {
	switch body := r.Body.(type) {
	case nil:
		return true
	case held:
		return int64(body.Len()) == r.ContentLength && r.ContentLength <= largestHTTP1
	default:
		if r.Body == http.NoBody {
			return r.ContentLength == 0
		}
		// io.NopCloser around a bytes.Reader: net/http knows it, and so do we by the length that its owner gives.
		return r.GetBody != nil && r.ContentLength > 0 && r.ContentLength <= largestHTTP1
	}
}

// errBeforeAnswer marks the failure of a connection that was used before and gave nothing for this request: the
// server had closed it, most likely while it was idle.
type errBeforeAnswer struct{ error }

func (e errBeforeAnswer) Unwrap() error { return e.error }

// roundTrip sends the request. When a connection from the pool turns out to be closed and gave nothing, the request is
// sent once more, on a fresh one, if it is replayable.
//
// The error of a server that refuses HTTP/1.1 leaves the body as it was; see refusesHTTP1.
func (p *http1) roundTrip(r *http.Request, to route) (*http.Response, error) {
	if err := refuses(r); err != nil {
		closeBody(r)
		return nil, err
	}
	if c := p.idle.take(to); c != nil {
		response, err := p.exchange(c, r)
		var stale errBeforeAnswer
		if err == nil || !errors.As(err, &stale) || !replayable(r) {
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
	conn, err := p.dial(r.Context(), to)
	if refusesHTTP1(err) {
		return nil, err
	}
	if err != nil {
		closeBody(r)
		if r.Context().Err() != nil { // the caller's own end, not the address's
			err = context.Cause(r.Context())
		}
		return nil, err
	}
	return p.exchange(newHTTP1Conn(conn, p, to), r)
}

// refusesHTTP1 recognises the alert of a server that speaks HTTP/2 only (RFC 7301 section 3.2). crypto/tls gives it no
// type for connections over TCP.
func refusesHTTP1(err error) bool {
	var connect *ConnectError
	return errors.As(err, &connect) && strings.HasSuffix(connect.Err.Error(), "tls: no application protocol")
}

// refuses says why a request is not sent at all. net/http's serialiser would put spaces for line breaks and let other
// control bytes through; its transport refuses both, and so does this one. Values may be secret and are not quoted.
func refuses(r *http.Request) error {
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("invalid header field name %q", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("invalid header field value for %q", name)
			}
		}
	}
	// A method is a token, as the name of a header is (RFC 9110 section 9.1).
	if r.Method != "" && !httpguts.ValidHeaderFieldName(r.Method) {
		return fmt.Errorf("invalid method %q", r.Method)
	}
	if r.URL.Host == "" {
		return errors.New("no host in the request's URL")
	}
	if r.Context().Err() != nil {
		return context.Cause(r.Context())
	}
	return nil
}

// replayable is net/http's rule: the body can be had again, and doing the request twice does no harm, by its method
// (RFC 9110 section 9.2.2) or because its sender says so.
func replayable(r *http.Request) bool {
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return false
	}
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	_, idempotent := r.Header["Idempotency-Key"]
	_, xIdempotent := r.Header["X-Idempotency-Key"]
	return idempotent || xIdempotent
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// exchange writes the request and reads the answer's header. The connection is the answer's from then on.
func (p *http1) exchange(c *http1Conn, r *http.Request) (*http.Response, error) {
	c.received, c.readBroke, c.writeBroke, c.headerLeft = false, false, false, maxResponseHeader
	// Cancelling closes the connection, which ends every read and write on it at once.
	c.uncancel = context.AfterFunc(r.Context(), c.kill)
	response, err := c.send(r, p.headerTimeout)
	if err != nil {
		c.discard()
		if r.Context().Err() != nil {
			return nil, context.Cause(r.Context())
		}
		if c.used && !c.received && !isTimeout(err) { // who is silent is not gone
			err = errBeforeAnswer{err}
		}
		return nil, err
	}
	c.used = true
	// A status below 200 is no answer that anything can follow; 101 least of all, which nobody here asks for.
	last := response.Close || r.Close || c.writeBroke || response.StatusCode < http.StatusOK
	if response.Body == http.NoBody || response.StatusCode == http.StatusSwitchingProtocols {
		c.finish(last)
		response.Body = http.NoBody
		return response, nil
	}
	response.Body = &http1Body{ctx: r.Context(), from: response.Body, conn: c, last: last}
	return response, nil
}

// http1Conn is one connection. Only one goroutine uses it at a time, but for kill.
type http1Conn struct {
	link   *link
	socket *link // link's lowest layer
	pool   *http1
	to     route
	r      *bufio.Reader
	w      *bufio.Writer

	used       bool          // an exchange went well on it
	received   bool          // something of this answer came
	readBroke  bool          // the answer could not be read to its end
	writeBroke bool          // this request could not be written to its end
	headerLeft int           // bytes that the header may still have; below 0 outside of it
	watch      chan struct{} // closed when the watch over a long write has ended; nil without one
	uncancel   func() bool
	dead       atomic.Bool
	idleUntil  time.Time // in the pool
}

func newHTTP1Conn(l *link, p *http1, to route) *http1Conn {
	c := &http1Conn{link: l, socket: l.socket(), pool: p, to: to}
	c.r, c.w = bufio.NewReader(c), bufio.NewWriter(c)
	return c
}

// send writes the request and reads the header of the final answer.
func (c *http1Conn) send(r *http.Request, headerTimeout time.Duration) (*http.Response, error) {
	write := r.Write
	if c.to.relay != nil {
		write = forRelay(r, c.to.relay).WriteProxy
	}
	writeErr := write(c.w)
	if writeErr == nil {
		writeErr = c.w.Flush()
	}
	if writeErr != nil {
		if c.dead.Load() || !c.writeBroke {
			return nil, writeErr
		}
		// A server may refuse a body without reading it all: its answer counts more than the broken write.
		if writeErr != errUnread { //nolint:errorlint // our own value, which nothing wraps
			headerTimeout = patience
		}
	}
	if headerTimeout > 0 {
		_ = c.link.SetReadDeadline(time.Now().Add(headerTimeout))
	}
	response, err := c.readHeader(r)
	if err != nil {
		if writeErr != nil && writeErr != errUnread { //nolint:errorlint // see above
			return nil, writeErr
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, headerTimeoutError{headerTimeout}
		}
		return nil, err
	}
	if headerTimeout > 0 {
		_ = c.link.SetReadDeadline(time.Time{})
	}
	return response, nil
}

// readHeader passes over interim answers (RFC 9110 section 15.2). All headers together have the bound of one.
func (c *http1Conn) readHeader(r *http.Request) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(c.r, r)
		if err != nil && !c.readBroke { // net/http's parser says what it met, and not always that it should not be
			return nil, fmt.Errorf("malformed HTTP response: %w", err)
		}
		if err != nil {
			return nil, err
		}
		if response.StatusCode/100 != 1 || response.StatusCode == http.StatusSwitchingProtocols {
			c.headerLeft = -1
			return response, nil
		}
	}
}

// Read implements io.Reader for the buffered reader and bounds the header.
func (c *http1Conn) Read(b []byte) (int, error) {
	if c.headerLeft == 0 {
		c.readBroke = true
		return 0, fmt.Errorf("the answer's header is longer than %d bytes", maxResponseHeader)
	}
	n, err := c.link.Read(b)
	c.received, c.readBroke = c.received || n > 0, err != nil
	if c.headerLeft > 0 {
		c.headerLeft = max(c.headerLeft-n, 0)
	}
	return n, err
}

// Write implements io.Writer for the buffered writer.
func (c *http1Conn) Write(b []byte) (int, error) {
	n, err := c.write(b)
	c.writeBroke = c.writeBroke || err != nil
	return n, err
}

// write sends a part of the request. A server may answer before it has read all of it, and stop reading: a write that
// stands is watched for that.
func (c *http1Conn) write(b []byte) (int, error) {
	if len(b) <= unattended {
		return c.link.Write(b)
	}
	c.socket.stalled = c.stalled
	_ = c.socket.SetWriteDeadline(time.Now().Add(patience))
	n, err := c.link.Write(b)
	c.socket.stalled = nil
	if c.watch != nil {
		_ = c.socket.SetReadDeadline(time.Unix(1, 0))
		<-c.watch
		c.watch = nil
		_ = c.socket.SetReadDeadline(time.Time{})
	}
	_ = c.socket.SetWriteDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errUnread // not the deadline, which would look as if the server were silent
	}
	return n, err
}

var errUnread = errors.New("the server answers before it has read the request")

// stalled is called when a write has met its deadline. The first time it goes on without one, and another goroutine
// waits for what the server says meanwhile, which ends the write.
func (c *http1Conn) stalled() bool {
	if c.watch != nil {
		return false
	}
	_ = c.socket.SetWriteDeadline(time.Time{})
	c.watch = make(chan struct{})
	go func() {
		defer close(c.watch)
		_, _ = c.r.Peek(1)
		_ = c.socket.SetWriteDeadline(time.Unix(1, 0))
	}()
	return true
}

// ReadFrom implements io.ReaderFrom, so that a body in memory leaves in one write.
func (c *http1Conn) ReadFrom(r io.Reader) (int64, error) {
	return readHeld(struct{ io.Writer }{c}, r)
}

// kill closes the connection from another goroutine. It does not wait to tell the other side (TLS would, up to 5 s).
func (c *http1Conn) kill() {
	c.dead.Store(true)
	_ = c.socket.Close()
}

// discard ends a connection in the middle of an exchange.
func (c *http1Conn) discard() {
	c.uncancel()
	_ = c.socket.Close()
}

// close ends a connection between two exchanges; over TLS the other side is told.
func (c *http1Conn) close() { _ = c.link.Close() }

// finish gives the connection back, unless something speaks against using it again: the server said so, somebody
// cancelled, or bytes came that nobody asked for.
func (c *http1Conn) finish(last bool) {
	if !c.uncancel() || c.readBroke || c.writeBroke || c.r.Buffered() > 0 {
		_ = c.socket.Close()
		return
	}
	if last {
		c.close()
		return
	}
	c.pool.idle.put(c)
}

// http1Body is the body of an answer; its end gives the connection back.
type http1Body struct {
	ctx  context.Context // the request's, which ends the body too
	from io.ReadCloser
	conn *http1Conn // nil after the end
	last bool
	err  error // what further reads give
}

var errBodyClosed = errors.New("read on closed response body")

// Read implements io.Reader.
func (b *http1Body) Read(p []byte) (int, error) {
	if b.conn == nil {
		return 0, b.err
	}
	n, err := b.from.Read(p)
	if err == nil {
		return n, nil
	}
	c := b.conn
	b.conn, b.err = nil, err
	if err == io.EOF {
		c.finish(b.last)
		return n, err
	}
	c.discard()
	if b.ctx.Err() != nil {
		b.err = context.Cause(b.ctx) // why the connection was closed under the read
	}
	return n, b.err
}

// Close implements io.Closer. A body that was not read to its end costs the connection: reading on could take for ever.
func (b *http1Body) Close() error {
	if b.conn != nil {
		b.conn.discard()
		b.conn, b.err = nil, errBodyClosed // never io.EOF: half an answer must not look like a whole one
	}
	return nil
}

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
