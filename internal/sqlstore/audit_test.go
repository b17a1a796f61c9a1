package sqlstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
)

func testAudit(t *testing.T, open opener) {
	t.Run("Acts", func(t *testing.T) { testAuditActs(t, open(t)) })
	t.Run("Secrets", func(t *testing.T) { testAuditSecrets(t, open(t)) })
	t.Run("Bulk", func(t *testing.T) { testAuditBulk(t, open(t)) })
	t.Run("Verdicts", func(t *testing.T) { testAuditVerdicts(t, open(t)) })
	t.Run("Flood", func(t *testing.T) { testAuditFlood(t, open(t)) })
	t.Run("Undo", func(t *testing.T) { testAuditUndo(t, open(t)) })
	t.Run("UndoValues", func(t *testing.T) { testAuditUndoValues(t, open(t)) })
	t.Run("UndoAtOnce", func(t *testing.T) { testAuditUndoAtOnce(t, open(t)) })
	t.Run("Operations", func(t *testing.T) { testAuditOperations(t, open(t)) })
	t.Run("Pages", func(t *testing.T) { testAuditPages(t, open(t)) })
	t.Run("Prune", func(t *testing.T) { testAuditPrune(t, open(t)) })
	t.Run("Together", func(t *testing.T) { testAuditTogether(t, open(t)) })
}

// events are all that a query finds, newest first.
func events(t testing.TB, s *sqlstore.Store, q audit.Query) []audit.Event {
	t.Helper()
	var all []audit.Event
	for {
		page, next, err := s.Audit(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if q.Cursor = next; next == "" {
			return all
		}
	}
}

func latest(t testing.TB, s *sqlstore.Store, kind audit.Kind) audit.Event {
	t.Helper()
	page, _ := must2(s.Audit(context.Background(), audit.Query{Kind: kind, Limit: 1}))(t)
	if len(page) == 0 {
		t.Fatalf("there is no event of the kind %s", kind)
	}
	return page[0]
}

// undosOf are the ways back of everything that can be undone.
func undosOf(t testing.TB, s *sqlstore.Store) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, e := range events(t, s, audit.Query{Limit: fleet.MaxPage}) {
		if !e.Undoable {
			continue
		}
		_, undo := must2(s.AuditUndo(context.Background(), e.ID))(t)
		text, err := json.Marshal(undo)
		if err != nil {
			t.Fatal(err)
		}
		found[e.ID.String()] = string(text)
	}
	return found
}

var admin = audit.Actor{Who: audit.AuthKey, ClientIP: "203.0.113.7", RequestID: "adm_1"}

func testAuditActs(t *testing.T, s *sqlstore.Store) {
	ctx := audit.WithActor(t.Context(), admin)
	must(s.SaveSettings(ctx, map[string]string{"max_retries": "5"}, nil))(t)
	e := latest(t, s, audit.SettingsChanged)
	if e.Actor != admin || e.Count != 1 || !e.Undoable || string(e.After["max_retries"]) != `"5"` || string(e.Before["max_retries"]) != "null" || time.Since(e.At).Abs() > time.Minute {
		t.Errorf("event %+v", e)
	}
	if got := must(s.AuditEvent(ctx, e.ID))(t); fmt.Sprint(got) != fmt.Sprint(e) {
		t.Errorf("one event is %+v, listed %+v", got, e)
	}
	_, err := s.AuditEvent(ctx, audit.NewID(time.Now()))
	wantCode(t, err, fleet.CodeNotFound)

	g := addGroup(t, s, standard("g")) // nobody said who
	if e := latest(t, s, audit.GroupCreated); e.Who != audit.System || e.NounID != fmt.Sprint(g.ID) || e.Name != "g" || e.Group != g.ID {
		t.Errorf("event %+v", e)
	}
	// A change that is refused is no event.
	before := len(events(t, s, audit.Query{}))
	_, err = s.CreateGroup(ctx, standard("G"))
	wantCode(t, err, fleet.CodeConflict)
	_, err = s.SaveSettingsAt(ctx, map[string]string{"max_retries": "6"}, nil, 12345)
	wantCode(t, err, fleet.CodePreconditionFailed)
	if after := len(events(t, s, audit.Query{})); after != before {
		t.Errorf("%d events of refused changes", after-before)
	}
	if err := s.RecordEvent(ctx, audit.Event{Kind: audit.KeyRevealed, NounID: "7", Name: strings.Repeat("ä", 300), Group: g.ID, Reason: "a\x00b\xff"}); err != nil {
		t.Fatal(err)
	}
	if e := latest(t, s, audit.KeyRevealed); e.Count != 1 || len(e.Name) > 255 || e.Reason != "a?b?" || e.Undoable {
		t.Errorf("event %+v", e)
	}
}

