package keypool_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/secret"
)

// TestInvalidReasons: the tally is what counting every key gives, however the keys came to where they are.
func TestInvalidReasons(t *testing.T) {
	const n = 60
	p, now := keypool.NewPool(1), time.Unix(1_700_000_000, 0)
	key := func(id int, state fleet.KeyState, reason string) fleet.Key {
		return fleet.Key{ID: fleet.KeyID(id), GroupID: 1, Value: secret.New(fmt.Sprintf("sk-%08d", id)), State: state, Reason: reason}
	}
	for id := 1; id <= n; id++ {
		state, reason := fleet.KeyActive, ""
		if id%3 == 0 {
			state, reason = fleet.KeyInvalid, fmt.Sprint("stored-", id%2)
		}
		p.Put(key(id, state, reason))
	}
	check := func(step string) {
		t.Helper()
		want := map[string]int{}
		for id := 1; id <= n; id++ {
			if k, ok := p.Get(fleet.KeyID(id), now); ok && k.State == fleet.KeyInvalid {
				want[k.Reason]++
			}
		}
		if got := p.InvalidReasons(); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", step, got, want)
		}
	}
	check("put")
	for id := 1; id <= 20; id++ {
		if pick, ok := p.Lookup(fleet.KeyID(id), now); ok {
			p.Fault(pick, "m", keypool.Fault{Class: fleet.ClassKeyDead, Reason: "invalid_api_key"}, keypool.Options{BlacklistThreshold: 1}, now)
		}
	}
	check("verdicts")
	for id := 5; id <= 10; id++ {
		p.Restore(fleet.KeyID(id), now)
	}
	check("restored")
	for id := 10; id <= 30; id++ {
		p.Apply(fleet.KeyChange{KeyID: fleet.KeyID(id), GroupID: 1, State: fleet.KeyInvalid, Reason: "of another node", At: now})
		p.Hear(fleet.KeyChange{KeyID: fleet.KeyID(id + 20), GroupID: 1, State: fleet.KeyDisabled, At: now.Add(time.Second)})
	}
	check("changes")
	p.Remove(3, 6, 9, 12)
	p.Put(key(15, fleet.KeyActive, ""), key(18, fleet.KeyInvalid, "stored anew"), key(3, fleet.KeyInvalid, "back"))
	check("removed and put")
	if err := p.Replace(func(put func([]fleet.Key) error) error {
		return put([]fleet.Key{key(1, fleet.KeyInvalid, "only"), key(2, fleet.KeyActive, "")})
	}); err != nil {
		t.Fatal(err)
	}
	check("replaced")
	for i := range 300 {
		p.Put(key(n+i+1, fleet.KeyInvalid, fmt.Sprint("word-", i)))
	}
	total := 0
	for _, count := range p.InvalidReasons() {
		total += count
	}
	if got := p.Counts(now).Invalid; total >= got || total < 50 {
		t.Errorf("%d of %d keys have a reason of their own", total, got)
	}
}
