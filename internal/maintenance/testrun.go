package maintenance

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

// testRun tests keys of one group side by side, paced and bounded.
type testRun struct {
	ctx   context.Context // of the slice; a testRun does not outlive it
	test  KeyTester
	group ValidatedGroup
	log   *zap.Logger

	slots   chan struct{}
	pace    *time.Timer
	running sync.WaitGroup

	mu  sync.Mutex
	sum testSum
}

// testSum is what tests came to.
type testSum struct {
	tested   int
	restored int
	away     int   // of the last tests, one after the other, ended by the provider's fault
	fault    error // why the tests themselves do not work
}

// over reports whether more tests make no sense.
func (s *testSum) over() bool { return s.fault != nil || s.away >= awayInARow }

func (s *testSum) add(more testSum) {
	s.tested += more.tested
	s.restored += more.restored
	s.away, s.fault = more.away, more.fault
}

func newTestRun(ctx context.Context, test KeyTester, g ValidatedGroup, log *zap.Logger) *testRun {
	return &testRun{
		ctx: ctx, test: test, group: g, log: log,
		slots: make(chan struct{}, max(1, g.Settings.KeyValidationConcurrency)),
		pace:  time.NewTimer(0),
	}
}

// start begins a test when there is a place and it is time. It returns false, without a test, when ctx has ended or more
// tests make no sense.
func (r *testRun) start(key fleet.KeyID) bool {
	select {
	case <-r.ctx.Done():
		return false
	case <-r.pace.C:
		r.pace.Reset(validationPace)
	}
	select {
	case <-r.ctx.Done():
		return false
	case r.slots <- struct{}{}:
	}
	r.mu.Lock()
	over := r.sum.over()
	r.mu.Unlock()
	if over {
		<-r.slots
		return false
	}
	r.running.Go(func() {
		defer func() { <-r.slots }()
		ctx, cancel := context.WithTimeout(r.ctx, r.group.Settings.KeyValidationTimeout+validationGrace)
		defer cancel()
		var result KeyTest
		err := guarded(r.log, func() (err error) {
			result, err = r.test(ctx, r.group.ID, key)
			return err
		})
		r.note(result, err)
	})
	return true
}

func (r *testRun) note(result KeyTest, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ctx.Err() != nil || err != nil && fleet.CodeOf(err) == fleet.CodeNotFound:
		return // cut short, or deleted meanwhile: nothing was learned
	case err != nil:
		r.sum.fault = err
		return
	}
	r.sum.tested++
	if result.Restored {
		r.sum.restored++
	}
	if result.Class == fleet.ClassUpstream || result.Class == fleet.ClassLimited {
		r.sum.away++
	} else {
		r.sum.away = 0
	}
}

// finish waits for the tests under way.
func (r *testRun) finish() testSum {
	r.running.Wait()
	r.pace.Stop()
	return r.sum
}
