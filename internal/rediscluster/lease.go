package rediscluster

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/go-redsync/redsync/v4"
	redsyncrueidis "github.com/go-redsync/redsync/v4/redis/rueidis"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidiscompat"
	"go.uber.org/zap"
)

// leaseTimes are the times of the lease. Redis counts the first, this process the others, by its monotonic clock, so
// nobody's time of day matters.
type leaseTimes struct {
	ttl    time.Duration // the key's life after each renewal
	trust  time.Duration // how long leadership is believed in after the start of the last successful renewal
	renew  time.Duration // between renewals
	retry  time.Duration // after a renewal that did not work
	try    time.Duration // between a candidate's tries, +-25 %
	finish time.Duration // how long a stopping leader's work may take until the lease is given back regardless
}

// A dead leader's key lives for at most 6 s and a candidate comes by at least every 1.25 s: a takeover within 7.5 s. A
// leader that loses Redis has two more tries after the one at 2 s before it stops at 5 s, a second before anybody else can
// lead.
var defaultLeaseTimes = leaseTimes{
	ttl: 6 * time.Second, trust: 5 * time.Second, renew: 2 * time.Second, retry: 500 * time.Millisecond,
	try: time.Second, finish: 400 * time.Millisecond,
}

const (
	// releaseTimeout and leaseTimes.finish leave a second for a clean end.
	releaseTimeout = 400 * time.Millisecond
	// slowLead is how long work may go on after its term before the log tells.
	slowLead = 10 * time.Second
)

var (
	errTrust = errors.New("the lease could not be renewed in time")
	errTaken = errors.New("the lease is not this node's any more: Redis forgot it, or another node has it")
)

// lease is one key, written by redsync: set if absent, with a value of this process and a life; extended and deleted by
// scripts that compare the value.
type lease struct {
	client *Client
	times  leaseTimes
	// value is the same for all terms of the process. A try whose answer was lost, in a Redis that was frozen for a while, may
	// have taken the key; redsync deletes a key with its own value after every failed try, so the next one finds it free.
	value   string
	trusted atomic.Pointer[time.Time] // nil: not leading
}

func newLease(c *Client) *lease {
	return &lease{client: c, times: defaultLeaseTimes, value: string(c.node) + "/" + rand.Text()} // membership reads the id
}

// Leading implements cluster.Lease. It looks at the clock: a process that was stopped for a minute knows at its first look
// that it does not lead any more.
func (l *lease) Leading() bool {
	until := l.trusted.Load()
	return until != nil && time.Now().Before(*until)
}

// Run implements cluster.Lease.
func (l *lease) Run(ctx context.Context, lead func(context.Context)) error {
	for ctx.Err() == nil {
		start := time.Now() // trust counts from before the try
		if l.acquire(ctx) {
			l.term(ctx, start, lead)
		}
		pause := l.times.try*3/4 + mathrand.N(l.times.try/2)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// term leads until the lease is lost, lead returns, or ctx ends; it returns after lead.
func (l *lease) term(ctx context.Context, start time.Time, lead func(context.Context)) {
	log := l.client.log.With(zap.Int64("term", l.number(ctx)))
	log.Info("this node leads the fleet")
	leading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	until := start.Add(l.times.trust)
	l.trusted.Store(&until)
	// Not in the loop below: it may be waiting for Redis when trust ends.
	trust := time.AfterFunc(time.Until(until), func() { stop(errTrust) })
	defer trust.Stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		lead(leading)
	}()
	l.keep(leading, done, func(start time.Time) {
		until := start.Add(l.times.trust)
		l.trusted.Store(&until)
		trust.Reset(time.Until(until))
	}, stop)
	l.finish(ctx, leading, done, log)
}

// keep renews the lease until leading ends or lead is done.
func (l *lease) keep(leading context.Context, done <-chan struct{}, renewed func(start time.Time), stop context.CancelCauseFunc) {
	next := time.NewTimer(l.times.renew)
	defer next.Stop()
	for {
		select {
		case <-done:
			return
		case <-leading.Done():
			return
		case <-next.C:
		}
		start := time.Now()
		switch ours, err := l.extend(leading); {
		case err != nil:
			next.Reset(l.times.retry)
		case ours:
			renewed(start)
			next.Reset(max(0, l.times.renew-time.Since(start)))
		default:
			stop(errTaken)
		}
	}
}

// finish ends a term: lead is told to stop and gets a moment for it, then the lease is given back, and lead is waited for.
func (l *lease) finish(ctx, leading context.Context, done <-chan struct{}, log *zap.Logger) {
	l.trusted.Store(nil)
	reason := "its work ended"
	if leading.Err() != nil {
		reason = context.Cause(leading).Error()
	}
	if ctx.Err() != nil {
		reason = "it is stopping"
	}
	log.Info("this node no longer leads the fleet", zap.String("reason", reason))
	patience := time.NewTimer(l.times.finish)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	}
	l.release(ctx)
	patience.Reset(slowLead)
	select {
	case <-done:
		return
	case <-patience.C:
		log.Warn("the leader's work does not end; this node does not compete until it has", zap.Duration("after", slowLead))
	}
	<-done
}

// mutex is redsync's view of the lease. It is made for each call because a call that was given up may still use its own.
func (l *lease) mutex(redis rueidis.Client) *redsync.Mutex {
	pool := redsyncrueidis.NewPool(rueidiscompat.NewAdapter(redis))
	return redsync.New(pool).NewMutex(
		l.client.key("lease"), redsync.WithExpiry(l.times.ttl), redsync.WithTries(1), redsync.WithValue(l.value),
		redsync.WithGenValueFunc(func() (string, error) { return l.value, nil }),
		redsync.WithTimeoutFactor(1), // the context's deadline is the bound
	)
}

// acquire tries once to become the holder.
func (l *lease) acquire(ctx context.Context) bool {
	ours, err := call(ctx, l.client, competing, callTimeout, func(ctx context.Context, redis rueidis.Client) (bool, error) {
		err := l.mutex(redis).TryLockContext(ctx)
		return err == nil, notTaken(err)
	})
	return ours && err == nil
}

// extend renews the lease. false without an error says that it is not ours any more.
func (l *lease) extend(ctx context.Context) (bool, error) {
	return call(ctx, l.client, renewing, callTimeout, func(ctx context.Context, redis rueidis.Client) (bool, error) {
		ours, err := l.mutex(redis).ExtendContext(ctx)
		return ours && err == nil, notTaken(err)
	})
}

// release gives the lease back if it is ours. When that does not work, it ends by itself.
func (l *lease) release(ctx context.Context) {
	_, _ = call(context.WithoutCancel(ctx), l.client, renewing, releaseTimeout, func(ctx context.Context, redis rueidis.Client) (bool, error) {
		ours, err := l.mutex(redis).UnlockContext(ctx)
		if errors.Is(err, redsync.ErrLockAlreadyExpired) {
			err = nil
		}
		return ours, notTaken(err)
	})
}

// notTaken drops the error that only says that the key is another node's, or nobody's.
func notTaken(err error) error {
	var taken *redsync.ErrTaken
	if errors.As(err, &taken) {
		return nil
	}
	return err
}

// number counts the terms of the fleet, for the log: it shows which of two leaders was the later one. 0 when Redis does not
// tell.
func (l *lease) number(ctx context.Context) int64 {
	n, _ := call(ctx, l.client, competing, releaseTimeout, func(ctx context.Context, redis rueidis.Client) (int64, error) {
		return redis.Do(ctx, redis.B().Incr().Key(l.client.key("term")).Build()).AsInt64()
	})
	return n
}
