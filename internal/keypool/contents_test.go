package keypool_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/secret"
)

// loadOf is a load that names the given keys, one portion each.
func loadOf(keys ...fleet.Key) func(func([]fleet.Key) error) error {
	return func(put func([]fleet.Key) error) error {
		for _, k := range keys {
			if err := put([]fleet.Key{k}); err != nil {
				return err
			}
		}
		return nil
	}
}

func chosen(p *keypool.Pool, model string, now time.Time) []fleet.KeyID {
	seen := map[fleet.KeyID]bool{}
	for range 4 * p.Len() {
		if pick, ok := p.Choose(model, nil, now); ok {
			seen[pick.KeyID] = true
		}
	}
	var ids []fleet.KeyID
	for id := range seen {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func TestPutAndRemove(t *testing.T) {
	t.Parallel()
	p := poolOf(3)
	p.Remove(2, 99)
	p.Remove(2)
	changed := key(3)
	changed.Value = secret.New("sk-another-value-of-3")
	invalid := key(4)
	invalid.State, invalid.Reason, invalid.Failures = fleet.KeyInvalid, "invalid_api_key", 3
	odd := key(5)
	odd.State = "state-of-a-newer-version"
	p.Put(changed, invalid, odd)
	if got := chosen(p, "m", start); !slices.Equal(got, []fleet.KeyID{1, 3}) {
		t.Errorf("chosen %v", got)
	}
	if k := mustGet(t, p, 3, start); k.Value.Reveal() != "sk-another-value-of-3" {
		t.Error("the value was not replaced")
	}
	if k := mustGet(t, p, 4, start); k.State != fleet.KeyInvalid || k.Reason != "invalid_api_key" || k.Failures != 3 {
		t.Errorf("key 4 is %+v", k)
	}
	if c := p.Counts(start); c != (fleet.KeyCounts{Active: 2, Invalid: 1, Disabled: 1}) {
		t.Errorf("counts %+v", c)
	}
	if _, ok := p.Lookup(2, start); ok {
		t.Error("a removed key is found")
	}
	if _, ok := p.Get(2, start); ok {
		t.Error("a removed key is shown")
	}
}

func TestCooldownsSurviveARestart(t *testing.T) {
	t.Parallel()
	p := poolOf(2)
	change, told := p.Fault(mustLookup(t, p, 1, start), "m", limited(start.Add(10*time.Minute)), options, start)
	if !told {
		t.Fatal("a rest of ten minutes was not told")
	}
	stored := key(1)
	stored.State, stored.Failures, stored.Cooldowns = change.State, change.Failures, change.Cooldowns
	over := key(2)
	over.Cooldowns = []fleet.Cooldown{{Until: start.Add(-time.Hour)}, {Model: "m", Until: start}}

	again := keypool.NewPool(group)
	again.Put(stored, over)
	if got := chosen(again, "m", start); !slices.Equal(got, []fleet.KeyID{2}) {
		t.Errorf("chosen for m: %v", got)
	}
	if got := chosen(again, "other", start); !slices.Equal(got, []fleet.KeyID{1, 2}) {
		t.Errorf("chosen for others: %v", got)
	}
	if got := chosen(again, "m", start.Add(10*time.Minute)); !slices.Equal(got, []fleet.KeyID{1, 2}) {
		t.Errorf("chosen for m when the rest is over: %v", got)
	}
}

func TestReplaceKeepsCooldownsAndCounts(t *testing.T) {
	t.Parallel()
	p := poolOf(4)
	p.Fault(mustLookup(t, p, 1, start), "m", limited(time.Time{}), options, start)
	p.Fault(mustLookup(t, p, 2, start), "m", keypool.Fault{Class: fleet.ClassKeySuspect}, options, start)
	restored, disabled := key(3), key(4)
	p.Apply(fleet.KeyChange{KeyID: 3, GroupID: group, State: fleet.KeyInvalid})
	disabled.State = fleet.KeyDisabled
	if err := p.Replace(loadOf(key(1), key(2), restored, disabled, key(5))); err != nil {
		t.Fatal(err)
	}
	if got := chosen(p, "m", start); !slices.Equal(got, []fleet.KeyID{2, 3, 5}) {
		t.Errorf("chosen %v: key 1 rests and key 4 is disabled", got)
	}
	if k := mustGet(t, p, 2, start); k.Failures != 1 {
		t.Errorf("key 2 has %d failures, want the one that is counted here only", k.Failures)
	}
}

func TestReplaceRemovesWhatIsGone(t *testing.T) {
	t.Parallel()
	p := poolOf(1000)
	p.Fault(mustLookup(t, p, 2, start), "m", limited(start.Add(time.Minute)), options, start)
	if err := p.Replace(loadOf(key(1), key(1000))); err != nil {
		t.Fatal(err)
	}
	if got := chosen(p, "m", start); p.Len() != 2 || !slices.Equal(got, []fleet.KeyID{1, 1000}) {
		t.Errorf("%d keys, chosen %v", p.Len(), got)
	}
}

func TestAFailedReplaceRemovesNothing(t *testing.T) {
	t.Parallel()
	p := poolOf(3)
	away := errors.New("the store is away")
	err := p.Replace(func(put func([]fleet.Key) error) error { return errors.Join(put([]fleet.Key{key(1)}), away) })
	if !errors.Is(err, away) || p.Len() != 3 {
		t.Errorf("%v, %d keys", err, p.Len())
	}
	if err := p.Replace(loadOf(key(2))); err != nil || p.Len() != 1 {
		t.Errorf("the next one: %v, %d keys", err, p.Len())
	}
}

func TestWhatHappensDuringAReplaceIsNewer(t *testing.T) {
	t.Parallel()
	p := poolOf(6)
	p.Apply(fleet.KeyChange{KeyID: 6, GroupID: group, State: fleet.KeyInvalid})
	err := p.Replace(func(put func([]fleet.Key) error) error {
		// The store has been read; its rows are on their way.
		p.Fault(mustLookup(t, p, 1, start), "m", keypool.Fault{Class: fleet.ClassKeyDead}, options, start)
		p.Apply(fleet.KeyChange{KeyID: 2, GroupID: group, State: fleet.KeyDisabled})
		p.Remove(3)
		p.Put(key(7))
		p.Restore(6, start)
		old := key(6)
		old.State = fleet.KeyInvalid
		return put([]fleet.Key{key(1), key(2), key(3), key(4), old}) // 5 is gone
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := chosen(p, "m", start); !slices.Equal(got, []fleet.KeyID{4, 6, 7}) {
		t.Errorf("chosen %v", got)
	}
	if c := p.Counts(start); c != (fleet.KeyCounts{Active: 3, Invalid: 1, Disabled: 1}) {
		t.Errorf("counts %+v", c)
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	rest := []fleet.Cooldown{{Until: start.Add(time.Minute), Reason: "insufficient_quota"}}
	for _, c := range []struct {
		name   string
		before fleet.KeyState
		change fleet.KeyChange
		want   fleet.KeyState
		cools  bool
	}{
		{"a rest elsewhere", fleet.KeyActive, fleet.KeyChange{State: fleet.KeyActive, Cooldowns: rest}, fleet.KeyActive, true},
		{"a rest does not revive an invalid key", fleet.KeyInvalid, fleet.KeyChange{State: fleet.KeyActive, Cooldowns: rest}, fleet.KeyInvalid, false},
		{"a rest does not enable a disabled key", fleet.KeyDisabled, fleet.KeyChange{State: fleet.KeyActive, Cooldowns: rest}, fleet.KeyDisabled, false},
		{"death elsewhere", fleet.KeyActive, fleet.KeyChange{State: fleet.KeyInvalid}, fleet.KeyInvalid, false},
		{"death of a disabled key", fleet.KeyDisabled, fleet.KeyChange{State: fleet.KeyInvalid}, fleet.KeyDisabled, false},
		{"disabled", fleet.KeyActive, fleet.KeyChange{State: fleet.KeyDisabled}, fleet.KeyDisabled, false},
		{"an invalid key is disabled", fleet.KeyInvalid, fleet.KeyChange{State: fleet.KeyDisabled}, fleet.KeyDisabled, false},
		{"restored", fleet.KeyInvalid, fleet.KeyChange{State: fleet.KeyActive}, fleet.KeyActive, false},
		{"enabled", fleet.KeyDisabled, fleet.KeyChange{State: fleet.KeyActive}, fleet.KeyActive, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pools := keypool.NewPools()
			p := pools.Ensure(group)
			k := key(1)
			k.State = c.before
			p.Put(k)
			c.change.KeyID, c.change.GroupID, c.change.At = 1, group, start
			pools.Apply(c.change)
			got := mustGet(t, p, 1, start)
			if got.State != c.want || (len(got.Cooldowns) > 0) != c.cools {
				t.Errorf("%s, rests %v", got.State, got.Cooldowns)
			}
			_, usable := p.Choose("m", nil, start)
			if want := c.want == fleet.KeyActive && !c.cools; usable != want {
				t.Errorf("usable = %v", usable)
			}
		})
	}
}

func TestARestorationEndsEveryRest(t *testing.T) {
	t.Parallel()
	p := poolOf(1)
	pick := mustLookup(t, p, 1, start)
	p.Fault(pick, "m", limited(start.Add(time.Hour)), options, start)
	p.Fault(pick, "", limited(start.Add(time.Hour)), options, start)
	p.Apply(fleet.KeyChange{KeyID: 1, GroupID: group, State: fleet.KeyActive, At: start.Add(time.Second)})
	mustChoose(t, p, "m", nil, start)
	mustChoose(t, p, "", nil, start)
}

func TestRestore(t *testing.T) {
	t.Parallel()
	p := poolOf(2)
	p.Fault(mustLookup(t, p, 1, start), "m", keypool.Fault{Class: fleet.ClassKeyDead, Reason: "invalid_api_key"}, options, start)
	if _, ok := p.Restore(2, start); ok {
		t.Error("an active key was restored")
	}
	if _, ok := p.Restore(99, start); ok {
		t.Error("an unknown key was restored")
	}
	c, ok := p.Restore(1, start.Add(time.Hour))
	if !ok || c.State != fleet.KeyActive || c.Failures != 0 || c.Reason != "" || c.Cooldowns != nil || !c.At.Equal(start.Add(time.Hour)) {
		t.Errorf("restored %v with %+v", ok, c)
	}
	if got := chosen(p, "m", start); !slices.Equal(got, []fleet.KeyID{1, 2}) {
		t.Errorf("chosen %v", got)
	}
}

func TestPools(t *testing.T) {
	t.Parallel()
	pools := keypool.NewPools()
	if pools.Get(1) != nil {
		t.Error("a pool out of nothing")
	}
	var wg sync.WaitGroup
	made := make([]*keypool.Pool, 50)
	for i := range made {
		wg.Go(func() { made[i] = pools.Ensure(fleet.GroupID(1 + i%2)) })
	}
	wg.Wait()
	for i, p := range made {
		if p != pools.Get(fleet.GroupID(1+i%2)) || p.ID() != fleet.GroupID(1+i%2) {
			t.Fatal("two pools of one group")
		}
	}
	pools.Delete(1)
	if pools.Get(1) != nil || pools.Get(2) == nil || len(pools.All()) != 1 {
		t.Error("deleted the wrong pool")
	}
	pools.Apply(fleet.KeyChange{KeyID: 1, GroupID: 1})
}

// Everything at once, for the race detector: what one goroutine took out, it must not get back.
func TestConcurrentChanges(t *testing.T) {
	t.Parallel()
	const steady, changing, rounds = 100, 8, 300
	p := poolOf(steady)
	var wg sync.WaitGroup
	for g := range changing {
		wg.Go(func() { churn(t, p, g, rounds) })
	}
	wg.Go(func() {
		for range 20 {
			err := p.Replace(func(put func([]fleet.Key) error) error {
				for id := 1; id <= steady; id++ {
					if err := put([]fleet.Key{key(id)}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			p.Counts(start)
		}
	})
	wg.Wait()
	if err := p.Replace(func(put func([]fleet.Key) error) error {
		for id := 1; id <= steady; id++ {
			if err := put([]fleet.Key{key(id)}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	later := start.Add(24 * time.Hour)
	if got := chosen(p, "m", later); len(got) != steady || p.Len() != steady {
		t.Errorf("%d keys of %d are chosen in the end, %d are held", len(got), steady, p.Len())
	}
}

func churn(t *testing.T, p *keypool.Pool, g, rounds int) {
	rng := rand.New(rand.NewPCG(uint64(g), 7))
	classes := []fleet.Class{fleet.ClassLimited, fleet.ClassLimited, fleet.ClassKeySuspect, fleet.ClassModelDenied}
	models := []string{"m", "n", ""}
	own := 1000 * (g + 1)
	for i := range rounds {
		now := start.Add(time.Duration(i) * time.Second)
		model := models[rng.IntN(len(models))]
		// Keys of its own come, are chosen by all, and go in different ways.
		ids := []fleet.KeyID{fleet.KeyID(own + 2*i), fleet.KeyID(own + 2*i + 1)}
		p.Put(key(int(ids[0])), key(int(ids[1])))
		for range 20 {
			pick, ok := p.Choose(model, nil, now)
			if !ok {
				continue
			}
			if want := key(int(pick.KeyID)).Value; !pick.Value.Equal(want) {
				t.Errorf("key %d came with the value of another", pick.KeyID)
			}
			if rng.IntN(2) == 0 {
				p.Success(pick, model, now)
			} else {
				f := keypool.Fault{Class: classes[rng.IntN(len(classes))], Until: now.Add(time.Duration(rng.IntN(3)) * time.Second)}
				p.Fault(pick, model, f, options, now)
			}
		}
		p.Soonest(model, nil, now)
		p.Apply(fleet.KeyChange{KeyID: ids[0], GroupID: group, State: fleet.KeyDisabled})
		p.Remove(ids[1])
		for range 20 {
			if pick, ok := p.Choose(model, nil, now); ok && slices.Contains(ids, pick.KeyID) {
				t.Errorf("key %d was chosen after it was taken out", pick.KeyID)
			}
		}
		p.Remove(ids[0])
	}
}
