package main

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/secret"
)

const poolSize = 1_000_000

func benchChoice(_ context.Context, r *report, _ settings) error {
	r.title(fmt.Sprintf("choosing among %d keys", poolSize))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	pool := keypool.NewPool(1)
	begun := time.Now()
	const portion = 1000
	keys := make([]fleet.Key, portion)
	for start := 0; start < poolSize; start += portion {
		for i := range keys {
			id := start + i + 1
			keys[i] = fleet.Key{ID: fleet.KeyID(id), GroupID: 1, State: fleet.KeyActive, Value: secret.New(fmt.Sprintf("sk-bench-%040d", id))}
		}
		pool.Put(keys...)
	}
	took := time.Since(begun)
	runtime.GC()
	runtime.ReadMemStats(&after)
	r.figure("filling the pool", "%v", took.Round(time.Millisecond))
	r.figure("memory of a key, its 49 bytes included", "%.0f B", float64(after.HeapAlloc-before.HeapAlloc)/poolSize)
	choosing(r, pool, "every key usable")

	now := time.Now()
	options := keypool.Options{RateLimitCooldown: time.Hour, CooldownCap: 24 * time.Hour}
	fault := keypool.Fault{Class: fleet.ClassLimited, Until: now.Add(time.Hour), Reason: "rate_limited"}
	for range poolSize * 99 / 100 {
		pick, ok := pool.Choose("gpt-bench", nil, now)
		if !ok {
			return fmt.Errorf("the pool ran dry before 99 %% of it rested")
		}
		pool.Fault(pick, "gpt-bench", fault, options, now)
	}
	choosing(r, pool, "99 % resting for this model")
	return nil
}

func choosing(r *report, pool *keypool.Pool, name string) {
	now := time.Now()
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := pool.Choose("gpt-bench", nil, now); !ok {
				b.Fatal("no key")
			}
		}
	})
	r.promise(name+", at most 2 µs", result.NsPerOp() <= 2000, "%d ns", result.NsPerOp())
	r.promise(name+", no allocation", result.AllocsPerOp() == 0, "%d allocations", result.AllocsPerOp())
}
