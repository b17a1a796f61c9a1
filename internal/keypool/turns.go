package keypool

import "slices"

// turns says which keys can be chosen, and in which of them whose turn it is. Keys go round after round, in the order of their slots.
// With weights, a round leaves keys out: of as many rounds as the greatest weight counts, a key takes part in as many as its own
// weight, spread evenly. So a key of weight 3 is chosen three times as often as one of weight 1, never several times in a row
// while others wait, and a pool without weights pays nothing.
//
// The keys of a weight are a set of their own, and a choice looks into each set that takes part in the round: people use
// a few different weights. Sets are never changed but by bitmap's rules; a new one comes with new turns.
type turns struct {
	sets []weighted // in ascending order of weight; at least one
	most uint32     // the greatest weight
}

type weighted struct {
	weight uint32
	keys   *bitmap
}

func newTurns(size int) *turns { return &turns{sets: []weighted{{1, newBitmap(size)}}, most: 1} }

func (t *turns) size() int { return t.sets[0].keys.size() }

// copyTo gives turns of the same keys with room for at least size slots.
func (t *turns) copyTo(size int) *turns {
	c := &turns{sets: slices.Clone(t.sets), most: t.most}
	for i := range c.sets {
		c.sets[i].keys = c.sets[i].keys.copyTo(size)
	}
	return c
}

// with gives turns with a further weight, sharing the sets.
func (t *turns) with(weight uint32) *turns {
	at, _ := slices.BinarySearchFunc(t.sets, weight, compareWeight)
	c := &turns{sets: slices.Insert(slices.Clone(t.sets), at, weighted{weight, newBitmap(t.size())})}
	c.most = c.sets[len(c.sets)-1].weight
	return c
}

// without gives turns without a weight that no key has, unless it is the last.
func (t *turns) without(weight uint32) *turns {
	at, ok := slices.BinarySearchFunc(t.sets, weight, compareWeight)
	if !ok || len(t.sets) == 1 {
		return t
	}
	c := &turns{sets: slices.Delete(slices.Clone(t.sets), at, at+1)}
	c.most = c.sets[len(c.sets)-1].weight
	return c
}

func compareWeight(s weighted, weight uint32) int { return int(s.weight) - int(weight) }

func (t *turns) has(weight uint32) bool {
	_, ok := slices.BinarySearchFunc(t.sets, weight, compareWeight)
	return ok
}

// put says whether a key of a weight that is known can be chosen.
func (t *turns) put(slot, weight uint32, member bool) {
	at, _ := slices.BinarySearchFunc(t.sets, weight, compareWeight)
	t.sets[at].keys.put(slot, member)
}

// next finds the first key from a slot on that takes part in a round.
func (t *turns) next(round, from uint32) (slot uint32, ok bool) {
	if len(t.sets) == 1 {
		return t.sets[0].keys.next(from)
	}
	round %= t.most
	for i := range t.sets {
		s := &t.sets[i]
		if round*s.weight%t.most >= s.weight {
			continue
		}
		if at, found := s.keys.next(from); found && (!ok || at < slot) {
			slot, ok = at, true
		}
	}
	return slot, ok
}

// rounds is after how many rounds every key had its turns.
func (t *turns) rounds() uint32 {
	if len(t.sets) == 1 {
		return 1
	}
	return t.most
}

// cursor is a place in the turns: the round, and the slot whose turn is next in it.
type cursor uint64

func cursorAt(round, slot uint32) cursor { return cursor(round)<<32&^unset | cursor(slot) }

func (c cursor) round() uint32 { return uint32(c &^ unset >> 32) } // #nosec G115 -- the upper half
func (c cursor) slot() uint32  { return uint32(c) }                // #nosec G115 -- the lower half

// unset marks the cursor of a pool from which nothing was chosen yet. The slot is random, so that the nodes of a fleet do
// not all begin with the same key.
const unset = 1 << 63
