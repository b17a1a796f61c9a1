package keypool

import "time"

// rest is the cool-down of one key in one lane. When a rest whose length was guessed ends, it stays a while as
// lapsed, so that the next guess knows how long the last one was.
type rest struct {
	next   *rest // of the same key
	lane   *lane
	until  int64
	guess  int64 // length in nanoseconds, when no hint told it; 0 otherwise
	reason string
	slot   uint32
	place  int32 // index in the heap it is in
	lapsed bool
	proven bool // lapsed, and the key served the model since
}

// guessMemory is how long the length of a guessed rest is remembered after it ended, or as long as the rest
// was, whichever is more. A key that nobody asked for that long starts over.
const guessMemory = 10 * time.Minute

// forgetAt is when a lapsed rest is forgotten.
func (r *rest) forgetAt() int64 { return r.until + max(r.guess, int64(guessMemory)) }

// restHeap has the rest that is due first at index 0. Every rest knows its place, so that it can be moved or
// taken out; due stands in the heap itself because following a million pointers is what would be slow.
type restHeap []restDue

type restDue struct {
	due int64
	r   *rest
}

func (h *restHeap) push(due int64, r *rest) {
	*h = append(*h, restDue{due, r})
	h.up(len(*h) - 1)
}

// move gives the rest at index i another due time.
func (h *restHeap) move(i int32, due int64) {
	(*h)[i].due = due
	h.up(h.down(int(i)))
}

func (h *restHeap) remove(i int32) {
	old := *h
	last := len(old) - 1
	moved := old[last]
	old[last] = restDue{}
	*h = old[:last]
	if int(i) < last {
		(*h)[i] = moved
		h.up(h.down(int(i)))
	}
	// A million rests that ended together should not keep 16 MB for ever.
	if cap(*h) > 1024 && len(*h) < cap(*h)/4 {
		*h = append(make(restHeap, 0, cap(*h)/2), *h...)
	}
}

func (h restHeap) up(i int) {
	moving := h[i]
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].due <= moving.due {
			break
		}
		h[i] = h[parent]
		h[i].r.place = int32(i)
		i = parent
	}
	h[i] = moving
	moving.r.place = int32(i)
}

// down returns where the entry came to stand.
func (h restHeap) down(i int) int {
	moving := h[i]
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].due < h[child].due {
			child++
		}
		if h[child].due >= moving.due {
			break
		}
		h[i] = h[child]
		h[i].r.place = int32(i)
		i = child
	}
	h[i] = moving
	moving.r.place = int32(i)
	return i
}

// countDue counts the entries that are due at a time, looking only at those and their children.
func (h restHeap) countDue(at int64, from int) int {
	if from >= len(h) || h[from].due > at {
		return 0
	}
	return 1 + h.countDue(at, 2*from+1) + h.countDue(at, 2*from+2)
}
