package keypool_test

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
)

// database is a source of a feed and a store of a writer, with the rules of the real one.
type database struct {
	mu        sync.Mutex
	err       error
	revision  int64
	forgotten int64
	keys      map[fleet.KeyID]*row
	deleted   []deletion
	loads     int
}

type row struct {
	fleet.Key
	revision int64
	operator time.Time
}

type deletion struct {
	fleet.DeletedKey
	revision int64
}

func newDatabase(keys ...fleet.Key) *database {
	d := &database{keys: make(map[fleet.KeyID]*row)}
	for _, k := range keys {
		d.set(k)
	}
	return d
}

// set is an operator's act.
func (d *database) set(k fleet.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revision++
	d.keys[k.ID] = &row{Key: k, revision: d.revision, operator: k.UpdatedAt}
}

func (d *database) remove(id fleet.KeyID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revision++
	d.deleted = append(d.deleted, deletion{fleet.DeletedKey{ID: id, GroupID: d.keys[id].GroupID}, d.revision})
	delete(d.keys, id)
}

func (d *database) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *database) Revisions(context.Context) (fleet.Revisions, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fleet.Revisions{Keys: d.revision}, d.err
}

func (d *database) EachKey(_ context.Context, group fleet.GroupID, each func([]fleet.Key) error) error {
	d.mu.Lock()
	d.loads++
	var keys []fleet.Key
	for _, id := range slices.Sorted(maps.Keys(d.keys)) {
		if k := d.keys[id]; group == 0 || k.GroupID == group {
			keys = append(keys, k.Key)
		}
	}
	err := d.err
	d.mu.Unlock()
	return errors.Join(err, each(keys))
}

func (d *database) KeysSince(_ context.Context, revision int64, _ int) (fleet.KeyDelta, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if revision < d.forgotten {
		return fleet.KeyDelta{}, false, fleet.NewError(fleet.CodeGone, "forgotten", nil)
	}
	delta := fleet.KeyDelta{UpTo: d.revision}
	for _, k := range d.keys {
		if k.revision > revision {
			delta.Changed = append(delta.Changed, k.Key)
		}
	}
	for _, k := range d.deleted {
		if k.revision > revision {
			delta.Deleted = append(delta.Deleted, k.DeletedKey)
		}
	}
	return delta, false, d.err
}

func (d *database) Key(_ context.Context, id fleet.KeyID) (fleet.Key, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, ok := d.keys[id]
	if !ok {
		return fleet.Key{}, fleet.NewError(fleet.CodeNotFound, "no such key", nil)
	}
	return k.Key, d.err
}

func (d *database) ApplyKeyChanges(_ context.Context, changes []fleet.KeyChange) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	d.revision++
	for _, c := range changes {
		k := d.keys[c.KeyID]
		if k == nil || k.State == fleet.KeyDisabled || k.operator.After(c.At) || len(c.Cooldowns) > 0 && k.State != fleet.KeyActive {
			continue
		}
		k.State, k.Reason, k.Failures, k.Cooldowns, k.UpdatedAt, k.revision = c.State, c.Reason, c.Failures, c.Cooldowns, c.At, d.revision
	}
	return nil
}

// member is a node of a fleet, as far as keys go.
type member struct {
	pools *keypool.Pools
	feed  *keypool.Feed
	store *keypool.Writer
}

