package proxy

import (
	"sync/atomic"

	"gpt-load/internal/fleet"
	"gpt-load/internal/snapshot"
	"gpt-load/internal/upstream"
)

// Routes holds, for each group, how its addresses or members are doing. That outlives a change of configuration:
// an address that failed a second ago is no better because somebody edited a header rule.
type Routes struct {
	current atomic.Pointer[map[fleet.GroupID]route]
}

// route has one of the two, by the kind of its group.
type route struct {
	addresses *upstream.Balancer
	members   *upstream.Members
}

// Sync brings the routes to a snapshot's groups. It must not run twice at the same time; the snapshot's loader sees to that.
func (r *Routes) Sync(groups []*snapshot.Group) {
	old := map[fleet.GroupID]route{}
	if current := r.current.Load(); current != nil {
		old = *current
	}
	next := make(map[fleet.GroupID]route, len(groups))
	for _, g := range groups {
		kept := old[g.ID]
		if g.Kind == fleet.KindAggregate {
			if kept.members == nil {
				kept.members = upstream.NewMembers(g.Members)
			} else {
				kept.members.Update(g.Members)
			}
		} else {
			if kept.addresses == nil {
				kept.addresses = upstream.NewBalancer(g.Upstreams)
			} else {
				kept.addresses.Update(g.Upstreams)
			}
		}
		next[g.ID] = kept
	}
	r.current.Store(&next)
}

func (r *Routes) of(id fleet.GroupID) route {
	if current := r.current.Load(); current != nil {
		return (*current)[id]
	}
	return route{}
}
