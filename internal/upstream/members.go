package upstream

import (
	"slices"
	"time"

	"gpt-load/internal/fleet"
)

// memberPolicy: the rests of a member end at 30 seconds, so that a better tier is back soon after it recovered.
var memberPolicy = policy{faultsToRest: 3, firstRest: time.Second, maxRest: 30 * time.Second, probeLease: 10 * time.Minute}

// Members chooses among the members of one aggregate. It is safe for concurrent use.
type Members struct {
	ring  *ring[fleet.GroupID]
	nodes map[fleet.GroupID]*node[fleet.GroupID] // guarded by ring.mu
}

// MemberChoice is a member chosen for a part of a request. One of Success, Fault and Release is to be called
// once it is known how that went.
type MemberChoice struct {
	GroupID fleet.GroupID

	ring *ring[fleet.GroupID]
	turn turn[fleet.GroupID]
}

// Success reports that the member served, or that its provider answered as providers do.
func (c MemberChoice) Success(_ time.Time) { c.ring.success(c.turn.node) }

// Fault reports that the member's upstream failed.
func (c MemberChoice) Fault(now time.Time) { c.ring.fault(c.turn, false, now.UnixNano()) }

// Release reports that nothing was learned of the member: the client left, or its keys were used up meanwhile.
func (c MemberChoice) Release() { c.ring.release(c.turn) }

// NewMembers makes the choice among members. Those with a weight of 0 are off.
func NewMembers(members []fleet.Member) *Members {
	m := &Members{ring: newRing[fleet.GroupID](memberPolicy), nodes: map[fleet.GroupID]*node[fleet.GroupID]{}}
	m.Update(members)
	return m
}

// Update sets the members. Those that stay keep their health.
func (m *Members) Update(members []fleet.Member) {
	m.ring.mu.Lock()
	defer m.ring.mu.Unlock()
	known := m.nodes
	m.nodes = make(map[fleet.GroupID]*node[fleet.GroupID], len(members))
	nodes := make([]*node[fleet.GroupID], 0, len(members))
	for _, member := range members {
		n := known[member.GroupID]
		if n == nil {
			n = &node[fleet.GroupID]{value: member.GroupID}
		}
		n.weight, n.tier = member.Weight, member.Tier
		m.nodes[member.GroupID] = n
		nodes = append(nodes, n)
	}
	m.ring.replace(nodes)
}

// Choose gives the member for the next part of a request, leaving out those in tried and those that are not
// usable. A tier is passed over only when none of its members serves; a member that rested gets single probes.
// When every usable member rests, the one that returns first is used anyway. It returns false when no usable
// member is left. usable is called with a lock held at times and must not call back.
func (m *Members) Choose(tried []fleet.GroupID, usable func(fleet.GroupID) bool, now time.Time) (MemberChoice, bool) {
	pass := func(id fleet.GroupID) bool { return !slices.Contains(tried, id) && usable(id) }
	chosen, ok := m.ring.choose(pass, now.UnixNano())
	if !ok {
		if chosen, ok = m.ring.soonest(pass); !ok {
			return MemberChoice{}, false
		}
	}
	return MemberChoice{GroupID: chosen.node.value, ring: m.ring, turn: chosen}, true
}

// MemberStatus is the health of one member for people to see.
type MemberStatus struct {
	GroupID fleet.GroupID
	// Resting says that the member gets nothing but probes; RestsUntil is when the next may go.
	Resting    bool
	RestsUntil time.Time
	Faults     int // in a row, before the rest
}

// Status tells the health of the members that are on, by tier.
func (m *Members) Status(_ time.Time) []MemberStatus {
	m.ring.mu.Lock()
	defer m.ring.mu.Unlock()
	list := make([]MemberStatus, 0, len(m.ring.nodes))
	for _, n := range m.ring.nodes {
		s := MemberStatus{GroupID: n.value, Faults: n.faults, Resting: n.rest > 0}
		if s.Resting {
			s.RestsUntil = time.Unix(0, n.until).UTC()
		}
		list = append(list, s)
	}
	return list
}
