package keypool

import (
	"math/rand/v2"
	"testing"

	"gpt-load/internal/fleet"
)

// TestIndex adds and removes keys at random, with ids that follow each other and such that do not, beside a map.
func TestIndex(t *testing.T) {
	for name, idOf := range map[string]func(n uint64) fleet.KeyID{
		"in a row":  func(n uint64) fleet.KeyID { return fleet.KeyID(1 + n) },
		"far apart": func(n uint64) fleet.KeyID { return fleet.KeyID(1 + n<<40) },
		"in steps":  func(n uint64) fleet.KeyID { return fleet.KeyID(1<<62 + n*indexParts) },
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			s := newSlots()
			x, want := index{slots: s}, map[fleet.KeyID]uint32{}
			for range 50_000 {
				id := idOf(random.Uint64N(5000))
				slot, known := want[id]
				if got, ok := x.find(id); ok != known || got != slot {
					t.Fatalf("key %d is found in %d, %v; want %d, %v", id, got, ok, slot, known)
				}
				// It grows and shrinks by turns.
				if known && random.Uint64N(2) == 0 {
					x.remove(id)
					s.release(slot)
					delete(want, id)
				} else if !known {
					slot = s.take()
					s.at(slot).id = id
					x.add(id, slot)
					want[id] = slot
				}
			}
			if x.count != len(want) {
				t.Errorf("it has %d keys, not %d", x.count, len(want))
			}
			for id, slot := range want {
				if got, ok := x.find(id); !ok || got != slot {
					t.Errorf("key %d is found in %d, %v; want %d", id, got, ok, slot)
				}
			}
		})
	}
}
