package keypool

import (
	"math"
	"time"

	"gpt-load/internal/fleet"
)

// cool rests a key in a lane until a time, never less long than it rests already; the caller holds the lock.
// It returns by how much the end of the rest moved, 0 when it did not.
func (p *Pool) cool(i uint32, l *lane, until, guess int64, reason string) (moved int64) {
	s := p.slots.at(i)
	r := s.restIn(l)
	switch {
	case r == nil:
		r = &rest{next: s.rests(), lane: l, slot: i}
		s.troubled().rests = r
		l.rests++
	case r.lapsed:
		p.lapsed.remove(r.place)
		r.lapsed, r.proven = false, false
	case until <= r.until:
		return 0
	default:
		moved = until - r.until
		r.until, r.guess, r.reason = until, guess, reason
		l.resting.move(r.place, until)
		p.change++
		return moved
	}
	r.until, r.guess, r.reason = until, guess, reason
	l.lastUse = until
	if l != &p.base && l.usable.Load() == nil {
		l.usable.Store(p.base.usable.Load().copyTo(0))
	}
	l.resting.push(until, r)
	p.refresh(i, s, l)
	s.tidy()
	p.change++
	if until < p.due.Load() {
		p.due.Store(until)
	}
	return math.MaxInt64
}

// endRest brings a key back from a rest: a guessed one is remembered, any other is gone.
func (p *Pool) endRest(r *rest) {
	l, s := r.lane, p.slots.at(r.slot)
	l.resting.remove(r.place)
	l.lastUse = r.until
	if r.guess > 0 {
		r.lapsed = true
		p.lapsed.push(r.forgetAt(), r)
	} else {
		p.forget(s, r)
	}
	p.refresh(r.slot, s, l)
	s.tidy()
	p.change++
}

// forget takes a rest that is in no heap out of its key.
func (p *Pool) forget(s *slot, r *rest) {
	for link := &s.trouble.rests; *link != nil; link = &(*link).next {
		if *link == r {
			*link = r.next
			break
		}
	}
	r.next = nil
	r.lane.rests--
}

// dropRests forgets every rest of a key, which only an active key has.
func (p *Pool) dropRests(s *slot) {
	for r := s.rests(); r != nil; r = s.rests() {
		if r.lapsed {
			p.lapsed.remove(r.place)
		} else {
			r.lane.resting.remove(r.place)
		}
		p.forget(s, r)
		if r.lane != &p.base && len(r.lane.resting) == 0 {
			r.lane.usable.Store(nil)
		}
	}
}

// refresh sets whether a key can be chosen: in one lane that is not the base, or in all of them.
func (p *Pool) refresh(i uint32, s *slot, l *lane) {
	usable := s.id != 0 && s.state == stateActive && !s.restsIn(&p.base)
	if l != nil && l != &p.base {
		refreshLane(i, s, l, usable)
		return
	}
	p.base.usable.Load().put(i, uint32(s.weight), usable)
	for _, l := range p.lanes {
		refreshLane(i, s, l, usable)
	}
}

func refreshLane(i uint32, s *slot, l *lane, usable bool) {
	switch usableHere := l.usable.Load(); {
	case usableHere == nil:
	case len(l.resting) == 0:
		l.usable.Store(nil) // the base lane's are the same from now on
	default:
		usableHere.put(i, uint32(s.weight), usable && !s.restsIn(l))
	}
}

// drain ends the rests that are over and forgets what was remembered long enough, at most budget of them; the
// caller holds the lock. It reports whether more is due.
func (p *Pool) drain(at int64, budget int) (more bool) {
	if at < p.due.Load() {
		return false
	}
	next := p.drainLane(&p.base, at, &budget)
	for _, l := range p.lanes {
		next = min(next, p.drainLane(l, at, &budget))
	}
	next = min(next, p.drainLapsed(at, &budget))
	p.due.Store(next)
	return next <= at
}

// drainLane returns when the next rest of the lane ends.
func (p *Pool) drainLane(l *lane, at int64, budget *int) int64 {
	for len(l.resting) > 0 {
		if first := l.resting[0]; first.due > at || *budget == 0 {
			return first.due
		}
		p.endRest(l.resting[0].r)
		*budget--
	}
	return math.MaxInt64
}

// drainLapsed returns when the next lapsed rest is to be forgotten.
func (p *Pool) drainLapsed(at int64, budget *int) int64 {
	for len(p.lapsed) > 0 {
		if first := p.lapsed[0]; first.due > at || *budget == 0 {
			return first.due
		}
		r := p.lapsed[0].r
		p.lapsed.remove(0)
		s := p.slots.at(r.slot)
		p.forget(s, r)
		s.tidy()
		*budget--
	}
	return math.MaxInt64
}

// Soonest says when Choose could find a key for the model: now when it can already, otherwise when the first
// key outside tried comes back from its rests. It returns false when no key will come back by itself.
func (p *Pool) Soonest(model string, tried *Tried, now time.Time) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := now.UnixNano()
	if _, found := p.look(model, tried, at); found != nil {
		return now, true
	}
	answer := p.comeback(p.laneOf(model), tried)
	if !answer.found {
		return time.Time{}, false
	}
	return timeOf(answer.at), true
}

// comeback finds the resting key of a lane that can be chosen first again. While every key rests, requests ask
// that all the time and nothing changes, so the answer is kept.
func (p *Pool) comeback(l *lane, tried *Tried) memo {
	if l.memo.change == p.change && (!l.memo.found || !tried.has(p.slots.at(l.memo.slot).id)) {
		return l.memo
	}
	search := comeback{pool: p, lane: l, tried: tried, memo: memo{change: p.change, at: math.MaxInt64}}
	search.in(l.resting, 0)
	if l != &p.base {
		search.in(p.base.resting, 0)
	}
	if tried.Len() == 0 { // otherwise it is true for this request only
		l.memo = search.memo
	}
	return search.memo
}

// comeback looks for the key that can be chosen first again. A key that rests both for the model and for all
// comes back when the later of the two ends.
type comeback struct {
	memo
	pool  *Pool
	lane  *lane
	tried *Tried
}

// in searches one heap from an index down. A subtree that begins later than the best so far cannot hold a
// better one, so the search ends after the keys of tried and those whose other rest is longer.
func (c *comeback) in(h restHeap, from int) {
	if from >= len(h) || h[from].due >= c.at {
		return
	}
	s := c.pool.slots.at(h[from].r.slot)
	if !c.tried.has(s.id) {
		back := h[from].due
		for r := s.rests(); r != nil; r = r.next {
			if !r.lapsed && (r.lane == c.lane || r.lane == &c.pool.base) {
				back = max(back, r.until)
			}
		}
		if back < c.at {
			c.at, c.slot, c.found = back, h[from].r.slot, true
		}
	}
	c.in(h, 2*from+1)
	c.in(h, 2*from+2)
}

// keepFrom is the shortest rest worth keeping over a restart: of a shorter one a node that starts learns by the next
// 429.
const keepFrom = 30 * time.Second

// cooldowns lists the rests of a key that run at a time.
func (p *Pool) cooldowns(s *slot, at int64) []fleet.Cooldown {
	var list []fleet.Cooldown
	for r := s.rests(); r != nil; r = r.next {
		if r.lapsed || r.until <= at || r.lane != &p.base && r.lane.model == "" {
			continue
		}
		list = append(list, fleet.Cooldown{Model: r.lane.model, Until: timeOf(r.until), Reason: r.reason})
	}
	return list
}