// testAuditSecrets looks for secrets in everything that is shown.
func testAuditSecrets(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	const canary = "canary"
	must(s.SaveSettings(ctx, map[string]string{"proxy_keys": "sk-canary-0123456789", "proxy_url": "http://canary:canary@proxy:1"}, nil))(t)
	g := standard("g")
	g.ProxyKeys = []secret.Text{secret.New("sk-canary-0123456789")}
	g.HeaderRules = []fleet.HeaderRule{{Name: "X-A", Action: "set", Value: "canary ${API_KEY}"}, {Name: "X-B", Action: "set", Value: "${API_KEY}"}}
	g.ParamOverrides = []fleet.ParamOverride{{Path: "a.b", Value: json.RawMessage(`{"c":"canary"}`)}, {Path: "t", Value: json.RawMessage("0.70")}, {Path: "gone"}}
	g.Settings = map[string]string{"proxy_url": "http://canary:canary@proxy:1", "max_retries": "1"}
	g = addGroup(t, s, g)
	g.HeaderRules = nil
	must(s.UpdateGroup(ctx, g, 0))(t)
	keys, _ := must2(s.AddKeys(ctx, g.ID, []secret.Text{secret.New("sk-canary-0123456789-wxyz")}, false))(t)
	one := fleet.KeySelection{Group: g.ID, IDs: []fleet.KeyID{keys[0].ID}}
	editedBy(ctx, t, s, one, disable)
	editedBy(ctx, t, s, one, fleet.KeyEdit{Act: fleet.ActDelete})
	if err := s.DeleteGroup(ctx, g.ID); err != nil {
		t.Fatal(err)
	}
	all := events(t, s, audit.Query{})
	for _, e := range all {
		text, err := json.Marshal(e)
		if err != nil || strings.Contains(string(text), canary) {
			t.Errorf("a secret is in %s, %v", text, err)
		}
	}
	if len(all) != 7 || all[1].Name != "****wxyz" || all[2].Name != "****wxyz" {
		t.Errorf("events %+v", all)
	}
	created := latest(t, s, audit.GroupCreated)
	for name, want := range map[string]string{
		"header_rules":       `[{"name":"X-A","action":"set","value":"****"},{"name":"X-B","action":"set","value":"${API_KEY}"}]`,
		"param_overrides":    `[{"path":"a.b","value":"****"},{"path":"t","value":"0.70"},{"path":"gone","remove":true}]`,
		"settings.proxy_url": `"http://****@proxy:1"`,
	} {
		if got := string(created.After[name]); got != want {
			t.Errorf("%s is shown as %s, want %s", name, got, want)
		}
	}
}

var disable = fleet.KeyEdit{Act: fleet.ActDisable}

