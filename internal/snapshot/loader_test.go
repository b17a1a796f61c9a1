package snapshot_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"gpt-load/internal/fleet"
	"gpt-load/internal/snapshot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database is a source that a test scripts.
type database struct {
	mu       sync.Mutex
	err      error
	revision int64
	settings map[string]string
	groups   []fleet.Group
	reads    int    // of groups
	between  func() // runs after the revision is read, once
}

func (d *database) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revision++
	f()
}

func (d *database) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *database) Revision(context.Context) (int64, error) {
	d.mu.Lock()
	revision, err, between := d.revision, d.err, d.between
	d.between = nil
	d.mu.Unlock()
	if between != nil {
		between()
	}
	return revision, err
}

func (d *database) Settings(context.Context) (map[string]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.settings, d.err
}

func (d *database) Groups(context.Context) ([]fleet.Group, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	return d.groups, d.err
}

func newLoader(d *database, applied func(context.Context, *snapshot.Snapshot, *snapshot.Snapshot) error) (*snapshot.Loader, *snapshot.Holder, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.InfoLevel)
	holder := &snapshot.Holder{}
	return snapshot.NewLoader(d, holder, fingerprint, applied, zap.New(core)), holder, logs
}

func TestReload(t *testing.T) {
	d := &database{revision: 3, groups: []fleet.Group{standard(1, "a")}}
	var seen []int64
	loader, holder, _ := newLoader(d, func(_ context.Context, old, current *snapshot.Snapshot) error {
		if (old == nil) != (len(seen) == 0) {
			t.Error("the old snapshot")
		}
		seen = append(seen, current.Revision)
		return nil
	})
	reload := func(atLeast int64) {
		t.Helper()
		if err := loader.Reload(t.Context(), atLeast); err != nil {
			t.Fatal(err)
		}
	}
	reload(0)
	reload(0) // nothing is newer
	reload(3) // at hand
	if d.reads != 1 || holder.Load().Revision != 3 {
		t.Errorf("groups were read %d times", d.reads)
	}
	d.change(func() { d.groups = append(d.groups, standard(2, "b")) })
	reload(4)
	if _, ok := holder.Load().Group("b"); !ok || len(seen) != 2 {
		t.Error("the change is not in use")
	}
	// A backup was restored: older, but what the database holds.
	d.change(func() { d.revision, d.groups = 2, nil })
	reload(0)
	if holder.Load().Revision != 2 || len(holder.Load().Groups()) != 0 {
		t.Error("the restored configuration is not in use")
	}
}

// Rows that change while they are read carry a later revision than the one at hand, and are read again.
func TestReloadWhileSomebodyWrites(t *testing.T) {
	d := &database{revision: 1, groups: []fleet.Group{standard(1, "a")}}
	loader, holder, _ := newLoader(d, nil)
	d.between = func() { d.change(func() { d.groups = []fleet.Group{standard(1, "renamed")} }) }
	for range 2 {
		if err := loader.Reload(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := holder.Load().Group("renamed"); !ok || holder.Load().Revision != 2 {
		t.Errorf("revision %d", holder.Load().Revision)
	}
}

func TestAFailedReloadLeavesTheOldOne(t *testing.T) {
	d := &database{revision: 1, groups: []fleet.Group{standard(1, "a")}}
	broken := errors.New("a part refuses")
	var refuse error
	loader, holder, _ := newLoader(d, func(context.Context, *snapshot.Snapshot, *snapshot.Snapshot) error { return refuse })
	if err := loader.Reload(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	d.change(func() { d.groups = nil })
	for name, fail := range map[string]func(){
		"the database is away":            func() { d.fail(errors.New("away")) },
		"a part of the node is not ready": func() { d.fail(nil); refuse = broken },
	} {
		fail()
		if err := loader.Reload(t.Context(), 0); err == nil || holder.Load().Revision != 1 {
			t.Errorf("%s: %v, revision %d in use", name, err, holder.Load().Revision)
		}
	}
	d.fail(nil)
	refuse = nil
	if err := loader.Reload(t.Context(), 0); err != nil || holder.Load().Revision != 2 {
		t.Errorf("after it all: %v", err)
	}
}

// The poll finds what nobody told of, and an absence of the database is two lines in the log.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &database{revision: 1}
		loader, holder, logs := newLoader(d, nil)
		if err := loader.Reload(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- loader.Run(ctx) }()
		d.fail(errors.New("away"))
		<-time.After(time.Minute)
		d.change(func() { d.groups = []fleet.Group{standard(1, "new")} })
		d.fail(nil)
		<-time.After(7 * time.Second)
		synctest.Wait()
		if _, ok := holder.Load().Group("new"); !ok {
			t.Error("a change that nobody told of is not in use after 7 seconds")
		}
		if warnings := logs.FilterLevelExact(zapcore.WarnLevel).Len(); warnings != 1 || logs.FilterMessage("the configuration can be read again").Len() != 1 {
			t.Errorf("%d warnings in a minute; all: %+v", warnings, logs.All())
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
