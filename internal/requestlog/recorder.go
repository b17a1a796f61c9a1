package requestlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

// Defaults and lowest values of Options.
const (
	DefaultMaxDiskBytes   = 1 << 30
	LowestMaxDiskBytes    = 16 << 20
	DefaultMaxMemoryBytes = 64 << 20
	LowestMaxMemoryBytes  = 8 << 20
	DefaultFinalFlush     = 5 * time.Second
)

// Options say where records wait and where they go.
type Options struct {
	Dir  string // the spool folder, this process's own; made when missing
	Sink Sink
	// Interval is asked again and again how often records go to the sink; 0 means every second. Whatever it says, they
	// also go when 5,000 records or 64 MiB wait.
	Interval func() time.Duration
	Logger   *zap.Logger // nil logs nothing

	MaxDiskBytes   int64         // of all segments; 0 takes the default
	MaxMemoryBytes int64         // half for records on their way to the disk, half for those it refuses; 0 takes the default
	FinalFlush     time.Duration // longest time for the last delivery when Run's context ends; 0 takes the default

	// For tests; 0 and nil take what the constants below say.
	segmentBytes int64
	gather       time.Duration
	create       func(path string) (segmentFile, error)
}

const (
	segmentBytes = 8 << 20
	// gather is how long the writer waits for more records after the first: a fifth of the 100 ms in which a kill may
	// take an answer's record with it.
	gather = 20 * time.Millisecond
	// writeBytes bounds the copy that joins the shards for one write; what is longer is written by itself.
	writeBytes = 1 << 20
	// dropsOver is how long nothing must be dropped before the log says that it is over.
	dropsOver = 10 * time.Second
)

func (o *Options) complete() error {
	switch {
	case o.Dir == "":
		return errors.New("the request log needs a folder")
	case o.Sink == nil || o.Interval == nil:
		return errors.New("the request log needs a sink and an interval")
	}
	o.MaxDiskBytes = max(orDefault(o.MaxDiskBytes, DefaultMaxDiskBytes), LowestMaxDiskBytes)
	o.MaxMemoryBytes = max(orDefault(o.MaxMemoryBytes, DefaultMaxMemoryBytes), LowestMaxMemoryBytes)
	o.FinalFlush = orDefault(o.FinalFlush, DefaultFinalFlush)
	o.segmentBytes = orDefault(o.segmentBytes, segmentBytes)
	o.gather = orDefault(o.gather, gather)
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.create == nil {
		o.create = createFile
	}
	return nil
}

func orDefault[T ~int64](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}

// Recorder takes request records and sees to it that they reach the sink. Open makes one; Run does the work.
type Recorder struct {
	queue   *queue
	spool   *spool
	flusher *flusher
	options Options
	records sync.Pool

	writing sync.Mutex // guards what follows: one writes at a time
	spare   []byte
	joined  []byte
	drops   dropLog

	closing sync.Once
	ended   chan struct{} // closed by Close
}

// Open locks the spool folder and recovers what an earlier process left in it. The errors say what stands in the
// way: a folder that cannot be written, or one that another process uses.
func Open(o Options) (*Recorder, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	f, err := openFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	s, err := openSpool(f, o, time.Now())
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	r := &Recorder{
		queue: newQueue(o.MaxMemoryBytes / 2), spool: s, flusher: newFlusher(s, o), options: o,
		ended: make(chan struct{}),
	}
	r.drops.log = o.Logger
	r.records.New = func() any { return new(fleet.RequestRecord) }
	return r, nil
}

// Acquire returns an empty record, whose Attempts may have capacity from an earlier use.
func (r *Recorder) Acquire() *fleet.RequestRecord { return r.records.Get().(*fleet.RequestRecord) }

