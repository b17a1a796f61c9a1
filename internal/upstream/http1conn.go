package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// http1Conn is one connection. Only one goroutine uses it at a time, but for kill. Between two exchanges, and while an
// answer's body is waited for, it holds no buffer.
type http1Conn struct {
	link   *link
	socket *link // link's lowest layer
	pool   *http1
	to     route
	in     inbox
	out    requestWriter
	kill   func() // closes from another goroutine

	used       bool          // an exchange went well on it
	received   bool          // something of this answer came
	fault      error         // what ended the reading: a socket tells only once that it was reset
	readBroke  bool          // the answer could not be read to its end, or there is more behind it
	writeBroke bool          // this request could not be written to its end
	headerLeft int           // bytes that the header may still have
	watch      chan struct{} // closed when the watch over a long write has ended; nil without one
	uncancel   func() bool
	dead       atomic.Bool
	idleUntil  time.Time // in the pool
}

func newHTTP1Conn(l *link, p *http1, to route) *http1Conn {
	c := &http1Conn{link: l, socket: l.socket(), pool: p, to: to}
	c.out.conn = c
	c.kill = func() {
		c.dead.Store(true)
		_ = c.socket.Close() // which tells the other side nothing: TLS would, and wait for it up to 5 s
	}
	return c
}

// exchange writes the request and reads the answer's header. The connection is the answer's from then on.
func (c *http1Conn) exchange(r *http.Request, head []byte) (*http.Response, error) {
	c.received, c.readBroke, c.writeBroke, c.headerLeft, c.fault = false, false, false, maxResponseHeader, nil
	// Cancelling closes the connection, which ends every read and write on it at once.
	c.uncancel = context.AfterFunc(r.Context(), c.kill)
	a, err := c.send(r, head)
	if err != nil {
		c.discard()
		if r.Context().Err() != nil {
			return nil, context.Cause(r.Context())
		}
		if c.used && !c.received && (c.writeBroke || c.readBroke) && !isTimeout(err) { // who is silent is not gone
			err = errBeforeAnswer{err}
		}
		return nil, err
	}
	c.used = true
	response := &a.Response
	// A status below 200 is no answer that anything can follow; 101 least of all, which nobody here asks for.
	last := response.Close || c.writeBroke || response.StatusCode < http.StatusOK ||
		r.Close || httpguts.HeaderValuesContainsToken(r.Header["Connection"], "close")
	if response.Body == http.NoBody || response.StatusCode == http.StatusSwitchingProtocols {
		c.finish(last)
		response.Body = http.NoBody
		return response, nil
	}
	a.body.ctx, a.body.conn, a.body.response, a.body.last = r.Context(), c, response, last
	response.Body = &a.body
	return response, nil
}

// send writes the request and reads the header of the final answer.
func (c *http1Conn) send(r *http.Request, head []byte) (*answer, error) {
	headerTimeout := c.pool.headerTimeout
	writeErr := c.write(r, head)
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
		_ = c.socket.SetReadDeadline(time.Now().Add(headerTimeout))
	}
	a, err := c.readAnswer(r)
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
		_ = c.socket.SetReadDeadline(time.Time{})
	}
	return a, nil
}

// write sends the request: in one piece when it is small, and a large body without copying it.
func (c *http1Conn) write(r *http.Request, head []byte) error {
	defer closeBody(r)
	if r.ContentLength <= unattended {
		return c.out.send(head, r)
	}
	c.attend()
	return c.attended(c.out.send(head, r))
}

var errUnread = errors.New("the server answers before it has read the request")

// attend begins a long write. A server may answer before it has read all of it, and stop reading: a write that takes
// longer is watched for that.
func (c *http1Conn) attend() {
	c.socket.stalled = c.stalled
	_ = c.socket.SetWriteDeadline(time.Now().Add(patience))
}

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
		_ = c.fill()
		_ = c.socket.SetWriteDeadline(time.Unix(1, 0))
	}()
	return true
}

// attended ends the watch over a write that ended with err.
func (c *http1Conn) attended(err error) error {
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
	return err
}

