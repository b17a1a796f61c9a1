package keypool

import (
	"maps"
	"sync"
	"sync/atomic"

	"gpt-load/internal/fleet"
)

// Pools finds the pool of a group. Get takes no lock.
type Pools struct {
	byGroup atomic.Pointer[map[fleet.GroupID]*Pool]
	mu      sync.Mutex // held to change the map
}

// NewPools makes an empty registry.
func NewPools() *Pools {
	p := &Pools{}
	p.byGroup.Store(&map[fleet.GroupID]*Pool{})
	return p
}

// Get returns the pool of a group, or nil when it has none.
func (p *Pools) Get(id fleet.GroupID) *Pool { return (*p.byGroup.Load())[id] }

// Ensure returns the pool of a group and makes an empty one when it has none.
func (p *Pools) Ensure(id fleet.GroupID) *Pool {
	if pool := p.Get(id); pool != nil {
		return pool
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if pool := p.Get(id); pool != nil {
		return pool
	}
	pool := NewPool(id)
	next := maps.Clone(*p.byGroup.Load())
	next[id] = pool
	p.byGroup.Store(&next)
	return pool
}

// Delete forgets the pool of a group. Requests that hold it end with it.
func (p *Pools) Delete(id fleet.GroupID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := maps.Clone(*p.byGroup.Load())
	delete(next, id)
	p.byGroup.Store(&next)
}

// All returns every pool by its group. The map must not be changed.
func (p *Pools) All() map[fleet.GroupID]*Pool { return *p.byGroup.Load() }

// Apply takes a change that was decided elsewhere to the pool of its group, if there is one.
func (p *Pools) Apply(c fleet.KeyChange) {
	if pool := p.Get(c.GroupID); pool != nil {
		pool.Apply(c)
	}
}

// Hear takes what another node found out to the pool of its group, if there is one.
func (p *Pools) Hear(c fleet.KeyChange) {
	if pool := p.Get(c.GroupID); pool != nil {
		pool.Hear(c)
	}
}