// Record takes a record, which the caller must not touch again; what its texts and bodies point to is free when
// Record returns. It never waits for disk or sink. A record for which there is no room is dropped and counted.
func (r *Recorder) Record(record *fleet.RequestRecord) {
	r.queue.add(record)
	const keepAttempts = 32
	attempts := record.Attempts
	clear(attempts)
	if cap(attempts) > keepAttempts {
		attempts = nil
	}
	*record = fleet.RequestRecord{Attempts: attempts[:0]}
	r.records.Put(record)
}

// Run writes and delivers records until ctx ends; then it writes what is left to the disk and tries for
// Options.FinalFlush to deliver it. What stays is delivered after the next start.
func (r *Recorder) Run(ctx context.Context) error {
	var services sync.WaitGroup
	services.Go(func() { r.runWriter(ctx) })
	services.Go(func() { r.runSyncer(ctx) })
	services.Go(func() {
		for r.flusher.wait(ctx) {
			_ = r.Flush(ctx) // it has logged what happened
		}
	})
	services.Wait()

	final, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.options.FinalFlush)
	defer cancel()
	r.write()
	r.spool.syncAll()
	_ = r.Flush(final)
	return nil
}

func (r *Recorder) runWriter(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		// Without records there is nothing to do but to ask a disk that refused some.
		timer.Reset(writeRetry)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			if r.spool.heldCount.Load() > 0 {
				r.spool.retry(time.Now())
			}
			continue
		case <-r.queue.wake:
		}
		timer.Reset(r.options.gather)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.queue.full:
		}
		r.write()
	}
}

func (r *Recorder) runSyncer(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case file := <-r.spool.sealed:
			r.spool.syncSealed(file)
		}
	}
}

// write moves what waits in the queue to the spool.
func (r *Recorder) write() {
	r.writing.Lock()
	defer r.writing.Unlock()
	now := time.Now()
	count := 0
	put := func() {
		if count > 0 {
			r.spool.append(r.joined, count, now)
			r.joined, count = r.joined[:0], 0
		}
	}
	var dropped int64
	r.spare, dropped = r.queue.take(r.spare, func(frames []byte, n int) {
		if len(frames) > writeBytes {
			put()
			r.spool.append(frames, n, now)
			return
		}
		if len(r.joined)+len(frames) > writeBytes {
			put()
		}
		r.joined = append(r.joined, frames...)
		count += n
	})
	put()
	r.drops.note(dropped, now)
	if r.flusher.tooMuch() {
		signal(r.flusher.kick)
	}
}

// Flush writes and delivers everything recorded before it was called. It waits while another flush is under way, and
// returns the sink's error, or ctx's.
func (r *Recorder) Flush(ctx context.Context) error {
	select {
	case r.flusher.turn <- struct{}{}:
		defer func() { <-r.flusher.turn }()
	case <-r.ended:
		return errClosed
	case <-ctx.Done():
		return fmt.Errorf("waiting for another flush of the request log: %w", ctx.Err())
	}
	r.write()
	return r.flusher.flush(ctx)
}

var errClosed = errors.New("the request log is closed")

// Close writes what is left to the disk and gives the folder free. Call it after Run has returned; records that
// come later are dropped and counted.
func (r *Recorder) Close() error {
	err := errClosed
	r.closing.Do(func() {
		r.flusher.turn <- struct{}{} // for ever: nobody flushes any more
		close(r.ended)
		r.queue.close()
		r.write()
		r.spool.syncAll()
		err = r.spool.close()
	})
	return err
}

// dropLog writes one line when records begin to be dropped before they reach the spool, and one when that is over.
type dropLog struct {
	log      *zap.Logger
	seen     int64
	dropping bool
	at       time.Time
}

func (d *dropLog) note(dropped int64, now time.Time) {
	switch {
	case dropped > d.seen:
		if !d.dropping {
			d.log.Warn("request records come faster than they can be written; some are dropped", zap.Int64("dropped", dropped))
		}
		d.seen, d.dropping, d.at = dropped, true, now
	case d.dropping && now.Sub(d.at) >= dropsOver:
		d.dropping = false
		d.log.Info("request records are no longer dropped", zap.Int64("dropped", dropped))
	}
}
