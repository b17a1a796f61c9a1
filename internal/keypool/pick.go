package keypool

import (
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// Pick is one key, chosen for one attempt. Success and Fault take it back with the verdict.
type Pick struct {
	KeyID fleet.KeyID
	Value secret.Text

	slot uint32
	// at is when it was chosen, in nanoseconds since 1970. A verdict on a pick that is older than a rest
	// or a counted failure of the key tells of the time before it, so it is no new evidence.
	at int64
}

// maxTried is above the 21 attempts that the largest max_retries (20) allows.
const maxTried = 24

// Tried remembers the keys that failed as keys in one request, over all groups it went through. The zero
// value is ready and a nil *Tried is empty. It holds 24 keys; past that the oldest makes room, being the
// farthest behind the cursor. It is not safe for concurrent use.
type Tried struct {
	ids [maxTried]fleet.KeyID
	n   int
}

// Add remembers a key.
func (t *Tried) Add(p Pick) {
	t.ids[t.n%maxTried] = p.KeyID
	t.n++
}

// Len is the number of keys remembered.
func (t *Tried) Len() int {
	if t == nil {
		return 0
	}
	return min(t.n, maxTried)
}

func (t *Tried) has(id fleet.KeyID) bool {
	for i := range t.Len() {
		if t.ids[i] == id {
			return true
		}
	}
	return false
}

// Fault is a verdict that blames a key.
type Fault struct {
	Class fleet.Class // classes that blame nobody or somebody else have no effect
	// Until is the provider's own hint with fleet.ClassLimited; the zero time, or one that is over, is no hint.
	Until time.Time
	// AllModels rests the key for every model, not only for the one asked.
	AllModels bool
	Reason    string // stable word, such as rate_limited
	Evidence  string // the provider's own redacted words
}

// Options are the settings that a verdict needs. They come with each report, so that a change of settings
// counts from the next one on.
type Options struct {
	BlacklistThreshold int           // counted failures that make a key invalid; 0 means never
	RateLimitCooldown  time.Duration // first rest after a 429 without a hint
	CooldownCap        time.Duration // longest rest, whatever the provider says
}
