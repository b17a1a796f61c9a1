package sqlstore

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/testenv"
)

func TestClock(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	c := &clock{log: zap.New(core)}
	at := time.Now()
	measure := func(offset, trip time.Duration) time.Duration {
		c.measured(at, at.Add(trip), at.Round(0).Add(trip/2+offset))
		return c.now()
	}
	for _, step := range []struct {
		name                string
		offset, trip, gives time.Duration
	}{
		{"equal", 0, time.Millisecond, 0},
		{"near", 40 * time.Millisecond, time.Millisecond, 0},
		{"a slow trip tells little", time.Second, 3 * time.Second, 0},
		{"the best of the last counts", 300 * time.Millisecond, time.Second, 0},
		{"it shows when the better are old", 300 * time.Millisecond, 10 * time.Millisecond, 0},
		{"jump", 300 * time.Millisecond, time.Microsecond, 300 * time.Millisecond},
		{"kept within the tolerance", 340 * time.Millisecond, time.Microsecond / 2, 300 * time.Millisecond},
		{"minutes", -5 * time.Minute, time.Microsecond / 4, -5 * time.Minute},
		{"still", -5*time.Minute + 10*time.Millisecond, time.Microsecond / 8, -5 * time.Minute},
		{"set right", 0, 0, 0},
	} {
		if got := measure(step.offset, step.trip); got != step.gives {
			t.Errorf("%s: %v, want %v", step.name, got, step.gives)
		}
	}
	if all := logs.All(); len(all) != 2 || all[0].Level != zap.WarnLevel || all[1].Level != zap.InfoLevel {
		t.Errorf("logged %v", all)
	}
}

// TestClocksApart runs two nodes, one of whose clocks is five minutes slow, on one database.
func TestClocksApart(t *testing.T) {
	const slow = 5 * time.Minute
	ctx, dsn := t.Context(), testenv.Postgres(t).NewDatabase(t)
	right, late := openServer(t, dsn), openServer(t, dsn)
	if right.ClockOffset() != 0 {
		t.Fatalf("on one machine the clocks are %v apart", right.ClockOffset())
	}
	late.clock.offset.Store(int64(slow)) // what a node with such a clock measures
	lateNow := func() time.Time { return now().Add(-slow) }

	g, err := right.CreateGroup(ctx, fleet.Group{Name: "g", Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI})
	if err != nil {
		t.Fatal(err)
	}
	keys, _, err := right.AddKeys(ctx, g.ID, []secret.Text{secret.New("k")}, false)
	if err != nil {
		t.Fatal(err)
	}
	id := keys[0].ID
	key := func(s *Store) fleet.Key {
		t.Helper()
		k, err := s.Key(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	// A verdict of the slow node counts, though its clock says that it was before the key was added.
	at := lateNow()
	rest := fleet.Cooldown{Until: at.Add(time.Hour), Reason: "limited"}
	change := fleet.KeyChange{KeyID: id, GroupID: g.ID, State: fleet.KeyActive, Failures: 1, At: at, Cooldowns: []fleet.Cooldown{rest}}
	if err := late.ApplyKeyChanges(ctx, []fleet.KeyChange{change}); err != nil {
		t.Fatal(err)
	}
	if k := key(late); !k.UpdatedAt.Equal(at) || len(k.Cooldowns) != 1 || !k.Cooldowns[0].Until.Equal(rest.Until) {
		t.Errorf("the slow node reads its own verdict as %+v", k)
	}
	if k := key(right); !k.UpdatedAt.Equal(at.Add(slow)) || len(k.Cooldowns) != 1 || !k.Cooldowns[0].Until.Equal(rest.Until.Add(slow)) {
		t.Errorf("the other node reads it as %+v", k)
	}
	// An operator's act on the right node is later than that verdict, and earlier than the next one.
	if err := right.EditKeys(ctx, fleet.KeySelection{Group: g.ID}, fleet.KeyEdit{Act: fleet.ActRestore}, func(fleet.KeysEdited) {}); err != nil {
		t.Fatal(err)
	}
	if err := late.ApplyKeyChanges(ctx, []fleet.KeyChange{change}); err != nil {
		t.Fatal(err)
	}
	if k := key(right); k.Failures != 0 {
		t.Errorf("a late verdict undid an operator's act: %+v", k)
	}
	change.At, change.State = lateNow().Add(time.Second), fleet.KeyInvalid
	if err := late.ApplyKeyChanges(ctx, []fleet.KeyChange{change}); err != nil {
		t.Fatal(err)
	}
	if k := key(right); k.State != fleet.KeyInvalid {
		t.Errorf("a verdict after an operator's act was lost: %+v", k)
	}
}

// TestAFileHasNoClock reads and writes times as they are.
func TestAFileHasNoClock(t *testing.T) {
	s := openServer(t, filepath.Join(t.TempDir(), "x.db"))
	if _, err := s.Revisions(t.Context()); err != nil || s.ClockOffset() != 0 || s.Shared() {
		t.Errorf("offset %v, shared %v, %v", s.ClockOffset(), s.Shared(), err)
	}
}