// invalidate lets a verdict retire keys.
func invalidate(t *testing.T, s *sqlstore.Store, keys []fleet.Key, reason string) {
	t.Helper()
	var changes []fleet.KeyChange
	for _, k := range keys {
		changes = append(changes, fleet.KeyChange{KeyID: k.ID, GroupID: k.GroupID, State: fleet.KeyInvalid, Reason: reason, At: time.Now().Add(time.Second)})
	}
	if err := s.ApplyKeyChanges(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
}

// testAuditBulk does something to more keys than one transaction takes.
func testAuditBulk(t *testing.T, s *sqlstore.Store) {
	ctx := audit.WithActor(t.Context(), admin)
	g := addGroup(t, s, standard("g"))
	added, _ := must2(s.AddKeys(ctx, g.ID, texts("sk", 1300), false))(t)
	if e := latest(t, s, audit.KeysAdded); e.Count != 1300 || e.Group != g.ID || e.Name != "g" || e.Undoable {
		t.Errorf("added %+v", e)
	}
	must2(s.AddKeys(ctx, g.ID, texts("sk", 1300), false))(t)
	if n := len(events(t, s, audit.Query{Kind: audit.KeysAdded})); n != 1 {
		t.Errorf("%d events of duplicates and keys", n)
	}
	invalidate(t, s, added[:10], "wrong")
	editedBy(ctx, t, s, fleet.KeySelection{Group: g.ID}, disable)
	e := latest(t, s, audit.KeysDisabled)
	if e.Count != 1300 || e.NounID != "" || !e.Undoable || e.Reason != fleet.ReasonDisabled {
		t.Errorf("disabled %+v", e)
	}
	_, undo := must2(s.AuditUndo(ctx, e.ID))(t)
	if len(undo.Keys) != 2 {
		t.Fatalf("%d ways back", len(undo.Keys))
	}
	for _, step := range undo.Keys {
		want := audit.KeyStep{From: fleet.KeyDisabled, To: fleet.KeyActive, IDs: keyIDs(added[10:])}
		if step.To == fleet.KeyInvalid {
			want.To, want.Reason, want.IDs = fleet.KeyInvalid, "wrong", keyIDs(added[:10])
		}
		if step.To != want.To || step.From != want.From || step.Reason != want.Reason || !slices.Equal(step.IDs, want.IDs) {
			t.Errorf("the way back is %s to %s (%s) of %d keys", step.From, step.To, step.Reason, len(step.IDs))
		}
	}
	editedBy(ctx, t, s, fleet.KeySelection{Group: g.ID, State: fleet.KeyDisabled}, fleet.KeyEdit{Act: fleet.ActDelete})
	if e := latest(t, s, audit.KeysDeleted); e.Count != 1300 || e.Undoable {
		t.Errorf("deleted %+v", e)
	}
	// Nothing to do is no event.
	editedBy(ctx, t, s, fleet.KeySelection{Group: g.ID, State: fleet.KeyDisabled}, fleet.KeyEdit{Act: fleet.ActDelete})
	if n := len(events(t, s, audit.Query{Kind: audit.KeysDeleted})); n != 1 {
		t.Errorf("%d deletions", n)
	}
}

func testAuditVerdicts(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("sk-0123456789abcdef", 6), false))(t)
	at := time.Now().Add(time.Second).UTC().Truncate(time.Microsecond)
	apply := func(changes ...fleet.KeyChange) []audit.Event {
		t.Helper()
		before := len(events(t, s, audit.Query{}))
		if err := s.ApplyKeyChanges(ctx, changes); err != nil {
			t.Fatal(err)
		}
		all := events(t, s, audit.Query{})
		return all[:len(all)-before]
	}
	change := func(i int, state fleet.KeyState, reason string) fleet.KeyChange {
		at = at.Add(time.Millisecond)
		return fleet.KeyChange{KeyID: keys[i].ID, GroupID: g.ID, State: state, Reason: reason, At: at, Class: fleet.ClassKeyDead, Evidence: "the provider's words"}
	}
	rest := func(i int, length time.Duration, model string) fleet.KeyChange {
		c := change(i, fleet.KeyActive, "")
		c.Class, c.Cooldowns = fleet.ClassKeyExhausted, []fleet.Cooldown{{Model: model, Until: c.At.Add(length), Reason: "insufficient_quota"}}
		return c
	}
	dead := apply(change(0, fleet.KeyInvalid, "invalid_api_key"))
	if len(dead) != 1 || dead[0].Kind != audit.KeysInvalidated || dead[0].Who != audit.System || dead[0].Class != fleet.ClassKeyDead || dead[0].Reason != "invalid_api_key" ||
		dead[0].Evidence != "the provider's words" || dead[0].NounID != fmt.Sprint(keys[0].ID) || dead[0].Name != "****0000" || !dead[0].At.Equal(at) || !dead[0].Undoable {
		t.Errorf("retired: %+v", dead)
	}
	if again := apply(change(0, fleet.KeyInvalid, "invalid_api_key")); len(again) != 0 {
		t.Errorf("another node says so, too: %+v", again)
	}
	back := apply(change(0, fleet.KeyActive, ""))
	if len(back) != 1 || back[0].Kind != audit.KeysRestored || string(back[0].Before["reason"]) != `"invalid_api_key"` {
		t.Errorf("restored: %+v", back)
	}
	if found := apply(rest(1, time.Minute, "")); len(found) != 0 {
		t.Errorf("a short rest: %+v", found)
	}
	long := apply(rest(2, time.Hour, "m"))
	if len(long) != 1 || long[0].Kind != audit.KeyRested || long[0].Reason != "insufficient_quota" || string(long[0].After["model"]) != `"m"` || long[0].Class != fleet.ClassKeyExhausted {
		t.Errorf("a long rest: %+v", long)
	}
	if found := apply(rest(2, 2*time.Hour, "m")); len(found) != 0 {
		t.Errorf("a rest that goes on: %+v", found)
	}
	if found := apply(rest(2, time.Hour, "n")); len(found) != 1 {
		t.Errorf("a rest for another model: %+v", found)
	}
	// What is not applied is no event.
	editedBy(ctx, t, s, fleet.KeySelection{Group: g.ID, IDs: []fleet.KeyID{keys[3].ID}}, disable)
	late := change(4, fleet.KeyInvalid, "late")
	late.At = late.At.Add(-time.Hour)
	gone := change(5, fleet.KeyInvalid, "gone")
	gone.KeyID = 99999
	if found := apply(change(3, fleet.KeyInvalid, "disabled"), late, gone); len(found) != 0 {
		t.Errorf("what was not applied: %+v", found)
	}
	for e, want := range map[*audit.Event]audit.KeyStep{
		&dead[0]: {From: fleet.KeyInvalid, To: fleet.KeyActive, IDs: []fleet.KeyID{keys[0].ID}},
		&back[0]: {From: fleet.KeyActive, To: fleet.KeyInvalid, Reason: "invalid_api_key", IDs: []fleet.KeyID{keys[0].ID}},
		&long[0]: {From: fleet.KeyActive, To: fleet.KeyActive, IDs: []fleet.KeyID{keys[2].ID}},
	} {
		if _, undo := must2(s.AuditUndo(ctx, e.ID))(t); fmt.Sprint(undo.Keys) != fmt.Sprint([]audit.KeyStep{want}) {
			t.Errorf("the way back of %s is %+v", e.Kind, undo.Keys)
		}
	}
}

