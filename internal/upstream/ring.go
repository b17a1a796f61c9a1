package upstream

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// policy says when a node rests and for how long.
type policy struct {
	// faultsToRest is how many faults in a row rest a node: single ones are the lot of every provider.
	faultsToRest int
	firstRest    time.Duration
	maxRest      time.Duration
	// probeLease is how long an unanswered probe keeps the next one away. It matters only when a caller never
	// reports back.
	probeLease time.Duration
}

// node is one thing that a ring chooses, with its health. Everything but troubled is guarded by the ring's lock.
type node[T any] struct {
	value  T
	weight int
	tier   int

	// troubled is false while there is nothing to write when the node succeeds.
	troubled atomic.Bool
	faults   int           // in a row
	rest     time.Duration // length of the current rest; 0 while the node serves
	until    int64         // end of the rest, in nanoseconds since 1970
	probe    uint64        // number of the probe under way; 0 for none
	probedAt int64
	probes   uint64
}

// wake is when a resting node may be probed.
func (n *node[T]) wake(p policy) int64 {
	if n.probe != 0 {
		return max(n.until, n.probedAt+int64(p.probeLease))
	}
	return n.until
}

// ring chooses among nodes: by tier, and within a tier by smooth weighted round robin. A node that fails rests,
// and after that single requests are let through to it until one succeeds. Choosing among nodes in good health
// takes no lock.
type ring[T any] struct {
	policy policy
	tiers  atomic.Pointer[[]*tier[T]] // ascending; never changed, only replaced

	mu    sync.Mutex
	nodes []*node[T] // those with a weight
}

// tier is a full round of the nodes of one tier that serve.
type tier[T any] struct {
	place   atomic.Uint64
	due     atomic.Int64 // when the next probe may go; math.MaxInt64 when none is to come
	turns   []*node[T]
	serving int        // different nodes in turns
	resting []*node[T] // the others
}

func newRing[T any](p policy) *ring[T] {
	r := &ring[T]{policy: p}
	r.tiers.Store(&[]*tier[T]{})
	return r
}

// replace sets the nodes. Health belongs to a node and stays with it.
func (r *ring[T]) replace(nodes []*node[T]) {
	r.nodes = r.nodes[:0:0]
	for _, n := range nodes {
		if n.weight > 0 {
			r.nodes = append(r.nodes, n)
		}
	}
	slices.SortStableFunc(r.nodes, func(a, b *node[T]) int { return cmp.Compare(a.tier, b.tier) })
	r.rebuild()
}

// rebuild makes the rounds anew; the caller holds the lock.
func (r *ring[T]) rebuild() {
	var tiers []*tier[T]
	for rest := r.nodes; len(rest) > 0; {
		end := 1
		for end < len(rest) && rest[end].tier == rest[0].tier {
			end++
		}
		tiers = append(tiers, r.newTier(rest[:end]))
		rest = rest[end:]
	}
	r.tiers.Store(&tiers)
}

func (r *ring[T]) newTier(nodes []*node[T]) *tier[T] {
	t := &tier[T]{}
	var serving []*node[T]
	for _, n := range nodes {
		if n.rest > 0 {
			t.resting = append(t.resting, n)
		} else {
			serving = append(serving, n)
		}
	}
	t.serving = len(serving)
	if t.turns = smooth(serving); len(t.turns) > 0 {
		// The nodes of a fleet should not all begin with the same one.
		t.place.Store(rand.Uint64N(uint64(len(t.turns))))
	}
	t.due.Store(t.nextProbe(r.policy))
	return t
}

func (t *tier[T]) nextProbe(p policy) int64 {
	due := int64(math.MaxInt64)
	for _, n := range t.resting {
		due = min(due, n.wake(p))
	}
	return due
}

// maxTurns bounds a round. Eight nodes of the largest weights fit exactly; beyond, weights are rounded.
const maxTurns = 8192

// smooth is one round of nginx's smooth weighted round robin: with every turn each node gains its weight, and
// the richest is chosen and pays the sum of all. Writing the round down once makes each choice one addition.
func smooth[T any](nodes []*node[T]) []*node[T] {
	weights, total := reduced(nodes)
	turns := make([]*node[T], 0, total)
	riches := make([]int, len(nodes))
	for range total {
		best := 0
		for i, w := range weights {
			riches[i] += w
			if riches[i] > riches[best] {
				best = i
			}
		}
		riches[best] -= total
		turns = append(turns, nodes[best])
	}
	return turns
}

