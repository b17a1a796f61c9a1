package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/metrics"
	"gpt-load/internal/provider"
	"gpt-load/internal/snapshot"
	"gpt-load/internal/tracing"
)

// maxBody is the largest request body taken at all, in bytes. Bodies beyond replayLimit are streamed.
const maxBody = 1 << 30

// exchange is the state of one client request.
type exchange struct {
	h       *Handler
	w       http.ResponseWriter
	r       *http.Request
	started time.Time
	snap    *snapshot.Snapshot
	record  *fleet.RequestRecord
	signals *metrics.Group // of the group that was asked
	trace   *tracing.Request

	group  *snapshot.Group // the group that was asked
	format provider.Format
	ask    ask

	deadline   time.Time // request_timeout
	candidates []*candidate
	failed     keypool.Tried   // keys that failed as keys: never again in this request
	avoided    keypool.Tried   // those and keys whose attempt failed otherwise: only if there is no other
	faulty     []fleet.GroupID // members of an aggregate whose upstream failed
	waited     bool            // for a resting key

	reading   bool      // the request's body was asked for
	explains  bool      // the client asked how its request was served
	committed bool      // the response header went out
	aborted   bool      // the answer has begun and cannot be completed
	sent      int64     // body bytes written to the client
	extended  time.Time // when the write deadline was last moved
	written   time.Time // when the last chunk went out

	queued     time.Duration // waiting for a place, or for a resting key
	bodyTook   time.Duration // waiting for the body
	firstToken time.Duration // of a stream: from the start to its first content
	capture    *capture
}

// route finds the group and refuses paths that could leave their place. An unknown group is refused in auth, so that it
// looks like a wrong key.
func (x *exchange) route() bool {
	name, path, query, ok := splitTarget(x.r.RequestURI)
	x.ask.method, x.ask.path, x.ask.query = x.r.Method, path, query
	x.ask.bareQuery = query == "" && strings.HasSuffix(x.r.RequestURI, "?")
	x.record.Method, x.record.Path = x.r.Method, path
	x.record.UserAgent = x.r.UserAgent()
	if x.snap != nil && ok {
		x.group, _ = x.snap.Group(name)
	}
	channel := fleet.Channel("")
	if x.group != nil {
		channel = x.group.Channel
		x.record.GroupID, x.record.GroupName = x.group.ID, x.group.Name
	}
	x.format = provider.FormatOf(channel, path)
	x.signals = x.h.Metrics.Group(x.record.GroupID)
	switch {
	case !ok:
		return x.refuse(http.StatusNotFound, "not_found", "the path is /proxy/{group}/{path of the provider's API}")
	case x.snap == nil:
		return x.refuse(http.StatusServiceUnavailable, "not_ready", "the node is starting and has no configuration yet")
	case hasDotSegment(path):
		return x.refuse(http.StatusBadRequest, "bad_path", "the path holds a dot segment, which could leave its place; send the path without . and .. segments")
	}
	return true
}

// auth tries every credential that came, and removes them all.
func (x *exchange) auth() bool {
	x.ask.clientIP = clientIP(x.r, x.h.TrustedProxies)
	x.record.ClientIP = x.ask.clientIP
	var room [4]provider.Credential
	admitted := false
	for _, c := range provider.Credentials(room[:0], x.r.Header, x.ask.query) {
		fingerprint, ok := x.snap.Admits(x.group, c.Value)
		if ok && !admitted {
			admitted, x.ask.spot, x.record.ProxyKeyFingerprint = true, c.Spot, fingerprint
		}
	}
	if !admitted {
		return x.refuse(http.StatusUnauthorized, "invalid_proxy_key",
			"no valid proxy key for this group: send one of its proxy keys as Authorization: Bearer, x-api-key, x-goog-api-key, api-key or ?key=")
	}
	if x.group == nil {
		return x.refuse(http.StatusNotFound, "group_not_found", "no group has this name; GET /api/v1/groups lists them")
	}
	if asked := x.r.Header[explainHeader]; len(asked) > 0 {
		x.explains = asked[0] == "1"
		delete(x.r.Header, explainHeader)
	}
	x.ask.query = provider.StripCredentials(x.r.Header, x.ask.query)
	stripRequest(x.r.Header)
	x.ask.header = x.r.Header
	x.trace = x.h.Tracer.Begin(x.r.Context(), x.r.Header, x.started)
	return true
}

