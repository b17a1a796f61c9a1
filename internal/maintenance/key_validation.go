package maintenance

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/settings"
)

// ValidatedGroup is a group with its effective settings.
type ValidatedGroup struct {
	fleet.Group
	Settings settings.Values
}

// KeyLister lists keys, as fleet.KeyQuery says.
type KeyLister interface {
	Keys(ctx context.Context, q fleet.KeyQuery) (page []fleet.Key, next string, err error)
}

// KeyTest is the outcome of one test.
type KeyTest struct {
	Class    fleet.Class // ClassOK when the key works
	Restored bool        // it was invalid and is active again
}

// KeyTester tests one key at the provider, the same way as a client's request goes, and brings a key that passes back.
// Nothing else changes.
type KeyTester func(ctx context.Context, group fleet.GroupID, key fleet.KeyID) (KeyTest, error)

const (
	validationPause  = 10 * time.Second // how often is looked whether a group is due
	validationSlice  = time.Minute      // of one group in one run, so that a large one holds no other up
	validationGroups = 8                // tested at the same time
	validationPage   = 500              // keys listed at a time
	// validationPace is between the starts of two tests of one group: 20 a second, 72,000 an hour. A provider that
	// sees thousands of refused keys a second from one address blocks the address.
	validationPace = 50 * time.Millisecond
	// validationGrace is what a test gets above the group's own timeout, which the tester keeps.
	validationGrace = 5 * time.Second
	// awayInARow is how many tests one after the other may fail by the provider's fault before the pass over a
	// group's keys ends: it is away or limits us, and the other keys would tell nothing.
	awayInARow = 10
	// firstValidation bounds when a group that was not seen before is due.
	firstValidation = time.Minute
)

// KeyValidation tests the invalid keys of every standard group at the group's interval.
type KeyValidation struct {
	groups func() []ValidatedGroup
	keys   KeyLister
	test   KeyTester
	log    *zap.Logger

	passes map[fleet.GroupID]*validationPass
}

// NewKeyValidation makes the job. groups is asked at each run; groups with Validation.Off and aggregates are left out.
func NewKeyValidation(groups func() []ValidatedGroup, keys KeyLister, test KeyTester, log *zap.Logger) *KeyValidation {
	return &KeyValidation{groups: groups, keys: keys, test: test, log: log, passes: make(map[fleet.GroupID]*validationPass)}
}

// Job is what the Runner runs.
func (v *KeyValidation) Job() Job {
	return Job{Name: "key validation", Pause: validationPause, Run: v.runOnce}
}

// validationPass is where the tests of one group's keys stand.
type validationPass struct {
	from   time.Time // the interval counts from here: the beginning of the last pass
	active bool      // begun and not at its end
	cursor string    // of the page under way
	last   fleet.KeyID
	sum    testSum
	broken bool // the last pass ended by a fault, which is logged
}

// runOnce gives every group that is due, or in the middle of a pass, one slice, and returns when all are over.
func (v *KeyValidation) runOnce(ctx context.Context) error {
	var (
		running sync.WaitGroup
		slots   = make(chan struct{}, validationGroups)
		mu      sync.Mutex
		first   error
	)
	for _, g := range v.due(time.Now()) {
		pass := v.passes[g.ID]
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			err := guarded(v.log, func() error { return v.slice(ctx, g, pass) })
			mu.Lock()
			defer mu.Unlock()
			first = cmp.Or(first, err)
		})
	}
	running.Wait()
	return first
}

// due lists the groups whose time has come, those that waited longest first, and forgets groups that are gone.
func (v *KeyValidation) due(now time.Time) []ValidatedGroup {
	var due []ValidatedGroup
	here := make(map[fleet.GroupID]bool)
	for _, g := range v.groups() {
		if g.Kind != fleet.KindStandard || g.Validation.Off {
			continue
		}
		here[g.ID] = true
		interval := g.Settings.KeyValidationInterval
		pass := v.passes[g.ID]
		if pass == nil {
			// After a start every group is new: soon, but not all at once.
			pass = &validationPass{from: now.Add(rand.N(min(interval, firstValidation)) - interval)}
			v.passes[g.ID] = pass
		}
		if pass.active || now.Sub(pass.from) >= interval {
			due = append(due, g)
		}
	}
	maps.DeleteFunc(v.passes, func(id fleet.GroupID, _ *validationPass) bool { return !here[id] })
	slices.SortStableFunc(due, func(a, b ValidatedGroup) int { return v.passes[a.ID].from.Compare(v.passes[b.ID].from) })
	return due
}

// slice tests keys of one group for validationSlice at most. An error is the store's; the pass goes on later then.
func (v *KeyValidation) slice(ctx context.Context, g ValidatedGroup, pass *validationPass) error {
	begun := time.Now()
	if !pass.active {
		*pass = validationPass{from: begun, active: true, broken: pass.broken}
	}
	run := newTestRun(ctx, v.test, g, v.log)
	done, err := v.testPages(ctx, g.ID, pass, run, begun.Add(validationSlice))
	pass.sum.add(run.finish())
	if ctx.Err() != nil || !done && !pass.sum.over() {
		return err
	}
	pass.active = false
	v.report(g, pass)
	return err
}

// testPages starts tests until there are no more keys (done), the time is over, or the tests themselves say stop.
func (v *KeyValidation) testPages(ctx context.Context, group fleet.GroupID, pass *validationPass, run *testRun, until time.Time) (done bool, err error) {
	for {
		page, next, err := v.keys.Keys(ctx, fleet.KeyQuery{Group: group, State: fleet.KeyInvalid, Limit: validationPage, Cursor: pass.cursor})
		if err != nil {
			return false, fmt.Errorf("listing invalid keys: %w", err)
		}
		for i := range page {
			if page[i].ID <= pass.last {
				continue // tested in the slice before; pages are in the order of ids
			}
			if time.Now().After(until) || !run.start(page[i].ID) {
				return false, nil
			}
			pass.last = page[i].ID
		}
		if next == "" {
			return true, nil
		}
		pass.cursor = next
	}
}

// report logs the end of a pass: what it did, and changes of what keeps it from working.
func (v *KeyValidation) report(g ValidatedGroup, pass *validationPass) {
	log := v.log.With(zap.String("group", g.Name))
	fault := pass.sum.fault
	switch {
	case fault != nil && !pass.broken:
		log.Warn("the keys of a group cannot be tested", zap.Error(fault))
	case fault == nil && pass.broken:
		log.Info("the keys of a group can be tested again")
	}
	pass.broken = fault != nil
	if pass.sum.tested == 0 {
		return
	}
	log.Info("invalid keys were tested", zap.Int("tested", pass.sum.tested), zap.Int("restored", pass.sum.restored),
		zap.Bool("provider_away", pass.sum.away >= awayInARow), zap.Duration("took", time.Since(pass.from)))
}
