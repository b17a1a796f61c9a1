package maintenance

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/settings"
)

// pages are keys 1 to n of a group.
type pages int

func (n pages) KeysAfter(_ context.Context, _ fleet.KeySelection, after fleet.KeyID, limit int) (keys []fleet.Key, next fleet.KeyID, err error) {
	for id := after + 1; id <= fleet.KeyID(n); id++ {
		if len(keys) == limit {
			return keys, id - 1, nil
		}
		keys = append(keys, fleet.Key{ID: id})
	}
	return keys, 0, nil
}

func validationOf(concurrency int, test KeyTester) *validation {
	g := ValidatedGroup{Group: fleet.Group{ID: 1}, Settings: settings.Values{KeyValidationConcurrency: concurrency, KeyValidationTimeout: time.Minute}}
	return &validation{group: g, keys: pages(500), test: test, log: zap.NewNop(), pace: time.NewTimer(0)}
}

func TestValidationRunsAtItsConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		v := validationOf(20, func(context.Context, fleet.GroupID, fleet.KeyID) (KeyTest, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			<-time.After(100 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return KeyTest{Class: fleet.ClassOK}, nil
		})
		page, _, err := v.keys.KeysAfter(t.Context(), fleet.KeySelection{}, 0, 500)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		tests, err := v.testPage(t.Context(), page, 0)
		if err != nil || len(tests) != len(page) || slices.ContainsFunc(tests, func(t pageTest) bool { return t.Class != fleet.ClassOK }) {
			t.Fatal(len(tests), err)
		}
		if took, want := time.Since(begun), 2500*time.Millisecond; most != 20 || took != want {
			t.Errorf("%d at a time in %v, want 20 in %v", most, took, want)
		}
		begun = time.Now()
		if _, err := v.testPage(t.Context(), page[:51], 10); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < 5*time.Second || took > 5500*time.Millisecond {
			t.Errorf("51 tests at 10 a second took %v", took)
		}
	})
}

func TestValidationOfKeysThatGo(t *testing.T) {
	broken := errors.New("the store is away")
	v := validationOf(2, func(_ context.Context, _ fleet.GroupID, key fleet.KeyID) (KeyTest, error) {
		switch key {
		case 2:
			return KeyTest{}, fleet.NewError(fleet.CodeNotFound, "gone", nil)
		case 5:
			return KeyTest{}, broken
		}
		return KeyTest{Class: fleet.ClassUpstream}, nil
	})
	page, _, err := v.keys.KeysAfter(t.Context(), fleet.KeySelection{}, 0, 500)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := v.testPage(t.Context(), page[:3], 0)
	if err != nil || !tests[1].gone || v.away != 2 {
		t.Errorf("%+v, %v, away %d", tests, err, v.away)
	}
	if _, err := v.testPage(t.Context(), page[3:], 0); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
