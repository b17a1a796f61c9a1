package keypool

import (
	"sync/atomic"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// credential is what a choice needs of a key. It never changes: a new value is a new credential.
type credential struct {
	id    fleet.KeyID
	value secret.Text
}

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
	id       fleet.KeyID // 0: the place is free
	marks    atomic.Uint32
	state    state
	tallied  uint8 // see reasonTally
	failures int32
	// load is the Replace in which the store last named this key, or in which the key was added.
	load      uint32
	rests     *rest
	standing  *standing // nil when there is nothing to say
	createdAt int64     // nanoseconds since 1970, like every int64 time in this package
	updatedAt int64
	stamp     int64 // of the newest change that was told
}

// standing is what is known of the few keys that had trouble.
type standing struct {
	reason      string
	evidence    string
	lastFailure int64
}

// explain sets why the key is where it is, and forgets it when all is well.
func (s *slot) explain(reason, evidence string) {
	switch {
	case s.standing != nil:
		s.standing.reason, s.standing.evidence = reason, evidence
	case reason != "" || evidence != "":
		s.standing = &standing{reason: reason, evidence: evidence}
	}
	s.tidy()
}

// tidy drops a standing that says nothing and sets the marks anew.
func (s *slot) tidy() {
	if s.standing != nil && s.failures == 0 {
		s.standing.lastFailure = 0
		if s.standing.reason == "" && s.standing.evidence == "" {
			s.standing = nil
		}
	}
	var marks uint32
	if s.failures > 0 {
		marks |= markFailing
	}
	for r := s.rests; r != nil; r = r.next {
		if r.lapsed && !r.proven {
			marks |= markUnproven
		}
	}
	if marks != s.marks.Load() {
		s.marks.Store(marks)
	}
}

func (s *slot) why() (reason, evidence string) {
	if s.standing == nil {
		return "", ""
	}
	return s.standing.reason, s.standing.evidence
}

// restIn finds the rest of a lane, running or lapsed.
func (s *slot) restIn(l *lane) *rest {
	for r := s.rests; r != nil; r = r.next {
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

func (t *slots) setCredential(i uint32, c *credential) {
	(*t.chunks.Load())[i/chunkSlots].credentials[i%chunkSlots].Store(c)
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
	t.setCredential(i, nil)
	s := t.at(i)
	s.id, s.state, s.failures, s.standing, s.createdAt, s.updatedAt, s.stamp = 0, stateActive, 0, nil, 0, 0, 0
	s.tidy()
	t.free = append(t.free, i)
}
