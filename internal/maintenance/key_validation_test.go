package maintenance

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/settings"
)

// provider answers tests and holds the invalid keys of every group.
type provider struct {
	mu      sync.Mutex
	invalid map[fleet.GroupID][]fleet.KeyID
	tested  map[fleet.GroupID][]fleet.KeyID
	running map[fleet.GroupID]int
	most    map[fleet.GroupID]int // tests at once
	took    time.Duration
	answer  func(group fleet.GroupID, key fleet.KeyID) (KeyTest, error)
	listing error
}

func newProvider(keys map[fleet.GroupID]int) *provider {
	p := &provider{
		invalid: make(map[fleet.GroupID][]fleet.KeyID), tested: make(map[fleet.GroupID][]fleet.KeyID),
		running: make(map[fleet.GroupID]int), most: make(map[fleet.GroupID]int),
		answer: func(fleet.GroupID, fleet.KeyID) (KeyTest, error) { return KeyTest{Class: fleet.ClassKeyDead}, nil },
	}
	for group, n := range keys {
		for i := range n {
			p.invalid[group] = append(p.invalid[group], fleet.KeyID(int(group)*1_000_000+i+1))
		}
	}
	return p
}

func (p *provider) Keys(_ context.Context, q fleet.KeyQuery) (page []fleet.Key, next string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listing != nil {
		return nil, "", p.listing
	}
	if q.State != fleet.KeyInvalid || q.Group == 0 {
		return nil, "", errors.New("keys that are not invalid were asked for")
	}
	after, _ := strconv.Atoi(q.Cursor)
	for _, id := range p.invalid[q.Group] {
		if int(id) <= after {
			continue
		}
		if len(page) == q.Limit {
			return page, strconv.Itoa(int(page[len(page)-1].ID)), nil
		}
		page = append(page, fleet.Key{ID: id, GroupID: q.Group, State: fleet.KeyInvalid})
	}
	return page, "", nil
}

func (p *provider) test(ctx context.Context, group fleet.GroupID, key fleet.KeyID) (KeyTest, error) {
	p.mu.Lock()
	p.running[group]++
	p.most[group] = max(p.most[group], p.running[group])
	p.mu.Unlock()
	ok := sleep(ctx, p.took)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[group]--
	if !ok {
		return KeyTest{}, ctx.Err()
	}
	p.tested[group] = append(p.tested[group], key)
	result, err := p.answer(group, key)
	if result.Restored {
		p.invalid[group] = slices.DeleteFunc(p.invalid[group], func(id fleet.KeyID) bool { return id == key })
	}
	return result, err
}

// tests returns the keys that were tested so far, in the order of the answers.
func (p *provider) tests(group fleet.GroupID) []fleet.KeyID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.tested[group])
}

func (p *provider) atOnce(group fleet.GroupID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most[group]
}

func (p *provider) left(group fleet.GroupID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.invalid[group])
}

func (p *provider) count(group fleet.GroupID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tested[group])
}

func group(id fleet.GroupID, interval time.Duration, concurrency int) ValidatedGroup {
	values, _ := settings.Resolve(nil, nil)
	values.KeyValidationInterval, values.KeyValidationConcurrency = interval, concurrency
	return ValidatedGroup{
		Group:    fleet.Group{ID: id, Name: "g" + strconv.Itoa(int(id)), Kind: fleet.KindStandard},
		Settings: values,
	}
}

// validate runs the job in the bubble over these groups.
func validate(p *provider, log *zap.Logger, groups ...ValidatedGroup) (stop func()) {
	v := NewKeyValidation(func() []ValidatedGroup { return groups }, p, p.test, log)
	return start(log, v.Job())
}

const soon = 2 * time.Minute // in which every new group has had its turn

func TestInvalidKeysAreTestedAtTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(map[fleet.GroupID]int{1: 3, 2: 3, 3: 3, 4: 3})
		hourly, daily := group(1, time.Hour, 10), group(2, 24*time.Hour, 10)
		off, aggregate := group(3, time.Hour, 10), group(4, time.Hour, 10)
		off.Validation.Off, aggregate.Kind = true, fleet.KindAggregate
		stop := validate(p, zap.NewNop(), hourly, daily, off, aggregate)
		defer stop()
		after(soon)
		if p.count(1) != 3 || p.count(2) != 3 {
			t.Errorf("%d and %d tests after the start, want 3 and 3", p.count(1), p.count(2))
		}
		after(5 * time.Hour)
		if p.count(1) != 18 || p.count(2) != 3 || p.count(3)+p.count(4) != 0 {
			t.Errorf("%d, %d, %d and %d tests", p.count(1), p.count(2), p.count(3), p.count(4))
		}
	})
}

func TestAPassingKeyIsRestoredAndNotTestedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		p := newProvider(map[fleet.GroupID]int{1: 1200}) // more than two pages
		p.answer = func(_ fleet.GroupID, key fleet.KeyID) (KeyTest, error) {
			if key%2 == 0 {
				return KeyTest{Class: fleet.ClassOK, Restored: true}, nil
			}
			return KeyTest{Class: fleet.ClassKeyDead}, nil
		}
		stop := validate(p, log, group(1, time.Hour, 10))
		defer stop()
		after(10 * time.Minute)
		if tested := p.tests(1); len(tested) != 1200 || !slices.IsSorted(tested) || len(slices.Compact(tested)) != 1200 {
			t.Errorf("%d tests of 1200 keys", p.count(1))
		}
		after(time.Hour)
		if p.count(1) != 1800 || p.left(1) != 600 {
			t.Errorf("%d tests, %d keys left invalid, want 1800 and 600", p.count(1), p.left(1))
		}
		if entry := logs.All()[0].ContextMap(); entry["tested"] != int64(1200) || entry["restored"] != int64(600) {
			t.Errorf("log: %v", entry)
		}
	})
}