// testAuditFlood retires many keys at once: each is an event, and all of them are applied.
func testAuditFlood(t *testing.T, s *sqlstore.Store) {
	const many = 2300
	g := addGroup(t, s, standard("g"))
	keys, _ := must2(s.AddKeys(t.Context(), g.ID, texts("sk-0123456789abcdef", many), false))(t)
	if err := s.ApplyKeyChanges(t.Context(), changesOf(keys, fleet.KeyInvalid)); err != nil {
		t.Fatal(err)
	}
	all := events(t, s, audit.Query{Kind: audit.KeysInvalidated, Limit: fleet.MaxPage})
	seen := make(map[string]bool)
	for _, e := range all {
		seen[e.NounID] = true
	}
	if counts := must(s.CountKeys(t.Context(), g.ID))(t); len(all) != many || len(seen) != many || counts[fleet.KeyInvalid] != many {
		t.Errorf("%d events of %d keys; %v", len(all), len(seen), counts)
	}
}

func testAuditUndo(t *testing.T, s *sqlstore.Store) {
	ctx := audit.WithActor(t.Context(), admin)
	must(s.SaveSettings(ctx, map[string]string{"proxy_keys": "sk-client-00001111"}, nil))(t)
	must(s.SaveSettings(ctx, map[string]string{"proxy_keys": "sk-client-22223333"}, nil))(t)
	e := latest(t, s, audit.SettingsChanged)
	_, undo := must2(s.AuditUndo(ctx, e.ID))(t)
	if undo.Settings == nil || string(undo.Settings.Before["proxy_keys"]) != `"sk-client-00001111"` {
		t.Fatalf("the way back is %+v", undo)
	}
	// A change that fails claims nothing.
	undoing := audit.WithUndo(ctx, e.ID)
	_, err := s.SaveSettingsAt(undoing, map[string]string{"proxy_keys": "sk-client-00001111"}, nil, 12345)
	wantCode(t, err, fleet.CodePreconditionFailed)
	must(s.SaveSettings(undoing, map[string]string{"proxy_keys": "sk-client-00001111"}, nil))(t)
	by := latest(t, s, audit.SettingsChanged)
	if now := must(s.AuditEvent(ctx, e.ID))(t); now.UndoneBy != by.ID || now.Undoable || by.UndoOf != e.ID || by.Undoable {
		t.Errorf("the event is %+v, the undo %+v", now, by)
	}
	// One undo may make several changes; a second one makes none.
	must(s.SaveSettings(undoing, map[string]string{"max_retries": "1"}, nil))(t)
	_, err = s.SaveSettings(audit.WithUndo(ctx, e.ID), map[string]string{"max_retries": "2"}, nil)
	wantCode(t, err, fleet.CodeConflict)
	if got := must(s.Settings(ctx))(t)["max_retries"]; got != "1" {
		t.Errorf("max_retries is %s", got)
	}
	for _, id := range []audit.ID{e.ID, by.ID} {
		_, _, err := s.AuditUndo(ctx, id)
		wantCode(t, err, fleet.CodeConflict)
	}
	_, err = s.SaveSettings(audit.WithUndo(ctx, audit.NewID(time.Now())), map[string]string{"max_retries": "3"}, nil)
	wantCode(t, err, fleet.CodeNotFound)
}

