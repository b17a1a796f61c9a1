package maintenance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
)

// KeyPager reads the keys of a group one after the other; sqlstore.Store says how.
type KeyPager interface {
	KeysAfter(ctx context.Context, which fleet.KeySelection, after fleet.KeyID, limit int) (keys []fleet.Key, next fleet.KeyID, err error)
}

const (
	// pageRounds is how many times over the concurrency a page is tested: its end waits for its last test, which costs one round.
	// The progress is stored after each page; a node that takes over does the one under way again.
	pageRounds   = 20
	shortestPage = 100
	longestPage  = 5000
	// awayForOperation is awayInARow for a validation that somebody asked for.
	awayForOperation = 50
)

// ValidationOperation tests the keys of a group for whoever asked for it: all of them or those of a state, as fast as the group's
// key_validation_concurrency lets it, unless the operation names a rate. Keys that pass come back, keys that fail get the
// verdict of a client's request. groups is asked once.
func ValidationOperation(groups func() []ValidatedGroup, keys KeyPager, test KeyTester, log *zap.Logger) operation.Worker {
	return func(ctx context.Context, r *operation.Run) error {
		for _, g := range groups() {
			if g.ID == r.GroupID {
				v := &validation{group: g, keys: keys, test: test, log: log, pace: time.NewTimer(0)}
				defer v.pace.Stop()
				return v.run(ctx, r)
			}
		}
		return fleet.NewError(fleet.CodeUnavailable, "this node does not serve the group yet", nil)
	}
}

// validation is one such operation on one node.
type validation struct {
	group ValidatedGroup
	keys  KeyPager
	test  KeyTester
	log   *zap.Logger
	pace  *time.Timer

	mu   sync.Mutex
	away int // of the last tests, one after the other, ended by the provider's fault
}

func (v *validation) run(ctx context.Context, r *operation.Run) error {
	const behindAll = math.MaxInt64
	for r.Position != behindAll {
		limit := min(max(pageRounds*v.group.Settings.KeyValidationConcurrency, shortestPage), longestPage)
		if perSecond := r.Options.PerSecond; perSecond > 0 {
			limit = min(limit, perSecond) // so that there is progress every second
		}
		page, next, err := v.keys.KeysAfter(ctx, r.Selection(), fleet.KeyID(r.Position), limit)
		if err != nil {
			return fmt.Errorf("listing keys: %w", err)
		}
		position := int64(next)
		if next == 0 {
			position = behindAll
		}
		tests, err := v.testPage(ctx, page, r.Options.PerSecond)
		if err != nil {
			return err
		}
		counts := make(map[string]int64)
		var lines bytes.Buffer
		encoder := json.NewEncoder(&lines)
		for i, t := range tests {
			word := string(t.Class)
			if t.gone {
				word = "deleted"
			}
			counts[word]++
			if t.Restored {
				counts["restored"]++
			}
			_ = encoder.Encode(validated{ID: strconv.FormatInt(int64(page[i].ID), 10), Outcome: word, Restored: t.Restored}) // a buffer takes everything
		}
		if err := r.Advance(ctx, r.Next(len(page), position, counts), lines.Bytes()); err != nil {
			return err
		}
		if v.away >= awayForOperation {
			return fleet.NewError(fleet.CodeConflict, fmt.Sprintf("the provider was away or limited us in %d tests one after the other; the other keys would tell nothing now, begin again later", v.away), nil)
		}
	}
	return nil
}

// validated is one line of the result.
type validated struct {
	ID       string `json:"id"`
	Outcome  string `json:"outcome"` // the class of the test
	Restored bool   `json:"restored,omitempty"`
}

type pageTest struct {
	KeyTest
	gone bool // deleted meanwhile
}

// testPage tests keys side by side. A page that is not tested whole is an error.
func (v *validation) testPage(ctx context.Context, page []fleet.Key, perSecond int) ([]pageTest, error) {
	tests := make([]pageTest, len(page))
	slots := make(chan struct{}, max(1, v.group.Settings.KeyValidationConcurrency))
	inner, end := context.WithCancelCause(ctx)
	defer end(nil)
	var running sync.WaitGroup
	for i := range page {
		if !v.wait(inner, perSecond) {
			break
		}
		select {
		case <-inner.Done():
			continue
		case slots <- struct{}{}:
		}
		running.Go(func() {
			defer func() { <-slots }()
			if err := v.testOne(inner, page[i].ID, &tests[i]); err != nil {
				end(err)
			}
		})
	}
	running.Wait()
	return tests, context.Cause(inner)
}

// wait keeps the rate.
func (v *validation) wait(ctx context.Context, perSecond int) bool {
	if perSecond <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-v.pace.C:
		v.pace.Reset(time.Second / time.Duration(perSecond))
		return true
	}
}

func (v *validation) testOne(ctx context.Context, key fleet.KeyID, to *pageTest) error {
	limited, cancel := context.WithTimeout(ctx, v.group.Settings.KeyValidationTimeout+validationGrace)
	defer cancel()
	err := guarded(v.log, func() (err error) {
		to.KeyTest, err = v.test(limited, v.group.ID, key)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && fleet.CodeOf(err) == fleet.CodeNotFound:
		to.gone = true
		return nil
	case err != nil:
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if to.Class == fleet.ClassUpstream || to.Class == fleet.ClassLimited {
		v.away++
	} else {
		v.away = 0
	}
	return nil
}
