package adminhttp_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// events are those that a filter finds, newest first.
func (w *world) events(f adminapi.AuditFilter) []adminapi.AuditEvent {
	w.t.Helper()
	page, err := w.client.Audit(w.t.Context(), f)
	if err != nil {
		w.t.Fatal(err)
	}
	return page.Events
}

// latest is the newest event of a kind.
func (w *world) latest(kind audit.Kind) adminapi.AuditEvent {
	w.t.Helper()
	found := w.events(adminapi.AuditFilter{Kind: string(kind), Limit: 1})
	if len(found) == 0 {
		w.t.Fatalf("there is no event of the kind %s", kind)
	}
	return found[0]
}

func fieldText(fields map[string]json.RawMessage, name string) string { return string(fields[name]) }

func TestAuditOfSettings(t *testing.T) {
	w := newWorld(t)
	change := func(patch adminapi.SettingsPatch) {
		t.Helper()
		if _, err := w.client.ChangeSettings(t.Context(), patch); err != nil {
			t.Fatal(err)
		}
	}
	change(adminapi.SettingsPatch{"max_retries": 5, "proxy_keys": "sk-client-canary-00001111", "proxy_url": "http://user:hunter22@proxy:3128"})
	e := w.latest(audit.SettingsChanged)
	if e.Who.Kind != "auth_key" || e.Who.ClientIP != "127.0.0.1" || !strings.HasPrefix(e.Who.RequestID, "adm_") || e.Count != 3 || !e.Undoable || e.Noun != "settings" {
		t.Errorf("event %+v", e)
	}
	for name, want := range map[string][2]string{
		"max_retries": {`null`, `"5"`}, "proxy_keys": {`null`, `"****1111"`}, "proxy_url": {`null`, `"http://****@proxy:3128"`},
	} {
		if before, after := fieldText(e.Before, name), fieldText(e.After, name); before != want[0] || after != want[1] {
			t.Errorf("%s was %s and became %s, want %v", name, before, after, want)
		}
	}
	before := len(w.events(adminapi.AuditFilter{}))
	change(adminapi.SettingsPatch{"max_retries": 5}) // as it was
	if after := len(w.events(adminapi.AuditFilter{})); after != before {
		t.Error("a change that changes nothing is an event")
	}
	_, err := w.client.ChangeSettings(t.Context(), adminapi.SettingsPatch{"max_retries": 99})
	refused(t, err, adminapi.CodeInvalid)
	if after := len(w.events(adminapi.AuditFilter{})); after != before {
		t.Error("a refused change is an event")
	}

	// What moved on is not overwritten, and then nothing is.
	change(adminapi.SettingsPatch{"max_retries": 7})
	_, err = w.client.UndoAuditEvent(t.Context(), e.ID)
	if f := fieldsOf(refused(t, err, adminapi.CodeConflict)); !slices.Equal(f, []string{"max_retries"}) {
		t.Errorf("conflict of %q", f)
	}
	undone, err := w.client.UndoAuditEvent(t.Context(), w.latest(audit.SettingsChanged).ID)
	if err != nil || undone.Changed != 1 || undone.Event.UndoneBy == "" || undone.Event.Undoable || undone.Revision != w.lastRevision() {
		t.Fatalf("undone %+v, %v", undone, err)
	}
	// Now the first one fits, secrets and defaults included, and what others changed beside it stays.
	change(adminapi.SettingsPatch{"connect_timeout": 9})
	if _, err := w.client.UndoAuditEvent(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	list, err := w.client.Settings(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"max_retries": adminapi.LevelDefault, "proxy_keys": adminapi.LevelDefault, "connect_timeout": adminapi.LevelSystem} {
		if s := find(t, list.Settings, name); s.Level != want {
			t.Errorf("%s is %v by the %s", name, s.Value, s.Level)
		}
	}
	again := w.latest(audit.SettingsChanged)
	if again.UndoOf != e.ID || again.Undoable {
		t.Errorf("the undo is the event %+v", again)
	}
	for _, id := range []string{e.ID, again.ID} {
		_, err = w.client.UndoAuditEvent(t.Context(), id)
		refused(t, err, adminapi.CodeConflict)
	}
}

func TestAuditOfGroups(t *testing.T) {
	w := newWorld(t)
	in := openai("one")
	in.ProxyKeys, in.HeaderRules = []string{"sk-client-canary-12345678"}, []adminapi.HeaderRule{{Name: "X-Key", Action: "set", Value: "header-canary"}}
	in.ParamOverrides = []adminapi.ParamOverride{{Path: "user", Value: json.RawMessage(`"override-canary"`)}}
	g := w.group(in)
	if e := w.latest(audit.GroupCreated); e.NounID != g.ID || e.Name != "one" || e.Undoable || e.GroupID != g.ID || fieldText(e.After, "name") != `"one"` {
		t.Errorf("created %+v", e)
	}
	changed, err := w.client.ChangeGroup(t.Context(), g.ID, adminapi.GroupPatch{
		Name: new("two"), ProxyKeys: &[]string{"sk-client-canary-87654321"}, HeaderRules: &[]adminapi.HeaderRule{{Name: "X-Key", Action: "set", Value: "another-canary"}},
		Settings: map[string]any{"max_retries": 4, "proxy_url": "http://user:canary@proxy:3128"},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	e := w.latest(audit.GroupChanged)
	for name, want := range map[string][2]string{
		"name": {`"one"`, `"two"`}, "proxy_keys": {`["****5678"]`, `["****4321"]`}, "settings.max_retries": {`null`, `"4"`}, "settings.proxy_url": {`null`, `"http://****@proxy:3128"`},
		"header_rules": {`[{"name":"X-Key","action":"set","value":"****"}]`, `[{"name":"X-Key","action":"set","value":"****"}]`},
	} {
		if before, after := fieldText(e.Before, name), fieldText(e.After, name); before != want[0] || after != want[1] {
			t.Errorf("%s was %s and became %s, want %v", name, before, after, want)
		}
	}
	if len(e.After) != 5 || !e.Undoable {
		t.Errorf("changed %+v", e)
	}
	for _, e := range w.events(adminapi.AuditFilter{}) {
		if text := asJSON(t, e); strings.Contains(text, "canary") {
			t.Errorf("a secret is in the event %s", text)
		}
	}

	// A field that was not part of it may move on meanwhile, and stays.
	if _, err := w.client.ChangeGroup(t.Context(), g.ID, adminapi.GroupPatch{Description: new("later")}, 0); err != nil {
		t.Fatal(err)
	}
	undone, err := w.client.UndoAuditEvent(t.Context(), e.ID)
	if err != nil || undone.Revision <= changed.Revision {
		t.Fatalf("undone %+v, %v", undone, err)
	}
	now, err := w.client.Group(t.Context(), g.ID, true)
	if err != nil || now.Name != "one" || now.Description != "later" || now.ProxyKeys[0] != "sk-client-canary-12345678" || now.HeaderRules[0].Value != "header-canary" || len(now.Settings) != 0 {
		t.Errorf("the group is %+v, %v", now, err)
	}
	if string(now.ParamOverrides[0].Value) != `"override-canary"` {
		t.Errorf("overrides %+v", now.ParamOverrides)
	}

	// A name that somebody else took meanwhile.
	if _, err := w.client.ChangeGroup(t.Context(), g.ID, adminapi.GroupPatch{Name: new("three")}, 0); err != nil {
		t.Fatal(err)
	}
	renamed := w.latest(audit.GroupChanged)
	other := w.group(openai("one"))
	_, err = w.client.UndoAuditEvent(t.Context(), renamed.ID)
	if f := fieldsOf(refused(t, err, adminapi.CodeInvalid)); !slices.Equal(f, []string{"name"}) {
		t.Errorf("faults of %q", f)
	}
	if w.latest(audit.GroupChanged).ID != renamed.ID {
		t.Error("an undo that failed is an event")
	}

	// The order, and a group that is gone.
	ordered := []string{g.ID, other.ID}
	if _, err := w.client.OrderGroups(t.Context(), ordered...); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.UndoAuditEvent(t.Context(), w.latest(audit.GroupsOrdered).ID); err != nil {
		t.Errorf("undoing an order: %v", err)
	}
	if _, err := w.client.DeleteGroup(t.Context(), g.ID, 0); err != nil {
		t.Fatal(err)
	}
	gone := w.latest(audit.GroupDeleted)
	if gone.NounID != g.ID || fieldText(gone.Before, "name") != `"three"` {
		t.Errorf("deleted %+v", gone)
	}
	for _, id := range []string{gone.ID, renamed.ID} {
		_, err = w.client.UndoAuditEvent(t.Context(), id)
		refused(t, err, adminapi.CodeConflict)
	}
	if found := w.events(adminapi.AuditFilter{Noun: "group", NounID: g.ID}); len(found) != 7 {
		t.Errorf("%d events of the group", len(found))
	}
}

func TestAuditOfKeys(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("g"))
	added, err := w.client.AddKeys(t.Context(), g.ID, adminapi.KeyInput{Keys: []string{"sk-00000000-aaaa", "sk-00000000-bbbb", "sk-00000000-cccc"}})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{added.Keys[0].ID, added.Keys[1].ID, added.Keys[2].ID}
	if e := w.latest(audit.KeysAdded); e.Count != 3 || e.GroupID != g.ID || e.Undoable {
		t.Errorf("added %+v", e)
	}
	if _, err := w.client.DisableKeys(t.Context(), g.ID, adminapi.KeySelection{IDs: ids}); err != nil {
		t.Fatal(err)
	}
	disabled := w.latest(audit.KeysDisabled)
	if disabled.Count != 3 || !disabled.Undoable || fieldText(disabled.After, "state") != `"disabled"` || disabled.NounID != "" {
		t.Errorf("disabled %+v", disabled)
	}
	// One moves on: it stays, the others go back.
	if _, err := w.client.EnableKeys(t.Context(), g.ID, adminapi.KeySelection{IDs: ids[:1]}); err != nil {
		t.Fatal(err)
	}
	if e := w.latest(audit.KeysEnabled); e.NounID != ids[0] || e.Name != "****aaaa" || fieldText(e.Before, "state") != `"disabled"` {
		t.Errorf("enabled %+v", e)
	}
	undone, err := w.client.UndoAuditEvent(t.Context(), disabled.ID)
	if err != nil || undone.Changed != 2 || undone.Kept != 1 {
		t.Fatalf("undone %+v, %v", undone, err)
	}
	if n := w.pools.Get(1).Counts(w.clock()).Active; n != 3 {
		t.Errorf("the pool has %d active keys", n)
	}
	// Nothing stands any more as the event left it.
	_, err = w.client.UndoAuditEvent(t.Context(), w.latest(audit.KeysEnabled).ID)
	refused(t, err, adminapi.CodeConflict)
	if _, err := w.client.DeleteKeys(t.Context(), g.ID, adminapi.KeySelection{IDs: ids[:1]}); err != nil {
		t.Fatal(err)
	}
	if e := w.latest(audit.KeysDeleted); e.NounID != ids[0] || e.Name != "****aaaa" || e.Undoable {
		t.Errorf("deleted %+v", e)
	}

	// What a verdict did, and a person undoes.
	key, err := w.store.Key(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	err = w.store.ApplyKeyChanges(t.Context(), []fleet.KeyChange{{
		KeyID: key.ID, GroupID: key.GroupID, State: fleet.KeyInvalid, Reason: "invalid_api_key", Evidence: "no such key", Class: fleet.ClassKeyDead, At: time.Now().Add(time.Second),
	}})
	if err != nil {
		t.Fatal(err)
	}
	e := w.latest(audit.KeysInvalidated)
	if e.Who.Kind != "system" || e.Class != "key_dead" || e.Reason != "invalid_api_key" || e.Evidence != "no such key" || e.NounID != ids[1] || e.Name != "****bbbb" || e.GroupID != g.ID {
		t.Errorf("verdict %+v", e)
	}
	if undone, err := w.client.UndoAuditEvent(t.Context(), e.ID); err != nil || undone.Changed != 1 {
		t.Errorf("undone %+v, %v", undone, err)
	}
	if key, err = w.store.Key(t.Context(), 2); err != nil || key.State != fleet.KeyActive {
		t.Errorf("the key is %s, %v", key.State, err)
	}
}

func TestUndoOfValuesOfKeys(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("g"))
	added, err := w.client.AddKeys(t.Context(), g.ID, adminapi.KeyInput{Keys: []string{"sk-00000000-aaaa", "sk-00000000-bbbb", "sk-00000000-cccc"}})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{added.Keys[0].ID, added.Keys[1].ID, added.Keys[2].ID}
	set := func(v adminapi.KeyValues, which ...string) {
		t.Helper()
		v.IDs = which
		if _, err := w.client.SetKeys(t.Context(), g.ID, v); err != nil {
			t.Fatal(err)
		}
	}
	nine, notes := 9, "<b>bought</b> in May"
	set(adminapi.KeyValues{Weight: &nine, Notes: &notes, AddTags: []string{"paid"}}, ids...)
	edited := w.latest(audit.KeysEdited)
	other := "moved"
	set(adminapi.KeyValues{Notes: &other}, ids[2])
	undone, err := w.client.UndoAuditEvent(t.Context(), edited.ID)
	if err != nil || undone.Changed != 2 || undone.Kept != 1 {
		t.Fatalf("undone %+v, %v", undone, err)
	}
	for i, want := range []adminapi.Key{{Weight: 1}, {Weight: 1}, {Weight: 9, Notes: other, Tags: []string{"paid"}}} {
		k, err := w.client.Key(t.Context(), ids[i])
		if err != nil || k.Weight != want.Weight || k.Notes != want.Notes || !slices.Equal(k.Tags, want.Tags) {
			t.Errorf("key %d: %+v, %v", i, k, err)
		}
	}
	_, err = w.client.UndoAuditEvent(t.Context(), edited.ID)
	refused(t, err, adminapi.CodeConflict)
	// What was deleted since does not come back.
	set(adminapi.KeyValues{Weight: &nine}, ids[0])
	edited = w.latest(audit.KeysEdited)
	if _, err := w.client.DeleteKeys(t.Context(), g.ID, adminapi.KeySelection{IDs: ids[:1]}); err != nil {
		t.Fatal(err)
	}
	_, err = w.client.UndoAuditEvent(t.Context(), edited.ID)
	refused(t, err, adminapi.CodeConflict)
}

func TestAuditOfSecretsShown(t *testing.T) {
	w := newWorld(t)
	in := openai("g")
	in.ProxyKeys = []string{"sk-client-00001111"}
	g := w.group(in)
	added, err := w.client.AddKeys(t.Context(), g.ID, adminapi.KeyInput{Keys: []string{"sk-00000000-aaaa"}})
	if err != nil {
		t.Fatal(err)
	}
	for kind, show := range map[audit.Kind]func(reveal bool) error{
		audit.SettingsRevealed: func(r bool) error { _, err := w.client.Settings(t.Context(), r); return err },
		audit.GroupRevealed:    func(r bool) error { _, err := w.client.Group(t.Context(), g.ID, r); return err },
		audit.ProxyKeysRevealed: func(r bool) error {
			_, err := w.client.ProxyKeys(t.Context(), adminclient.ProxyKeyFilter{Reveal: r})
			return err
		},
		audit.KeyRevealed: func(r bool) error {
			if r {
				_, err := w.client.RevealKey(t.Context(), added.Keys[0].ID)
				return err
			}
			_, err := w.client.Key(t.Context(), added.Keys[0].ID)
			return err
		},
	} {
		if err := show(false); err != nil {
			t.Fatal(err)
		}
		if found := w.events(adminapi.AuditFilter{Kind: string(kind)}); len(found) != 0 {
			t.Errorf("%s without a secret: %+v", kind, found)
		}
		if err := show(true); err != nil {
			t.Fatal(err)
		}
		if e := w.latest(kind); e.Who.Kind != "auth_key" || e.Undoable {
			t.Errorf("%s: %+v", kind, e)
		}
	}
	if e := w.latest(audit.KeyRevealed); e.Name != "****aaaa" || e.NounID != added.Keys[0].ID {
		t.Errorf("key %+v", e)
	}
}

func TestAuditOfLogins(t *testing.T) {
	w := newWorld(t)
	browser := w.newClient()
	session, err := browser.Login(t.Context(), authKey)
	if err != nil {
		t.Fatal(err)
	}
	opened := w.latest(audit.SessionOpened)
	if opened.Who.Kind != "session" || opened.Who.Session != session.ID[:8] || opened.Who.ClientIP != "127.0.0.1" || opened.NounID != session.ID[:8] {
		t.Errorf("opened %+v", opened)
	}
	if _, err := browser.CreateGroup(t.Context(), openai("by-session")); err != nil {
		t.Fatal(err)
	}
	if e := w.latest(audit.GroupCreated); e.Who.Kind != "session" || e.Who.Session != session.ID[:8] {
		t.Errorf("created %+v", e)
	}
	if err := browser.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.EndSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []audit.Kind{audit.SessionClosed, audit.SessionsEnded} {
		w.latest(kind)
	}

	// Wrong keys: each that was looked at, none that was not, and only so many a minute.
	guesser := w.newClient(adminclient.WithAuthKey("sk-wrong-canary-guess"))
	for range 7 {
		_, _ = guesser.Groups(t.Context())
	}
	w.pass(2 * time.Minute)
	found := w.events(adminapi.AuditFilter{Kind: string(audit.LoginRefused)})
	if len(found) != 5 || found[0].Who.Kind != "anonymous" || found[0].Who.ClientIP != "127.0.0.1" || strings.Contains(asJSON(t, found), "canary") {
		t.Errorf("%d refused logins: %+v", len(found), found)
	}
	for i := range 100 {
		from := http.Header{"X-Forwarded-For": {"198.51.100." + strconv.Itoa(100+i)}, "Authorization": {"Bearer sk-wrong"}}
		w.raw(http.MethodGet, "/groups", from, "")
	}
	if found := w.events(adminapi.AuditFilter{Kind: string(audit.LoginRefused), Limit: 1000}); len(found) != 35 {
		t.Errorf("%d events of 105 wrong keys", len(found))
	}
	w.pass(time.Minute)
	_, _, _ = w.raw(http.MethodGet, "/groups", http.Header{"X-Forwarded-For": {"192.0.2.1"}, "Authorization": {"Bearer sk-wrong"}}, "")
	if e := w.latest(audit.LoginRefused); e.Count != 71 {
		t.Errorf("the next event stands for %d wrong keys, want 71", e.Count)
	}
}

func TestAuditPages(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		w.group(openai("g" + strconv.Itoa(i)))
	}
	var names []string
	for cursor := ""; ; {
		page, err := w.client.Audit(t.Context(), adminapi.AuditFilter{Noun: "group", Limit: 3, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			names = append(names, e.Name)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if want := []string{"g6", "g5", "g4", "g3", "g2", "g1", "g0"}; !slices.Equal(names, want) {
		t.Errorf("pages of %v, want %v", names, want)
	}
	e := w.latest(audit.GroupCreated)
	if one, err := w.client.AuditEvent(t.Context(), e.ID); err != nil || one.ID != e.ID {
		t.Errorf("one %+v, %v", one, err)
	}
	if found := w.events(adminapi.AuditFilter{Actor: "system"}); len(found) != 0 {
		t.Errorf("nobody did %+v", found)
	}
	for name, f := range map[string]adminapi.AuditFilter{
		"kind": {Kind: "group.eaten"}, "actor": {Actor: "me"}, "group_id": {GroupID: "x"}, "to": {From: time.Now(), To: time.Now().Add(-time.Hour)}, "": {Cursor: "x"},
	} {
		_, err := w.client.Audit(t.Context(), f)
		if got := fieldsOf(refused(t, err, adminapi.CodeInvalid)); name != "" && !slices.Equal(got, []string{name}) {
			t.Errorf("%s: faults of %q", name, got)
		}
	}
	for _, id := range []string{"x", "00000000-0000-7000-8000-000000000000"} {
		_, err := w.client.AuditEvent(t.Context(), id)
		refused(t, err, adminapi.CodeNotFound)
		_, err = w.client.UndoAuditEvent(t.Context(), id)
		refused(t, err, adminapi.CodeNotFound)
	}
}
