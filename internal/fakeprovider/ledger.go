package fakeprovider

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// maxCounted bounds each map of the ledger: a million keys is the largest pool that is drilled.
const maxCounted = 1 << 20

// ledger counts every call and keeps the most recent ones.
type ledger struct {
	mu      sync.Mutex
	keep    int
	seq     int
	ring    []*Call // oldest first from start
	start   int
	totals  Totals
	byKey   map[string]*Count
	byModel map[string]*Count
	byPath  map[string]*Count

	waiting int
	changed chan struct{} // closed at the next change, when somebody waits
}

func newLedger(keep int) *ledger {
	l := &ledger{keep: keep, changed: make(chan struct{})}
	l.clear()
	return l
}

func (l *ledger) clear() {
	l.ring, l.start = nil, 0
	l.totals = Totals{InFlight: l.totals.InFlight, MaxInFlight: l.totals.InFlight}
	l.byKey, l.byModel, l.byPath = map[string]*Count{}, map[string]*Count{}, map[string]*Count{}
}

// counted are the counters that one call moves, so that its end finds them again after a reset too.
type counted [3]*Count

// begin counts a call and keeps it; c stays the ledger's, to be changed under update only.
func (l *ledger) begin(c *Call) counted {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	c.Seq = l.seq
	l.totals.Calls++
	l.totals.InFlight++
	l.totals.MaxInFlight = max(l.totals.MaxInFlight, l.totals.InFlight)
	touched := counted{countIn(l.byKey, c.Key), countIn(l.byModel, c.Model), countIn(l.byPath, c.Path)}
	for _, n := range touched {
		n.Calls++
		n.InFlight++
		n.MaxInFlight = max(n.MaxInFlight, n.InFlight)
	}
	switch {
	case l.keep <= 0:
	case len(l.ring) < l.keep:
		l.ring = append(l.ring, c)
	default:
		l.ring[l.start] = c
		l.start = (l.start + 1) % l.keep
	}
	l.wake()
	return touched
}

func countIn(m map[string]*Count, name string) *Count {
	n, ok := m[name]
	if !ok {
		if len(m) >= maxCounted {
			name = "(other)"
			if n, ok = m[name]; ok {
				return n
			}
		}
		n = &Count{}
		m[name] = n
	}
	return n
}

// end closes the books of a call.
func (l *ledger) end(c *Call, touched counted, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range touched {
		n.InFlight--
	}
	l.totals.InFlight--
	l.totals.Done++
	c.Done = true
	c.Duration = now.Sub(c.At)
	l.wake()
}

func (l *ledger) cancel(c *Call, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.Canceled || c.Done {
		return
	}
	c.Canceled, c.CanceledAt = true, now
	l.totals.Canceled++
	l.wake()
}

func (l *ledger) unexpected(c *Call) {
	l.update(func() {
		c.Unexpected = true
		l.totals.Unexpected++
	})
}

// update changes a kept call under the lock.
func (l *ledger) update(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	l.wake()
}

// wake tells the waiting ones. The caller holds the lock.
func (l *ledger) wake() {
	if l.waiting > 0 {
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

func (l *ledger) calls(accept func(*Call) bool) []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.callsLocked(accept)
}

func (l *ledger) callsLocked(accept func(*Call) bool) []Call {
	var out []Call
	for i := range l.ring {
		if c := l.ring[(l.start+i)%len(l.ring)]; accept == nil || accept(c) {
			out = append(out, *c)
		}
	}
	return out
}

func (l *ledger) stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	flat := func(m map[string]*Count) map[string]Count {
		out := make(map[string]Count, len(m))
		for name, n := range maps.All(m) {
			out[name] = *n
		}
		return out
	}
	return Stats{Totals: l.totals, ByKey: flat(l.byKey), ByModel: flat(l.byModel), ByPath: flat(l.byPath)}
}

// await returns when cond holds, asked under the lock after every change, or with ctx's error.
func (l *ledger) await(ctx context.Context, cond func() bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting++
	defer func() { l.waiting-- }()
	for !cond() {
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
			l.mu.Lock()
		case <-ctx.Done():
			l.mu.Lock()
			if cond() {
				return nil
			}
			return fmt.Errorf("fakeprovider: what was awaited did not happen (now %+v): %w", l.totals, context.Cause(ctx))
		}
	}
	return nil
}

// Calls returns the kept calls in the order of their arrival: at most Options.KeepCalls of them.
func (p *Provider) Calls() []Call { return p.ledger.calls(nil) }

// CallsFor returns the kept calls made with key.
func (p *Provider) CallsFor(key string) []Call {
	return p.ledger.calls(func(c *Call) bool { return c.Key == key })
}

// Stats returns the counters. They are exact however many calls are kept.
func (p *Provider) Stats() Stats { return p.ledger.stats() }

// Await returns when cond holds, or with ctx's error. cond is asked now and after every change; it must be quick
// and must not call the Provider.
func (p *Provider) Await(ctx context.Context, cond func(Totals) bool) error {
	return p.ledger.await(ctx, func() bool { return cond(p.ledger.totals) })
}

// AwaitCalls waits until n calls have arrived since the start or the last Reset.
func (p *Provider) AwaitCalls(ctx context.Context, n int) error {
	return p.Await(ctx, func(t Totals) bool { return t.Calls >= n })
}

// AwaitInFlight waits until n calls are in flight at once.
func (p *Provider) AwaitInFlight(ctx context.Context, n int) error {
	return p.Await(ctx, func(t Totals) bool { return t.InFlight >= n })
}

// AwaitCanceled waits until n callers have left before they had their answers.
func (p *Provider) AwaitCanceled(ctx context.Context, n int) error {
	return p.Await(ctx, func(t Totals) bool { return t.Canceled >= n })
}

// AwaitIdle waits until no call is in flight.
func (p *Provider) AwaitIdle(ctx context.Context) error {
	return p.Await(ctx, func(t Totals) bool { return t.InFlight == 0 })
}

// AwaitCall waits for a kept call that accept takes and returns it as it stands then.
func (p *Provider) AwaitCall(ctx context.Context, accept func(Call) bool) (Call, error) {
	var found Call
	err := p.ledger.await(ctx, func() bool {
		calls := p.ledger.callsLocked(func(c *Call) bool { return accept(*c) })
		if len(calls) == 0 {
			return false
		}
		found = calls[0]
		return true
	})
	return found, err
}
