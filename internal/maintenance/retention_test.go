package maintenance

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// archive counts what there is before a moment.
type archive struct {
	records, stats, pages int
	orphans               int       // keys of deleted groups
	deletions, usage      int       // of keys that are gone
	deletedBefore         time.Time // of the last call
	before, statsBefore   time.Time // of the last call
	largest               int
	calls                 int
	failAt                int // the call that fails, counted from 1
	took                  time.Duration
	sources               int
	fine                  int // sums by the minute and by key
	silentSince           time.Time
	events                int
	acts, automatic       time.Time // of the last call
	mostAutomatic         int
}

func (a *archive) call() error {
	a.calls++
	<-time.After(a.took)
	if a.calls == a.failAt {
		return errAway
	}
	return nil
}

func (a *archive) DeleteRecordsBefore(_ context.Context, t time.Time, limit int) (int, error) {
	a.before = t
	if err := a.call(); err != nil {
		return 0, err
	}
	n := min(limit, a.records)
	a.records -= n
	a.pages += n
	a.largest = max(a.largest, n)
	return n, nil
}

func (a *archive) DeleteStatsBefore(_ context.Context, t time.Time) (int, error) {
	a.statsBefore = t
	n := min(a.stats, 7)
	a.stats -= n
	return n, a.call()
}

func (a *archive) TrimStats(context.Context) (int, error) {
	n := min(a.fine, 3)
	a.fine -= n
	return n, nil
}

func (a *archive) ReclaimSpace(_ context.Context, pages int) (int, error) {
	n := min(pages, a.pages)
	a.pages -= n
	return n, a.call()
}

func (a *archive) SweepDeletedGroups(context.Context) error {
	if err := a.call(); err != nil {
		return err
	}
	a.pages += a.orphans
	a.orphans = 0
	return nil
}

func (a *archive) ForgetDeletedKeys(_ context.Context, t time.Time) (int, error) {
	a.deletedBefore = t
	n := min(a.deletions, 3)
	a.deletions -= n
	return n, nil
}

func (a *archive) SweepKeyUsage(context.Context) (int, error) {
	n := min(a.usage, 3)
	a.usage -= n
	return n, nil
}

func (a *archive) ForgetSources(_ context.Context, t time.Time) (int, error) {
	a.silentSince = t
	n := min(a.sources, 3)
	a.sources -= n
	return n, nil
}

func (a *archive) PruneAudit(_ context.Context, acts, automatic time.Time, most int) (int, error) {
	a.acts, a.automatic, a.mostAutomatic = acts, automatic, most
	n := min(a.events, 3)
	a.events -= n
	return n, nil
}

func forDays(n int) func() time.Duration {
	return func() time.Duration { return time.Duration(n) * 24 * time.Hour }
}

func TestRetentionDeletesInChunksAndReturnsTheSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		a := &archive{records: 10*deleteChunk + 1, stats: 20, took: 100 * time.Millisecond}
		begun := time.Now()
		if err := NewRetention(a, forDays(7), log).runOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a.records != 0 || a.stats != 0 || a.pages != 0 || a.largest != deleteChunk {
			t.Errorf("left: %+v", a)
		}
		if !a.before.Equal(begun.Add(-7*24*time.Hour).Add(2*a.took)) || begun.Sub(a.statsBefore) < 399*24*time.Hour {
			t.Errorf("records deleted before %v, statistics before %v", a.before, a.statsBefore)
		}
		if busy, all := time.Duration(a.calls)*a.took, time.Since(begun); all < 17*busy/10 {
			t.Errorf("the database had rest for %v of %v", all-busy, all)
		}
		if logs.Len() != 1 {
			t.Errorf("log: %v", logs.All())
		}
	})
}

func TestRetentionForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		a := &archive{records: 5, stats: 5, pages: 5, orphans: 3, deletions: 7, usage: 7, sources: 7, events: 7, fine: 7}
		begun := time.Now()
		if err := NewRetention(a, forDays(0), log).runOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !a.deletedBefore.Equal(begun.Add(-24 * time.Hour)) {
			t.Errorf("deletions before %v were forgotten", a.deletedBefore)
		}
		if age := begun.Sub(a.silentSince); age < 89*24*time.Hour || age > 91*24*time.Hour {
			t.Errorf("spools that were silent for %v were forgotten", age)
		}
		if day := 24 * time.Hour; begun.Sub(a.acts).Round(day) != 400*day || begun.Sub(a.automatic).Round(day) != 90*day || a.mostAutomatic != 1_000_000 {
			t.Errorf("acts before %v, automatic events before %v or beyond %d were deleted", a.acts, a.automatic, a.mostAutomatic)
		}
		if a.records != 5 || a.stats != 5 || a.pages+a.orphans+a.deletions+a.usage+a.sources+a.events+a.fine != 0 || logs.Len() != 0 {
			t.Errorf("left: %+v, log %v", a, logs.All())
		}
	})
}

func TestALongRetentionKeepsStatisticsAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := observed()
		a := &archive{}
		if err := NewRetention(a, forDays(3650), log).runOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if age := time.Since(a.statsBefore); age < 3650*24*time.Hour {
			t.Errorf("statistics older than %v were deleted", age)
		}
	})
}

func TestRetentionGoesOnAfterAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := observed()
		a := &archive{records: 3 * deleteChunk, pages: 1, failAt: 5}
		r := NewRetention(a, forDays(7), log)
		if err := r.runOnce(t.Context()); !errors.Is(err, errAway) {
			t.Fatalf("got %v", err)
		}
		if err := r.runOnce(t.Context()); err != nil || a.records != 0 || a.pages != 0 {
			t.Errorf("%v, left %+v", err, a)
		}
	})
}

func TestRetentionStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := observed()
		a := &archive{records: 1000 * deleteChunk, took: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := NewRetention(a, forDays(7), log).runOnce(ctx); !errors.Is(err, context.DeadlineExceeded) || a.calls > 7 {
			t.Errorf("%v after %d calls", err, a.calls)
		}
	})
}
