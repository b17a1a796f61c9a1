package sqlstore_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/sqlstore"
)

func testRecordTail(t *testing.T, open opener) {
	t.Run("Order", func(t *testing.T) { testTailOrder(t, open(t)) })
	t.Run("Concurrent", func(t *testing.T) { testTailConcurrent(t, open(t)) })
	t.Run("Gone", func(t *testing.T) { testTailGone(t, open(t)) })
	t.Run("Written", func(t *testing.T) { testRecordsWritten(t, open(t)) })
}

// testRecordsWritten counts what was written since a look, and a batch that came twice once.
func testRecordsWritten(t *testing.T, s *sqlstore.Store) {
	write(t, s, 1, record(100), record(200))
	first, count := must2(s.RecordsWritten(t.Context(), -1))(t)
	if count != 0 {
		t.Errorf("the first look counts %d", count)
	}
	write(t, s, 2, record(300), record(400), record(500))
	write(t, s, 2, record(300), record(400), record(500))
	write(t, s, 3, record(600))
	second, count := must2(s.RecordsWritten(t.Context(), first))(t)
	if count != 4 || second <= first {
		t.Errorf("%d written between revisions %d and %d", count, first, second)
	}
	if third, count := must2(s.RecordsWritten(t.Context(), second))(t); count != 0 || third != second {
		t.Errorf("%d written between revisions %d and %d", count, second, third)
	}
}

// testTailOrder follows batches whose records began long before those that were written earlier.
func testTailOrder(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	write(t, s, 1, record(100), record(200))
	latest, cursor := must2(s.LatestRecords(ctx, fleet.RecordQuery{Limit: 1}))(t)
	if len(latest) != 1 || latest[0].StartedAt != record(200).StartedAt {
		t.Fatalf("latest %v", ids(latest))
	}
	none, same, more, err := s.RecordsAfter(ctx, cursor, fleet.RecordQuery{})
	if err != nil || len(none) != 0 || same != cursor || more {
		t.Fatalf("nothing new: %v, %q after %q, %v, %v", ids(none), same, cursor, more, err)
	}
	var all []fleet.RequestRecord
	for position := range int64(7) {
		var batch []fleet.RequestRecord
		for i := range 900 {
			r := record(5000 - int(position)*700 - i) // each began before the one before
			if i%2 == 1 {
				r.ModelAsked = "odd"
			}
			batch = append(batch, r)
		}
		write(t, s, position+2, batch...)
		write(t, s, position+2, batch...)
		if err := s.WriteRecords(ctx, requestlog.Batch{Source: "other", Position: position + 1, Records: append(batch[:3:3], record(9000+int(position)))}); err != nil {
			t.Fatal(err)
		}
		all = append(all, batch...)
		extra := must(s.Stats(ctx, fleet.StatsQuery{}))(t)
		if extra.Total.Requests != int64(2+(position+1)*901) {
			t.Fatalf("%d counted", extra.Total.Requests)
		}
	}
	for model, each := range map[string]int{"": 901, "odd": 450} {
		var got []fleet.RequestRecord
		at, calls := cursor, 0
		for more := true; more; calls++ {
			var part []fleet.RequestRecord
			if part, at, more, err = s.RecordsAfter(ctx, at, fleet.RecordQuery{Model: model}); err != nil {
				t.Fatal(err)
			}
			got = append(got, part...)
		}
		if len(got) != 7*each || calls < 2 {
			t.Errorf("model %q: %d records in %d calls, want %d", model, len(got), calls, 7*each)
		}
		if model == "" && !slices.Equal(ids(got[:900]), ids(all[:900])) {
			t.Error("they are not in the order in which they were written")
		}
	}
	_, _, _, err = s.RecordsAfter(ctx, "x", fleet.RecordQuery{})
	wantCode(t, err, fleet.CodeInvalid)
}

// testTailConcurrent follows while several sources write: every record comes once.
func testTailConcurrent(t *testing.T, s *sqlstore.Store) {
	const sources, batches, each = 4, 25, 7
	_, cursor := must2(s.LatestRecords(t.Context(), fleet.RecordQuery{}))(t)
	var writers sync.WaitGroup
	written := make(chan struct{})
	for source := range sources {
		writers.Go(func() {
			for position := range batches {
				b := requestlog.Batch{Source: fmt.Sprint(source), Position: int64(position + 1)}
				for i := range each {
					b.Records = append(b.Records, record(i*1000-position))
				}
				if err := s.WriteRecords(t.Context(), b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() {
		writers.Wait()
		close(written)
	}()
	seen := map[string]int{}
	for done := false; ; {
		select {
		case <-written:
			done = true
		default:
		}
		part, next, more, err := s.RecordsAfter(t.Context(), cursor, fleet.RecordQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range part {
			seen[r.ID.String()]++
		}
		cursor = next
		if done && !more && len(part) == 0 {
			break
		}
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("%s came %d times", id, times)
		}
	}
	if len(seen) != sources*batches*each {
		t.Errorf("%d records came, want %d", len(seen), sources*batches*each)
	}
}

func testTailGone(t *testing.T, s *sqlstore.Store) {
	write(t, s, 1, record(0))
	_, _, _, err := s.RecordsAfter(t.Context(), "7", fleet.RecordQuery{}) // of another database
	wantCode(t, err, fleet.CodeGone)
	old, _, more, err := s.RecordsAfter(t.Context(), "0", fleet.RecordQuery{})
	if err != nil || len(old) != 1 || more {
		t.Errorf("from the beginning %v, %v, %v", ids(old), more, err)
	}
	must(s.DeleteRecordsBefore(t.Context(), noon.Add(time.Hour), 100))(t)
	deleted, next, _, err := s.RecordsAfter(t.Context(), "0", fleet.RecordQuery{})
	if err != nil || len(deleted) != 0 || strings.Contains(next, ".") {
		t.Errorf("of what was deleted %v, %q, %v", ids(deleted), next, err)
	}
	if err := s.ForgetBatches(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _, _, err = s.RecordsAfter(t.Context(), "0", fleet.RecordQuery{})
	wantCode(t, err, fleet.CodeGone)
}
