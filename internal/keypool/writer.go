package keypool

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

// Store keeps key changes. ApplyKeyChanges stores all of them or returns an error; changes of keys that are
// gone are no error. The writer never calls it twice at the same time.
type Store interface {
	ApplyKeyChanges(ctx context.Context, changes []fleet.KeyChange) error
}

const (
	flushEvery   = 200 * time.Millisecond
	tellEvery    = 20 * time.Millisecond
	flushTimeout = 10 * time.Second // one call of the store
	finalFlush   = 5 * time.Second  // all calls at the end
	maxBatch     = 1000
	maxBackoff   = 5 * time.Second
)

// Writer brings key changes to a store without ever keeping its caller waiting. Only the newest change of a
// key is held, so its memory is bounded by the number of keys however long the store is away.
type Writer struct {
	store  Store
	logger *zap.Logger
	every  time.Duration
	lossy  bool

	mu      sync.Mutex
	pending map[fleet.KeyID]fleet.KeyChange
	queue   []fleet.KeyID // of the keys in pending, each once: the order in which they are written
	wake    chan struct{} // capacity 1: something is pending

	under map[fleet.KeyID]struct{} // keys of the write under way; guarded by mu

	turn chan struct{} // capacity 1: held by whoever writes
	// batch is the size of the next write. It is halved when a write fails, whose changes then go to the end of
	// the queue, and doubled when one succeeds. So a change that the store refuses for its own sake is soon alone
	// and holds up no other. Held with turn.
	batch int
	away  bool // the last write failed; held with turn
}

// NewWriter makes a writer. Nothing is written before Run or Flush.
func NewWriter(store Store, logger *zap.Logger) *Writer {
	return &Writer{
		store: store, logger: logger, every: flushEvery, pending: make(map[fleet.KeyID]fleet.KeyChange),
		wake: make(chan struct{}, 1), turn: make(chan struct{}, 1), batch: maxBatch,
	}
}

// NewTeller makes a writer for a bus to other nodes: it is ten times as quick, and what cannot be told is forgotten
// without a word, because the others find it in the store.
func NewTeller(bus Store) *Writer {
	w := NewWriter(bus, zap.NewNop())
	w.every, w.lossy = tellEvery, true
	return w
}

// Add hands over a change. It never blocks on the store.
func (w *Writer) Add(c fleet.KeyChange) {
	w.mu.Lock()
	w.keep(c)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// keep holds a change unless a newer one of the same key is held; the caller holds the lock.
func (w *Writer) keep(c fleet.KeyChange) {
	held, known := w.pending[c.KeyID]
	if known && c.At.Before(held.At) {
		return
	}
	if !known {
		w.queue = append(w.queue, c.KeyID)
	}
	w.pending[c.KeyID] = c
}

// Waits tells whether a change of a key is not stored yet.
func (w *Writer) Waits(id fleet.KeyID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, pending := w.pending[id]
	_, under := w.under[id]
	return pending || under
}

// Pending is the number of keys whose newest change is not stored yet.
func (w *Writer) Pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending)
}

// Run writes what is added until ctx ends, at most 200 ms after it was added (a teller 20 ms), and tries again with growing
// pauses of up to 5 seconds while the store is away. At the end it takes up to 5 seconds to write the rest; an
// error says how much could not be written.
func (w *Writer) Run(ctx context.Context) error {
	timer := time.NewTimer(w.every)
	defer timer.Stop()
	pause := w.every
	for {
		select {
		case <-ctx.Done():
			return w.finish(ctx)
		case <-w.wake:
		}
		// Wait a moment for more: a burst of changes becomes one write.
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return w.finish(ctx)
		case <-timer.C:
		}
		if err := w.Flush(ctx); err != nil {
			pause = min(2*pause, maxBackoff)
			select {
			case w.wake <- struct{}{}:
			default:
			}
			continue
		}
		pause = w.every
	}
}

func (w *Writer) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalFlush)
	defer cancel()
	if err := w.Flush(ctx); err != nil {
		return fmt.Errorf("store the last key changes, %d are lost: %w", w.Pending(), err)
	}
	return nil
}

// Flush writes what is pending when it is called, and returns the first error of the store. What could not be
// written stays pending.
func (w *Writer) Flush(ctx context.Context) error {
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for left := w.Pending(); left > 0; {
		changes := w.takeBatch()
		if len(changes) == 0 {
			return nil
		}
		err := w.write(ctx, changes)
		w.written(changes, err)
		if w.lossy {
			continue
		}
		if err != nil {
			w.batch = max(w.batch/2, 1)
			w.report(err)
			return err
		}
		w.batch = min(w.batch*2, maxBatch)
		w.report(nil)
		left -= len(changes)
	}
	return nil
}

func (w *Writer) write(ctx context.Context, changes []fleet.KeyChange) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	return w.store.ApplyKeyChanges(ctx, changes)
}

// takeBatch takes the first changes of the queue out.
func (w *Writer) takeBatch() []fleet.KeyChange {
	w.mu.Lock()
	defer w.mu.Unlock()
	changes := make([]fleet.KeyChange, min(len(w.queue), w.batch))
	w.under = make(map[fleet.KeyID]struct{}, len(changes))
	for i, id := range w.queue[:len(changes)] {
		changes[i] = w.pending[id]
		delete(w.pending, id)
		w.under[id] = struct{}{}
	}
	w.queue = w.queue[len(changes):]
	return changes
}

// written notes the end of a write; what failed is pending again.
func (w *Writer) written(changes []fleet.KeyChange, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.under = nil
	if err == nil || w.lossy {
		return
	}
	for _, c := range changes {
		if _, newer := w.pending[c.KeyID]; !newer {
			w.keep(c)
		}
	}
}

// report logs when the store goes away and when it is back, not every try in between.
func (w *Writer) report(err error) {
	switch {
	case err != nil && !w.away:
		w.logger.Warn("key changes cannot be stored; they are kept in memory and tried again",
			zap.Int("pending", w.Pending()), zap.Error(err))
	case err == nil && w.away:
		w.logger.Info("key changes are being stored again")
	}
	w.away = err != nil
}
