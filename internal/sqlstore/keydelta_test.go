package sqlstore_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/sqlstore"
)

func testKeyDeltas(t *testing.T, open opener) {
	t.Run("Changes", func(t *testing.T) { testChangedKeys(t, open(t)) })
	t.Run("Pages", func(t *testing.T) { testDeltaPages(t, open(t)) })
	t.Run("Forgotten", func(t *testing.T) { testForgottenKeys(t, open(t)) })
	t.Run("Followed", func(t *testing.T) { testFollowedKeys(t, open(t)) })
	t.Run("Usage", func(t *testing.T) { testKeyUsage(t, open(t)) })
}

// since reads everything that is newer.
func since(t testing.TB, s *sqlstore.Store, revision int64) fleet.KeyDelta {
	t.Helper()
	var all fleet.KeyDelta
	for more := true; more; {
		var delta fleet.KeyDelta
		var err error
		if delta, more, err = s.KeysSince(t.Context(), revision, 0); err != nil {
			t.Fatal(err)
		}
		if more && delta.UpTo <= revision {
			t.Fatalf("there is more after %d, and the page ends at %d", revision, delta.UpTo)
		}
		all.Changed, all.Deleted = append(all.Changed, delta.Changed...), append(all.Deleted, delta.Deleted...)
		all.UpTo, revision = delta.UpTo, delta.UpTo
	}
	return all
}

func keyIDs(keys []fleet.Key) []fleet.KeyID {
	var list []fleet.KeyID
	for _, k := range keys {
		list = append(list, k.ID)
	}
	return slices.Sorted(slices.Values(list))
}

func testChangedKeys(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g, other := addGroup(t, s, standard("g")), addGroup(t, s, standard("other"))
	if delta := since(t, s, 0); len(delta.Changed)+len(delta.Deleted) != 0 {
		t.Errorf("a new database has %+v", delta)
	}
	before := must(s.Revisions(ctx))(t)
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("k", 5), false))(t)
	must2(s.AddKeys(ctx, other.ID, texts("k", 2), true))(t)
	delta := since(t, s, before.Keys)
	if len(delta.Changed) != 7 || len(delta.Deleted) != 0 || delta.UpTo != must(s.Revisions(ctx))(t).Keys {
		t.Errorf("after adding: %+v", delta)
	}
	if got := must(s.Key(ctx, keys[0].ID))(t); !reflect.DeepEqual(got, delta.Changed[slices.IndexFunc(delta.Changed, func(k fleet.Key) bool { return k.ID == got.ID })]) {
		t.Errorf("a changed key is not the one that is stored")
	}

	// A verdict, an operator's act and two deletions, each seen once from where the reader stands.
	reached := delta.UpTo
	at := time.Now().Add(time.Second).UTC().Truncate(time.Microsecond)
	until := at.Add(time.Hour)
	err := s.ApplyKeyChanges(ctx, []fleet.KeyChange{{KeyID: keys[1].ID, GroupID: g.ID, State: fleet.KeyActive, Failures: 1, At: at, Cooldowns: []fleet.Cooldown{{Until: until, Reason: "limited"}}}})
	if err != nil {
		t.Fatal(err)
	}
	delta = since(t, s, reached)
	if len(delta.Changed) != 1 || delta.Changed[0].Failures != 1 || !delta.Changed[0].UpdatedAt.Equal(at) || !delta.Changed[0].Cooldowns[0].Until.Equal(until) || delta.Changed[0].Value.Reveal() != "k-000001" {
		t.Errorf("after a verdict: %+v", delta.Changed)
	}
	edited(t, s, fleet.KeySelection{Group: g.ID, IDs: []fleet.KeyID{keys[2].ID}}, fleet.KeyEdit{Act: fleet.ActDisable})
	edited(t, s, fleet.KeySelection{Group: g.ID, IDs: []fleet.KeyID{keys[3].ID, keys[4].ID}}, fleet.KeyEdit{Act: fleet.ActDelete})
	delta = since(t, s, reached)
	want := []fleet.DeletedKey{{ID: keys[3].ID, GroupID: g.ID}, {ID: keys[4].ID, GroupID: g.ID}}
	if !slices.Equal(keyIDs(delta.Changed), []fleet.KeyID{keys[1].ID, keys[2].ID}) || !slices.Equal(delta.Deleted, want) {
		t.Errorf("after deleting: changed %v, deleted %v", keyIDs(delta.Changed), delta.Deleted)
	}
	if again := since(t, s, delta.UpTo); len(again.Changed)+len(again.Deleted) != 0 || again.UpTo != delta.UpTo {
		t.Errorf("nothing is newer, and there is %+v", again)
	}

	// A deleted group takes its keys along without a word.
	configuration := must(s.Revisions(ctx))(t).Configuration
	if err := s.DeleteGroup(ctx, other.ID); err != nil {
		t.Fatal(err)
	}
	if after := must(s.Revisions(ctx))(t).Configuration; after != configuration+1 {
		t.Errorf("configuration %d after %d", after, configuration)
	}
	if rest := since(t, s, delta.UpTo); len(rest.Changed)+len(rest.Deleted) != 0 || len(since(t, s, 0).Changed) != 3 {
		t.Errorf("keys of a deleted group are told: %+v", rest)
	}
}