func newMember(t *testing.T, d *database) *member {
	t.Helper()
	m := &member{pools: keypool.NewPools(), store: keypool.NewWriter(d, zap.NewNop())}
	m.feed = keypool.NewFeed(d, m.pools, m.store.Waits, zap.NewNop())
	if err := m.feed.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *member) catchUp(t *testing.T) {
	t.Helper()
	if err := m.feed.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (m *member) state(id fleet.KeyID) fleet.KeyState {
	k, ok := m.pools.Get(group).Get(id, start)
	if !ok {
		return "none"
	}
	return k.State
}

func TestFeedFollows(t *testing.T) {
	t.Parallel()
	d := newDatabase(key(1), key(2))
	m := newMember(t, d)
	disabled := key(1)
	disabled.State, disabled.UpdatedAt = fleet.KeyDisabled, start
	d.set(disabled)
	d.set(key(3))
	d.remove(2)
	m.catchUp(t)
	if m.state(1) != fleet.KeyDisabled || m.state(2) != "none" || m.state(3) != fleet.KeyActive || m.feed.Revision() != d.revision {
		t.Errorf("%s, %s, %s at revision %d of %d", m.state(1), m.state(2), m.state(3), m.feed.Revision(), d.revision)
	}
	before := d.loads
	m.catchUp(t)
	if d.loads != before {
		t.Error("all keys were read again without need")
	}
}

// What is not remembered any more, and a database that went back in time, are read from the beginning.
func TestFeedStartsAgain(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*database){
		"forgotten": func(d *database) { d.revision, d.forgotten = d.revision+5, d.revision+4 },
		"restored":  func(d *database) { d.revision-- },
	} {
		d := newDatabase(key(1), key(2), key(3))
		m := newMember(t, d)
		change(d)
		delete(d.keys, 2)
		m.catchUp(t)
		if m.state(1) != fleet.KeyActive || m.state(2) != "none" || m.feed.Revision() != d.revision {
			t.Errorf("%s: %s, %s at revision %d of %d", name, m.state(1), m.state(2), m.feed.Revision(), d.revision)
		}
	}
}

// A verdict that is not stored yet is not undone by an older row, and the row that follows it is not missed.
func TestFeedLeavesWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	d := newDatabase(key(1), key(2))
	m := newMember(t, d)
	pool := m.pools.Get(group)
	for id := range 2 {
		dead, _ := pool.Fault(mustLookup(t, pool, fleet.KeyID(id+1), start), "m", keypool.Fault{Class: fleet.ClassKeyDead}, options, start)
		m.store.Add(dead)
	}
	noted := key(1) // something else changes in the row meanwhile
	d.set(noted)
	disabled := key(2)
	disabled.State, disabled.UpdatedAt = fleet.KeyDisabled, start.Add(-time.Second)
	d.set(disabled)
	m.catchUp(t)
	if m.state(1) != fleet.KeyInvalid || m.state(2) != fleet.KeyDisabled {
		t.Fatalf("before the verdicts are stored: %s, %s", m.state(1), m.state(2))
	}
	// The database refuses the second: an operator's word stands above a verdict.
	if err := m.store.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.catchUp(t)
	if m.state(1) != fleet.KeyInvalid || m.state(2) != fleet.KeyDisabled || d.keys[1].State != fleet.KeyInvalid || d.keys[2].State != fleet.KeyDisabled {
		t.Errorf("after: %s, %s; stored %s, %s", m.state(1), m.state(2), d.keys[1].State, d.keys[2].State)
	}
}