// admit takes a place among the requests served at the same time.
func (x *exchange) admit() bool {
	begun := time.Now()
	err := x.h.admission.enter(x.r.Context())
	x.queued = time.Since(begun)
	switch {
	case err == nil:
		return true
	case errors.Is(err, errOverloaded):
		return x.fail(provider.GatewayError{
			Status: http.StatusServiceUnavailable, Code: "overloaded", RetryAfter: time.Second,
			Message: fmt.Sprintf("the node serves %d requests at the same time (MAX_CONCURRENT_REQUESTS) and its queue is full", x.h.MaxConcurrent),
		})
	default:
		x.clientGone()
		return false
	}
}

// readBody takes the body and finds the model in it.
func (x *exchange) readBody() bool {
	if x.r.ContentLength > maxBody {
		return x.refuse(http.StatusRequestEntityTooLarge, "body_too_large",
			fmt.Sprintf("the body has %d bytes; the limit is %d", x.r.ContentLength, maxBody))
	}
	x.reading = true
	begun := time.Now()
	b, err := readBody(x.w, x.r, x.h.ReadTimeout)
	x.bodyTook = time.Since(begun)
	if err != nil {
		x.bodyBroke(err)
		return false
	}
	x.ask.body = b
	x.ask.findModel(x.group.Channel)
	x.record.ModelAsked, x.record.Stream = x.ask.model, x.ask.stream
	x.record.RequestBytes = max(b.length, int64(len(b.data)))
	if x.group.Settings.RequestBodyLogging {
		x.capture = newCapture(b)
	}
	return true
}

// bodyBroke ends the exchange when the request's body cannot be read to its end. A client that is still there is told why.
func (x *exchange) bodyBroke(err error) {
	e := provider.GatewayError{Status: http.StatusBadRequest, Code: "body_broken"}
	switch {
	case errors.Is(err, errBodyTooLong):
		e.Status, e.Code = http.StatusRequestEntityTooLarge, "body_too_large"
		e.Message = fmt.Sprintf("the body is longer than %d bytes, which is the limit", maxBody)
	case errors.Is(err, os.ErrDeadlineExceeded): // before the next: net/http ends the context for our own deadline too
		e.Message = fmt.Sprintf("the request body could not be read to its end within SERVER_READ_TIMEOUT (%s for each MiB)", x.h.ReadTimeout)
	case x.r.Context().Err() != nil:
		x.left()
		return
	default:
		e.Message = "the request body is not framed as HTTP/1.1 asks: a chunk's length or a trailer is malformed, or the end is missing"
	}
	if x.committed { // an answer that came before the whole body was sent
		x.aborted = true
		x.note(fleet.StatusClientGone, fleet.ClassCanceled, e.Code)
		return
	}
	// The rest of a broken body must not be taken for the next request.
	x.w.Header().Set("Connection", "close")
	x.fail(e)
}

// refuse answers with an error of the gateway. It returns false, as every stage does that ends the request.
func (x *exchange) refuse(status int, code, message string) bool {
	return x.fail(provider.GatewayError{Status: status, Code: code, Message: message})
}

func (x *exchange) fail(e provider.GatewayError) bool {
	x.note(e.Status, fleet.ClassGateway, e.Code)
	e.RequestID = x.record.ID.String()
	if x.record.ID == (fleet.RecordID{}) {
		x.record.ID = fleet.NewRecordID(x.started)
		e.RequestID = x.record.ID.String()
	}
	x.extendWrite(time.Now())
	if !x.reading {
		boundUnread(x.w, x.r, x.h.ReadTimeout)
	}
	x.committed = true
	x.closeIfLeaving()
	x.explain()
	provider.WriteError(x.w, x.format, e)
	return false
}

// boundUnread bounds the wait for a body that nobody reads: net/http swallows a short one before it sends the answer, and
// would wait for a client that never sends it until the connection ends.
func boundUnread(w http.ResponseWriter, r *http.Request, timeout time.Duration) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout))
	}
}

// note sets how the record ends. What came first wins, so that a relay error does not hide its cause.
func (x *exchange) note(status int, class fleet.Class, why string) {
	if x.record.Class != "" {
		return
	}
	x.record.Status, x.record.Class, x.record.Error = status, class, why
}

// clientGone ends the exchange when its client went away, or looks as if: the node may be stopping, or the body be broken.
func (x *exchange) clientGone() {
	switch b := x.ask.body; {
	case x.stopping():
		x.stopped()
	case b != nil && b.broken.err() != nil:
		x.bodyBroke(b.broken.err())
	default:
		x.left()
	}
}

