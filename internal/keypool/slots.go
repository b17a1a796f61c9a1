package keypool

import (
	"sync/atomic"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

type state uint8

const (
	stateActive state = iota
	stateInvalid
	stateDisabled
	states
)

// stateOf maps a stored state. A word that this version does not know keeps the key out of use.
func stateOf(s fleet.KeyState) state {
	switch s {
	case fleet.KeyActive, fleet.KeyCooling:
		return stateActive
	case fleet.KeyInvalid:
		return stateInvalid
	default:
		return stateDisabled
	}
}

func (s state) word() fleet.KeyState {
	return [states]fleet.KeyState{fleet.KeyActive, fleet.KeyInvalid, fleet.KeyDisabled}[s]
}

// What Success has to act on; it reads them without the lock.
const (
	markFailing  = 1 << iota // has counted failures
	markUnproven             // came back from a guessed rest and has not served since
)

// slot is what the pool knows of the key in one place. Only marks may be read without the pool's lock.
type slot struct {
	id        fleet.KeyID // 0: the place is free
	updatedAt int64       // nanoseconds since 1970, like every int64 time in this package
	trouble   *trouble    // nil when there is nothing to say
	marks     atomic.Uint32
	// load is the Replace in which the store last named this key, or in which the key was added.
	load    uint8
	state   state
	tallied uint8 // see reasonTally
	weight  uint8 // 1 to maxWeight
}

// trouble is what is known of the few keys that had any.
type trouble struct {
	rests            *rest
	failures         int32
	lastFailure      int64
	reason, evidence string
	stamp            int64 // of the newest change that was told
}

// troubled returns what is known of the key's trouble, to be changed; tidy drops it when it says nothing.
func (s *slot) troubled() *trouble {
	if s.trouble == nil {
		s.trouble = &trouble{}
	}
	return s.trouble
}

func (s *slot) rests() *rest {
	if s.trouble == nil {
		return nil
	}
	return s.trouble.rests
}

func (s *slot) failures() int32 {
	if s.trouble == nil {
		return 0
	}
	return s.trouble.failures
}

// setFailures is followed by tidy.
func (s *slot) setFailures(n int32) {
	if n != s.failures() {
		s.troubled().failures = n
	}
}

// stamp is that of the newest change that was told, or of one that came later.
func (s *slot) stamp() int64 {
	if s.trouble == nil {
		return s.updatedAt
	}
	return max(s.updatedAt, s.trouble.stamp)
}

func (s *slot) setStamp(at int64) {
	if s.trouble == nil {
		s.updatedAt = at
	} else {
		s.trouble.stamp = at
	}
}

// explain sets why the key is where it is, and forgets it when all is well.
func (s *slot) explain(reason, evidence string) {
	if s.trouble != nil || reason != "" || evidence != "" {
		s.troubled().reason, s.trouble.evidence = reason, evidence
	}
	s.tidy()
}

// tidy drops trouble that says nothing and sets the marks anew.
func (s *slot) tidy() {
	var marks uint32
	if t := s.trouble; t != nil {
		if t.failures == 0 {
			t.lastFailure = 0
		} else {
			marks |= markFailing
		}
		for r := t.rests; r != nil; r = r.next {
			if r.lapsed && !r.proven {
				marks |= markUnproven
			}
		}
		if t.rests == nil && t.failures == 0 && t.reason == "" && t.evidence == "" {
			s.updatedAt, s.trouble = s.stamp(), nil
		}
	}
	if marks != s.marks.Load() {
		s.marks.Store(marks)
	}
}

func (s *slot) why() (reason, evidence string) {
	if s.trouble == nil {
		return "", ""
	}
	return s.trouble.reason, s.trouble.evidence
}

// restIn finds the rest of a lane, running or lapsed.
func (s *slot) restIn(l *lane) *rest {
	for r := s.rests(); r != nil; r = r.next {
		if r.lane == l {
			return r
		}
	}
	return nil
}

// restsIn reports whether a rest of the lane is running.
func (s *slot) restsIn(l *lane) bool {
	r := s.restIn(l)
	return r != nil && !r.lapsed
}

// chunkSlots is small, so that a group with three keys does not pay for a thousand.
const chunkSlots = 64

// chunk is a portion of the slots. Their credentials stand apart, because a choice that passes over many keys
// touches the memory of nothing else.
type chunk struct {
	credentials *[chunkSlots]atomic.Pointer[credential] // nil in a free place
	slots       *[chunkSlots]slot
}

// slots is an array that grows without moving what is in it, so that readers need no lock.
type slots struct {
	chunks atomic.Pointer[[]chunk]
	used   uint32   // slots handed out so far, free ones included
	free   []uint32 // slots of removed keys
	// credentials are those in the chunks.
	credentials credentials
}

func newSlots() *slots {
	t := &slots{}
	t.chunks.Store(&[]chunk{})
	return t
}

// at returns a slot, or nil when there is none of that number yet.
func (t *slots) at(i uint32) *slot {
	chunks := *t.chunks.Load()
	if int(i/chunkSlots) >= len(chunks) {
		return nil
	}
	return &chunks[i/chunkSlots].slots[i%chunkSlots]
}

// credential returns what is in a slot, or nil.
func (t *slots) credential(i uint32) *credential {
	chunks := *t.chunks.Load()
	if int(i/chunkSlots) >= len(chunks) {
		return nil
	}
	return chunks[i/chunkSlots].credentials[i%chunkSlots].Load()
}

func (t *slots) place(i uint32, c *credential) {
	(*t.chunks.Load())[i/chunkSlots].credentials[i%chunkSlots].Store(c)
}

// fill puts a key's value into its slot, unless it is there.
func (t *slots) fill(i uint32, id fleet.KeyID, value secret.Text) {
	old := t.credential(i)
	if old != nil && old.value().Equal(value) {
		return
	}
	t.place(i, t.credentials.make(id, value.Reveal()))
	if old == nil {
		t.credentials.alive++
	}
	t.credentials.tidy(t)
}

// take hands out a slot: the one freed last, or a new one.
func (t *slots) take() uint32 {
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		return i
	}
	if t.used%chunkSlots == 0 {
		// Readers see only the length they loaded, so appending behind it in the same array is safe.
		chunks := append(*t.chunks.Load(), chunk{
			credentials: new([chunkSlots]atomic.Pointer[credential]), slots: new([chunkSlots]slot),
		})
		t.chunks.Store(&chunks)
	}
	t.used++
	return t.used - 1
}

// release takes a slot back.
func (t *slots) release(i uint32) {
	t.place(i, nil)
	t.credentials.alive--
	t.credentials.tidy(t)
	s := t.at(i)
	s.id, s.state, s.trouble, s.updatedAt, s.weight = 0, stateActive, nil, 0, 0
	s.tidy()
	t.free = append(t.free, i)
}
