package keypool_test

import (
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
)

// rested is a pool with one key that rests for every model, for a and for b.
func rested(now time.Time) *keypool.Pool {
	pool := keypool.NewPool(1)
	until := now.Add(time.Hour)
	pool.Put(fleet.Key{
		ID: 1, GroupID: 1, State: fleet.KeyActive, Failures: 2, CreatedAt: now, UpdatedAt: now, OperatorAt: now,
		Cooldowns: []fleet.Cooldown{{Until: until, Reason: "quota"}, {Model: "a", Until: until}, {Model: "b", Until: until}},
	})
	return pool
}

func TestResetOfRests(t *testing.T) {
	now := time.Now()
	for name, tell := range map[string]func(*keypool.Pool, fleet.KeyChange){"applied": (*keypool.Pool).Apply, "heard": (*keypool.Pool).Hear} {
		pool := rested(now)
		tell(pool, fleet.KeyChange{
			KeyID: 1, GroupID: 1, State: fleet.KeyActive, Reset: true, At: now.Add(time.Second), Cooldowns: []fleet.Cooldown{{Model: "b", Until: now.Add(time.Hour)}},
		})
		k, _ := pool.Get(1, now)
		if len(k.Cooldowns) != 1 || k.Cooldowns[0].Model != "b" || k.Failures != 2 {
			t.Errorf("%s: the key is %+v", name, k)
		}
		for model, want := range map[string]bool{"": true, "a": true, "b": false} {
			if _, ok := pool.Choose(model, nil, now); ok != want {
				t.Errorf("%s: a choice for %q: %v", name, model, ok)
			}
		}
		if c := pool.Counts(now); c.Active != 1 || c.Cooling != 0 {
			t.Errorf("%s: counts %+v", name, c)
		}
	}
	pool := keypool.NewPool(1)
	pool.Put(fleet.Key{ID: 1, GroupID: 1, State: fleet.KeyInvalid, UpdatedAt: now})
	pool.Apply(fleet.KeyChange{KeyID: 1, GroupID: 1, State: fleet.KeyActive, Reset: true, At: now.Add(time.Second)})
	if k, _ := pool.Get(1, now); k.State != fleet.KeyInvalid {
		t.Errorf("a reset revived %+v", k)
	}
}

// TestDecidedElsewhere is about what an operator did by way of another node, which this one reads from the store.
func TestDecidedElsewhere(t *testing.T) {
	now := time.Now()
	pool := rested(now)
	stored := fleet.Key{ID: 1, GroupID: 1, State: fleet.KeyActive, CreatedAt: now, UpdatedAt: now, OperatorAt: now}
	pool.Put(stored)
	if k, _ := pool.Get(1, now); len(k.Cooldowns) != 3 || k.Failures != 2 {
		t.Errorf("what was known before changed it to %+v", k)
	}
	stored.UpdatedAt, stored.OperatorAt = now.Add(time.Second), now.Add(time.Second)
	stored.Cooldowns = []fleet.Cooldown{{Model: "b", Until: now.Add(time.Hour)}}
	pool.Put(stored)
	if k, _ := pool.Get(1, now); len(k.Cooldowns) != 1 || k.Failures != 0 {
		t.Errorf("it is %+v", k)
	}
	// A rest that begins later stays when the same is read again.
	pick, _ := pool.Lookup(1, now)
	pool.Fault(pick, "c", keypool.Fault{Class: fleet.ClassLimited, Until: now.Add(time.Minute), Reason: "rate_limited"},
		keypool.Options{BlacklistThreshold: 3, RateLimitCooldown: time.Second, CooldownCap: time.Hour}, now.Add(2*time.Second))
	pool.Put(stored)
	if k, _ := pool.Get(1, now); len(k.Cooldowns) != 2 {
		t.Errorf("it lost a rest: %+v", k)
	}
}
