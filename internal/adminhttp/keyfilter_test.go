package adminhttp_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/adminhttp"
	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	bulk "gpt-load/internal/operation"
	"gpt-load/internal/requestlog"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// variousKeys adds five keys: an active one that was used, one that rests, an invalid one that was used, a disabled one, and an
// active one without history. It returns their ids.
func (w *world) variousKeys(group string) []string {
	w.t.Helper()
	ctx := w.t.Context()
	added, err := w.client.AddKeys(ctx, group, adminapi.KeyInput{Text: "sk-various-1 sk-various-2 sk-various-3 sk-various-4 sk-various-5"})
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, k := range added.Keys {
		ids = append(ids, k.ID)
	}
	g, now := fleet.GroupID(keyID(w.t, group)), time.Now()
	change := func(i int) fleet.KeyChange {
		return fleet.KeyChange{KeyID: keyID(w.t, ids[i]), GroupID: g, State: fleet.KeyActive, At: now.Add(time.Second)}
	}
	resting, dead := change(1), change(2)
	resting.Cooldowns = []fleet.Cooldown{{Until: now.Add(time.Hour), Reason: "quota"}, {Model: "m", Until: now.Add(time.Hour), Reason: "rate_limited"}}
	dead.State, dead.Reason, dead.Failures = fleet.KeyInvalid, "invalid_api_key", 3
	changes := []fleet.KeyChange{resting, dead}
	if err := w.store.ApplyKeyChanges(ctx, changes); err != nil {
		w.t.Fatal(err)
	}
	for _, c := range changes {
		w.pools.Apply(c)
	}
	if n, err := w.client.DisableKeys(ctx, group, adminapi.KeySelection{IDs: ids[3:4]}); n != 1 || err != nil {
		w.t.Fatal(n, err)
	}
	var records []fleet.RequestRecord
	for i, ago := range map[int]time.Duration{0: time.Hour, 2: time.Minute} {
		at := now.Add(-ago)
		records = append(records, fleet.RequestRecord{
			ID: fleet.NewRecordID(at), StartedAt: at, GroupID: g, Class: fleet.ClassOK, Attempts: []fleet.Attempt{{KeyID: keyID(w.t, ids[i]), Class: fleet.ClassOK}},
		})
	}
	if err := w.store.WriteRecords(ctx, requestlog.Batch{Source: "spool", Position: 2, Records: records}); err != nil {
		w.t.Fatal(err)
	}
	return ids
}

