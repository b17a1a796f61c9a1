package upstream

import (
	"maps"
	"sync"
	"sync/atomic"

	"gpt-load/internal/fleet"
)

// registry finds something by group without a lock.
type registry[T any] struct {
	byGroup atomic.Pointer[map[fleet.GroupID]*T]
	mu      sync.Mutex // held to change the map
}

func (r *registry[T]) get(id fleet.GroupID) *T {
	if m := r.byGroup.Load(); m != nil {
		return (*m)[id]
	}
	return nil
}

// set updates what is there, or adds what add makes.
func (r *registry[T]) set(id fleet.GroupID, update func(*T), add func() *T) *T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v := r.get(id); v != nil {
		update(v)
		return v
	}
	v := add()
	r.change(func(m map[fleet.GroupID]*T) { m[id] = v })
	return v
}

func (r *registry[T]) retain(keep func(fleet.GroupID) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change(func(m map[fleet.GroupID]*T) {
		maps.DeleteFunc(m, func(id fleet.GroupID, _ *T) bool { return !keep(id) })
	})
}

func (r *registry[T]) change(edit func(map[fleet.GroupID]*T)) {
	next := make(map[fleet.GroupID]*T)
	if m := r.byGroup.Load(); m != nil {
		next = maps.Clone(*m)
	}
	edit(next)
	r.byGroup.Store(&next)
}

// Balancers holds the balancer of every standard group over changes of configuration.
type Balancers struct{ registry registry[Balancer] }

// NewBalancers makes an empty registry.
func NewBalancers() *Balancers { return &Balancers{} }

// Get returns the balancer of a group, or nil when it has none.
func (b *Balancers) Get(id fleet.GroupID) *Balancer { return b.registry.get(id) }

// Set brings the balancer of a group up to date and returns it, making it when needed.
func (b *Balancers) Set(id fleet.GroupID, upstreams []fleet.Upstream) *Balancer {
	return b.registry.set(id,
		func(old *Balancer) { old.Update(upstreams) },
		func() *Balancer { return NewBalancer(upstreams) })
}

// Retain forgets the balancers of all groups that keep does not name.
func (b *Balancers) Retain(keep func(fleet.GroupID) bool) { b.registry.retain(keep) }

// Aggregates holds the members of every aggregate group over changes of configuration.
type Aggregates struct{ registry registry[Members] }

// NewAggregates makes an empty registry.
func NewAggregates() *Aggregates { return &Aggregates{} }

// Get returns the members of an aggregate, or nil when it is none.
func (a *Aggregates) Get(id fleet.GroupID) *Members { return a.registry.get(id) }

// Set brings the members of an aggregate up to date and returns them, making them when needed.
func (a *Aggregates) Set(id fleet.GroupID, members []fleet.Member) *Members {
	return a.registry.set(id,
		func(old *Members) { old.Update(members) },
		func() *Members { return NewMembers(members) })
}

// Retain forgets the members of all aggregates that keep does not name.
func (a *Aggregates) Retain(keep func(fleet.GroupID) bool) { a.registry.retain(keep) }
