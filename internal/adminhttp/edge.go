package adminhttp

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"
)

// call is what is known of one admin request from its first moment.
type call struct {
	id     string
	client netip.Addr
	secure bool // the client came by TLS
	logger *zap.Logger
	http   *http.Request
	answer http.ResponseWriter
}

type callKey struct{}

// callOf returns the call of a context. A context without one gets an empty call: huma makes an error of its own
// once, without a request, to learn its shape.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{logger: zap.NewNop()}
}

// ServeHTTP is what every admin request passes through: request id, headers, CORS, deadlines, panics and the log.
func (a *API) ServeHTTP(writer http.ResponseWriter, r *http.Request) {
	started := a.Clock()
	w := &answerWriter{ResponseWriter: writer}
	call := a.newCall(r, w)
	w.Header().Set("X-Request-Id", call.id)
	setSecurityHeaders(w.Header())
	if a.CORS.Apply(w.Header(), r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	// The server's own deadlines are for proxied requests; an operation that needs longer extends these.
	call.extend(usualTimeout)
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, call))
	call.http = r
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it the same way
				panic(p)
			}
			answerPanic(w, call, p)
		}
		call.release()
		call.log(w.status, a.Clock().Sub(started))
	}()
	a.route(w, r)
}

// route gives the request to its operation. What the mux would answer itself, 404 and 405, gets our shape.
func (a *API) route(w http.ResponseWriter, r *http.Request) {
	handler, pattern := a.routes.Handler(r)
	if pattern != "" {
		a.routes.ServeHTTP(w, r)
		return
	}
	dry := &dryWriter{header: make(http.Header), status: http.StatusOK}
	handler.ServeHTTP(dry, r)
	if allow := dry.header.Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
	}
	writeProblem(w, r, problemOf(callOf(r.Context()), echo.NewHTTPError(dry.status)))
}

// dryWriter learns the status that a handler would answer with.
type dryWriter struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (d *dryWriter) Header() http.Header { return d.header }

// WriteHeader implements http.ResponseWriter.
func (d *dryWriter) WriteHeader(status int) { d.status = status }

// Write implements http.ResponseWriter.
func (d *dryWriter) Write(p []byte) (int, error) { return len(p), nil }

// answerWriter remembers the status for the log; 0 means that nothing was answered.
type answerWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *answerWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find the connection's deadlines.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (a *API) newCall(r *http.Request, w http.ResponseWriter) *call {
	id := r.Header.Get("X-Request-Id")
	if !validRequestID(id) {
		id = "adm_" + strings.ToLower(rand.Text())
	}
	client, secure := a.clientOf(r)
	return &call{id: id, client: client, secure: secure, logger: a.Logger.With(zap.String("request_id", id)), answer: w}
}

// validRequestID lets through what cannot break a log line or a header.
func validRequestID(id string) bool {
	const longest = 64
	return id != "" && len(id) <= longest && !strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}

// extend moves the connection's deadlines so that reading and answering may take d more from now. A writer
// without deadlines, as in some tests, is left alone. This is wall-clock time, whatever Clock says.
func (c *call) extend(d time.Duration) {
	const forTheAnswer = 30 * time.Second
	controller := http.NewResponseController(c.answer)
	_ = controller.SetReadDeadline(time.Now().Add(d))
	_ = controller.SetWriteDeadline(time.Now().Add(d + forTheAnswer))
}

// release takes back a deadline that net/http would leave to the connection's next request: it sets its own only
// when the server has one.
func (c *call) release() {
	if server, ok := c.http.Context().Value(http.ServerContextKey).(*http.Server); ok && server.WriteTimeout == 0 {
		_ = http.NewResponseController(c.answer).SetWriteDeadline(time.Time{})
	}
}

// log writes one line per request. Paths carry ids only; queries, which may carry more, stay out.
func (c *call) log(status int, took time.Duration) {
	r, write := c.http, c.logger.Debug
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		write = c.logger.Info
	}
	write("admin request", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Int("status", status),
		zap.Duration("took", took), zap.Stringer("client", c.client))
}

// answerPanic logs where it happened, but not the panic's text: it may hold a secret of the request.
func answerPanic(w *answerWriter, call *call, p any) {
	kind := "panic"
	var fromRuntime runtime.Error
	if err, ok := p.(error); ok && errors.As(err, &fromRuntime) {
		kind = fromRuntime.Error() // the runtime's own words: nil pointers, index and slice bounds
	}
	call.logger.Error("admin request panicked", zap.String("panic", kind), zap.ByteString("stack", debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // a half answer must not look like a whole one
	}
	writeProblem(w, call.http, problemOf(call, errPanicked))
}

var errPanicked = errors.New("the handler panicked")

func setSecurityHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	// default-src does not speak for base-uri, form-action and frame-ancestors.
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}
