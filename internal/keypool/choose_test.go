package keypool_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
)

func TestEveryKeyGetsItsTurn(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 63, 64, 65, 1000, 4097} {
		p := poolOf(n)
		const rounds = 3
		last := map[fleet.KeyID]int{}
		for i := range rounds * n {
			pick := mustChoose(t, p, "m", nil, start)
			if before, ok := last[pick.KeyID]; ok && i-before != n {
				t.Fatalf("%d keys: key %d again after %d choices", n, pick.KeyID, i-before)
			}
			last[pick.KeyID] = i
			if want := key(int(pick.KeyID)).Value; !pick.Value.Equal(want) {
				t.Fatalf("key %d came with the value of another", pick.KeyID)
			}
		}
		if len(last) != n {
			t.Errorf("%d of %d keys were chosen", len(last), n)
		}
	}
}

// counts chooses from several goroutines at once and counts the keys.
func chooseConcurrently(p *keypool.Pool, model string, goroutines, each int) map[fleet.KeyID]int {
	var (
		mu    sync.Mutex
		total = map[fleet.KeyID]int{}
		wg    sync.WaitGroup
	)
	for range goroutines {
		wg.Go(func() {
			counts := map[fleet.KeyID]int{}
			for range each {
				if pick, ok := p.Choose(model, nil, start); ok {
					counts[pick.KeyID]++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for id, n := range counts {
				total[id] += n
			}
		})
	}
	wg.Wait()
	return total
}

func TestConcurrentChoicesAreEven(t *testing.T) {
	t.Parallel()
	const keys, goroutines, each = 97, 8, 5000
	p := poolOf(keys)
	// Every third key rests for one model, so that a lane of its own is measured too.
	for id := 3; id <= keys; id += 3 {
		p.Fault(mustLookup(t, p, fleet.KeyID(id), start), "slow", limited(start.Add(time.Minute)), options, start)
	}
	for _, c := range []struct {
		model string
		keys  int
	}{{"fast", keys}, {"slow", keys - keys/3}} {
		counts := chooseConcurrently(p, c.model, goroutines, each)
		if len(counts) != c.keys {
			t.Errorf("%s: %d keys were chosen, want %d", c.model, len(counts), c.keys)
		}
		mean := float64(goroutines*each) / float64(c.keys)
		for id, n := range counts {
			if float64(n) < mean-1 || float64(n) > mean+1 {
				t.Errorf("%s: key %d was chosen %d times, the mean is %.1f", c.model, id, n, mean)
			}
		}
	}
}

// Rests come and go all the time in a busy pool; that must not bring some keys more turns than others.
func TestChoicesStayEvenWhileRestsComeAndGo(t *testing.T) {
	t.Parallel()
	const keys, choices = 1000, 100_000
	p := poolOf(keys)
	now := start
	counts := map[fleet.KeyID]int{}
	for i := range choices {
		now = now.Add(10 * time.Millisecond)
		pick := mustChoose(t, p, "m", nil, now)
		counts[pick.KeyID]++
		if i%100 == 50 { // 5 rests run at a time, and often none
			p.Fault(pick, "m", limited(now.Add(time.Duration(i%7)*100*time.Millisecond)), options, now)
		}
	}
	mean := choices / keys
	for id := range fleet.KeyID(keys) {
		if n := counts[id+1]; n < mean-5 || n > mean+5 {
			t.Errorf("key %d was chosen %d times, the mean is %d", id+1, n, mean)
		}
	}
}

func TestNodesBeginInDifferentPlaces(t *testing.T) {
	t.Parallel()
	first := map[fleet.KeyID]bool{}
	for range 20 {
		first[mustChoose(t, poolOf(1000), "m", nil, start).KeyID] = true
	}
	if len(first) < 10 {
		t.Errorf("20 nodes began with %d different keys of 1000", len(first))
	}
}

func TestTriedKeysAreNotChosen(t *testing.T) {
	t.Parallel()
	const keys = 30
	p := poolOf(keys)
	var tried keypool.Tried
	seen := map[fleet.KeyID]bool{}
	for range 24 {
		pick := mustChoose(t, p, "m", &tried, start)
		if seen[pick.KeyID] {
			t.Fatalf("key %d was chosen twice in one request", pick.KeyID)
		}
		seen[pick.KeyID] = true
		tried.Add(pick)
	}
	for range 3 * keys {
		if pick := mustChoose(t, p, "m", &tried, start); seen[pick.KeyID] {
			t.Fatalf("key %d was tried before", pick.KeyID)
		}
	}
	if tried.Len() != 24 {
		t.Errorf("%d tried keys, want 24", tried.Len())
	}
	// Past the bound the oldest makes room, and nothing grows.
	oldest := tried
	for range 100 {
		oldest.Add(mustChoose(t, p, "m", nil, start))
	}
	if oldest.Len() != 24 {
		t.Errorf("%d tried keys, want 24", oldest.Len())
	}
}

func TestNoKeyIsLeft(t *testing.T) {
	t.Parallel()
	p := keypool.NewPool(group)
	if pick, ok := p.Choose("m", nil, start); ok {
		t.Errorf("an empty pool gave key %d", pick.KeyID)
	}
	if _, ok := p.Soonest("m", nil, start); ok {
		t.Error("an empty pool promises a key")
	}
	p.Put(key(1))
	var tried keypool.Tried
	tried.Add(mustChoose(t, p, "m", nil, start))
	if pick, ok := p.Choose("m", &tried, start); ok {
		t.Errorf("key %d was tried", pick.KeyID)
	}
	if _, ok := p.Soonest("m", &tried, start); ok {
		t.Error("the only key was tried, but another is promised")
	}
	p.Apply(fleet.KeyChange{KeyID: 1, GroupID: group, State: fleet.KeyInvalid, Reason: "invalid_api_key"})
	if _, ok := p.Soonest("m", nil, start); ok {
		t.Error("an invalid key does not come back by itself")
	}
}

func TestRestsArePerModel(t *testing.T) {
	t.Parallel()
	p := poolOf(2)
	p.Fault(mustLookup(t, p, 1, start), "a", limited(start.Add(time.Minute)), options, start)
	p.Fault(mustLookup(t, p, 2, start), "b", limited(start.Add(2*time.Minute)), options, start)
	for range 10 {
		if pick := mustChoose(t, p, "a", nil, start); pick.KeyID != 2 {
			t.Fatal("key 1 rests for a")
		}
		if pick := mustChoose(t, p, "b", nil, start); pick.KeyID != 1 {
			t.Fatal("key 2 rests for b")
		}
	}
	counts := chooseConcurrently(p, "c", 1, 10)
	if counts[1] != 5 || counts[2] != 5 {
		t.Errorf("c is limited nowhere, but got %v", counts)
	}
	if k := mustGet(t, p, 2, start); len(k.Cooldowns) != 1 || k.Cooldowns[0].Model != "b" || !k.Cooldowns[0].Until.Equal(start.Add(2*time.Minute)) ||
		k.Cooldowns[0].Reason != "rate_limited" {
		t.Errorf("key 2 shows %+v", k.Cooldowns)
	}
	if c := p.Counts(start); c != (fleet.KeyCounts{Active: 2}) {
		t.Errorf("resting for one model is not cooling: %+v", c)
	}
}

func TestSoonestOfAKeyThatRestsTwice(t *testing.T) {
	t.Parallel()
	rest := func(p *keypool.Pool, id fleet.KeyID, model string, all bool, d time.Duration) {
		f := limited(start.Add(d))
		f.AllModels = all
		p.Fault(mustLookup(t, p, id, start), model, f, options, start)
	}
	p := poolOf(3)
	rest(p, 1, "m", false, 10*time.Second)
	rest(p, 1, "m", true, 30*time.Second) // both: back after 30 s
	rest(p, 2, "m", true, 5*time.Second)
	rest(p, 2, "m", false, 20*time.Second) // both: back after 20 s
	rest(p, 3, "m", false, 25*time.Second)
	var tried keypool.Tried
	for _, want := range []struct {
		model string
		id    fleet.KeyID
		after time.Duration
	}{{"m", 2, 20 * time.Second}, {"m", 3, 25 * time.Second}, {"m", 1, 30 * time.Second}} {
		at, ok := p.Soonest(want.model, &tried, start)
		if !ok || at.Sub(start) != want.after {
			t.Errorf("soonest without %d keys: %v %v, want %v", tried.Len(), at.Sub(start), ok, want.after)
		}
		tried.Add(mustLookup(t, p, want.id, start))
	}
	if at, ok := p.Soonest("m", nil, start); !ok || at.Sub(start) != 20*time.Second {
		t.Errorf("what one request tried changed the answer for another: %v %v", at.Sub(start), ok)
	}
	if at, ok := p.Soonest("other", nil, start); !ok || !at.Equal(start) {
		t.Errorf("key 3 is free for other models now, but soonest says %v %v", at, ok)
	}
}

func TestManyRestsEndingTogetherComeBack(t *testing.T) {
	t.Parallel()
	const keys = 5000
	p := poolOf(keys)
	until := start.Add(time.Minute)
	for id := range fleet.KeyID(keys) {
		p.Fault(mustLookup(t, p, id+1, start), "m", keypool.Fault{Class: fleet.ClassLimited, Until: until, AllModels: id%2 == 0}, options, start)
	}
	if c := p.Counts(start); c != (fleet.KeyCounts{Active: keys / 2, Cooling: keys / 2}) {
		t.Errorf("counts %+v", c)
	}
	if c := p.Counts(until); c != (fleet.KeyCounts{Active: keys}) {
		t.Errorf("counts %+v when all rests are over, though nothing was chosen since", c)
	}
	seen := map[fleet.KeyID]bool{}
	for range 3 * keys {
		seen[mustChoose(t, p, "m", nil, until).KeyID] = true
	}
	if len(seen) != keys {
		t.Errorf("%d of %d keys came back", len(seen), keys)
	}
}

func TestLanesAreBounded(t *testing.T) {
	t.Parallel()
	const models = 2000
	p := poolOf(2)
	pick := mustLookup(t, p, 1, start)
	until := start.Add(time.Minute)
	name := func(i int) string { return fmt.Sprintf("junk-%d", i) }
	for i := range models {
		p.Fault(pick, name(i), limited(until), options, start)
	}
	p.Fault(pick, strings.Repeat("long", 100), limited(until), options, start)
	if n := p.Lanes(); n > 256+16 {
		t.Errorf("%d lanes", n)
	}
	// Sharing may rest a key for more models than needed, never for fewer.
	for i := range models {
		if at, ok := p.Soonest(name(i), oneTried(t, p, 2), start); !ok || !at.Equal(until) {
			t.Fatalf("key 1 comes back for %s at %v %v", name(i), at, ok)
		}
	}
	if k := mustGet(t, p, 1, start); len(k.Cooldowns) != 256 {
		t.Errorf("%d cool-downs have a name, want 256", len(k.Cooldowns))
	}
	// When it is over, there is room for another again.
	later := until.Add(time.Hour)
	mustChoose(t, p, "m", nil, later)
	for range 100 { // a choice clears a few away
		mustChoose(t, p, "m", nil, later)
		p.Soonest("m", nil, later)
	}
	p.Fault(mustLookup(t, p, 1, later), "fresh", limited(later.Add(time.Minute)), options, later)
	if k := mustGet(t, p, 1, later); len(k.Cooldowns) != 1 || k.Cooldowns[0].Model != "fresh" {
		t.Errorf("cool-downs %+v", k.Cooldowns)
	}
}

func oneTried(t *testing.T, p *keypool.Pool, id fleet.KeyID) *keypool.Tried {
	t.Helper()
	var tried keypool.Tried
	tried.Add(mustLookup(t, p, id, start))
	return &tried
}

// A model name may be cut out of a request body whose memory is used again.
func TestModelNamesAreCopied(t *testing.T) {
	t.Parallel()
	p := poolOf(1)
	body := []byte(`{"model":"abc"}`)
	pick := mustLookup(t, p, 1, start)
	name := keypool.StringOver(body[10:13])
	p.Success(pick, name, start)
	p.Fault(pick, name, limited(start.Add(time.Minute)), options, start)
	copy(body, `{"model":"xyz"}`)
	if k := mustGet(t, p, 1, start); k.Cooldowns[0].Model != "abc" {
		t.Errorf("the lane is called %q now", k.Cooldowns[0].Model)
	}
	if !p.ServedLately("abc", 2, start) || p.ServedLately("xyz", 2, start) {
		t.Error("the served model changed its name")
	}
}
