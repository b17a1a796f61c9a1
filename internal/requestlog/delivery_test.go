package requestlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
)

// Answers get lost after commits, at random places; nothing may arrive twice, although new records join in between.
func TestASinkThatFailsAfterCommit(t *testing.T) {
	db := &database{}
	db.after = func(call int, _ Batch) error {
		if call%3 != 0 {
			return fmt.Errorf("connection reset after call %d", call)
		}
		return nil
	}
	r := open(t, t.TempDir(), db, smallSegments)
	const total = 2500
	for n := 0; n < total; n += 50 {
		for i := n; i < n+50; i++ {
			r.Record(sample(i))
		}
		_ = r.Flush(context.Background()) // most of them fail
	}
	for r.Flush(context.Background()) != nil {
	}
	db.mustHold(t, 0, total)
	if s := r.Stats(); s.Delivered != total {
		t.Errorf("%d count as delivered", s.Delivered)
	}
}

// A commit that happens behind our back, after the position was asked again.
func TestALateCommitIsRecognised(t *testing.T) {
	db := &database{}
	var late Batch
	db.before = func(call int, b Batch) error {
		if call > 1 {
			return nil
		}
		late = Batch{Source: b.Source, Position: b.Position, Records: slices.Clone(b.Records)}
		return context.DeadlineExceeded
	}
	r := open(t, t.TempDir(), db)
	record(r, 0, 10)
	if r.Flush(context.Background()) == nil {
		t.Fatal("the first flush must fail")
	}
	record(r, 10, 15) // must not join the batch whose fate is unknown
	committed := false
	db.before = func(int, Batch) error {
		if !committed {
			committed = true
			db.positions = map[string]int64{late.Source: late.Position}
			for i := range late.Records {
				db.numbers = append(db.numbers, sampleNumber(late.Records[i].ID))
			}
		}
		return nil
	}
	mustFlush(t, r)
	db.mustHold(t, 0, 15)
}

func TestPoisonousRecordsAreSetAside(t *testing.T) {
	poison := map[int]bool{0: true, 17: true, 18: true, 400: true, 999: true}
	db := &database{before: refuse(func(n int) bool { return poison[n] })}
	dir := t.TempDir()
	r := open(t, dir, db)
	record(r, 0, 1000)
	mustFlush(t, r)
	got := db.stored()
	if len(got) != 1000-len(poison) || !slices.IsSorted(got) || slices.ContainsFunc(got, func(n int) bool { return poison[n] }) {
		t.Errorf("stored %d records %s", len(got), brief(got))
	}
	if s := r.Stats(); s.Rejected != int64(len(poison)) || s.Spooled != 0 {
		t.Errorf("%+v", s)
	}
	data, err := os.ReadFile(filepath.Join(dir, rejectedName))
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(data, []byte("\n")); lines != len(poison) || !strings.Contains(string(data), sampleID(400).String()) {
		t.Errorf("%d lines set aside: %s", lines, data)
	}
	record(r, 1000, 1001)
	mustFlush(t, r)
	mustClose(t, r)
	if again := open(t, dir, db); again.Stats().Spooled != 0 {
		t.Error("a refused record waits again after a restart")
	}
}

func TestTheLastRecordRefusedIsNotMetAgain(t *testing.T) {
	db := &database{before: refuse(func(n int) bool { return n == 3 })}
	dir := t.TempDir()
	r := open(t, dir, db)
	record(r, 0, 4)
	crashed := t.TempDir()
	mustFlush(t, r)
	position := db.positions[r.Stats().Source]
	if last := r.spool.next - 1; position != last {
		t.Errorf("the sink's position is %d, want %d", position, last)
	}
	copyFolder(t, dir, crashed)
	again := open(t, crashed, db)
	mustFlush(t, again)
	db.mustHold(t, 0, 3)
	if again.Stats().Rejected != 0 {
		t.Error("a refused record was met again")
	}
}

// A sink that calls everything invalid is broken itself: nothing may be set aside for it.
func TestASinkThatRefusesEverythingKeepsTheSpool(t *testing.T) {
	all := true
	db := &database{before: refuse(func(int) bool { return all })}
	r := open(t, t.TempDir(), db)
	record(r, 0, 300)
	for range 5 {
		if err := r.Flush(context.Background()); !errors.Is(err, errRefusesAll) {
			t.Fatalf("flush: %v", err)
		}
	}
	if s := r.Stats(); s.Rejected != 0 || s.Spooled != 300 {
		t.Errorf("%+v", s)
	}
	all = false
	mustFlush(t, r)
	db.mustHold(t, 0, 300)
}

func refuse(poisonous func(n int) bool) func(int, Batch) error {
	return func(_ int, b Batch) error {
		for i := range b.Records {
			if n := sampleNumber(b.Records[i].ID); poisonous(n) {
				return fleet.NewError(fleet.CodeInvalid, fmt.Sprintf("record %d is not valid", n), nil)
			}
		}
		return nil
	}
}
