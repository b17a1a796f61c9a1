package keypool

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"gpt-load/internal/fleet"
)

// Pool holds the keys of one standard group and outlives every change of configuration. All methods are safe
// for concurrent use. Choose and Success take no lock in the normal case; whatever changes the pool does.
type Pool struct {
	id fleet.GroupID

	// What every request reads.
	directory atomic.Pointer[directory]
	due       atomic.Int64 // when the next rest ends or is forgotten; math.MaxInt64 when none does
	slots     *slots
	served    served

	base lane

	mu     sync.Mutex // guards all below, and every write to slots, lanes and directory
	index  index
	lanes  []*lane // all but the base lane
	lapsed restHeap
	counts [states]int
	keysOf [maxWeight + 1]int // by weight
	tally  reasonTally
	change uint64 // goes up with every change that Soonest could see

	loading sync.Mutex // one Replace at a time
	load    uint8      // number of the last Replace, 0 before the first
	touched map[fleet.KeyID]struct{}
}

// NewPool makes an empty pool for the keys of one group.
func NewPool(id fleet.GroupID) *Pool {
	slots := newSlots()
	p := &Pool{id: id, slots: slots, index: index{slots: slots}}
	p.directory.Store(&directory{byModel: map[string]*lane{}})
	p.base.usable.Store(newTurns(0))
	p.base.cursor.Store(unset | uint64(rand.Uint32()))
	p.due.Store(math.MaxInt64)
	return p
}

// drainPerChoice bounds the ended rests that one choice clears away. An attempt starts at most one rest, so
// more than one of them is enough to keep up.
const drainPerChoice = 8

// Choose picks the key whose turn it is among those that are active, do not rest for this model and are not
// in tried (which may be nil). An empty model is a request that names none: only rests for all models count.
// It returns false when there is no such key.
func (p *Pool) Choose(model string, tried *Tried, now time.Time) (Pick, bool) {
	at := now.UnixNano()
	if at >= p.due.Load() && p.mu.TryLock() {
		p.drain(at, drainPerChoice)
		p.mu.Unlock()
	}
	if pick, ok := p.take(p.laneOf(model), tried, at); ok {
		return pick, true
	}
	if at < p.due.Load() {
		return Pick{}, false
	}
	// There may be keys whose rests ended but were not cleared away yet.
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		more := p.drain(at, drainPerLook)
		if pick, ok := p.take(p.laneOf(model), tried, at); ok || !more {
			return pick, ok
		}
	}
}

// drainPerLook is the portion in which a look under the lock clears away what ended.
const drainPerLook = 64

// Usable reports whether Choose would find a key, without taking a turn.
func (p *Pool) Usable(model string, tried *Tried, now time.Time) bool {
	at := now.UnixNano()
	l := p.laneOf(model)
	if _, found := p.find(p.usableIn(l), cursor(l.cursor.Load()), tried); found != nil {
		return true
	}
	if at < p.due.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, found := p.look(model, tried, at)
	return found != nil
}

// take chooses the next key of a lane and moves its cursor behind it. All requests of the lane go through the
// same cursor one after the other, which is what makes their counts even: whoever loses the race to move it
// looks again from where the winner left it.
func (p *Pool) take(l *lane, tried *Tried, at int64) (Pick, bool) {
	for {
		from := l.cursor.Load()
		place, found := p.find(p.usableIn(l), cursor(from), tried)
		if found == nil {
			return Pick{}, false
		}
		if l.cursor.CompareAndSwap(from, uint64(place)+1) {
			return Pick{KeyID: found.id, Value: found.value(), slot: place.slot(), at: at}, true
		}
	}
}

func (p *Pool) usableIn(l *lane) *turns {
	if usable := l.usable.Load(); usable != nil {
		return usable
	}
	return p.base.usable.Load()
}

// find looks for the usable key whose turn it is from a place on and that is not in tried: in what is left of the round, and in as
// many rounds as it takes for every key to have had a turn. In each it passes over at most the keys of tried and
// those that are being removed at this moment.
func (p *Pool) find(usable *turns, from cursor, tried *Tried) (cursor, *credential) {
	round, slot := from.round(), from.slot()
	if from&unset != 0 {
		slot %= uint32(usable.size()) // #nosec G115 -- slots are counted in 32 bits
	}
	for range usable.rounds() + 1 {
		for {
			i, ok := usable.next(round, slot)
			if !ok {
				break
			}
			if c := p.slots.credential(i); c != nil && !tried.has(c.id) {
				return cursorAt(round, i), c
			}
			slot = i + 1
		}
		round, slot = round+1, 0
	}
	return 0, nil
}

// look clears away what ended until a key for the model is found; the caller holds the lock.
func (p *Pool) look(model string, tried *Tried, at int64) (cursor, *credential) {
	for {
		more := p.drain(at, drainPerLook)
		l := p.laneOf(model)
		if i, found := p.find(p.usableIn(l), cursor(l.cursor.Load()), tried); found != nil || !more {
			return i, found
		}
	}
}

// Len is the number of keys in every state.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.index.count
}

// ID is the group whose keys these are.
func (p *Pool) ID() fleet.GroupID { return p.id }

// Counts says what the keys can do now.
func (p *Pool) Counts(now time.Time) fleet.KeyCounts {
	p.mu.Lock()
	defer p.mu.Unlock()
	cooling := len(p.base.resting) - p.base.resting.countDue(now.UnixNano(), 0)
	return fleet.KeyCounts{
		Active:   p.counts[stateActive] - cooling,
		Cooling:  cooling,
		Invalid:  p.counts[stateInvalid],
		Disabled: p.counts[stateDisabled],
	}
}

// Get returns the live standing of a key. Its cool-downs are those that still run at now; rests in lanes that
// several models share have no name and are left out. CreatedAt is not kept.
func (p *Pool) Get(id fleet.KeyID, now time.Time) (fleet.Key, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.index.find(id)
	if !ok {
		return fleet.Key{}, false
	}
	s := p.slots.at(i)
	key := fleet.Key{
		ID: id, GroupID: p.id, Value: p.slots.credential(i).value(),
		State: s.state.word(), Failures: int(s.failures()),
		Cooldowns: p.cooldowns(s, now.UnixNano()),
		UpdatedAt: timeOf(s.stamp()),
	}
	key.Reason, key.Evidence = s.why()
	return key, true
}

// Lookup makes a pick of one particular key, whatever its state and turn: the test of a key goes the way of
// real traffic with it. Verdicts on it count like any other.
func (p *Pool) Lookup(id fleet.KeyID, now time.Time) (Pick, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.index.find(id)
	if !ok {
		return Pick{}, false
	}
	return Pick{KeyID: id, Value: p.slots.credential(i).value(), slot: i, at: now.UnixNano()}, true
}

// The span of time that nanoseconds since 1970 can tell.
var (
	earliest = time.Unix(0, 0)
	latest   = time.Unix(0, math.MaxInt64)
)

// nanosOf clips a time from outside to what an int64 can hold.
func nanosOf(t time.Time) int64 {
	switch {
	case t.Before(earliest):
		return 0
	case t.After(latest):
		return math.MaxInt64
	default:
		return t.UnixNano()
	}
}

// timeOf is the reverse of nanosOf; 0 is the zero time.
func timeOf(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(0, at).UTC()
}