// reduced divides the weights by their greatest common divisor, and rounds them when a round is still too long.
func reduced[T any](nodes []*node[T]) (weights []int, total int) {
	divisor, sum := 0, 0
	for _, n := range nodes {
		sum += n.weight
		for a, b := divisor, n.weight; ; a, b = b, a%b {
			if b == 0 {
				divisor = a
				break
			}
		}
	}
	for _, n := range nodes {
		w := n.weight / divisor
		if sum/divisor > maxTurns {
			w = max(1, n.weight*maxTurns/sum)
		}
		weights = append(weights, w)
		total += w
	}
	return weights, total
}

// turn is a chosen node; probe is not 0 when the request is its probe.
type turn[T any] struct {
	node  *node[T]
	probe uint64
}

// choose gives a node that passes: from the first tier that has one whose probe is due, or one that serves.
func (r *ring[T]) choose(pass func(T) bool, at int64) (turn[T], bool) {
	for _, t := range *r.tiers.Load() {
		if at >= t.due.Load() {
			if chosen, ok := r.claimProbe(t, pass, at); ok {
				return chosen, true
			}
		}
		if n := t.next(pass); n != nil {
			return turn[T]{node: n}, true
		}
	}
	return turn[T]{}, false
}

// claimProbe makes the request the probe of a resting node whose time has come. Nobody else gets that node
// until the probe is answered. When the lock is taken, somebody else is at it.
func (r *ring[T]) claimProbe(t *tier[T], pass func(T) bool, at int64) (turn[T], bool) {
	if !r.mu.TryLock() {
		return turn[T]{}, false
	}
	defer r.mu.Unlock()
	for _, n := range t.resting {
		if n.rest == 0 || at < n.wake(r.policy) || !pass(n.value) {
			continue
		}
		n.probes++
		n.probe, n.probedAt = n.probes, at
		t.due.Store(t.nextProbe(r.policy))
		return turn[T]{node: n, probe: n.probe}, true
	}
	return turn[T]{}, false
}

// next gives the node whose turn it is, or the first after it that passes, or nil.
func (t *tier[T]) next(pass func(T) bool) *node[T] {
	n := uint64(len(t.turns))
	if n == 0 {
		return nil
	}
	place := t.place.Add(1) - 1
	first := t.turns[place%n]
	if pass(first.value) {
		return first
	}
	// A node may stand in the round a thousand times, but it is asked once.
	var room [8]*node[T]
	refused := append(room[:0], first)
	for i := uint64(1); i < n && len(refused) < t.serving; i++ {
		candidate := t.turns[(place+i)%n]
		if slices.Contains(refused, candidate) {
			continue
		}
		if pass(candidate.value) {
			return candidate
		}
		refused = append(refused, candidate)
	}
	return nil
}

// soonest gives the resting node that returns first among those that pass, in whatever tier.
func (r *ring[T]) soonest(pass func(T) bool) (turn[T], bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var best *node[T]
	for _, n := range r.nodes {
		if n.rest > 0 && (best == nil || n.until < best.until) && pass(n.value) {
			best = n
		}
	}
	return turn[T]{node: best}, best != nil
}

// success brings a node back at once.
func (r *ring[T]) success(n *node[T]) {
	if !n.troubled.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rested := n.rest > 0
	n.faults, n.rest, n.until, n.probe = 0, 0, 0, 0
	n.troubled.Store(false)
	if rested {
		r.rebuild()
	}
}

// fault counts against a node. hard says that there is no point in counting on. While a node rests only its
// probe counts: requests that were under way when the rest began, or had nowhere else to go, say nothing new.
func (r *ring[T]) fault(chosen turn[T], hard bool, at int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := chosen.node
	n.troubled.Store(true)
	switch {
	case n.rest == 0:
		n.faults++
		if !hard && n.faults < r.policy.faultsToRest {
			return
		}
		n.rest = r.policy.firstRest
	case chosen.probe != 0 && chosen.probe == n.probe:
		n.rest = min(2*n.rest, r.policy.maxRest)
	default:
		return
	}
	n.probe = 0
	n.until = at + int64(n.rest)
	r.rebuild()
}

// release ends a probe that taught nothing, so that the next request becomes one.
func (r *ring[T]) release(chosen turn[T]) {
	if chosen.probe == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := chosen.node; n.probe == chosen.probe {
		n.probe = 0
		r.rebuild()
	}
}
