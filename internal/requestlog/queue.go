package requestlog

import (
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"gpt-load/internal/fleet"
)

// queue takes records from all requests at once and keeps them, encoded, until the writer comes for them. It is
// encoded here, by the request's own goroutine, and not by the writer: the record is still in that core's cache,
// its memory is free again at once, and nothing the record points to is read later than the caller expects.
//
// There are several shards so that no lock is shared by all requests; a request takes a random one that is free.
type queue struct {
	shards []shard
	limit  int // bytes in each shard

	armed atomic.Bool // a wake-up is on its way, or the writer is gathering
	wake  chan struct{}
	full  chan struct{} // a shard is half full: the writer must not wait any longer
}

type shard struct {
	mu       sync.Mutex
	frames   []byte // not sealed
	count    int
	taken    int64
	dropped  int64 // for lack of space
	closed   bool
	afterEnd int64 // dropped after close
	_        [64]byte
}

const (
	maxShards      = 32
	keepShardBytes = 1 << 20 // a buffer that a burst made larger is given back
)

func newQueue(limitBytes int64) *queue {
	// Twice the number of cores, so that a request that was interrupted while it held a shard is in nobody's way.
	n := min(maxShards, 1<<bits.Len(uint(2*runtime.GOMAXPROCS(0)-1)))
	return &queue{
		shards: make([]shard, n),
		limit:  max(int(limitBytes)/n, frameHeader+maxPayload),
		wake:   make(chan struct{}, 1),
		full:   make(chan struct{}, 1),
	}
}

func (q *queue) add(r *fleet.RequestRecord) {
	s := q.lock()
	if s.closed {
		s.afterEnd++
		s.mu.Unlock()
		return
	}
	if len(s.frames)+recordSize(r) > q.limit {
		s.dropped++
		s.mu.Unlock()
		signal(q.full)
		return
	}
	s.frames = appendFrame(s.frames, r)
	s.count++
	s.taken++
	urgent := len(s.frames) > q.limit/2
	s.mu.Unlock()
	if !q.armed.Load() && q.armed.CompareAndSwap(false, true) {
		signal(q.wake)
	}
	if urgent {
		signal(q.full)
	}
}

// lock locks a shard, preferring one that nobody holds.
func (q *queue) lock() *shard {
	start := int(rand.Uint32())
	for i := range 4 {
		s := &q.shards[(start+i)&(len(q.shards)-1)]
		if s.mu.TryLock() {
			return s
		}
	}
	s := &q.shards[start&(len(q.shards)-1)]
	s.mu.Lock()
	return s
}

// recordSize is about what the record will take in the queue.
func recordSize(r *fleet.RequestRecord) int {
	const numbers, attempt = 256, 256
	n := frameHeader + numbers + len(r.Attempts)*attempt + len(r.Path) + len(r.UserAgent) + len(r.ModelAsked) + len(r.ModelSent) + len(r.Error)
	if r.Capture != nil {
		n += len(r.Capture.Request) + len(r.Capture.Response)
	}
	return min(n, frameHeader+maxPayload)
}

// take hands every waiting frame to each, shard by shard. Only one goroutine may call it at a time. spare is a
// buffer for the next shard's frames, returned for the next call; dropped is how many were dropped for lack of space so far.
func (q *queue) take(spare []byte, each func(frames []byte, count int)) (_ []byte, dropped int64) {
	// Disarmed first: a record that comes after its shard was emptied finds it so and wakes the writer again.
	q.armed.Store(false)
	for i := range q.shards {
		s := &q.shards[i]
		s.mu.Lock()
		dropped += s.dropped
		if s.count == 0 {
			s.mu.Unlock()
			continue
		}
		frames, count := s.frames, s.count
		s.frames, s.count = spare[:0], 0
		s.mu.Unlock()
		each(frames, count)
		spare = frames
		if cap(spare) > keepShardBytes {
			spare = nil
		}
	}
	return spare, dropped
}

// close makes every later record a drop.
func (q *queue) close() {
	for i := range q.shards {
		s := &q.shards[i]
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
	}
}

type queueStats struct {
	taken, waiting, full, closed int64
}

func (q *queue) stats() (sum queueStats) {
	for i := range q.shards {
		s := &q.shards[i]
		s.mu.Lock()
		sum.taken += s.taken
		sum.waiting += int64(s.count)
		sum.full += s.dropped
		sum.closed += s.afterEnd
		s.mu.Unlock()
	}
	return sum
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
