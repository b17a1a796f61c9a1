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

// slot is the place of one key. Only credential and marks may be read without the pool's lock.
type slot struct {
	credential atomic.Pointer[credential] // nil: the place is free
	marks      atomic.Uint32
	state      state
	failures   int32
	// load is the Replace in which the store last named this key, or in which the key was added.
	load      uint32
	rests     *rest
	standing  *standing // nil when there is nothing to say
	createdAt int64     // nanoseconds since 1970, like every int64 time in this package
	updatedAt int64
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

type chunk [chunkSlots]slot

// slots is an array that grows without moving what is in it, so that readers need no lock.
type slots struct {
	chunks atomic.Pointer[[]*chunk]
	used   uint32   // slots handed out so far, free ones included
	free   []uint32 // slots of removed keys
}

// at returns a slot, or nil when there is none of that number yet.
func (t *slots) at(i uint32) *slot {
	chunks := t.chunks.Load()
	if chunks == nil || int(i/chunkSlots) >= len(*chunks) {
		return nil
	}
	return &(*chunks)[i/chunkSlots][i%chunkSlots]
}

// take hands out a slot: the one freed last, or a new one.
func (t *slots) take() uint32 {
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		return i
	}
	if t.used%chunkSlots == 0 {
		var chunks []*chunk
		if old := t.chunks.Load(); old != nil {
			chunks = *old
		}
		// Readers see only the length they loaded, so appending behind it in the same array is safe.
		chunks = append(chunks, new(chunk))
		t.chunks.Store(&chunks)
	}
	t.used++
	return t.used - 1
}
