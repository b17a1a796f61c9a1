package keypool

import (
	"runtime"
	"time"

	"gpt-load/internal/fleet"
)

// keysPerLock bounds how long a bulk change keeps verdicts waiting: about 0.1 ms.
const keysPerLock = 256

// Put adds keys, or sets those that are there to what a store or an operator says. A key that stays keeps its
// cool-downs, unless an operator decided since; those listed with it are added.
func (p *Pool) Put(keys ...fleet.Key) {
	for len(keys) > 0 {
		portion := keys[:min(len(keys), keysPerLock)]
		keys = keys[len(portion):]
		p.mu.Lock()
		for i := range portion {
			p.put(&portion[i])
			p.touchID(portion[i].ID)
		}
		p.mu.Unlock()
		runtime.Gosched() // requests first: the scheduler takes a processor away after 10 ms only
	}
}

// Remove takes keys out. Unknown ids are passed over.
func (p *Pool) Remove(ids ...fleet.KeyID) {
	for len(ids) > 0 {
		portion := ids[:min(len(ids), keysPerLock)]
		ids = ids[len(portion):]
		p.mu.Lock()
		for _, id := range portion {
			p.touchID(id)
			if i, ok := p.index.find(id); ok {
				p.remove(i, p.slots.at(i))
			}
		}
		p.mu.Unlock()
	}
}

// Replace makes the pool hold what a store holds. load reads the store and hands every key to put, in
// portions of any size; put never fails and does not keep the slice. Keys that load does not name are
// removed at the end. What happens to a key while load runs is newer than what load read, so it wins. When
// load fails nothing is removed, and its error is returned.
func (p *Pool) Replace(load func(put func([]fleet.Key) error) error) error {
	p.loading.Lock()
	defer p.loading.Unlock()
	p.mu.Lock()
	p.load++
	p.touched = make(map[fleet.KeyID]struct{})
	p.mu.Unlock()

	err := load(p.putLoaded)
	if err == nil {
		p.removeUnloaded()
	}
	p.mu.Lock()
	p.touched = nil
	p.mu.Unlock()
	return err
}

func (p *Pool) putLoaded(keys []fleet.Key) error {
	for len(keys) > 0 {
		portion := keys[:min(len(keys), keysPerLock)]
		keys = keys[len(portion):]
		p.mu.Lock()
		for i := range portion {
			if _, newer := p.touched[portion[i].ID]; !newer {
				p.put(&portion[i])
			}
		}
		p.mu.Unlock()
	}
	return nil
}

func (p *Pool) removeUnloaded() {
	for i, more := uint32(0), true; more; {
		p.mu.Lock()
		for range keysPerLock {
			if more = i < p.slots.used; !more {
				break
			}
			s := p.slots.at(i)
			if s.id != 0 && s.load != p.load {
				if _, newer := p.touched[s.id]; !newer {
					p.remove(i, s)
				}
			}
			i++
		}
		p.mu.Unlock()
	}
}

// Apply takes a change that was decided elsewhere: by an operator, by validation or by another node. A change
// to invalid leaves a disabled key disabled. A change to active that lists cool-downs is another node's report
// of a rest: it rests the key if it is active and revives nothing. A change to active without cool-downs is a
// restoration: the key is used again at once. A reset ends the rests of an active key that it does not list. Rests are never shortened
// otherwise.
func (p *Pool) Apply(c fleet.KeyChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i, ok := p.index.find(c.KeyID); ok {
		p.apply(i, c)
	}
}

// Hear takes what another node found out, which may have been overtaken on its way: of two states the newer one counts.
func (p *Pool) Hear(c fleet.KeyChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.index.find(c.KeyID)
	if !ok {
		return
	}
	rest := c.State == fleet.KeyActive && len(c.Cooldowns) > 0 && !c.Reset
	if rest || c.At.UnixNano() >= p.slots.at(i).updatedAt {
		p.apply(i, c)
	}
}

func (p *Pool) apply(i uint32, c fleet.KeyChange) {
	s := p.slots.at(i)
	to := stateOf(c.State)
	switch {
	case to == stateInvalid && s.state == stateDisabled:
		return
	case to == stateActive && c.Reset:
		if s.state != stateActive {
			return
		}
		p.dropRests(s)
		p.refresh(i, s, nil)
		p.change++
		p.coolAll(i, c.Cooldowns)
		s.tidy()
	case to == stateActive && len(c.Cooldowns) > 0:
		if s.state == stateActive {
			s.setFailures(max(s.failures(), int32(c.Failures)))
			p.coolAll(i, c.Cooldowns)
			s.tidy()
		}
	default:
		if to == stateActive {
			p.dropRests(s)
		}
		p.setState(i, s, to)
		s.setFailures(int32(c.Failures))
		s.explain(c.Reason, clipEvidence(c.Evidence))
		p.tally.count(s)
	}
	s.updatedAt = max(s.updatedAt, nanosOf(c.At))
	p.touch(s)
}

