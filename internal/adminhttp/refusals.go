package adminhttp

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/audit"
)

// Wrong keys are events, and anybody can send them: what they may make this node write is bounded.
const (
	refusalWindow  = time.Minute
	refusalsWindow = 30 // events in a window
	refusalTimeout = 2 * time.Second
)

// refusals counts the wrong keys that are not written down. It is safe for concurrent use.
type refusals struct {
	mu      sync.Mutex
	begun   time.Time
	written int
	left    int64 // not told of yet
}

// take returns how many wrong keys an event stands for that may be written now, and 0 for none.
func (r *refusals) take(now time.Time) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.begun) >= refusalWindow || now.Before(r.begun) {
		r.begun, r.written = now, 0
	}
	r.left++
	if r.written >= refusalsWindow {
		return 0
	}
	r.written++
	n := r.left
	r.left = 0
	return n
}

// refused writes down that somebody sent a wrong key. When that does not work, the log has it.
func (a *API) refused(call *call, method string) {
	call.logger.Warn("a wrong AUTH_KEY", zap.Stringer("client", call.client), zap.String("as", method))
	n := a.refusals.take(a.Clock())
	if n == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(audit.WithActor(call.http.Context(), call.actor(login{})), refusalTimeout)
	defer cancel()
	if err := a.Store.RecordEvent(ctx, audit.Event{Kind: audit.LoginRefused, Reason: "wrong AUTH_KEY as " + method, Count: n}); err != nil {
		call.logger.Warn("a wrong AUTH_KEY is not in the audit log", zap.Error(err))
	}
}
