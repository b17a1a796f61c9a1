package requestlog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

const (
	flushRecords   = 5000     // waiting records that start a flush before its time
	flushBytes     = 64 << 20 // the same in bytes, for records with bodies
	shortestFlush  = time.Second
	sinkTimeout    = time.Minute // of one call
	firstBackOff   = time.Second
	longestBackOff = 2 * time.Second // so that a sink that is back has everything within seconds
)

// flusher moves records from the spool to the sink. Only the holder of the turn uses its fields but the atomics.
type flusher struct {
	spool    *spool
	reader   *reader
	sink     Sink
	interval func() time.Duration
	log      *zap.Logger
	rejects  rejects

	turn chan struct{} // capacity 1: full while somebody flushes
	kick chan struct{} // enough waits

	// met says that the sink's position was asked; known that it was asked since the last error.
	met, known bool
	// end is the position that the batch ended at whose fate is unknown: it must be tried again with the same end, so
	// that a sink that stored it after all recognises it. 0 when there is none.
	end int64

	schedule schedule

	delivered atomic.Int64
	failing   atomic.Pointer[string]
}

// schedule says when to flush next. It is set by whoever has the turn and read by the service.
type schedule struct {
	mu        sync.Mutex
	last      time.Time // end of the last flush
	backOff   time.Duration
	notBefore time.Time
}

// done notes the end of a flush, and failed that the next must not come soon.
func (s *schedule) done(now time.Time, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
	if !failed {
		s.backOff, s.notBefore = 0, time.Time{}
		return
	}
	s.backOff = min(longestBackOff, max(firstBackOff, 2*s.backOff))
	s.notBefore = now.Add(s.backOff/2 + rand.N(s.backOff/2))
}

// due reports whether it is time, at the interval or, when urgent, as soon as a failure allows.
func (s *schedule) due(now time.Time, interval time.Duration, urgent bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !now.Before(s.notBefore) && (urgent || now.Sub(s.last) >= interval)
}

func newFlusher(s *spool, o Options) *flusher {
	return &flusher{
		spool: s, reader: newReader(s), sink: o.Sink, interval: o.Interval, log: o.Logger,
		rejects: rejects{dir: s.folder.dir, log: o.Logger},
		turn:    make(chan struct{}, 1), kick: make(chan struct{}, 1),
	}
}

// wait returns when a flush is due, or false when ctx has ended.
func (f *flusher) wait(ctx context.Context) bool {
	// The interval may change while we wait, so it is looked at every second; that costs nothing.
	timer := time.NewTimer(shortestFlush)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-f.kick:
		case <-timer.C:
			timer.Reset(shortestFlush)
		}
		if f.spool.waiting.Load() > 0 && f.schedule.due(time.Now(), max(f.interval(), shortestFlush), f.tooMuch() || f.spool.heldCount.Load() > 0) {
			return true
		}
	}
}

// tooMuch reports whether so much waits that the interval does not count.
func (f *flusher) tooMuch() bool {
	return f.spool.waiting.Load() >= flushRecords || f.spool.waitingBytes.Load() >= flushBytes
}

// flush delivers everything that the spool has now. Whoever calls it has the turn.
func (f *flusher) flush(ctx context.Context) error {
	err := f.deliverAll(ctx)
	canceled := err != nil && ctx.Err() != nil // the caller's end says nothing about the sink
	f.schedule.done(time.Now(), err != nil && !canceled)
	switch {
	case err == nil:
		if f.failing.Swap(nil) != nil {
			f.log.Info("request records are taken again", zap.Int64("waiting", f.spool.waiting.Load()))
		}
		return nil
	case !canceled:
		text := err.Error()
		if f.failing.Swap(&text) == nil {
			f.log.Warn("request records are not taken; they wait in the spool and are tried again",
				zap.Int64("waiting", f.spool.waiting.Load()), zap.Error(err))
		}
	}
	f.known = false
	return err
}

func (f *flusher) deliverAll(ctx context.Context) error {
	// What comes while we deliver is the next flush's: else this one might never end.
	f.spool.mu.Lock()
	target := f.spool.next - 1
	f.spool.mu.Unlock()
	for {
		if err := f.meet(ctx); err != nil {
			return err
		}
		if err := f.reader.read(f.end); err != nil {
			return fmt.Errorf("reading the spool: %w", err)
		}
		if !f.reader.moved() {
			return nil
		}
		if len(f.reader.records) > 0 {
			if err := f.deliver(ctx); err != nil {
				return err
			}
		}
		f.reader.commit()
		f.end = 0
		if f.reader.end.position >= target {
			return nil
		}
	}
}

// meet asks the sink how far it is, at the first delivery and after every error.
func (f *flusher) meet(ctx context.Context) error {
	if f.known {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sinkTimeout)
	defer cancel()
	position, err := f.sink.Position(ctx, *f.spool.folder.source.Load())
	if err != nil {
		return fmt.Errorf("asking for the position of the request log: %w", err)
	}
	if !f.met {
		err = f.spool.adopt(position)
	} else {
		f.delivered.Add(f.spool.skipTo(position)) // what was taken without an answer that reached us
	}
	f.met, f.known = err == nil, err == nil
	return err
}

// deliver hands the batch that the reader holds to the sink.
func (f *flusher) deliver(ctx context.Context) error {
	err := f.write(ctx, 0, len(f.reader.records))
	if fleet.CodeOf(err) != fleet.CodeInvalid {
		return err
	}
	// Once more: a sink that is being changed under us may be wrong once.
	if err = f.write(ctx, 0, len(f.reader.records)); fleet.CodeOf(err) != fleet.CodeInvalid {
		return err
	}
	return f.isolate(ctx)
}

// write delivers the records from..to of the reader's batch. The last part of it carries the position that
// the whole batch ends at, behind records that were left out.
func (f *flusher) write(ctx context.Context, from, to int) error {
	b := Batch{Source: *f.spool.folder.source.Load(), Position: f.reader.end.position, Records: f.reader.records[from:to]}
	if to < len(f.reader.positions) {
		b.Position = f.reader.positions[to-1]
	}
	ctx, cancel := context.WithTimeout(ctx, sinkTimeout)
	defer cancel()
	f.end = b.Position
	if err := f.sink.WriteRecords(ctx, b); err != nil {
		if fleet.CodeOf(err) == fleet.CodeInvalid {
			f.end = 0 // refused is not stored
		}
		return fmt.Errorf("writing %d request records: %w", to-from, err)
	}
	f.delivered.Add(int64(to - from))
	return nil
}
