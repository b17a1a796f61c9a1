package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"gpt-load/internal/keypool"
	"gpt-load/internal/provider"
	"gpt-load/internal/snapshot"
	"gpt-load/internal/upstream"
)

// errorPrefix is how much of an error answer is read and judged, in bytes.
const errorPrefix = 64 << 10

// timeoutError says which of our limits ended an attempt. It is a net.Error, so provider.Judge sees a timeout.
type timeoutError string

func (e timeoutError) Error() string { return string(e) + " passed" }

// Timeout implements net.Error.
func (timeoutError) Timeout() bool { return true }

// Temporary implements net.Error.
func (timeoutError) Temporary() bool { return true }

// Why an attempt was ended by us. The texts are the names of the settings.
const (
	errRequestTimeout = timeoutError("request_timeout")
	errFirstToken     = timeoutError("first_token_timeout")
	errStreamIdle     = timeoutError("stream_idle_timeout")
)

var (
	errAttemptOver = errors.New("the attempt is over")
	// errStatus refuses what no client may see as an answer: net/http takes any three digits for a status, and hands out
	// a 101 although no Upgrade is ever asked for (RFC 9110 section 15).
	errStatus = errors.New("malformed HTTP response: a status code below 200")
)

// call is one request to one address with one key. close must follow.
type call struct {
	cancel context.CancelCauseFunc
	ctx    context.Context
	watch  *watch

	response *http.Response
	err      error // in place of response
	kind     provider.Kind
	// held is the part of the body that was read before the answer was judged; ended tells that it is all of it.
	held    []byte
	ended   bool
	quotes  bool    // the answer is an error that repeats the key
	relayed int     // how much of held the client already has
	buffer  *[]byte // what held and the relay's chunks stand in; given back by close
}

// send runs one request up to the upstream's response header. The deadline bounds the time until the body is
// complete, or, for a stream, until relay turns to the idle timeout.
func (h *Handler) send(parent context.Context, a *ask, p *prepared, pick keypool.Pick, address *upstream.Address, first bool, deadline time.Time) *call {
	c := &call{}
	c.ctx, c.cancel = context.WithCancelCause(parent)
	c.watch = newWatch(c.cancel, deadline, p.group.Settings.FirstTokenTimeout, a.stream)
	request := a.request(c.ctx, p, pick, address, first)
	transport := h.Transports.For(p.group.Transport)
	c.response, c.err = transport.RoundTrip(request) //nolint:bodyclose // call.close does
	if c.err != nil && isStale(c.err) && p.repeatable(a) && c.ctx.Err() == nil {
		// The upstream closed an idle connection at the moment we used it: nobody's fault, and nothing was answered.
		request.Body = a.body.reader(p.data)
		c.response, c.err = transport.RoundTrip(request) //nolint:bodyclose // call.close does
	}
	if c.err == nil && c.response.StatusCode < http.StatusOK {
		_ = c.response.Body.Close()
		c.response, c.err = nil, errStatus
	}
	if c.err != nil {
		c.err = causeOf(c, c.err)
		return c
	}
	if !isEncoded(c.response.Header) { // behind a compression every answer is binary
		c.kind = provider.KindOf(c.response.Header)
	}
	return c
}

// isStale recognises net/http's unexported error for a pooled connection that the server closed first.
func isStale(err error) bool {
	return strings.Contains(err.Error(), "server closed idle connection")
}

func (p *prepared) repeatable(a *ask) bool { return a.body.whole }

// request builds what goes out. first tells that the client's header may be used as it is; later attempts copy it,
// because the transport of an earlier one may still be reading it.
func (a *ask) request(ctx context.Context, p *prepared, pick keypool.Pick, address *upstream.Address, first bool) *http.Request {
	header := a.header
	if !first || len(p.group.Rules) > 0 || p.modelList {
		header = header.Clone()
	}
	query := provider.SetCredential(p.group.Channel, p.path, header, p.query, a.spot, pick.Value)
	if p.modelList {
		header["Accept-Encoding"] = []string{"identity"} // the answer is edited
	}
	if a.traceparent != "" {
		header["Traceparent"] = []string{a.traceparent}
		delete(header, "Tracestate")
		if a.tracestate != "" {
			header["Tracestate"] = []string{a.tracestate}
		}
	}
	for _, rule := range p.group.Rules {
		rule.Apply(header, snapshot.Variables{ClientIP: a.clientIP, GroupName: p.group.Name, APIKey: pick.Value.Reveal(), Now: time.Now()})
	}
	request := (&http.Request{}).WithContext(ctx) // the one way to set a context; the rest is set in the copy
	request.Method, request.URL, request.Host, request.Header = a.method, target(address, p.path, query, a.bareQuery), address.Host(), header
	request.Proto, request.ProtoMajor, request.ProtoMinor = "HTTP/1.1", 1, 1
	request.Body, request.ContentLength = a.body.reader(p.data), int64(len(p.data))
	if !a.body.whole {
		request.ContentLength = a.body.length
	}
	// An empty Idempotency-Key under this name is never sent. It lets net/http repeat a request on a fresh connection
	// when a pooled one turned out to be closed before anything was received (net/http Transport, "idempotent").
	if a.body.whole && header["X-Idempotency-Key"] == nil && header["Idempotency-Key"] == nil {
		header["X-Idempotency-Key"] = []string{}
		data := p.data
		request.GetBody = func() (io.ReadCloser, error) { return a.body.reader(data), nil }
	}
	return request
}

