package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/accesslog"
	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/metrics"
	"gpt-load/internal/snapshot"
	"gpt-load/internal/tracing"
	"gpt-load/internal/upstream"
)

// Prefix is where the data plane is mounted.
const Prefix = "/proxy/"

// Recorder takes finished records. It must not block.
type Recorder interface {
	// Acquire gives an empty record, perhaps a used one.
	Acquire() *fleet.RequestRecord
	// Record takes the record over.
	Record(*fleet.RequestRecord)
}

// Journal takes changes of keys that the database and other nodes must learn. It must not block.
type Journal interface {
	Add(fleet.KeyChange)
}

// Options are what a Handler works with. All fields are needed but TrustedProxies, CrossOrigin, Metrics,
// AccessLog, Tracer and Leaving.
type Options struct {
	Snapshots      *snapshot.Holder
	Pools          *keypool.Pools
	Routes         *Routes
	Transports     *upstream.Transports
	Recorder       Recorder
	Journal        Journal
	MaxConcurrent  int
	ReadTimeout    time.Duration // for each readStep of a request body
	WriteTimeout   time.Duration // for each write to the client; that of the http.Server around
	TrustedProxies []netip.Prefix
	// CrossOrigin sets what browsers need to see and reports whether the request is a preflight, which ends here;
	// nil leaves it to the providers.
	CrossOrigin func(header http.Header, r *http.Request) (preflight bool)
	Metrics     *metrics.Metrics // nil measures nothing
	AccessLog   *accesslog.Log   // nil writes none
	Tracer      *tracing.Tracer  // nil traces nothing
	// Leaving reports whether clients are to close their connections, because the node shuts down; nil never does.
	Leaving func() bool
	Log     *zap.Logger
}

// Handler serves /proxy/{group}/{path}.
type Handler struct {
	Options
	admission *admission
}

// New makes a handler.
func New(o Options) *Handler {
	return &Handler{Options: o, admission: newAdmission(o.MaxConcurrent)}
}

// InFlight is the number of requests that hold a place now.
func (h *Handler) InFlight() int64 { return h.admission.inFlight.Load() }

// Queued is the number of requests that wait for a place now.
func (h *Handler) Queued() int64 { return h.admission.queued.Load() }

// Overloaded is the number of requests that found no place in time, since the start.
func (h *Handler) Overloaded() int64 { return h.admission.refused.Load() }

// ServeHTTP serves one request. It panics with http.ErrAbortHandler when an answer that has begun cannot be
// completed, which is net/http's way to end a transfer so that the client sees it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.CrossOrigin != nil && h.CrossOrigin(w.Header(), r) {
		boundUnread(w, r, h.ReadTimeout)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	now := time.Now()
	// net/http has just set the write deadline itself.
	x := &exchange{h: h, w: w, r: r, started: now, extended: now, snap: h.Snapshots.Load(), record: h.Recorder.Acquire()}
	defer x.end()
	x.serve()
}

// serve runs the stages; each says whether the request goes on.
func (x *exchange) serve() {
	if !x.route() || !x.auth() || !x.admit() {
		return
	}
	defer x.h.admission.leave()
	if !x.readBody() {
		return
	}
	defer x.ask.body.release()
	x.attempts()
}

// splitTarget takes the group and the path below it from the request target, whose bytes must survive: neither
// r.URL.Path nor EscapedPath keeps every spelling.
func splitTarget(requestURI string) (group, path, query string, ok bool) {
	target, query, _ := strings.Cut(requestURI, "?")
	if !strings.HasPrefix(target, "/") { // absolute form, as sent to proxies
		_, rest, found := strings.Cut(target, "://")
		slash := strings.IndexByte(rest, '/')
		if !found || slash < 0 {
			return "", "", "", false
		}
		target = rest[slash:]
	}
	rest, ok := strings.CutPrefix(target, Prefix)
	if !ok {
		return "", "", "", false
	}
	group, path = rest, ""
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		group, path = rest[:slash], rest[slash:]
	}
	return group, path, query, group != ""
}

var dots = strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", `\`, "/")

// hasDotSegment reports whether a path could climb out of where it is put, whatever the upstream decodes.
func hasDotSegment(path string) bool {
	if !strings.Contains(path, "%") && !strings.Contains(path, "/.") && !strings.Contains(path, `\`) {
		return false
	}
	for segment := range strings.SplitSeq(dots.Replace(path), "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
