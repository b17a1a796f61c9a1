package keypool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

// Source is where all keys stand. sqlstore.Store says how each method behaves.
type Source interface {
	Revisions(ctx context.Context) (fleet.Revisions, error)
	EachKey(ctx context.Context, group fleet.GroupID, each func([]fleet.Key) error) error
	KeysSince(ctx context.Context, revision int64, limit int) (delta fleet.KeyDelta, more bool, err error)
	Key(ctx context.Context, id fleet.KeyID) (fleet.Key, error)
}

const (
	// pollKeys bounds how long a change that nobody told of stays unseen. The poll reads one number.
	pollKeys = 5 * time.Second
	// pollWaiting is when keys that were left alone are looked at again: a verdict is stored 200 ms after it was given.
	pollWaiting = flushEvery + 50*time.Millisecond
	pageKeys    = 2000
)

// Feed keeps the pools of a node at what the source holds. A key whose verdict is still on its way from this node to the
// source is left alone until it is there, and read again then.
type Feed struct {
	source Source
	pools  *Pools
	waits  func(fleet.KeyID) bool
	log    *zap.Logger

	mu       sync.Mutex // one reading at a time
	observe  func(group fleet.GroupID, changed []fleet.Key)
	again    map[fleet.KeyID]fleet.GroupID // keys to be read again, because something waited
	waiting  chan struct{}                 // capacity 1: there are some in again
	revision atomic.Int64
}

// NewFeed makes a feed. waits tells whether a verdict on a key is on its way to the source: Writer.Waits. Nothing is
// read before Load.
func NewFeed(source Source, pools *Pools, waits func(fleet.KeyID) bool, log *zap.Logger) *Feed {
	return &Feed{source: source, pools: pools, waits: waits, log: log, observe: func(fleet.GroupID, []fleet.Key) {}, again: make(map[fleet.KeyID]fleet.GroupID), waiting: make(chan struct{}, 1)}
}

// Revision is that of the newest change of keys that the pools have.
func (f *Feed) Revision() int64 { return f.revision.Load() }

// Load reads all keys and removes those that are not there any more.
func (f *Feed) Load(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load(ctx)
}

func (f *Feed) load(ctx context.Context) error {
	begun, count := time.Now(), 0
	// Before the keys: what changes while they are read comes again with the next reading.
	revisions, err := f.source.Revisions(ctx)
	if err != nil {
		return err
	}
	known := f.pools.All()
	for id, pool := range known {
		err := pool.Replace(func(put func([]fleet.Key) error) error {
			return f.source.EachKey(ctx, id, func(keys []fleet.Key) error {
				count += len(keys)
				return put(keys)
			})
		})
		if err != nil {
			return fmt.Errorf("reading the keys of group %d: %w", id, err)
		}
	}
	err = f.source.EachKey(ctx, 0, func(keys []fleet.Key) error {
		eachGroup(keys, func(id fleet.GroupID, keys []fleet.Key) {
			if known[id] == nil {
				count += len(keys)
				f.pools.Ensure(id).Put(keys...)
			}
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	for id := range f.pools.All() {
		f.observe(id, nil)
	}
	f.revision.Store(revisions.Keys)
	f.log.Info("provider keys loaded", zap.Int("keys", count), zap.Int64("revision", revisions.Keys), zap.Duration("took", time.Since(begun)))
	return nil
}

// CatchUp reads what changed since the last reading. When it returns nil, the next request sees it.
func (f *Feed) CatchUp(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	revisions, err := f.source.Revisions(ctx)
	if err != nil {
		return err
	}
	if revisions.Keys < f.revision.Load() {
		f.log.Warn("the database is older than what this node has seen of it, as after a backup was restored; all keys are read again")
		return f.load(ctx)
	}
	if err := f.readAgain(ctx); err != nil {
		return err
	}
	for revisions.Keys > f.revision.Load() {
		delta, _, err := f.source.KeysSince(ctx, f.revision.Load(), pageKeys)
		if fleet.CodeOf(err) == fleet.CodeGone {
			return f.load(ctx)
		}
		if err != nil {
			return err
		}
		changed := slices.DeleteFunc(delta.Changed, f.leave)
		eachGroup(changed, f.put)
		for _, gone := range delta.Deleted {
			if pool := f.pools.Get(gone.GroupID); pool != nil {
				pool.Remove(gone.ID)
				f.observe(gone.GroupID, nil)
			}
		}
		f.revision.Store(delta.UpTo)
	}
	if len(f.again) > 0 {
		select {
		case f.waiting <- struct{}{}:
		default:
		}
	}
	return nil
}

// Observe sets who is told, before Load, of the keys of a group that stand otherwise than this node knew, and, without keys, that
// some came or went. It must be quick.
func (f *Feed) Observe(observe func(group fleet.GroupID, changed []fleet.Key)) { f.observe = observe }

// put brings the pool of a group to what was read, and tells what is new in it.
func (f *Feed) put(group fleet.GroupID, keys []fleet.Key) {
	pool, now := f.pools.Ensure(group), time.Now()
	before := make(map[fleet.KeyID]fleet.Key) // keys of an import are not known, so that it stays empty
	for i := range keys {
		if k, known := pool.Get(keys[i].ID, now); known {
			before[k.ID] = k
		}
	}
	pool.Put(keys...)
	var changed []fleet.Key
	for id, was := range before {
		is, known := pool.Get(id, now)
		if known && (was.State != is.State || was.Reason != is.Reason || !slices.Equal(was.Cooldowns, is.Cooldowns)) {
			changed = append(changed, is)
		}
	}
	if len(changed) > 0 || len(before) < len(keys) {
		f.observe(group, changed)
	}
}

// leave reports whether a key is to be left alone for now. An operator's word against a key holds at once, whatever
// waits.
func (f *Feed) leave(k fleet.Key) bool {
	if k.State == fleet.KeyDisabled || !f.waits(k.ID) {
		return false
	}
	f.again[k.ID] = k.GroupID
	return true
}

// readAgain reads the keys that were left alone and do not wait any more.
func (f *Feed) readAgain(ctx context.Context) error {
	for id, group := range f.again {
		if f.waits(id) {
			continue
		}
		key, err := f.source.Key(ctx, id)
		pool := f.pools.Get(group)
		switch {
		case fleet.CodeOf(err) == fleet.CodeNotFound && err != nil:
			if pool != nil {
				pool.Remove(id)
			}
		case err != nil:
			return err
		case pool != nil:
			f.put(group, []fleet.Key{key})
		}
		delete(f.again, id)
	}
	return nil
}

// Run catches up every few seconds until ctx ends, for changes that nobody told of, and soon after a key was left alone.
func (f *Feed) Run(ctx context.Context) error {
	failing := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(pollKeys*3/4 + rand.N(pollKeys/2)) // #nosec G404 -- spreads load, guards nothing
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-f.waiting:
			timer.Reset(pollWaiting)
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
		}
		err := f.CatchUp(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			f.log.Warn("reading changes of keys: those that are known keep serving", zap.Error(err))
		}
		if err == nil && failing {
			f.log.Info("changes of keys can be read again")
		}
		failing = err != nil
	}
}

// eachGroup calls fn with the runs of keys of one group.
func eachGroup(keys []fleet.Key, fn func(fleet.GroupID, []fleet.Key)) {
	for len(keys) > 0 {
		end := 1
		for end < len(keys) && keys[end].GroupID == keys[0].GroupID {
			end++
		}
		fn(keys[0].GroupID, keys[:end])
		keys = keys[end:]
	}
}