// target joins base and path without touching a byte of the path: Opaque is written to the wire as it is.
func target(address *upstream.Address, path, query string, bareQuery bool) *url.URL {
	base := address.URL()
	full := strings.TrimSuffix(base.EscapedPath(), "/") + path
	if full == "" {
		full = "/"
	}
	if strings.HasPrefix(full, "//") {
		// url.URL would read the first segment as a host; the absolute form says the same to every server.
		full = "//" + base.Host + full
	}
	return &url.URL{Scheme: base.Scheme, Host: base.Host, Opaque: full, RawQuery: query, ForceQuery: bareQuery}
}

// readError reads the beginning of an error answer for the verdict.
func (c *call) readError() {
	if c.ended || len(c.held) > 0 {
		return
	}
	c.held = make([]byte, 0, 1024)
	for len(c.held) < errorPrefix {
		if len(c.held) == cap(c.held) {
			c.held = append(c.held, 0)[:len(c.held)]
		}
		n, err := c.response.Body.Read(c.held[len(c.held):min(cap(c.held), errorPrefix)])
		c.held = c.held[:len(c.held)+n]
		if err != nil {
			c.ended = true // also when it broke off: an error answer says enough by its status
			return
		}
	}
}

// close ends the call, whatever its state. The connection is reused only when the body was read to its end.
func (c *call) close() {
	c.watch.stop()
	if c.response != nil {
		_ = c.response.Body.Close()
	}
	c.cancel(errAttemptOver)
	if c.buffer != nil {
		putBuffer(c.buffer)
		c.buffer = nil
	}
}

// watch ends a call that is late. One timer serves the whole call: chunks only note the time.
type watch struct {
	cancel context.CancelCauseFunc
	cause  error // when the deadline passes before idle is set
	idle   atomic.Int64
	last   atomic.Int64 // nanoseconds since the epoch of the last progress
	timer  *time.Timer
	limit  time.Time // request_timeout, which firstToken may precede
}

func newWatch(cancel context.CancelCauseFunc, deadline time.Time, firstToken time.Duration, stream bool) *watch {
	w := &watch{cancel: cancel, cause: errRequestTimeout, limit: deadline}
	wait := time.Until(deadline)
	if stream && firstToken > 0 && firstToken < wait {
		wait, w.cause = firstToken, errFirstToken
	}
	w.timer = time.AfterFunc(wait, w.fire)
	return w
}

func (w *watch) fire() {
	idle := w.idle.Load()
	if idle == 0 {
		w.cancel(w.cause)
		return
	}
	if quiet := time.Now().UnixNano() - w.last.Load(); quiet < idle {
		w.timer.Reset(time.Duration(idle - quiet))
		return
	}
	w.cancel(errStreamIdle)
}

// streaming turns from the deadline to the idle timeout; 0 means none.
func (w *watch) streaming(idle time.Duration) {
	w.timer.Stop()
	if idle <= 0 {
		return
	}
	w.last.Store(time.Now().UnixNano())
	w.idle.Store(int64(idle))
	w.timer.Reset(idle)
}

// answering turns from first_token_timeout, which is for streams, to request_timeout.
func (w *watch) answering() {
	if w.cause == error(errFirstToken) && w.timer.Stop() { //nolint:errorlint // our own value, never wrapped
		w.cause = errRequestTimeout
		w.timer.Reset(time.Until(w.limit))
	}
}

func (w *watch) progress() { w.last.Store(time.Now().UnixNano()) }

func (w *watch) stop() { w.timer.Stop() }