// Restore brings an invalid key back after a test showed that it works. It returns the change to keep and
// tell, or false when the key is gone or not invalid.
func (p *Pool) Restore(id fleet.KeyID, now time.Time) (fleet.KeyChange, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.index.find(id)
	if !ok {
		return fleet.KeyChange{}, false
	}
	s := p.slots.at(i)
	if s.state != stateInvalid {
		return fleet.KeyChange{}, false
	}
	s.setFailures(0)
	s.explain("", "")
	p.setState(i, s, stateActive)
	p.tally.count(s)
	change := p.changeOf(s, now.UnixNano())
	s.updatedAt = s.stamp()
	change.Class = fleet.ClassOK
	return change, true
}

func (p *Pool) put(k *fleet.Key) {
	i, known := p.index.find(k.ID)
	if !known {
		i = p.slots.take()
		p.makeRoom()
	}
	s := p.slots.at(i)
	p.slots.fill(i, k.ID, k.Value)
	if !known {
		s.id, s.state = k.ID, stateOf(k.State)
		p.index.add(k.ID, i)
		p.counts[s.state]++
	}
	p.weigh(i, s, weightOf(k.Weight))
	decided := known && nanosOf(k.OperatorAt) > s.updatedAt
	if decided {
		p.dropRests(s)
	}
	s.load = p.load
	s.updatedAt = max(s.updatedAt, nanosOf(k.UpdatedAt))
	// The failures of a key that stays active are counted here and stored only with its next change of state.
	if to := stateOf(k.State); !known || decided || to != stateActive || s.state != stateActive {
		s.setFailures(int32(k.Failures))
	}
	p.setState(i, s, stateOf(k.State))
	if s.state == stateActive {
		p.coolAll(i, k.Cooldowns)
	}
	s.explain(k.Reason, clipEvidence(k.Evidence))
	p.tally.count(s)
}

// coolAll rests a key as a list of cool-downs says. Those that are over already end with the next choice.
func (p *Pool) coolAll(i uint32, cooldowns []fleet.Cooldown) {
	for _, c := range cooldowns {
		l := &p.base
		if c.Model != "" {
			l = p.openLane(c.Model)
		}
		p.cool(i, l, nanosOf(c.Until), 0, c.Reason)
	}
}

// makeRoom lets the turns reach the slots that exist. It doubles them, so that a million keys cost twenty copies.
func (p *Pool) makeRoom() {
	size := p.base.usable.Load().size()
	if int(p.slots.used) > size {
		p.eachTurns(func(t *turns) *turns { return t.copyTo(2 * size) })
	}
}

// setState moves a key to a state and makes it usable or not. Only an active key keeps rests.
func (p *Pool) setState(i uint32, s *slot, to state) {
	p.counts[s.state]--
	p.counts[to]++
	s.state = to
	if to != stateActive {
		p.dropRests(s)
	}
	p.refresh(i, s, nil)
	p.change++
}

func (p *Pool) remove(i uint32, s *slot) {
	p.setState(i, s, stateDisabled)
	p.tally.count(s)
	p.counts[stateDisabled]--
	p.index.remove(s.id)
	p.weigh(i, s, 0)
	p.slots.release(i)
}

// maxWeight is the bound that fleet.Key states.
const maxWeight = 100

// weightOf clips a weight from outside; 0 is none that was said.
func weightOf(w int) uint8 { return uint8(min(max(w, 1), maxWeight)) } // #nosec G115 -- clipped

// weigh moves a key to another weight, or takes it out with 0; then its state says again whether it can be chosen.
func (p *Pool) weigh(i uint32, s *slot, weight uint8) {
	if s.weight == weight {
		return
	}
	if weight > 0 {
		if p.keysOf[weight]++; p.keysOf[weight] == 1 {
			p.fitTurns()
		}
	}
	if old := s.weight; old > 0 {
		p.eachTurns(func(t *turns) *turns {
			t.put(i, uint32(old), false)
			return t
		})
		if p.keysOf[old]--; p.keysOf[old] == 0 {
			p.fitTurns()
		}
	}
	s.weight = weight
}

// fitTurns makes the turns of all lanes have the weights that keys have.
func (p *Pool) fitTurns() {
	p.eachTurns(func(t *turns) *turns {
		for weight, keys := range p.keysOf {
			if keys > 0 && !t.has(uint32(weight)) {
				t = t.with(uint32(weight))
			}
		}
		for weight, keys := range p.keysOf {
			if keys == 0 {
				t = t.without(uint32(weight))
			}
		}
		return t
	})
}

// eachTurns changes or replaces the turns of every lane that has some of its own.
func (p *Pool) eachTurns(change func(*turns) *turns) {
	p.base.usable.Store(change(p.base.usable.Load()))
	for _, l := range p.lanes {
		if t := l.usable.Load(); t != nil {
			l.usable.Store(change(t))
		}
	}
}

// touch tells a running Replace that it knows older news of a key.
func (p *Pool) touch(s *slot) { p.touchID(s.id) }

func (p *Pool) touchID(id fleet.KeyID) {
	if p.touched != nil {
		p.touched[id] = struct{}{}
	}
}