// testDeltaPages changes more keys than a page holds, some of them in one transaction.
func testDeltaPages(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	added, _ := must2(s.AddKeys(ctx, g.ID, texts("k", 1700), false))(t)
	edited(t, s, fleet.KeySelection{Group: g.ID, IDs: keyIDs(added[:1100])}, fleet.KeyEdit{Act: fleet.ActDelete})
	delta, more, err := s.KeysSince(ctx, 0, 1)
	if err != nil || !more || len(delta.Changed)+len(delta.Deleted) == 0 {
		t.Errorf("a page of one: %d changed, %d deleted, more %v, %v", len(delta.Changed), len(delta.Deleted), more, err)
	}
	all := since(t, s, 0)
	if !slices.Equal(keyIDs(all.Changed), keyIDs(added[1100:])) || len(all.Deleted) != 1100 || all.UpTo != must(s.Revisions(ctx))(t).Keys {
		t.Errorf("%d changed, %d deleted, up to %d", len(all.Changed), len(all.Deleted), all.UpTo)
	}
}

func testForgottenKeys(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("k", 603), false))(t)
	start := must(s.Revisions(ctx))(t).Keys
	edited(t, s, fleet.KeySelection{Group: g.ID, IDs: keyIDs(keys[:602])}, fleet.KeyEdit{Act: fleet.ActDelete})
	deleted := must(s.Revisions(ctx))(t).Keys
	if n := must(s.ForgetDeletedKeys(ctx, time.Now().Add(-time.Hour)))(t); n != 0 {
		t.Errorf("%d fresh deletions forgotten", n)
	}
	for _, want := range []int{500, 102, 0} {
		if n := must(s.ForgetDeletedKeys(ctx, time.Now().Add(time.Hour)))(t); n != want {
			t.Errorf("%d forgotten, want %d", n, want)
		}
	}
	_, _, err := s.KeysSince(ctx, start, 0)
	wantCode(t, err, fleet.CodeGone)
	// Who has heard of the deletions goes on.
	edited(t, s, fleet.KeySelection{Group: g.ID}, fleet.KeyEdit{Act: fleet.ActDisable})
	if delta := since(t, s, deleted); !slices.Equal(keyIDs(delta.Changed), []fleet.KeyID{keys[602].ID}) {
		t.Errorf("changed %v", keyIDs(delta.Changed))
	}
}