// read reads from the connection past what is buffered, and bounds the header.
func (c *http1Conn) read(p []byte) (int, error) {
	if c.fault != nil {
		return 0, c.fault
	}
	n, err := c.link.Read(p)
	c.received, c.readBroke = c.received || n > 0, err != nil
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.fault = err
	}
	return n, err
}

// fill reads once into the inbox, which must have room.
func (c *http1Conn) fill() error {
	if c.headerLeft == 0 {
		c.readBroke = true
		return errHeaderTooLong
	}
	room := c.in.room()
	n, err := c.read(room[:min(len(room), c.headerLeft)])
	c.in.grow(n)
	c.headerLeft -= n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

var errHeaderTooLong = fmt.Errorf("the answer's header is longer than %d bytes", maxResponseHeader)

// Read gives net/http's parser what was received and what follows, within the bound of a header.
func (c *http1Conn) Read(p []byte) (int, error) {
	if n := c.in.read(p); n > 0 {
		return n, nil
	}
	if c.headerLeft == 0 {
		c.readBroke = true
		return 0, errHeaderTooLong
	}
	n, err := c.read(p)
	c.headerLeft = max(c.headerLeft-n, 0)
	return n, err
}

// take reads a part of the body.
func (c *http1Conn) take(p []byte) (int, error) {
	if n := c.in.read(p); n > 0 {
		return n, nil
	}
	return c.read(p)
}

// discard ends a connection in the middle of an exchange.
func (c *http1Conn) discard() {
	c.uncancel()
	c.in.release()
	_ = c.socket.Close()
}

// close ends a connection between two exchanges; over TLS the other side is told.
func (c *http1Conn) close() { _ = c.link.Close() }

// finish gives the connection back, unless something speaks against using it again: the server said so, somebody
// cancelled, or bytes came that nobody asked for.
func (c *http1Conn) finish(last bool) {
	surplus := c.in.held() > 0
	c.in.release()
	if !c.uncancel() || c.readBroke || c.writeBroke || surplus {
		_ = c.socket.Close()
		return
	}
	if last {
		c.close()
		return
	}
	c.pool.idle.put(c)
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

// requestWriter sends a request's head, which stands in a buffer with room behind it, and its body.
type requestWriter struct {
	conn *http1Conn
	head []byte
	left int64 // bytes of the body that are to come
}

// send writes the whole request. The body has to have the length that the head says: what is more would be taken for
// the next request.
func (w *requestWriter) send(head []byte, r *http.Request) error {
	w.head, w.left = head, r.ContentLength
	defer func() { w.head = nil }()
	if r.ContentLength > 0 {
		var err error
		if body, ok := r.Body.(io.WriterTo); ok {
			_, err = body.WriteTo(w)
		} else {
			_, err = io.Copy(w, r.Body)
		}
		if err != nil {
			return err
		}
	}
	if w.left > 0 {
		return fmt.Errorf("the request's body is %d bytes shorter than its ContentLength of %d", w.left, r.ContentLength)
	}
	if w.head == nil {
		return nil
	}
	return w.wrote(w.conn.link.Write(w.head))
}

// Write implements io.Writer for the body.
func (w *requestWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		return 0, errors.New("the request's body is longer than its ContentLength")
	}
	w.left -= int64(len(p))
	head := w.head
	w.head = nil
	if head == nil {
		n, err := w.conn.link.Write(p)
		return n, w.wrote(n, err)
	}
	if together := len(head) + len(p); w.conn.link.below == nil && together > inBuffer {
		n, err := w.conn.link.writeBoth(head, p)
		return max(n-len(head), 0), w.wrote(n, err)
	}
	// As much as fits beside the head goes with it, in one write and one record of TLS.
	n := min(len(p), cap(head)-len(head))
	if _, err := w.conn.link.Write(append(head, p[:n]...)); err != nil || n == len(p) {
		return n, w.wrote(0, err)
	}
	more, err := w.conn.link.Write(p[n:])
	return n + more, w.wrote(0, err)
}

func (w *requestWriter) wrote(_ int, err error) error {
	w.conn.writeBroke = w.conn.writeBroke || err != nil
	return err
}
