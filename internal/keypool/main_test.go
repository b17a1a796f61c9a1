package keypool_test

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const group fleet.GroupID = 7

// start is where the clocks of these tests stand at first.
var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// options are the defaults of the settings table.
var options = keypool.Options{BlacklistThreshold: 3, RateLimitCooldown: 10 * time.Second, CooldownCap: time.Hour}

func key(id int) fleet.Key {
	return fleet.Key{
		ID: fleet.KeyID(id), GroupID: group, State: fleet.KeyActive,
		Value: secret.New(fmt.Sprintf("sk-test-key-%08d", id)),
	}
}

// poolOf makes a pool with the keys 1 to n.
func poolOf(n int) *keypool.Pool {
	p := keypool.NewPool(group)
	keys := make([]fleet.Key, n)
	for i := range keys {
		keys[i] = key(i + 1)
	}
	p.Put(keys...)
	return p
}

func mustChoose(t *testing.T, p *keypool.Pool, model string, tried *keypool.Tried, now time.Time) keypool.Pick {
	t.Helper()
	pick, ok := p.Choose(model, tried, now)
	if !ok {
		t.Fatalf("no key for %q", model)
	}
	return pick
}

func mustLookup(t *testing.T, p *keypool.Pool, id fleet.KeyID, now time.Time) keypool.Pick {
	t.Helper()
	pick, ok := p.Lookup(id, now)
	if !ok {
		t.Fatalf("no key %d", id)
	}
	return pick
}

func mustGet(t *testing.T, p *keypool.Pool, id fleet.KeyID, now time.Time) fleet.Key {
	t.Helper()
	k, ok := p.Get(id, now)
	if !ok {
		t.Fatalf("no key %d", id)
	}
	return k
}

func limited(hint time.Time) keypool.Fault {
	return keypool.Fault{Class: fleet.ClassLimited, Until: hint, Reason: "rate_limited"}
}
