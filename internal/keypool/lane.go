package keypool

import (
	"hash/maphash"
	"maps"
	"strings"
	"sync/atomic"
)

// lane is the view that the requests of one model have of the keys: which can be used now, and whose turn it
// is. The base lane is that of every model without a lane of its own; a rest in it is a rest for all models.
type lane struct {
	// cursor is the place whose turn is next. It is written by every choice, so it shares no cache line.
	_      [64]byte
	cursor atomic.Uint64
	_      [56]byte

	model string // empty for the base lane and for shared lanes
	// usable are the keys that can be chosen now. It is nil while nothing rests in this lane: then those of
	// the base lane are the same.
	usable  atomic.Pointer[turns]
	resting restHeap
	rests   int   // running and lapsed ones
	lastUse int64 // when the last rest began or ended

	memo memo
}

// memo is the last answer of Soonest, good until the pool changes.
type memo struct {
	change uint64
	found  bool
	slot   uint32
	at     int64
}

const (
	// maxLanes bounds what a client can make a pool remember by asking a limited provider for one model name
	// after another. At a million keys a lane with a rest takes 127 KB.
	maxLanes = 256
	// sharedLanes serve the models beyond: a rest in one holds for every model of the same hash.
	sharedLanes = 16
	// maxModelName is the longest model name that gets a lane of its own.
	maxModelName = 256
)

// directory finds the lane of a model. It is never changed, only replaced.
type directory struct {
	byModel map[string]*lane
	shared  *[sharedLanes]*lane // nil while no shared lane is needed
}

var laneSeed = maphash.MakeSeed()

func shareOf(model string) int { return int(maphash.String(laneSeed, model) % sharedLanes) }

// laneOf finds the lane that serves a model. It needs no lock.
func (p *Pool) laneOf(model string) *lane {
	if model == "" {
		return &p.base
	}
	d := p.directory.Load()
	if l, ok := d.byModel[model]; ok {
		return l
	}
	if d.shared != nil {
		if l := d.shared[shareOf(model)]; l != nil {
			return l
		}
	}
	return &p.base
}

// openLane finds or makes the lane in which a model's rest goes; the caller holds the lock. A new lane starts
// where the base lane stands, so that no key is served twice in a row by the change.
func (p *Pool) openLane(model string) *lane {
	if l := p.laneOf(model); l != &p.base {
		// A shared lane is kept while anything is in it: leaving it would forget a rest.
		if l.model != "" || l.rests > 0 {
			return l
		}
	}
	d := p.directory.Load()
	next := &directory{byModel: d.byModel, shared: d.shared}
	if len(model) > maxModelName || len(d.byModel) >= maxLanes && !p.dropIdleLane(next) {
		return p.openShared(next, shareOf(model))
	}
	model = strings.Clone(model) // it may be cut out of a request body
	l := p.newLane(model)
	next.byModel = maps.Clone(next.byModel)
	next.byModel[model] = l
	p.directory.Store(next)
	return l
}

func (p *Pool) newLane(model string) *lane {
	l := &lane{model: model}
	l.cursor.Store(p.base.cursor.Load())
	p.lanes = append(p.lanes, l)
	return l
}

func (p *Pool) openShared(next *directory, share int) *lane {
	if next.shared != nil && next.shared[share] != nil {
		return next.shared[share]
	}
	shared := new([sharedLanes]*lane)
	if next.shared != nil {
		*shared = *next.shared
	}
	shared[share] = p.newLane("")
	next.shared = shared
	p.directory.Store(next)
	return shared[share]
}

// dropIdleLane makes room by taking out the lane of a model in which nothing rested for the longest time.
func (p *Pool) dropIdleLane(next *directory) bool {
	oldest := -1
	for i, l := range p.lanes {
		if l.model != "" && l.rests == 0 && (oldest < 0 || l.lastUse < p.lanes[oldest].lastUse) {
			oldest = i
		}
	}
	if oldest < 0 {
		return false
	}
	next.byModel = maps.Clone(next.byModel)
	delete(next.byModel, p.lanes[oldest].model)
	last := len(p.lanes) - 1
	p.lanes[oldest] = p.lanes[last]
	p.lanes[last] = nil
	p.lanes = p.lanes[:last]
	return true
}
