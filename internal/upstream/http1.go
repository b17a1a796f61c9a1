package upstream

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// http1 sends requests with bodies in memory over HTTP/1.1, over TCP and TLS, and reads the answers, on the caller's own
// goroutine. net/http hands each request to a writing and a reading goroutine and back, which costs more than the
// rest of the proxy together. Everything else (HTTP/2, bodies that stream) stays with net/http, and so do answers whose
// header is not of the usual form: its parser decides about them here too. TestHTTP1IsNetHTTP holds the two together,
// exchange by exchange.
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
	if len(r.TransferEncoding) > 0 || len(r.Trailer) > 0 {
		return false
	}
	switch body := r.Body.(type) {
	case nil:
		return r.ContentLength == 0
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

func isStale(err error) bool {
	var stale errBeforeAnswer
	return errors.As(err, &stale)
}

// roundTrip sends the request. When a connection from the pool turns out to be closed and gave nothing, the request is
// sent once more, on a fresh one, if it is replayable.
//
// The error of a server that refuses HTTP/1.1 leaves the body as it was; see refusesHTTP1.
func (p *http1) roundTrip(r *http.Request, to route) (*http.Response, error) {
	if err := refuses(r); err != nil {
		closeBody(r)
		return nil, err
	}
	buffer := outBuffers.Get().(*[]byte)
	defer outBuffers.Put(buffer) // nobody writes any more when this returns
	head, err := appendHead((*buffer)[:0], r, to.relay)
	if err != nil {
		closeBody(r)
		return nil, err
	}
	if c := p.idle.take(to); c != nil {
		response, err := c.exchange(r, head)
		if err == nil || !isStale(err) || !replayable(r) {
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
	return newHTTP1Conn(conn, p, to).exchange(r, head)
}

// refusesHTTP1 recognises the alert of a server that speaks HTTP/2 only (RFC 7301 section 3.2). crypto/tls gives it no
// type for connections over TCP.
func refusesHTTP1(err error) bool {
	var connect *ConnectError
	return errors.As(err, &connect) && strings.HasSuffix(connect.Err.Error(), "tls: no application protocol")
}

// refuses says why a request is not sent at all; see appendHead for the rest.
func refuses(r *http.Request) error {
	if r.URL.Host == "" {
		return errors.New("no host in the request's URL")
	}
	if r.Header == nil {
		return errors.New("the request's Header is nil")
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
