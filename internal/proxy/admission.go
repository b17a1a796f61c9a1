package proxy

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// admissionWait is how long a request may stand in the queue. Longer waits only move the overload to the clients,
// whose own timeouts and retries then make it worse.
const admissionWait = 2 * time.Second

// maxQueued bounds the queue whatever the limit is.
const maxQueued = 1024

var errOverloaded = errors.New("too many concurrent requests")

// admission bounds the requests served at the same time. Below the limit it costs one compare-and-swap; at the
// limit up to as many requests again (at most maxQueued) wait for a place.
type admission struct {
	limit    int64
	inFlight atomic.Int64
	queued   atomic.Int64
	refused  atomic.Int64
	wake     chan struct{}
}

func newAdmission(limit int) *admission {
	return &admission{limit: int64(limit), wake: make(chan struct{}, maxQueued)}
}

// enter takes a place, or returns errOverloaded or the context's error. Every nil needs one leave.
func (a *admission) enter(ctx context.Context) error {
	if a.tryEnter() {
		return nil
	}
	if a.queued.Add(1) > min(a.limit, maxQueued) {
		a.queued.Add(-1)
		a.refused.Add(1)
		return errOverloaded
	}
	defer a.queued.Add(-1)
	timeout := time.NewTimer(admissionWait)
	defer timeout.Stop()
	for {
		// Tried after queued was raised: a leave that comes later sees the queue and wakes it.
		if a.tryEnter() {
			return nil
		}
		select {
		case <-a.wake:
		case <-timeout.C:
			a.refused.Add(1)
			return errOverloaded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *admission) tryEnter() bool {
	for {
		n := a.inFlight.Load()
		if n >= a.limit {
			return false
		}
		if a.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (a *admission) leave() {
	a.inFlight.Add(-1)
	if a.queued.Load() > 0 {
		select {
		case a.wake <- struct{}{}:
		default: // as many wake-ups are pending as can ever wait
		}
	}
}
