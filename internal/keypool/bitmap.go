package keypool

import (
	"math/bits"
	"sync/atomic"
)

// bitmap is a set of slot numbers in which the next member from any place is found by looking at a few
// words, however sparse it is: level 0 has one bit a slot, and each bit of a higher level says whether a
// word of the level below has any bit. A million slots make four levels (15625, 245, 4 and 1 words, 127 KB).
//
// Readers need no lock. Writers must exclude each other. A member that stays in the set while next runs is
// never overlooked; one that comes or goes meanwhile may be seen or not.
type bitmap struct {
	levels [][]atomic.Uint64
}

const (
	wordBits = 64
	wordLog2 = 6
)

// newBitmap makes an empty set for slots 0 to size-1.
func newBitmap(size int) *bitmap {
	b := &bitmap{}
	for words := (max(size, 1) + wordBits - 1) / wordBits; ; words = (words + wordBits - 1) / wordBits {
		b.levels = append(b.levels, make([]atomic.Uint64, words))
		if words == 1 {
			return b
		}
	}
}

// size is the number of slots there is room for.
func (b *bitmap) size() int { return len(b.levels[0]) * wordBits }

// copyTo gives a set with the same members and room for at least size slots.
func (b *bitmap) copyTo(size int) *bitmap {
	c := newBitmap(max(size, b.size()))
	for i := range b.levels[0] {
		word := b.levels[0][i].Load()
		if word == 0 {
			continue
		}
		c.levels[0][i].Store(word)
		c.raise(i)
	}
	return c
}

// raise marks word i of level 0 as not empty, all the way up.
func (b *bitmap) raise(i int) {
	for level := 1; level < len(b.levels); level++ {
		word := &b.levels[level][i>>wordLog2]
		old := word.Load()
		word.Store(old | 1<<(i&(wordBits-1)))
		if old != 0 {
			return
		}
		i >>= wordLog2
	}
}

func (b *bitmap) has(slot uint32) bool {
	return b.levels[0][slot>>wordLog2].Load()&(1<<(slot&(wordBits-1))) != 0
}

// put adds or removes a slot.
func (b *bitmap) put(slot uint32, member bool) {
	if member {
		b.add(slot)
	} else {
		b.remove(slot)
	}
}

func (b *bitmap) add(slot uint32) {
	word := &b.levels[0][slot>>wordLog2]
	old := word.Load()
	word.Store(old | 1<<(slot&(wordBits-1)))
	if old == 0 {
		b.raise(int(slot >> wordLog2))
	}
}

func (b *bitmap) remove(slot uint32) {
	i := slot
	for level := range b.levels {
		word := &b.levels[level][i>>wordLog2]
		left := word.Load() &^ (1 << (i & (wordBits - 1)))
		word.Store(left)
		if left != 0 {
			return
		}
		i >>= wordLog2
	}
}

// next finds the lowest member that is at least from.
func (b *bitmap) next(from uint32) (uint32, bool) {
	level, place := 0, from
	for level < len(b.levels) {
		words := b.levels[level]
		i := place >> wordLog2
		if int(i) >= len(words) {
			return 0, false
		}
		word := words[i].Load() &^ (1<<(place&(wordBits-1)) - 1)
		if word == 0 {
			// Nothing more in this word; the level above knows which later word has something.
			level++
			place = i + 1
			continue
		}
		place = i<<wordLog2 | uint32(bits.TrailingZeros64(word))
		if level == 0 {
			return place, true
		}
		level--
		place <<= wordLog2
	}
	return 0, false
}
