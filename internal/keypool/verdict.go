package keypool

import (
	"slices"
	"time"

	"gpt-load/internal/fleet"
)

// Success takes the verdict that the key served the model: its counted failures start over, and it is known
// that the model is to be had. It writes only when something changes.
func (p *Pool) Success(pick Pick, model string, now time.Time) {
	p.served.note(model, pick.KeyID, now.UnixNano())
	s := p.slots.at(pick.slot)
	if s == nil {
		return
	}
	switch marks := s.marks.Load(); {
	case marks == 0:
		return
	case marks&markFailing != 0:
		p.mu.Lock()
	case !p.mu.TryLock():
		return // that a guessed rest was long enough, the next success will tell as well
	}
	defer p.mu.Unlock()
	if _, s = p.slotOf(pick); s == nil || s.state != stateActive {
		return
	}
	s.setFailures(0)
	l := p.laneOf(model)
	for r := s.rests(); r != nil; r = r.next {
		if r.lapsed && (r.lane == l || r.lane == &p.base) && pick.at >= r.until {
			r.proven = true
		}
	}
	s.tidy()
}

// Fault takes a verdict that blames the key. It returns the key's new standing when that is worth telling to other
// nodes: a change of state, or a rest of a second or more that is new or moved by as much. See Lasting for what of it is worth keeping
// over a restart.
func (p *Pool) Fault(pick Pick, model string, f Fault, o Options, now time.Time) (fleet.KeyChange, bool) {
	switch f.Class {
	case fleet.ClassKeyDead, fleet.ClassKeyExhausted, fleet.ClassKeySuspect, fleet.ClassLimited:
	case fleet.ClassModelDenied:
		// When no other key serves the model either, it is the model that does not exist.
		if model == "" || !p.ServedLately(model, pick.KeyID, now) {
			return fleet.KeyChange{}, false
		}
	default:
		return fleet.KeyChange{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i, s := p.slotOf(pick)
	if s == nil || s.state != stateActive {
		return fleet.KeyChange{}, false
	}
	at := now.UnixNano()
	var changed bool
	switch f.Class {
	case fleet.ClassKeyDead:
		s.setFailures(s.failures() + 1)
		p.retire(i, s, f)
		changed = true
	case fleet.ClassKeySuspect:
		if changed = s.count(pick, o, at); changed {
			p.retire(i, s, f)
		}
	case fleet.ClassKeyExhausted:
		if changed = s.count(pick, o, at); changed {
			p.retire(i, s, f)
		} else {
			changed = p.coolFor(i, &p.base, at+int64(o.CooldownCap), 0, f.Reason, at)
		}
	case fleet.ClassModelDenied:
		changed = p.coolFor(i, p.openLane(model), at+int64(o.CooldownCap), 0, f.Reason, at)
	case fleet.ClassLimited:
		changed = p.limit(i, s, pick, model, f, o, at)
	}
	if !changed {
		return fleet.KeyChange{}, false
	}
	change := p.changeOf(s, at)
	change.Class = f.Class
	// Rests in a lane that models share are not listed, and an active key without rests would be a restoration.
	return change, change.State != fleet.KeyActive || len(change.Cooldowns) > 0
}

// slotOf finds the key of a pick, which may have been removed meanwhile and its slot given to another.
func (p *Pool) slotOf(pick Pick) (uint32, *slot) {
	i, ok := p.index.find(pick.KeyID)
	if !ok {
		return 0, nil
	}
	return i, p.slots.at(i)
}

// count counts a failure and reports whether it was one too many. Attempts that were under way when the last
// failure was counted met the same trouble, so they are not counted again.
func (s *slot) count(pick Pick, o Options, at int64) bool {
	t := s.troubled()
	if t.failures > 0 && pick.at < t.lastFailure {
		return false
	}
	t.failures++
	t.lastFailure = at
	s.tidy()
	return o.BlacklistThreshold > 0 && int(t.failures) >= o.BlacklistThreshold
}

// retire makes a key invalid.
func (p *Pool) retire(i uint32, s *slot, f Fault) {
	p.setState(i, s, stateInvalid)
	s.explain(f.Reason, clipEvidence(f.Evidence))
	p.tally.count(s)
}

// limit rests a rate limited key.
func (p *Pool) limit(i uint32, s *slot, pick Pick, model string, f Fault, o Options, at int64) bool {
	l := &p.base
	if !f.AllModels && model != "" {
		l = p.openLane(model)
	}
	if hint := nanosOf(f.Until); hint > at {
		return p.coolFor(i, l, min(hint, at+int64(o.CooldownCap)), 0, f.Reason, at)
	}
	r := s.restIn(l)
	if r != nil && !r.lapsed && r.until <= at {
		p.endRest(r)
		r = s.restIn(l)
	}
	if r != nil && !r.lapsed {
		return false // the same window: one of the attempts that were under way when the rest began
	}
	length := guess(r, pick, o, at)
	return p.coolFor(i, l, at+length, length, f.Reason, at)
}

// guess is the length of a rest that the provider gave no hint for. last is the lapsed rest before it, or nil.
func guess(last *rest, pick Pick, o Options, at int64) int64 {
	first := int64(min(o.RateLimitCooldown, o.CooldownCap))
	switch {
	case last == nil || last.guess == 0 || at >= last.forgetAt():
		return first
	case pick.at < last.until:
		return last.guess // chosen before the last rest ended: late news of the same window
	case last.proven && at-last.until >= first:
		return first // it served for a good while: that limit is over, this is another
	case last.proven:
		return last.guess // long enough to serve again, and no more than that
	default:
		return min(2*last.guess, int64(o.CooldownCap))
	}
}

// tellFrom is the shortest rest worth telling to other nodes: a shorter one is over when they hear of it.
const tellFrom = time.Second

// coolFor rests a key and reports whether that is worth telling: a rest of some length that is new, or that moved by as much.
func (p *Pool) coolFor(i uint32, l *lane, until, guess int64, reason string, at int64) bool {
	if until <= at {
		return false
	}
	moved := p.cool(i, l, until, guess, reason)
	return min(moved, until-at) >= int64(tellFrom)
}

// changeOf describes a key's standing and stamps it. The stamps of one key rise in the order in which its
// standing changed, so the newest of several changes is the true one, whichever way they travelled.
func (p *Pool) changeOf(s *slot, at int64) fleet.KeyChange {
	stamp := max(at, s.stamp()+int64(time.Microsecond))
	s.setStamp(stamp)
	p.touch(s)
	change := fleet.KeyChange{
		KeyID: s.id, GroupID: p.id,
		State: s.state.word(), Failures: int(s.failures()),
		At: timeOf(stamp),
	}
	change.Reason, change.Evidence = s.why()
	change.Cooldowns = p.cooldowns(s, at)
	if s.state != stateActive {
		s.updatedAt = stamp // what comes with an older time is older news
	}
	return change
}

// Lasting leaves of a change what is worth keeping over a restart: false when that is nothing.
func Lasting(c fleet.KeyChange) (fleet.KeyChange, bool) {
	rests := len(c.Cooldowns)
	c.Cooldowns = slices.DeleteFunc(slices.Clone(c.Cooldowns), func(r fleet.Cooldown) bool { return r.Until.Sub(c.At) < keepFrom })
	return c, rests == 0 || len(c.Cooldowns) > 0
}

// maxEvidence is the bound that fleet.Key states, in bytes.
const maxEvidence = 300

func clipEvidence(text string) string {
	if len(text) <= maxEvidence {
		return text
	}
	cut := maxEvidence
	for cut > 0 && text[cut]&0xc0 == 0x80 { // not in the middle of a UTF-8 sequence
		cut--
	}
	return text[:cut]
}
