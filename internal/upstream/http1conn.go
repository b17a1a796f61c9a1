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
	until      time.Time     // the deadline for reads that the socket has; zero for none
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
	c.bound(headerTimeout)
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
	return a, nil
}

// bound sets a deadline for reads. Most answers come in one piece, and the next exchange bounds its reads again, so that a
// deadline that is right but for a hundredth stays as it is: setting it costs as much as reading a header.
func (c *http1Conn) bound(timeout time.Duration) {
	if timeout <= 0 {
		c.unbound()
		return
	}
	earliest, tolerance := time.Now().Add(timeout), timeout/100
	if c.until.Before(earliest) || c.until.After(earliest.Add(tolerance)) {
		c.until = earliest.Add(tolerance)
		_ = c.socket.SetReadDeadline(c.until)
	}
}

// unbound takes the deadline away: bodies may take their time.
func (c *http1Conn) unbound() {
	if !c.until.IsZero() {
		c.until = time.Time{}
		_ = c.socket.SetReadDeadline(c.until)
	}
}

// quiet reports whether the connection can be used for an exchange; see link.
func (c *http1Conn) quiet() bool {
	if !c.until.IsZero() && !time.Now().Before(c.until) {
		c.unbound() // the deadline of an exchange that is over
	}
	return c.link.quiet()
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
		c.until = time.Unix(1, 0)
		_ = c.socket.SetReadDeadline(c.until)
		<-c.watch
		c.watch = nil
		c.unbound()
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
	c.received = c.received || n > 0
	if err == errNothing { //nolint:errorlint // our own value, which nothing wraps
		return n, err
	}
	c.readBroke = err != nil
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
	c.unbound()
	return c.read(p)
}

// takeAll reads a part of the body and all that is there behind it already: TLS gives a record at a time, and the bytes that
// came with the header are few. What is read in fewer pieces goes to the client in fewer, and each costs a call of the
// kernel.
func (c *http1Conn) takeAll(p []byte) (int, error) {
	buffered := c.in.held() > 0
	n, err := c.take(p)
	if err != nil || n == len(p) || !buffered && c.link.below == nil {
		return n, err
	}
	c.unbound()
	for n < len(p) {
		c.link.now = true
		more, err := c.read(p[n:])
		c.link.now = false
		if n += more; err != nil {
			break // if it is more than that nothing is there, it comes again
		}
		if c.link.below == nil {
			break
		}
	}
	return n, nil
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
