package keypool

import (
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// credential is what a choice needs of a key. It never changes: a new value is a new credential.
type credential struct {
	id   fleet.KeyID
	text string
}

func (c *credential) value() secret.Text { return secret.At(&c.text) }

// credentials makes credentials. Those of many keys share one array and their values one block of bytes, so that a million keys
// are some thousand objects to the garbage collector, which would have to follow each one otherwise. What was dropped
// stays in memory with its neighbours, until half of all is such, and what is left moves together.
type credentials struct {
	array []credential    // the newest, filled up to its length
	texts strings.Builder // the newest block, filled up to its length
	alive int
	made  int // since the last move began, dead ones included

	moving bool
	next   uint32 // the slot that is next to move
}

const (
	leastArray, mostArray = 4, 256        // credentials
	leastBlock, mostBlock = 256, 16 << 10 // bytes; a longer value gets a block of its own
	deadAllowed           = 4096          // credentials, before a move is worth it
	movesPerStep          = 16            // so that a move ends before the next one is due
)

// make copies a value, because a key may be cut out of a whole import that must not stay in memory with it.
func (t *credentials) make(id fleet.KeyID, value string) *credential {
	if len(t.array) == cap(t.array) {
		t.array = make([]credential, 0, min(max(2*cap(t.array), leastArray), mostArray))
	}
	if t.texts.Cap()-t.texts.Len() < len(value) {
		size := min(max(2*t.texts.Cap(), leastBlock), mostBlock)
		t.texts = strings.Builder{} // strings cut out of the old one keep it
		t.texts.Grow(max(size, len(value)))
	}
	t.texts.WriteString(value)
	block := t.texts.String()
	t.array = append(t.array, credential{id: id, text: block[len(block)-len(value):]})
	t.made++
	return &t.array[len(t.array)-1]
}

// tidy moves some of what is left when much was dropped; the caller holds the pool's lock. Readers that have an old
// credential keep it, and with it its array and block.
func (t *credentials) tidy(s *slots) {
	if !t.moving {
		if t.made-t.alive <= max(deadAllowed, t.alive) {
			return
		}
		t.moving, t.next, t.made = true, 0, 0
		t.array, t.texts = nil, strings.Builder{}
	}
	for range movesPerStep {
		if t.next >= s.used {
			t.moving = false
			return
		}
		if c := s.credential(t.next); c != nil {
			s.place(t.next, t.make(c.id, c.text))
		}
		t.next++
	}
}
