package node

import (
	"runtime"
	"sync/atomic"
	"testing"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: mostGCPercent, 1 << 20: mostGCPercent, 16 << 20: 400, 64 << 20: 100, 128 << 20: 50, 1 << 30: leastGCPercent,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("with %d MB alive: %d, want %d", live>>20, got, want)
		}
	}
}

func TestAfterEachCollection(*testing.T) {
	var stopped atomic.Bool
	var ran atomic.Int64
	afterEachCollection(&stopped, func() { ran.Add(1) })
	for ran.Load() < 3 { // the finalizer arms the next one when it is done, perhaps after a collection has begun
		runtime.GC()
	}
	stopped.Store(true)
}