// A large, slow group is done in slices, each key once, while a small one gets its turns.
func TestALargeGroupHoldsNoOtherUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(map[fleet.GroupID]int{1: 600, 2: 1})
		p.took = 15 * time.Second
		stop := validate(p, zap.NewNop(), group(1, time.Minute, 3), group(2, time.Minute, 3))
		defer stop()
		after(30 * time.Minute)
		if p.count(2) < 12 {
			t.Errorf("the small group was tested %d times in half an hour", p.count(2))
		}
		if p.atOnce(1) != 3 {
			t.Errorf("%d tests at once, the setting says 3", p.atOnce(1))
		}
		after(60 * time.Minute)
		first := p.tests(1)[:600]
		slices.Sort(first)
		if n := len(slices.Compact(first)); n != 600 {
			t.Errorf("the first 600 tests were of %d keys", n)
		}
	})
}

func TestTestsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(map[fleet.GroupID]int{1: 100_000})
		stop := validate(p, zap.NewNop(), group(1, time.Hour, 1000))
		defer stop()
		after(soon)
		before := p.count(1)
		after(10 * time.Minute)
		if most := int(10 * time.Minute / validationPace); p.count(1)-before > most || p.count(1)-before < most/2 {
			t.Errorf("%d tests in ten minutes, the pace allows %d", p.count(1)-before, most)
		}
	})
}

func TestAProviderThatIsAwayEndsThePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, class := range []fleet.Class{fleet.ClassUpstream, fleet.ClassLimited} {
			p := newProvider(map[fleet.GroupID]int{1: 1000})
			p.answer = func(fleet.GroupID, fleet.KeyID) (KeyTest, error) { return KeyTest{Class: class}, nil }
			stop := validate(p, zap.NewNop(), group(1, time.Hour, 10))
			after(50 * time.Minute)
			stop()
			if p.count(1) < awayInARow || p.count(1) > awayInARow+10 {
				t.Errorf("%s: %d keys were tested", class, p.count(1))
			}
		}
	})
}

func TestAGroupThatCannotBeTestedIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		p := newProvider(map[fleet.GroupID]int{1: 50, 2: 50})
		fault := error(fleet.NewError(fleet.CodeInvalid, "every upstream of the group has weight 0", nil))
		p.answer = func(group fleet.GroupID, _ fleet.KeyID) (KeyTest, error) {
			if group == 1 {
				return KeyTest{}, fault
			}
			return KeyTest{}, fleet.NewError(fleet.CodeNotFound, "deleted meanwhile", nil)
		}
		stop := validate(p, log, group(1, time.Hour, 1), group(2, time.Hour, 1))
		defer stop()
		after(5 * time.Hour)
		if logs.FilterMessageSnippet("cannot be tested").Len() != 1 || p.count(1) > 6*2 {
			t.Errorf("%d tests, log %v", p.count(1), logs.All())
		}
		if p.count(2) < 250 {
			t.Errorf("keys that were deleted meanwhile ended the pass: %d tests", p.count(2))
		}
		p.mu.Lock()
		fault = nil
		p.mu.Unlock()
		after(2 * time.Hour)
		if logs.FilterMessageSnippet("can be tested again").Len() != 1 {
			t.Errorf("log %v", logs.All())
		}
	})
}

func TestAPassGoesOnWhenTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		p := newProvider(map[fleet.GroupID]int{1: 900})
		stop := validate(p, log, group(1, 24*time.Hour, 5))
		defer stop()
		for p.count(1) == 0 {
			after(time.Second)
		}
		p.mu.Lock()
		p.listing = errAway
		p.mu.Unlock()
		after(10 * time.Minute)
		p.mu.Lock()
		p.listing = nil
		p.mu.Unlock()
		after(10 * time.Minute)
		if p.count(1) != 900 {
			t.Errorf("%d tests of 900 keys", p.count(1))
		}
		if logs.FilterMessageSnippet("maintenance job").Len() != 2 {
			t.Errorf("log: %v", logs.All())
		}
	})
}

func TestValidationStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(map[fleet.GroupID]int{1: 1000})
		p.took = 15 * time.Second
		stop := validate(p, zap.NewNop(), group(1, time.Hour, 10))
		for p.count(1) == 0 {
			after(time.Second)
		}
		begun := time.Now()
		stop()
		if took := time.Since(begun); took > 0 {
			t.Errorf("stopping took %v", took)
		}
	})
}

func TestAPanickingTesterIsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		p := newProvider(map[fleet.GroupID]int{1: 5})
		v := NewKeyValidation(func() []ValidatedGroup { return []ValidatedGroup{group(1, time.Hour, 1)} }, p,
			func(context.Context, fleet.GroupID, fleet.KeyID) (KeyTest, error) { panic("defect") }, log)
		stop := start(log, v.Job())
		defer stop()
		after(soon)
		if logs.FilterMessageSnippet("cannot be tested").Len() != 1 {
			t.Errorf("log %v", logs.All())
		}
	})
}
