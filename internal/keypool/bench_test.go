package keypool_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/secret"
)

const million = 1_000_000

// longKey has the length of an OpenAI project key, the longest that is common.
func longKey(id int) fleet.Key {
	k := key(id)
	k.Value = secret.New(fmt.Sprintf("sk-proj-%0156d", id))
	return k
}

// loadLong makes a pool with n keys as a store would load it, in portions.
func loadLong(tb testing.TB, n int) *keypool.Pool {
	tb.Helper()
	p := keypool.NewPool(group)
	err := p.Replace(func(put func([]fleet.Key) error) error {
		portion := make([]fleet.Key, 0, 1000)
		for id := 1; id <= n; id++ {
			if portion = append(portion, longKey(id)); len(portion) == cap(portion) || id == n {
				if err := put(portion); err != nil {
					return err
				}
				portion = portion[:0]
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// cool rests all keys but those whose id is a multiple of a hundred.
func cool99(tb testing.TB, p *keypool.Pool, n int, model string) {
	tb.Helper()
	for id := 1; id <= n; id++ {
		if id%100 == 0 {
			continue
		}
		pick, _ := p.Lookup(fleet.KeyID(id), start)
		p.Fault(pick, model, limited(start.Add(time.Hour)), options, start)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The bound of DESIGN is 400 bytes a key, the key itself included.
func TestMemoryPerKey(t *testing.T) {
	const keys = 200_000
	before := heap()
	p := loadLong(t, keys)
	loaded := heap()
	cool99(t, p, keys, "m")
	cooling := heap()
	perKey := func(bytes uint64) float64 { return float64(bytes-before) / keys }
	t.Logf("%.0f bytes a key of 164 bytes, %.0f while 99 %% rest for a model", perKey(loaded), perKey(cooling))
	if perKey(loaded) > 250 || perKey(cooling) > 450 {
		t.Errorf("%.0f and %.0f bytes a key", perKey(loaded), perKey(cooling))
	}
	runtime.KeepAlive(p)
}

// TestMemoryIsGivenBack exchanges keys at random, many times over: what is left of those that went is bounded, and a pick of one
// keeps its value.
func TestMemoryIsGivenBack(t *testing.T) {
	const keys = 20_000
	random := rand.New(rand.NewPCG(1, 2))
	before := heap()
	p := loadLong(t, keys)
	full := heap() - before
	held, _ := p.Lookup(1, start)
	there := make([]int, keys)
	for i := range there {
		there[i] = i + 1
	}
	for next := keys + 1; next <= 10*keys; next++ {
		i := random.IntN(keys)
		p.Remove(fleet.KeyID(there[i]))
		there[i] = next
		p.Put(longKey(next))
	}
	if after := heap() - before; after > 2*full+full/2 {
		t.Errorf("%d bytes when new, %d after nine exchanges of all keys", full, after)
	}
	for _, id := range there {
		if got, ok := p.Get(fleet.KeyID(id), start); !ok || !got.Value.Equal(longKey(id).Value) {
			t.Fatalf("key %d has lost its value", id)
		}
	}
	if !held.Value.Equal(longKey(1).Value) {
		t.Error("a pick of a key that is gone has lost its value")
	}
	runtime.KeepAlive(p)
}

func TestChoosingAllocatesNothing(t *testing.T) {
	p := loadLong(t, 10_000)
	cool99(t, p, 10_000, "m")
	var tried keypool.Tried
	tried.Add(mustChoose(t, p, "m", nil, start))
	for name, f := range map[string]func(){
		"Choose":         func() { p.Choose("n", nil, start) },
		"Choose cooling": func() { p.Choose("m", &tried, start) },
		"Choose, Success": func() {
			pick, _ := p.Choose("m", nil, start)
			p.Success(pick, "m", start)
		},
		"Usable": func() { p.Usable("m", &tried, start) },
	} {
		f()
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func benchmarkChoose(b *testing.B, model string, p *keypool.Pool) {
	b.Helper()
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := p.Choose(model, nil, start); !ok {
				b.Fatal("no key")
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, ok := p.Choose(model, nil, start); !ok {
					b.Error("no key")
				}
			}
		})
	})
	b.Run("with success", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			pick, _ := p.Choose(model, nil, start)
			p.Success(pick, model, start)
		}
	})
}

func BenchmarkChoose(b *testing.B) {
	for _, n := range []int{10, million} {
		p := loadLong(b, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkChoose(b, "m", p) })
	}
	p := loadLong(b, million)
	cool99(b, p, million, "m")
	b.Run(fmt.Sprintf("%d_99pct_cooling", million), func(b *testing.B) { benchmarkChoose(b, "m", p) })
}

// BenchmarkChooseRare has one usable key in a million: the most that a search has to pass over.
func BenchmarkChooseRare(b *testing.B) {
	p := loadLong(b, million)
	for id := 1; id < million; id++ {
		pick, _ := p.Lookup(fleet.KeyID(id), start)
		p.Fault(pick, "m", limited(start.Add(time.Hour)), options, start)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Choose("m", nil, start)
	}
}

// BenchmarkExhausted is a request that finds every one of a million keys resting.
func BenchmarkExhausted(b *testing.B) {
	p := loadLong(b, million)
	for id := 1; id <= million; id++ {
		pick, _ := p.Lookup(fleet.KeyID(id), start)
		p.Fault(pick, "m", limited(start.Add(time.Hour)), options, start)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Choose("m", nil, start)
		p.Soonest("m", nil, start)
	}
}

// BenchmarkRestAndReturn is the life of a rest at a million keys: one begins and one ends with each choice.
func BenchmarkRestAndReturn(b *testing.B) {
	p := loadLong(b, million)
	cool99(b, p, million/2, "m")
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		pick, _ := p.Choose("m", nil, now)
		p.Fault(pick, "m", limited(now.Add(time.Minute)), options, now)
	}
}

func BenchmarkLoad(b *testing.B) {
	keys := make([]fleet.Key, million)
	for i := range keys {
		keys[i] = longKey(i + 1)
	}
	b.Run(fmt.Sprint(million), func(b *testing.B) {
		for b.Loop() {
			before := heap()
			p := keypool.NewPool(group)
			p.Put(keys...)
			b.ReportMetric(float64(heap()-before)/million, "bytes/key")
			runtime.KeepAlive(p)
		}
	})
	b.Run(fmt.Sprintf("%d again", million), func(b *testing.B) {
		p := keypool.NewPool(group)
		p.Put(keys...)
		for b.Loop() {
			if err := p.Replace(func(put func([]fleet.Key) error) error { return put(keys) }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