// left ends the exchange of a client that left. The transfer is aborted even when nothing went out: a client that
// only closed its sending side would take net/http's implied 200 for an answer.
func (x *exchange) left() {
	x.aborted = true
	x.note(fleet.StatusClientGone, fleet.ClassCanceled, "the client closed the connection")
}

// ErrStopping is the cause that ends the context of requests which outlive the node's grace.
var ErrStopping = fmt.Errorf("the node is shutting down: %w", context.Canceled)

// stopping reports whether it is the node that ends this request.
func (x *exchange) stopping() bool { return errors.Is(context.Cause(x.r.Context()), ErrStopping) }

// stopped ends the exchange of a node that shuts down. Nobody else is blamed for it.
func (x *exchange) stopped() {
	if x.committed {
		x.aborted = true
		x.note(http.StatusServiceUnavailable, fleet.ClassGateway, codeStopping)
		return
	}
	x.fail(provider.GatewayError{
		Status: http.StatusServiceUnavailable, Code: codeStopping, RetryAfter: time.Second,
		Message: "the node shuts down and the time it leaves its requests (SERVER_GRACEFUL_SHUTDOWN_TIMEOUT) is over; try again",
	})
}

// closeIfLeaving tells the client to take another connection for its next request, of a request that came before the
// shutdown, too.
func (x *exchange) closeIfLeaving() {
	if x.h.Leaving != nil && x.h.Leaving() {
		x.w.Header()["Connection"] = []string{"close"}
	}
}

const codeStopping = "shutting_down"

// extendWrite moves the write deadline with progress, so that SERVER_WRITE_TIMEOUT bounds one write and never cuts a
// live stream. Moving it takes a lock in the runtime; a quarter of the timeout is near enough.
func (x *exchange) extendWrite(now time.Time) {
	if x.h.WriteTimeout > 0 && now.Sub(x.extended) > x.h.WriteTimeout/4 {
		x.extended = now
		_ = http.NewResponseController(x.w).SetWriteDeadline(now.Add(x.h.WriteTimeout))
	}
}

// end runs exactly once for each request, whatever happened, a panic included.
func (x *exchange) end() {
	if fault := recover(); fault != nil && fault != http.ErrAbortHandler { //nolint:errorlint // net/http compares this value the same way
		x.panicked(fault)
	}
	x.finishRecord()
	if x.aborted {
		panic(http.ErrAbortHandler)
	}
}

func (x *exchange) panicked(fault any) {
	// The value of a panic may quote what it stumbled over: a body, a key. Its type and the stack say enough.
	x.h.Log.Error("panic while serving a request", zap.String("group", x.record.GroupName),
		zap.String("type", fmt.Sprintf("%T", fault)), zap.ByteString("stack", debug.Stack()))
	x.record.Class = ""
	if x.committed {
		x.note(http.StatusInternalServerError, fleet.ClassGateway, "internal_error")
		x.aborted = true
		return
	}
	x.refuse(http.StatusInternalServerError, "internal_error", "the gateway met a defect of its own; the log has the details under the request id")
}

// finishRecord completes the record and hands it over.
func (x *exchange) finishRecord() {
	r := x.record
	r.StartedAt, r.Duration, r.ResponseBytes = x.started, time.Since(x.started), x.sent
	if r.Class == "" {
		r.Class = fleet.ClassOK
	}
	firstToken := x.firstToken
	if firstToken == 0 && r.Stream && r.Class == fleet.ClassOK {
		firstToken = r.TimeToFirstByte // it stayed silent for so long that its beginning was let go unseen
	}
	x.signals.Request(r, firstToken)
	if r.ID == (fleet.RecordID{}) {
		r.ID = fleet.NewRecordID(x.started)
	}
	x.h.AccessLog.Record(r)
	if x.trace != nil {
		x.trace.End(r, x.group.Channel)
	}
	if r.Class == fleet.ClassGateway && r.GroupID == 0 {
		// Nobody's group, nobody's key: recording such requests would let anybody on the network fill the disk.
		return
	}
	if x.capture != nil {
		r.Capture = x.capture.take()
	}
	x.h.Recorder.Record(r)
}

// gone reports whether the client has left.
func (x *exchange) gone() bool {
	return errors.Is(x.r.Context().Err(), context.Canceled) && !x.stopping()
}

// clip bounds what goes into a record.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}