// testAuditUndoValues gives keys back what they had before an edit; what somebody set since stays, and what is deleted stays so.
func testAuditUndoValues(t *testing.T, s *sqlstore.Store) {
	ctx := audit.WithActor(t.Context(), admin)
	g := addGroup(t, s, standard("g"))
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("sk", 1200), false))(t) // more than one portion
	ids := keyIDs(keys)
	set := func(edit fleet.KeyEdit, which ...fleet.KeyID) {
		t.Helper()
		edit.Act = fleet.ActSet
		if err := s.EditKeys(ctx, fleet.KeySelection{Group: g.ID, IDs: which}, edit, func(fleet.KeysEdited) {}); err != nil {
			t.Fatal(err)
		}
	}
	first, heavy, light := "of the first order", 7, 3
	set(fleet.KeyEdit{Notes: &first, AddTags: []string{"old", "paid"}}, ids[:2]...)
	set(fleet.KeyEdit{Weight: &heavy, AddTags: []string{"new"}, RemoveTags: []string{"old"}}, ids...)
	edited := latest(t, s, audit.KeysEdited)
	if edited.Count != 1200 || !edited.Undoable || string(edited.After["weight"]) != "7" {
		t.Fatalf("edited %+v", edited)
	}
	set(fleet.KeyEdit{Weight: &light}, ids[5])
	if one := latest(t, s, audit.KeysEdited); string(one.Before["weight"]) != "7" || string(one.After["weight"]) != "3" || one.NounID != fmt.Sprint(ids[5]) {
		t.Errorf("one key: %+v", one)
	}
	if err := s.EditKeys(ctx, fleet.KeySelection{Group: g.ID, IDs: ids[6:7]}, fleet.KeyEdit{Act: fleet.ActDelete}, func(fleet.KeysEdited) {}); err != nil {
		t.Fatal(err)
	}
	_, undo := must2(s.AuditUndo(ctx, edited.ID))(t)
	returned := must(s.ReturnKeyValues(audit.WithUndo(ctx, edited.ID), g.ID, undo.Values))(t)
	if len(returned) != 1198 || slices.Contains(returned, ids[5]) || slices.Contains(returned, ids[6]) {
		t.Errorf("%d keys went back", len(returned))
	}
	for i, want := range map[int]fleet.Key{0: {Weight: 1, Notes: first, Tags: []string{"old", "paid"}}, 3: {Weight: 1}, 5: {Weight: light, Tags: []string{"new"}}, 1199: {Weight: 1}} {
		k := must(s.Key(ctx, ids[i]))(t)
		if k.Weight != want.Weight || k.Notes != want.Notes || !slices.Equal(k.Tags, want.Tags) {
			t.Errorf("key %d has weight %d, notes %q, tags %v", i, k.Weight, k.Notes, k.Tags)
		}
	}
	by := latest(t, s, audit.KeysEdited)
	if by.UndoOf != edited.ID || by.Count != 1198 || by.Undoable || len(by.After) != 1 || string(by.After["weight"]) != "1" {
		t.Errorf("the undo is %+v", by)
	}
	if again := must(s.ReturnKeyValues(ctx, g.ID, undo.Values))(t); len(again) != 0 {
		t.Errorf("%d keys went back twice", len(again))
	}
}

