package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/sqlstore"
)

func testKeyEdits(t *testing.T, open opener) {
	t.Run("States", func(t *testing.T) { testEditStates(t, open(t)) })
	t.Run("Cooldowns", func(t *testing.T) { testResetCooldowns(t, open(t)) })
	t.Run("Set", func(t *testing.T) { testSetKeys(t, open(t)) })
	t.Run("Filter", func(t *testing.T) { testEditByFilter(t, open(t)) })
}

// edited does an act to a whole selection.
func edited(t testing.TB, s *sqlstore.Store, which fleet.KeySelection, edit fleet.KeyEdit) (all fleet.KeysEdited) {
	t.Helper()
	return editedBy(t.Context(), t, s, which, edit)
}

func editedBy(ctx context.Context, t testing.TB, s *sqlstore.Store, which fleet.KeySelection, edit fleet.KeyEdit) (all fleet.KeysEdited) {
	t.Helper()
	err := s.EditKeys(ctx, which, edit, func(done fleet.KeysEdited) {
		all.Changes, all.Deleted = append(all.Changes, done.Changes...), append(all.Deleted, done.Deleted...)
		all.Set = append(all.Set, done.Set...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func testEditStates(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g, other := addGroup(t, s, standard("g")), addGroup(t, s, standard("other"))
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("k", 1203), false))(t)
	foreign, _ := must2(s.AddKeys(ctx, other.ID, texts("k", 1), false))(t)
	counts := func(what string, active, invalid, disabled int) {
		t.Helper()
		c := must(s.CountKeys(ctx, g.ID))(t)
		if c[fleet.KeyActive] != active || c[fleet.KeyInvalid] != invalid || c[fleet.KeyDisabled] != disabled {
			t.Errorf("%s: %v", what, c)
		}
	}
	ids := []fleet.KeyID{keys[0].ID, keys[1].ID, foreign[0].ID, 99_999}
	done := edited(t, s, fleet.KeySelection{Group: g.ID, IDs: ids}, fleet.KeyEdit{Act: fleet.ActDisable})
	if done.Count() != 2 || done.Changes[0].State != fleet.KeyDisabled || done.Changes[1].Reason != fleet.ReasonDisabled {
		t.Errorf("disabled: %+v", done)
	}
	if done := edited(t, s, fleet.KeySelection{Group: g.ID, IDs: ids}, fleet.KeyEdit{Act: fleet.ActRestore}); done.Count() != 0 {
		t.Errorf("a restoration takes disabled keys: %+v", done)
	}
	counts("disabled", 1201, 0, 2)
	err := s.ApplyKeyChanges(ctx, []fleet.KeyChange{{KeyID: keys[2].ID, GroupID: g.ID, State: fleet.KeyInvalid, Reason: "invalid_api_key", At: time.Now().Add(time.Second)}})
	if err != nil {
		t.Fatal(err)
	}
	if done := edited(t, s, fleet.KeySelection{Group: g.ID, Filter: fleet.KeyFilter{Reason: "invalid_api_key"}}, fleet.KeyEdit{Act: fleet.ActRestore}); done.Count() != 1 {
		t.Errorf("restored: %+v", done)
	}
	if done := edited(t, s, fleet.KeySelection{Group: g.ID}, fleet.KeyEdit{Act: fleet.ActEnable}); done.Count() != 2 {
		t.Errorf("enabled: %+v", done)
	}
	counts("all are back", 1203, 0, 0)
	before := must(s.Revisions(ctx))(t).Keys
	if done := edited(t, s, fleet.KeySelection{Group: g.ID, State: fleet.KeyActive}, fleet.KeyEdit{Act: fleet.ActDelete}); len(done.Deleted) != 1203 {
		t.Errorf("deleted %d", len(done.Deleted))
	}
	if delta := since(t, s, before); len(delta.Deleted) != 1203 {
		t.Errorf("other nodes hear of %d deletions", len(delta.Deleted))
	}
	err = s.EditKeys(ctx, fleet.KeySelection{}, fleet.KeyEdit{Act: fleet.ActDelete}, func(fleet.KeysEdited) {})
	wantCode(t, err, fleet.CodeInvalid)
}

func testResetCooldowns(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("k", 3), false))(t)
	at := time.Now().Add(time.Second)
	rests := func() []fleet.Cooldown {
		return []fleet.Cooldown{{Until: at.Add(time.Hour), Reason: "quota"}, {Model: "a", Until: at.Add(time.Hour), Reason: "rate_limited"}}
	}
	err := s.ApplyKeyChanges(ctx, []fleet.KeyChange{
		{KeyID: keys[0].ID, GroupID: g.ID, State: fleet.KeyActive, Failures: 2, Cooldowns: rests(), At: at},
		{KeyID: keys[1].ID, GroupID: g.ID, State: fleet.KeyActive, Cooldowns: rests(), At: at},
		{KeyID: keys[2].ID, GroupID: g.ID, State: fleet.KeyInvalid, Reason: "x", At: at},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := edited(t, s, fleet.KeySelection{Group: g.ID, IDs: []fleet.KeyID{keys[0].ID}}, fleet.KeyEdit{Act: fleet.ActResetCooldowns, Model: "a"})
	if len(done.Changes) != 1 || !done.Changes[0].Reset || len(done.Changes[0].Cooldowns) != 1 || done.Changes[0].Failures != 2 {
		t.Errorf("reset for a model: %+v", done)
	}
	if k := must(s.Key(ctx, keys[0].ID))(t); len(k.Cooldowns) != 1 || k.Cooldowns[0].Model != "" || k.Failures != 2 || !k.OperatorAt.Equal(done.Changes[0].At) {
		t.Errorf("the key is %+v", k)
	}
	done = edited(t, s, fleet.KeySelection{Group: g.ID}, fleet.KeyEdit{Act: fleet.ActResetCooldowns})
	if len(done.Changes) != 2 {
		t.Errorf("reset for all: %+v", done)
	}
	for _, key := range keys[:2] {
		if k := must(s.Key(ctx, key.ID))(t); len(k.Cooldowns) != 0 || k.State != fleet.KeyActive {
			t.Errorf("the key is %+v", k)
		}
	}
}

func testEditByFilter(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	must2(s.AddKeys(ctx, g.ID, texts("k", 700), false))(t)
	must2(s.AddKeys(ctx, g.ID, texts("off", 5), true))(t)
	which := fleet.KeySelection{Group: g.ID, Filter: fleet.KeyFilter{NeverUsed: true}}
	count := func(act fleet.KeyAct, most, want int, wantMore bool) {
		t.Helper()
		n, more, err := s.CountSelected(ctx, which, fleet.KeyEdit{Act: act}, most)
		if err != nil || n != want || more != wantMore {
			t.Errorf("%s: counted %d, %v, %v", act, n, more, err)
		}
	}
	count(fleet.ActDelete, 1000, 705, false)
	count(fleet.ActDelete, 704, 704, true)
	count(fleet.ActDelete, 705, 705, false)
	count(fleet.ActEnable, 1000, 5, false)
	count(fleet.ActDisable, 1000, 700, false)
	some, err := s.SelectedKeys(ctx, which, fleet.KeyEdit{Act: fleet.ActEnable}, 3)
	if err != nil || len(some) != 3 || some[0].State != fleet.KeyDisabled {
		t.Errorf("examples: %+v, %v", some, err)
	}
	which.Filter = fleet.KeyFilter{States: []fleet.KeyState{fleet.KeyDisabled}, CreatedFrom: time.Now().Add(time.Hour)}
	count(fleet.ActDelete, 10, 0, false)
	if some, err := s.SelectedKeys(ctx, which, fleet.KeyEdit{}, 3); err != nil || len(some) != 0 {
		t.Errorf("examples of nothing: %+v, %v", some, err)
	}
}

func testSetKeys(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("k", 3), false))(t)
	before := must(s.Revisions(ctx))(t).Keys
	which := fleet.KeySelection{Group: g.ID}
	set := func(want int, edit fleet.KeyEdit) {
		t.Helper()
		edit.Act = fleet.ActSet
		if done := edited(t, s, which, edit); len(done.Set) != want || done.Count() != want {
			t.Errorf("set %+v: %+v", edit, done)
		}
	}
	found := func(want int, f fleet.KeyFilter) {
		t.Helper()
		if page, _ := must2(s.Keys(ctx, fleet.KeyQuery{Group: g.ID, Filter: f}))(t); len(page) != want {
			t.Errorf("%+v finds %d keys, want %d", f, len(page), want)
		}
	}
	which.IDs = []fleet.KeyID{keys[1].ID}
	set(1, fleet.KeyEdit{Weight: new(7), Notes: new("it's a \"note\"\\"), AddTags: []string{"trial"}})
	which.IDs = nil
	set(2, fleet.KeyEdit{AddTags: []string{"trial"}})
	set(0, fleet.KeyEdit{AddTags: []string{"trial"}, RemoveTags: []string{"none"}})
	found(3, fleet.KeyFilter{Tag: "trial"})
	found(1, fleet.KeyFilter{Notes: "A \"NOTE\"\\"})
	set(3, fleet.KeyEdit{AddTags: []string{"eu"}, RemoveTags: []string{"trial"}})
	found(0, fleet.KeyFilter{Tag: "trial"})
	found(3, fleet.KeyFilter{Tag: "eu"})
	if page, _ := must2(s.Keys(ctx, fleet.KeyQuery{Group: g.ID, Sort: fleet.KeysWeight}))(t); page[0].ID != keys[1].ID {
		t.Errorf("the greatest weight has %+v", page[0])
	}
	if delta := since(t, s, before); len(delta.Changed) != 3 || !delta.Changed[0].UpdatedAt.Equal(keys[0].UpdatedAt) {
		t.Errorf("other nodes hear of %+v", delta.Changed)
	}
	err := s.EditKeys(ctx, which, fleet.KeyEdit{Act: fleet.ActSet, AddTags: []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}}, func(fleet.KeysEdited) {})
	wantCode(t, err, fleet.CodeInvalid)
	found(3, fleet.KeyFilter{Tag: "eu"})
}