// Two nodes judge, operators act, and messages between them are lost: in the end all say what the database says.
func TestFeedsConverge(t *testing.T) {
	t.Parallel()
	const keys = 20
	for seed := range uint64(20) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { converge(t, keys, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func converge(t *testing.T, keys int, rng *rand.Rand) {
	d := newDatabase()
	for id := range keys {
		d.set(key(id + 1))
	}
	nodes := []*member{newMember(t, d), newMember(t, d), newMember(t, d)}
	now := start
	for range 2000 {
		now = now.Add(time.Duration(rng.IntN(2000)) * time.Millisecond)
		n, id := nodes[rng.IntN(len(nodes))], fleet.KeyID(rng.IntN(keys)+1)
		pool := n.pools.Get(group)
		switch rng.IntN(8) {
		case 0:
			if d.keys[id] == nil {
				continue // ids are not used twice
			}
			k := key(int(id))
			k.State, k.UpdatedAt = []fleet.KeyState{fleet.KeyActive, fleet.KeyDisabled}[rng.IntN(2)], now
			d.set(k)
		case 1:
			if rng.IntN(10) == 0 && d.keys[id] != nil {
				d.remove(id)
			}
		case 2:
			n.catchUp(t)
		case 3:
			if err := n.store.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		default:
			pick, ok := pool.Choose("m", nil, now)
			if !ok {
				continue
			}
			fault := keypool.Fault{Class: []fleet.Class{fleet.ClassKeyDead, fleet.ClassLimited, fleet.ClassKeySuspect}[rng.IntN(3)], Until: now.Add(time.Minute)}
			c, told := pool.Fault(pick, "m", fault, options, now)
			if !told {
				continue
			}
			if kept, lasts := keypool.Lasting(c); lasts {
				n.store.Add(kept)
			}
			if other := nodes[rng.IntN(len(nodes))]; other != n { // the others' messages are lost
				other.pools.Hear(c)
			}
		}
	}
	for _, n := range nodes {
		if err := n.store.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		n.catchUp(t)
		for id := range fleet.KeyID(keys) {
			want := fleet.KeyState("none")
			if k := d.keys[id+1]; k != nil {
				want = k.State
			}
			got := n.state(id + 1)
			if got == fleet.KeyCooling {
				got = fleet.KeyActive
			}
			if got != want {
				t.Errorf("key %d is %s, stored as %s", id+1, got, want)
			}
		}
	}
}

// What another node tells may be older than what an operator did since.
func TestNewsMayBeOvertaken(t *testing.T) {
	t.Parallel()
	m := newMember(t, newDatabase(key(1)))
	restored := key(1)
	restored.UpdatedAt = start
	m.pools.Get(group).Put(restored)
	tell := func(state fleet.KeyState, at time.Time, rests ...fleet.Cooldown) {
		m.pools.Hear(fleet.KeyChange{KeyID: 1, GroupID: group, State: state, At: at, Cooldowns: rests})
	}
	tell(fleet.KeyInvalid, start.Add(-time.Second))
	if m.state(1) != fleet.KeyActive {
		t.Error("an older verdict undid a restoration")
	}
	tell(fleet.KeyActive, start.Add(-time.Second), fleet.Cooldown{Until: start.Add(time.Minute)})
	if k, _ := m.pools.Get(group).Get(1, start); len(k.Cooldowns) != 1 {
		t.Error("a rest was not heard of")
	}
	tell(fleet.KeyInvalid, start.Add(time.Second))
	tell(fleet.KeyActive, start)
	if m.state(1) != fleet.KeyInvalid {
		t.Error("an older restoration revived a dead key")
	}
}

func TestFeedPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(key(1))
		m := newMember(t, d)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.feed.Run(ctx) }()
		d.fail(errors.New("away"))
		<-time.After(20 * time.Second)
		d.set(key(2))
		d.fail(nil)
		<-time.After(7 * time.Second)
		synctest.Wait()
		if m.state(2) != fleet.KeyActive {
			t.Error("a change that nobody told of was not seen")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A key that was left alone does not wait for the poll.
func TestFeedComesBackSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(key(1))
		m := newMember(t, d)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.feed.Run(ctx) }()
		synctest.Wait()
		m.store.Add(fleet.KeyChange{KeyID: 1, GroupID: group, State: fleet.KeyDisabled, At: start})
		m.pools.Apply(fleet.KeyChange{KeyID: 1, GroupID: group, State: fleet.KeyDisabled, At: start})
		enabled := key(1)
		enabled.UpdatedAt = start.Add(time.Second)
		d.set(enabled)
		m.catchUp(t)
		if m.state(1) != fleet.KeyDisabled {
			t.Errorf("while a change waits: %s", m.state(1))
		}
		if err := m.store.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-time.After(300 * time.Millisecond)
		synctest.Wait()
		if m.state(1) != fleet.KeyActive {
			t.Errorf("300 ms after it was stored: %s", m.state(1))
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