// testAuditUndoAtOnce lets several people undo the same event at the same moment.
func testAuditUndoAtOnce(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	must(s.SaveSettings(ctx, map[string]string{"max_retries": "5"}, nil))(t)
	e := latest(t, s, audit.SettingsChanged)
	var done atomic.Int64
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			// Another setting each, so that only the claim stands between them.
			_, err := s.SaveSettings(audit.WithUndo(ctx, e.ID), map[string]string{"connect_timeout": fmt.Sprint(20 + i)}, nil)
			switch {
			case err == nil:
				done.Add(1)
			case fleet.CodeOf(err) != fleet.CodeConflict:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := done.Load(); n != 1 {
		t.Errorf("the event was undone %d times", n)
	}
}

func testAuditOperations(t *testing.T, s *sqlstore.Store) {
	ctx := audit.WithActor(t.Context(), admin)
	g := addGroup(t, s, standard("g"))
	o := must(s.CreateOperation(ctx, operation.Operation{Kind: operation.Deletion, GroupID: g.ID, State: operation.Waiting, Options: operation.Options{State: fleet.KeyInvalid}}))(t)
	if e := latest(t, s, audit.OperationStarted); e.Actor != admin || e.NounID != fmt.Sprint(o.ID) || e.Group != g.ID || !strings.Contains(string(e.After["options"]), "invalid") {
		t.Errorf("started %+v", e)
	}
	claimed, _, err := s.ClaimOperation(t.Context(), "node")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		must(s.CancelOperation(ctx, o.ID))(t)
	}
	if n := len(events(t, s, audit.Query{Kind: audit.OperationCanceled})); n != 1 {
		t.Errorf("%d events of one cancellation", n)
	}
	if err := s.FinishOperation(t.Context(), claimOf(claimed), operation.Canceled, ""); err != nil {
		t.Fatal(err)
	}
	if e := latest(t, s, audit.OperationEnded); e.Who != audit.System || string(e.After["state"]) != `"canceled"` {
		t.Errorf("ended %+v", e)
	}
}

func testAuditPages(t *testing.T, s *sqlstore.Store) {
	ctx := audit.WithActor(t.Context(), admin)
	g, other := addGroup(t, s, standard("g")), addGroup(t, s, standard("other"))
	begun := time.Now().Add(-time.Second)
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("sk", 5), false))(t)
	must2(s.AddKeys(ctx, other.ID, texts("sk", 5), false))(t)
	if err := s.ApplyKeyChanges(ctx, changesOf(keys, fleet.KeyInvalid)); err != nil {
		t.Fatal(err)
	}
	all := events(t, s, audit.Query{})
	if len(all) != 9 || !slices.IsSortedFunc(all, func(a, b audit.Event) int { return strings.Compare(b.ID.String(), a.ID.String()) }) {
		t.Errorf("%d events, or not in order", len(all))
	}
	for name, c := range map[string]struct {
		q    audit.Query
		want int
	}{
		"kind":      {audit.Query{Kind: audit.KeysAdded}, 2},
		"actor":     {audit.Query{Actor: audit.AuthKey}, 2},
		"system":    {audit.Query{Actor: audit.System}, 7},
		"noun":      {audit.Query{Noun: "group"}, 2},
		"one key":   {audit.Query{Noun: "key", NounID: fmt.Sprint(keys[2].ID)}, 1},
		"group":     {audit.Query{Group: g.ID}, 7},
		"both":      {audit.Query{Group: g.ID, Kind: audit.KeysInvalidated}, 5},
		"from":      {audit.Query{From: begun}, 9},
		"to":        {audit.Query{To: begun}, 0},
		"from, to":  {audit.Query{From: begun, To: time.Now().Add(time.Hour)}, 9},
		"the later": {audit.Query{From: time.Now().Add(2 * time.Hour)}, 0},
	} {
		for _, limit := range []int{0, 1, 2} {
			c.q.Limit = limit
			if got := events(t, s, c.q); len(got) != c.want {
				t.Errorf("%s by %d: %d events, want %d", name, limit, len(got), c.want)
			}
		}
	}
	_, _, err := s.Audit(ctx, audit.Query{Cursor: "x"})
	wantCode(t, err, fleet.CodeInvalid)
}