// testFollowedKeys lets a reader follow several writers by revisions: in the end it knows what a full read knows.
func testFollowedKeys(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	var wg, reader sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for round := range 12 {
				added, _, err := s.AddKeys(ctx, g.ID, texts(fmt.Sprint("w", w, "r", round), 30), false)
				if err == nil {
					err = s.ApplyKeyChanges(ctx, changesOf(added[:20], fleet.KeyInvalid))
				}
				if err == nil {
					err = s.EditKeys(ctx, fleet.KeySelection{Group: g.ID, IDs: keyIDs(added[15:25])}, fleet.KeyEdit{Act: fleet.ActDelete}, func(fleet.KeysEdited) {})
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	known := make(map[fleet.KeyID]fleet.KeyState)
	reached := int64(0)
	follow := func() error {
		for more := true; more; {
			var delta fleet.KeyDelta
			var err error
			if delta, more, err = s.KeysSince(ctx, reached, 0); err != nil {
				return err
			}
			for _, k := range delta.Changed {
				known[k.ID] = k.State
			}
			for _, k := range delta.Deleted {
				delete(known, k.ID)
			}
			if delta.UpTo < reached {
				return errors.New("a revision went back")
			}
			reached = delta.UpTo
		}
		return nil
	}
	done := make(chan struct{})
	reader.Go(func() {
		for {
			if err := follow(); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	wg.Wait()
	close(done)
	reader.Wait()
	if err := follow(); err != nil {
		t.Fatal(err)
	}
	want := make(map[fleet.KeyID]fleet.KeyState)
	err := s.EachKey(ctx, 0, func(keys []fleet.Key) error {
		for _, k := range keys {
			want[k.ID] = k.State
		}
		return nil
	})
	if err != nil || len(want) != 4*12*20 || !reflect.DeepEqual(known, want) {
		t.Errorf("the reader knows %d keys, a full read gives %d: %v", len(known), len(want), err)
	}
}

func testKeyUsage(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("k", 3), false))(t)
	one, two := record(10), record(5)
	one.Attempts = []fleet.Attempt{
		{KeyID: keys[0].ID, Class: fleet.ClassLimited}, {KeyID: keys[1].ID, Class: fleet.ClassUpstream}, {Class: fleet.ClassGateway}, {KeyID: keys[0].ID, Class: fleet.ClassOK},
	}
	two.Attempts = []fleet.Attempt{{KeyID: keys[0].ID, Class: fleet.ClassCanceled}}
	write(t, s, 1, one)
	write(t, s, 2, two, one) // one is there: not counted twice
	want := map[fleet.KeyID]fleet.KeyUsage{
		keys[0].ID: {Requests: 3, Failures: 1, LastUsedAt: one.StartedAt}, keys[1].ID: {Requests: 1, Failures: 1, LastUsedAt: one.StartedAt},
	}
	if got := must(s.KeyUsage(ctx, keyIDs(keys)))(t); !reflect.DeepEqual(got, want) {
		t.Errorf("usage %v, want %v", got, want)
	}
	edited(t, s, fleet.KeySelection{Group: g.ID, IDs: []fleet.KeyID{keys[0].ID}}, fleet.KeyEdit{Act: fleet.ActDelete})
	if got := must(s.KeyUsage(ctx, keyIDs(keys)))(t); len(got) != 1 || got[keys[1].ID].Requests != 1 {
		t.Errorf("usage after a deletion: %v", got)
	}
	write(t, s, 3, func() fleet.RequestRecord { r := record(20); r.Attempts = two.Attempts; return r }())
	for _, want := range []int{1, 0} {
		if n := must(s.SweepKeyUsage(ctx))(t); n != want {
			t.Errorf("%d rows swept, want %d", n, want)
		}
	}
	if got := must(s.KeyUsage(ctx, nil))(t); len(got) != 0 {
		t.Errorf("usage of no keys: %v", got)
	}
	batch := requestlog.Batch{Source: "many", Position: 1}
	for i := range 1200 {
		r := record(i)
		r.Attempts[0].KeyID = fleet.KeyID(1000 + i%601)
		batch.Records = append(batch.Records, r)
	}
	if err := s.WriteRecords(ctx, batch); err != nil {
		t.Fatal(err)
	}
	if got := must(s.KeyUsage(ctx, []fleet.KeyID{1000, 1600, 1601}))(t); len(got) != 2 || got[1000].Requests != 2 || got[1600].Requests != 1 {
		t.Errorf("usage %v", got)
	}
}
