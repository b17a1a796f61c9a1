package node

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// heapHeadroom is how much the heap may grow beyond what lives before a collection, in bytes. A node with few keys
// has some 10 MB alive, and with Go's default would collect every 10 MB: a tenth of the CPU of each request. A node with a
// million keys has more alive than this, and with Go's default would let as much again grow beside it; but what lives are
// values of keys then, which a collection does not walk through, so it need not be spared.
const heapHeadroom = 64 << 20

const (
	usualGCPercent = 100 // Go's default
	leastGCPercent = 25
	mostGCPercent  = 1000
)

// keepHeapHeadroom sets the garbage collector by what lives, after every collection, until stop is called. An operator's
// own GOGC is left alone.
func keepHeapHeadroom() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(usualGCPercent)
	var stopped atomic.Bool
	afterEachCollection(&stopped, func() { debug.SetGCPercent(gcPercent(liveHeap())) })
	return func() {
		stopped.Store(true)
		debug.SetGCPercent(before)
	}
}

// afterEachCollection runs f on the finalizers' goroutine: an object that nobody holds is finalized once a cycle.
func afterEachCollection(stopped *atomic.Bool, f func()) {
	type cycle struct{ stopped *atomic.Bool }
	runtime.SetFinalizer(&cycle{stopped}, func(c *cycle) {
		if !c.stopped.Load() {
			f()
			afterEachCollection(c.stopped, f)
		}
	})
}

// gcPercent is the GOGC that leaves the headroom above live bytes, and a quarter of them where that is more.
func gcPercent(live uint64) int {
	return min(max(int(heapHeadroom*100/max(live, 1)), leastGCPercent), mostGCPercent)
}

func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
