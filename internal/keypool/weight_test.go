package keypool_test

import (
	"maps"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
)

func weighted(id, weight int) fleet.Key {
	k := key(id)
	k.Weight = weight
	return k
}

// tallied counts who is chosen in n choices.
func tallied(t *testing.T, p *keypool.Pool, model string, n int) map[fleet.KeyID]int {
	t.Helper()
	counts := map[fleet.KeyID]int{}
	for range n {
		counts[mustChoose(t, p, model, nil, start).KeyID]++
	}
	return counts
}

func TestWeights(t *testing.T) {
	want := func(what string, got, want map[fleet.KeyID]int) {
		t.Helper()
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	p := keypool.NewPool(group)
	p.Put(weighted(1, 1), weighted(2, 3), weighted(3, 10), weighted(4, 0), weighted(5, 3))
	want("by weight", tallied(t, p, "m", 1800), map[fleet.KeyID]int{1: 100, 2: 300, 3: 1000, 4: 100, 5: 300})

	last, row, longest := fleet.KeyID(0), 0, 0
	for range 180 {
		id := mustChoose(t, p, "m", nil, start).KeyID
		if row++; id != last {
			last, row = id, 1
		}
		longest = max(longest, row)
	}
	if longest > 4 {
		t.Errorf("a key is chosen %d times in a row, while others wait", longest)
	}

	pick, _ := p.Lookup(3, start)
	p.Fault(pick, "m", limited(start.Add(time.Hour)), options, start)
	want("the heavy one rests for a model", tallied(t, p, "m", 800), map[fleet.KeyID]int{1: 100, 2: 300, 4: 100, 5: 300})
	if got := tallied(t, p, "n", 18); got[3] != 10 {
		t.Errorf("for another model: %v", got)
	}

	p.Put(weighted(2, 1), weighted(6, 7))
	want("of new weights, for the model", tallied(t, p, "m", 1300), map[fleet.KeyID]int{1: 100, 2: 100, 4: 100, 5: 300, 6: 700})
	p.Remove(5, 6, 3)
	want("the heavy ones are gone", tallied(t, p, "m", 300), map[fleet.KeyID]int{1: 100, 2: 100, 4: 100})
	p.Remove(1, 2, 4)
	if _, ok := p.Choose("m", nil, start); ok {
		t.Error("a key is chosen where there is none")
	}
	p.Put(weighted(7, 100))
	want("one of the greatest weight", tallied(t, p, "m", 5), map[fleet.KeyID]int{7: 5})
	p.Put(weighted(8, 1))
	want("beside one of the least", tallied(t, p, "m", 1010), map[fleet.KeyID]int{7: 1000, 8: 10})
	var tried keypool.Tried
	tried.Add(mustLookup(t, p, 7, start))
	if got := mustChoose(t, p, "m", &tried, start); got.KeyID != 8 {
		t.Errorf("%d is chosen again", got.KeyID)
	}
}

// BenchmarkChooseWeighted has a million keys of three weights.
func BenchmarkChooseWeighted(b *testing.B) {
	p := keypool.NewPool(group)
	for id := 1; id <= million; id++ {
		p.Put(weighted(id, []int{1, 1, 1, 5, 20}[id%5]))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := p.Choose("m", nil, start); !ok {
			b.Fatal("no key")
		}
	}
}