func TestFilterKeys(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	ids := w.variousKeys(g.ID)
	now := time.Now()
	for name, c := range map[string]struct {
		filter adminapi.KeyFilter
		sort   string
		want   []int
	}{
		"all":            {want: []int{0, 1, 2, 3, 4}},
		"newest":         {sort: adminapi.KeysNewest, want: []int{4, 3, 2, 1, 0}},
		"last used":      {sort: adminapi.KeysLastUsed, want: []int{2, 0, 4, 3, 1}},
		"failures":       {sort: adminapi.KeysFailures, want: []int{2, 4, 3, 1, 0}},
		"active":         {filter: adminapi.KeyFilter{State: "active"}, want: []int{0, 4}},
		"cooling":        {filter: adminapi.KeyFilter{State: "cooling"}, want: []int{1}},
		"two":            {filter: adminapi.KeyFilter{State: "invalid, disabled"}, want: []int{2, 3}},
		"reason":         {filter: adminapi.KeyFilter{Reason: "invalid_api_key"}, want: []int{2}},
		"reason of rest": {filter: adminapi.KeyFilter{Reason: "rate_limited"}, want: []int{1}},
		"created":        {filter: adminapi.KeyFilter{CreatedFrom: now.Add(-time.Hour), CreatedTo: now.Add(time.Hour)}, want: []int{0, 1, 2, 3, 4}},
		"created later":  {filter: adminapi.KeyFilter{CreatedFrom: now.Add(time.Hour)}},
		"used lately":    {filter: adminapi.KeyFilter{UsedFrom: now.Add(-10 * time.Minute)}, want: []int{2}},
		"used before":    {filter: adminapi.KeyFilter{UsedTo: now.Add(-10 * time.Minute)}, sort: adminapi.KeysLastUsed, want: []int{0}},
		"never used":     {filter: adminapi.KeyFilter{NeverUsed: true, State: "active,cooling"}, sort: adminapi.KeysLastUsed, want: []int{4, 1}},
	} {
		f := adminclient.KeyFilter{KeyFilter: c.filter, Sort: c.sort, Limit: 2}
		var got []int
		for {
			page, err := w.client.Keys(t.Context(), g.ID, f)
			if err != nil {
				t.Fatal(name, err)
			}
			for _, k := range page.Keys {
				got = append(got, slices.Index(ids, k.ID))
			}
			if f.Cursor = page.NextCursor; f.Cursor == "" {
				break
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: keys %v, want %v", name, got, c.want)
		}
	}
	page, err := w.client.Keys(t.Context(), g.ID, adminclient.KeyFilter{Sort: adminapi.KeysLastUsed, Limit: 3})
	if err != nil || page.Keys[0].Requests != 1 || page.Keys[0].LastUsedAt == nil || page.Keys[2].LastUsedAt != nil {
		t.Errorf("the usage is %+v, %v", page.Keys, err)
	}
}

func TestKeyFiltersThatCannotBe(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	now := time.Now()
	for field, f := range map[string]adminapi.KeyFilter{
		"state": {State: "active,"}, "created_to": {CreatedFrom: now, CreatedTo: now}, "used_to": {UsedFrom: now, UsedTo: now.Add(-1)}, "never_used": {UsedFrom: now, NeverUsed: true},
	} {
		_, err := w.client.Keys(t.Context(), g.ID, adminclient.KeyFilter{KeyFilter: f})
		if e := refused(t, err, adminapi.CodeInvalid); !slices.Equal(fieldsOf(e), []string{field}) {
			t.Errorf("%s: faults of %q", field, fieldsOf(e))
		}
		_, err = w.client.ChangeKeys(t.Context(), g.ID, adminapi.ActionDelete, adminapi.KeySelection{Filter: &f})
		if e := refused(t, err, adminapi.CodeInvalid); !slices.Equal(fieldsOf(e), []string{"filter." + field}) {
			t.Errorf("%s: faults of %q", field, fieldsOf(e))
		}
	}
	if status, _, body := w.raw(http.MethodGet, "/groups/"+g.ID+"/keys?sort=beauty", nil, ""); status != http.StatusUnprocessableEntity {
		t.Errorf("an order that there is not: %d %s", status, body)
	}
	_, err := w.client.Keys(t.Context(), g.ID, adminclient.KeyFilter{Cursor: "1.2.3"})
	refused(t, err, adminapi.CodeInvalid)
}

func TestDryRun(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	ids := w.variousKeys(g.ID)
	for _, c := range []struct {
		action string
		which  adminapi.KeySelection
		want   []int
	}{
		{adminapi.ActionDelete, adminapi.KeySelection{All: true}, []int{0, 1, 2, 3, 4}},
		{adminapi.ActionDisable, adminapi.KeySelection{All: true}, []int{0, 1, 2, 4}},
		{adminapi.ActionEnable, adminapi.KeySelection{All: true}, []int{3}},
		{adminapi.ActionRestore, adminapi.KeySelection{State: adminapi.KeyInvalid}, []int{2}},
		{adminapi.ActionResetCooldowns, adminapi.KeySelection{Filter: &adminapi.KeyFilter{Reason: "quota"}}, []int{1}},
		{adminapi.ActionDelete, adminapi.KeySelection{IDs: []string{ids[2], ids[0], "99"}}, []int{0, 2}},
		{adminapi.ActionDelete, adminapi.KeySelection{Filter: &adminapi.KeyFilter{Reason: "nothing"}}, nil},
	} {
		c.which.DryRun = true
		would, err := w.client.ChangeKeys(t.Context(), g.ID, c.action, c.which)
		if err != nil || would.Changed != 0 || would.Operation != nil || would.Matching != len(c.want) || would.More {
			t.Errorf("%s %+v: %+v, %v", c.action, c.which, would, err)
		}
		for i, k := range would.Examples {
			if slices.Index(ids, k.ID) != c.want[i] || !strings.HasPrefix(k.Masked, adminapi.MaskPrefix) {
				t.Errorf("%s: example %d is %+v", c.action, i, k)
			}
		}
	}
	would, err := w.client.TestSelectedKeys(t.Context(), g.ID, adminapi.KeySelection{State: "active,cooling", DryRun: true})
	if err != nil || would.Matching != 3 || len(would.Results) != 0 {
		t.Errorf("a test of %+v, %v", would, err)
	}
	if counts := w.Counts(1); counts != (fleet.KeyCounts{Active: 2, Cooling: 1, Invalid: 1, Disabled: 1}) {
		t.Errorf("dry runs left %+v", counts)
	}
}

func TestActOnAllThatMatch(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	w.variousKeys(g.ID)
	act := func(action string, f adminapi.KeyFilter, want int) {
		t.Helper()
		done, err := w.client.ChangeKeys(t.Context(), g.ID, action, adminapi.KeySelection{Filter: &f})
		if err != nil || done.Changed != want || done.Operation != nil {
			t.Errorf("%s: %+v, %v", action, done, err)
		}
	}
	act(adminapi.ActionRestore, adminapi.KeyFilter{Reason: "invalid_api_key"}, 1)
	act(adminapi.ActionEnable, adminapi.KeyFilter{NeverUsed: true}, 1)
	act(adminapi.ActionDisable, adminapi.KeyFilter{UsedTo: time.Now()}, 2)
	act(adminapi.ActionDelete, adminapi.KeyFilter{State: adminapi.KeyDisabled}, 2)
	if counts := w.Counts(1); counts != (fleet.KeyCounts{Active: 2, Cooling: 1}) {
		t.Errorf("left %+v", counts)
	}
	_, err := w.client.ChangeKeys(t.Context(), g.ID, adminapi.ActionEnable, adminapi.KeySelection{State: "active,cooling"})
	refused(t, err, adminapi.CodeInvalid)
	_, err = w.client.ChangeKeys(t.Context(), g.ID, adminapi.ActionDelete, adminapi.KeySelection{Filter: &adminapi.KeyFilter{}})
	refused(t, err, adminapi.CodeInvalid)
}

func TestResetCooldowns(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	ids := w.variousKeys(g.ID)
	pool, now := w.pools.Get(1), w.clock()
	// A rest that is too short to be stored.
	pick, _ := pool.Lookup(keyID(t, ids[0]), now)
	pool.Fault(pick, "m", keypool.Fault{Class: fleet.ClassLimited, Until: now.Add(10 * time.Second), AllModels: true, Reason: "rate_limited"}, faultOptions, now)
	rests := func(i, want int, state string) {
		t.Helper()
		k, err := w.client.Key(t.Context(), ids[i])
		if err != nil || len(k.Cooldowns) != want || k.State != state {
			t.Errorf("key %d is %s with %+v, %v", i, k.State, k.Cooldowns, err)
		}
	}
	reset := func(want int, in adminapi.CooldownReset) {
		t.Helper()
		if done, err := w.client.ResetCooldowns(t.Context(), g.ID, in); err != nil || done.Changed != want {
			t.Errorf("reset %+v, %v", done, err)
		}
	}
	rests(0, 1, adminapi.KeyCooling)
	rests(1, 2, adminapi.KeyCooling)
	reset(1, adminapi.CooldownReset{KeySelection: adminapi.KeySelection{IDs: ids[1:2]}, Model: "m"})
	rests(1, 1, adminapi.KeyCooling)
	if _, ok := pool.Choose("m", nil, now); !ok {
		t.Error("no key for the model")
	}
	reset(0, adminapi.CooldownReset{KeySelection: adminapi.KeySelection{IDs: ids[2:4]}})
	reset(3, adminapi.CooldownReset{KeySelection: adminapi.KeySelection{All: true}})
	rests(0, 0, adminapi.KeyActive)
	rests(1, 0, adminapi.KeyActive)
	if k, err := w.client.Key(t.Context(), ids[2]); err != nil || k.State != adminapi.KeyInvalid {
		t.Errorf("a reset revived %+v, %v", k, err)
	}
}

func TestSetKeys(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	ids := w.variousKeys(g.ID)
	set := func(want int, v adminapi.KeyValues) {
		t.Helper()
		if done, err := w.client.SetKeys(t.Context(), g.ID, v); err != nil || done.Changed != want {
			t.Errorf("set %+v, %v", done, err)
		}
	}
	found := func(f adminapi.KeyFilter, want ...int) {
		t.Helper()
		page, err := w.client.Keys(t.Context(), g.ID, adminclient.KeyFilter{KeyFilter: f, Sort: adminapi.KeysWeight})
		var got []int
		for _, k := range page.Keys {
			got = append(got, slices.Index(ids, k.ID))
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v finds %v, want %v, %v", f, got, want, err)
		}
	}
	set(2, adminapi.KeyValues{KeySelection: adminapi.KeySelection{IDs: []string{ids[0], ids[3]}}, Weight: new(5), AddTags: []string{"trial", "eu:1"}})
	set(1, adminapi.KeyValues{KeySelection: adminapi.KeySelection{Filter: &adminapi.KeyFilter{Tag: "trial", State: adminapi.KeyDisabled}}, Notes: new("Of the old account"), RemoveTags: []string{"trial"}})
	found(adminapi.KeyFilter{Tag: "eu:1"}, 3, 0)
	found(adminapi.KeyFilter{Tag: "trial"}, 0)
	found(adminapi.KeyFilter{Notes: "OLD acc"}, 3)
	found(adminapi.KeyFilter{}, 3, 0, 4, 2, 1)
	all := adminapi.KeySelection{All: true}
	for field, v := range map[string]adminapi.KeyValues{
		"weight": {}, "add_tags": {AddTags: []string{"two words"}}, "remove_tags": {RemoveTags: []string{""}}, "notes": {Notes: new("\x00")},
	} {
		v.KeySelection = all
		_, err := w.client.SetKeys(t.Context(), g.ID, v)
		if e := refused(t, err, adminapi.CodeInvalid); !slices.Equal(fieldsOf(e), []string{field}) {
			t.Errorf("%s: faults of %q", field, fieldsOf(e))
		}
	}
	_, err := w.client.SetKeys(t.Context(), g.ID, adminapi.KeyValues{KeySelection: all, Weight: new(0)})
	refused(t, err, adminapi.CodeInvalid)
}

func TestManyKeysBecomeAnOperation(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	w.ended(w.client.ImportKeys(t.Context(), g.ID, strings.NewReader(keyLines(1300)), adminclient.ImportOptions{}))
	for _, c := range []struct {
		action, kind, word string
		filter             adminapi.KeyFilter
		left               fleet.KeyCounts
	}{
		{adminapi.ActionDisable, adminapi.OperationChange, "disabled", adminapi.KeyFilter{NeverUsed: true}, fleet.KeyCounts{Disabled: 1300}},
		{adminapi.ActionEnable, adminapi.OperationChange, "enabled", adminapi.KeyFilter{Reason: "disabled_by_operator"}, fleet.KeyCounts{Active: 1300}},
		{adminapi.ActionResetCooldowns, adminapi.OperationChange, "reset", adminapi.KeyFilter{NeverUsed: true}, fleet.KeyCounts{Active: 1300}},
		{adminapi.ActionDelete, adminapi.OperationDeletion, "deleted", adminapi.KeyFilter{State: "active,cooling"}, fleet.KeyCounts{}},
	} {
		done, err := w.client.ChangeKeys(t.Context(), g.ID, c.action, adminapi.KeySelection{Filter: &c.filter})
		if err != nil || done.Operation == nil || done.Changed != 0 || done.Operation.Total != 1300 || done.Operation.Kind != c.kind {
			t.Fatalf("%s: %+v, %v", c.action, done, err)
		}
		o := w.ended(*done.Operation, nil)
		if o.State != adminapi.OperationSucceeded || o.Done != 1300 || o.Counts[c.word] != 1300 || w.Counts(1) != c.left {
			t.Errorf("%s: %+v left %+v", c.action, o, w.Counts(1))
		}
	}
}

func TestManyTestsBecomeAnOperation(t *testing.T) {
	asked := make(chan fleet.KeySelection, 1)
	w := newWorld(t, func(o *adminhttp.Options) {
		o.Operations.Handle(bulk.Validation, func(_ context.Context, r *bulk.Run) error {
			asked <- r.Selection()
			return nil
		})
	})
	g := w.group(openai("a"))
	w.ended(w.client.ImportKeys(t.Context(), g.ID, strings.NewReader(keyLines(150)), adminclient.ImportOptions{}))
	w.test = func(fleet.KeyID) (adminhttp.TestResult, error) {
		return adminhttp.TestResult{OK: true, Status: 200, Class: fleet.ClassOK}, nil
	}
	page, err := w.client.Keys(t.Context(), g.ID, adminclient.KeyFilter{Limit: 70})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range page.Keys {
		if _, err := w.client.DisableKeys(t.Context(), g.ID, adminapi.KeySelection{IDs: []string{k.ID}}); err != nil {
			t.Fatal(err)
		}
	}
	few, err := w.client.TestSelectedKeys(t.Context(), g.ID, adminapi.KeySelection{State: adminapi.KeyDisabled})
	if err != nil || len(few.Results) != 70 || few.Operation != nil || !few.Results[69].OK {
		t.Errorf("few: %d results, %v", len(few.Results), err)
	}
	none, err := w.client.TestSelectedKeys(t.Context(), g.ID, adminapi.KeySelection{State: adminapi.KeyInvalid})
	if err != nil || len(none.Results) != 0 || none.Operation != nil {
		t.Errorf("none: %+v, %v", none, err)
	}
	many, err := w.client.TestSelectedKeys(t.Context(), g.ID, adminapi.KeySelection{Filter: &adminapi.KeyFilter{NeverUsed: true}})
	if err != nil || many.Operation == nil || many.Operation.Total != 150 || many.Operation.Kind != adminapi.OperationValidation {
		t.Fatalf("many: %+v, %v", many, err)
	}
	w.ended(*many.Operation, nil)
	if which := <-asked; !which.Filter.NeverUsed {
		t.Errorf("tested %+v", which)
	}
}
