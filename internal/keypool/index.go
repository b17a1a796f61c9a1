package keypool

import (
	"math/bits"

	"gpt-load/internal/fleet"
)

// index finds the slot of a key. A map of Go would take as much memory as all else that is known of a key: this one keeps
// the number of the slot alone, and the slot has the id. It is parted, so that it grows in steps too short to notice.
type index struct {
	slots *slots
	parts [indexParts]indexPart
	count int
}

// indexPart is a hash table with linear probing.
type indexPart struct {
	places []uint32 // slot number + 1, 0 for none; the length is a power of two
	count  int
}

const (
	indexParts  = 64
	leastPlaces = 8
	fibonacci   = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio: it spreads ids that follow each other
	partBits    = 6
)

func (x *index) part(id fleet.KeyID) (*indexPart, uint64) {
	hash := uint64(id) * fibonacci // #nosec G115 -- a hash
	return &x.parts[hash>>(64-partBits)], hash << partBits
}

// home is where a hash belongs in a table of n places.
func home(hash uint64, n int) int {
	return int(hash >> (64 - uint(bits.TrailingZeros(uint(n))))) // #nosec G115 -- below n
}

// find returns the slot of a key.
func (x *index) find(id fleet.KeyID) (uint32, bool) {
	p, hash := x.part(id)
	if p.count == 0 {
		return 0, false
	}
	for at := home(hash, len(p.places)); ; at = (at + 1) & (len(p.places) - 1) {
		switch place := p.places[at]; {
		case place == 0:
			return 0, false
		case x.slots.at(place-1).id == id:
			return place - 1, true
		}
	}
}

// add names the slot of a key that is not in the index and whose slot has its id.
func (x *index) add(id fleet.KeyID, slot uint32) {
	p, _ := x.part(id)
	if 4*(p.count+1) > 3*len(p.places) {
		old := p.places
		p.places = make([]uint32, max(leastPlaces, 2*len(old)))
		for _, place := range old {
			if place != 0 {
				x.insert(p, place)
			}
		}
	}
	x.insert(p, slot+1)
	p.count++
	x.count++
}

func (x *index) insert(p *indexPart, place uint32) {
	_, hash := x.part(x.slots.at(place - 1).id)
	at := home(hash, len(p.places))
	for p.places[at] != 0 {
		at = (at + 1) & (len(p.places) - 1)
	}
	p.places[at] = place
}

// remove takes a key out that is in the index. Those behind it move up where they may, so that no gap cuts them off.
func (x *index) remove(id fleet.KeyID) {
	p, hash := x.part(id)
	last := len(p.places) - 1
	at := home(hash, len(p.places))
	for x.slots.at(p.places[at]-1).id != id {
		at = (at + 1) & last
	}
	for next := (at + 1) & last; p.places[next] != 0; next = (next + 1) & last {
		_, hash := x.part(x.slots.at(p.places[next] - 1).id)
		// It may move up unless its home lies behind the gap.
		if (next-home(hash, len(p.places)))&last >= (next-at)&last {
			p.places[at] = p.places[next]
			at = next
		}
	}
	p.places[at] = 0
	p.count--
	x.count--
}