func testAuditPrune(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	past, future := time.Now().Add(-time.Hour), time.Now().Add(48*time.Hour)
	g := addGroup(t, s, standard("g"))
	keys, _ := must2(s.AddKeys(audit.WithActor(ctx, admin), g.ID, texts("sk", 700), false))(t)
	if err := s.ApplyKeyChanges(ctx, changesOf(keys, fleet.KeyInvalid)); err != nil {
		t.Fatal(err)
	}
	editedBy(audit.WithActor(ctx, admin), t, s, fleet.KeySelection{Group: g.ID}, disable)
	prune := func(acts, automatic time.Time, most int) (sum int) {
		t.Helper()
		for {
			n := must(s.PruneAudit(ctx, acts, automatic, most))(t)
			if sum += n; n == 0 {
				return sum
			}
		}
	}
	if n := prune(past, past, 1_000_000); n != 0 {
		t.Errorf("%d young events were deleted", n)
	}
	if n := prune(past, past, 100); n != 601 { // the group, made by nobody, is the oldest
		t.Errorf("%d events beyond the newest 100 were deleted", n)
	}
	if n := len(events(t, s, audit.Query{Actor: audit.System})); n != 100 {
		t.Errorf("%d automatic events are left", n)
	}
	if n := prune(past, future, 1000); n != 100 {
		t.Errorf("%d old automatic events were deleted", n)
	}
	disabled := latest(t, s, audit.KeysDisabled)
	must2(s.AuditUndo(ctx, disabled.ID))(t)
	if n := prune(future, past, 1000); n != 2 || len(events(t, s, audit.Query{})) != 0 {
		t.Errorf("%d old acts were deleted", n)
	}
	_, _, err := s.AuditUndo(ctx, disabled.ID)
	wantCode(t, err, fleet.CodeNotFound)
}

// testAuditTogether lets people and verdicts write at the same time: no event is lost, none counted twice.
func testAuditTogether(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	var all sync.WaitGroup
	for w := range 4 {
		g := addGroup(t, s, standard(fmt.Sprint("g", w)))
		all.Go(func() {
			keys, _, err := s.AddKeys(ctx, g.ID, texts("sk", 600), false)
			if err == nil {
				err = s.ApplyKeyChanges(ctx, changesOf(keys[:300], fleet.KeyInvalid))
			}
			if err == nil {
				err = s.EditKeys(ctx, fleet.KeySelection{Group: g.ID}, disable, func(fleet.KeysEdited) {})
			}
			_, saved := s.SaveSettings(ctx, map[string]string{"max_retries": fmt.Sprint(w)}, nil)
			if err = errors.Join(err, saved); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	sums := make(map[audit.Kind]int64)
	for _, e := range events(t, s, audit.Query{Limit: fleet.MaxPage}) {
		sums[e.Kind] += e.Count
	}
	want := map[audit.Kind]int64{audit.GroupCreated: 4, audit.KeysAdded: 2400, audit.KeysInvalidated: 1200, audit.KeysDisabled: 2400, audit.SettingsChanged: 4}
	if fmt.Sprint(sums) != fmt.Sprint(want) {
		t.Errorf("events of %v, want %v", sums, want)
	}
}
