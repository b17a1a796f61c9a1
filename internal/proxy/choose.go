package proxy

import (
	"slices"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/provider"
	"gpt-load/internal/snapshot"
	"gpt-load/internal/upstream"
)

// choice is one way to serve a request: a group that takes it, a key and an address. Of the address and the member,
// exactly one of Success, Fault and Release is called, by blame.
type choice struct {
	*candidate
	pick    keypool.Pick
	address upstream.Choice
	member  upstream.MemberChoice // of an aggregate
}

// candidate is what one request knows of one standard group.
type candidate struct {
	p     *prepared
	pool  *keypool.Pool
	route route
	avoid upstream.Avoid
}

// candidate returns what is known of a group, preparing the request for it at first.
func (x *exchange) candidate(g *snapshot.Group) *candidate {
	for _, c := range x.candidates {
		if c.p.group == g {
			return c
		}
	}
	c := &candidate{p: x.ask.prepare(g), pool: x.h.Pools.Get(g.ID), route: x.h.Routes.of(g.ID)}
	x.candidates = append(x.candidates, c)
	return c
}

// choose finds the next way to serve the request. refusal is set when no group takes it at all.
func (x *exchange) choose(now time.Time) (chosen choice, refusal *provider.GatewayError, ok bool) {
	if x.group.Kind != fleet.KindAggregate {
		c := x.candidate(x.group)
		if c.p.refusal != nil {
			return choice{}, c.p.refusal, false
		}
		chosen, ok = x.chooseIn(c, now)
		return chosen, nil, ok
	}
	return x.chooseMember(now)
}

// chooseMember finds the member of an aggregate that serves next, and a key and an address in it.
func (x *exchange) chooseMember(now time.Time) (chosen choice, refusal *provider.GatewayError, ok bool) {
	members := x.h.Routes.of(x.group.ID).members
	if members == nil {
		return choice{}, nil, false
	}
	// What a member thinks of the model is asked before the choice, which holds a lock.
	taking := make([]fleet.GroupID, 0, len(x.group.Members))
	x.eachMember(func(g *snapshot.Group, model string, refused *provider.GatewayError) {
		switch pool := x.h.Pools.Get(g.ID); {
		case refused != nil:
			refusal = refused
		case pool != nil && pool.Usable(model, &x.failed, now):
			taking = append(taking, g.ID)
		}
	})
	usable := func(id fleet.GroupID) bool { return slices.Contains(taking, id) }
	member, ok := members.Choose(x.faulty, usable, now)
	if !ok && len(x.faulty) > 0 {
		member, ok = members.Choose(nil, usable, now)
	}
	if !ok {
		if _, resting := x.soonest(now); resting || len(taking) > 0 {
			refusal = nil // somebody takes such requests, only not now
		}
		return choice{}, refusal, false
	}
	g, _ := x.snap.ByID(member.GroupID)
	c := x.candidate(g)
	if c.p.refusal != nil {
		member.Release()
		return choice{}, c.p.refusal, false
	}
	if chosen, ok = x.chooseIn(c, now); !ok {
		member.Release()
		return choice{}, nil, false
	}
	chosen.member = member
	return chosen, nil, true
}

// eachMember calls visit for the groups that may serve: the group itself, or an aggregate's members.
func (x *exchange) eachMember(visit func(g *snapshot.Group, model string, refused *provider.GatewayError)) {
	if x.group.Kind != fleet.KindAggregate {
		model, refused := x.ask.modelFor(x.group)
		visit(x.group, model, refused)
		return
	}
	for _, m := range x.group.Members {
		if g, ok := x.snap.ByID(m.GroupID); ok && m.Weight > 0 {
			model, refused := x.ask.modelFor(g)
			visit(g, model, refused)
		}
	}
}

// chooseIn picks a key and an address of one group. Keys whose attempt failed through no fault of theirs come last.
func (x *exchange) chooseIn(c *candidate, now time.Time) (choice, bool) {
	if c.pool == nil || c.route.addresses == nil {
		return choice{}, false
	}
	pick, ok := c.pool.Choose(c.p.model, &x.avoided, now)
	if !ok {
		pick, ok = c.pool.Choose(c.p.model, &x.failed, now)
	}
	if !ok {
		return choice{}, false
	}
	address, ok := c.route.addresses.Choose(&c.avoid, now)
	return choice{candidate: c, pick: pick, address: address}, ok
}

// soonest is when the first key that rests for this request returns.
func (x *exchange) soonest(now time.Time) (time.Time, bool) {
	var first time.Time
	x.eachMember(func(g *snapshot.Group, model string, refused *provider.GatewayError) {
		pool := x.h.Pools.Get(g.ID)
		if pool == nil || refused != nil {
			return
		}
		if at, ok := pool.Soonest(model, &x.failed, now); ok && (first.IsZero() || at.Before(first)) {
			first = at
		}
	})
	return first, !first.IsZero()
}
