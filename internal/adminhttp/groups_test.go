package adminhttp_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

func TestGroupComesBackAsItWasMade(t *testing.T) {
	w := newWorld(t)
	in := openai("chat")
	in.DisplayName, in.Description, in.Sort = "Chat", "for people\nand others", new(7)
	in.Upstreams = []adminapi.Upstream{{URL: " https://api.openai.com/ ", Weight: 3}, {URL: "http://127.0.0.1:9/x"}}
	in.ProxyKeys = []string{"sk-client-canary-12345678"}
	in.ParamOverrides = []adminapi.ParamOverride{{Path: "temperature", Value: json.RawMessage("0.70")}, {Path: `a\.b.0`, Value: json.RawMessage("null")}, {Path: "user", Remove: true}}
	in.HeaderRules = []adminapi.HeaderRule{{Name: "X-Key", Action: "set", Value: "${API_KEY}"}, {Name: "Cookie", Action: "remove"}}
	in.ModelRedirects, in.ModelRedirectStrict = []adminapi.ModelRedirect{{From: "gpt-4o", To: "gpt-4o-mini"}}, true
	in.Validation = adminapi.Validation{Off: true, Model: "m", Path: "/v1/x", Payload: `{"a":1}`}
	in.Settings = map[string]any{"max_retries": 5, "proxy_url": "http://user:hunter22@proxy:3128", "enable_request_body_logging": true}

	made := w.group(in)
	if made.Revision == 0 || w.lastRevision() != made.Revision {
		t.Errorf("revision %d, the node was told %d", made.Revision, w.lastRevision())
	}
	if made.ProxyPath != "/proxy/chat" || made.Kind != adminapi.KindStandard || made.Upstreams[0].URL != "https://api.openai.com" || made.Upstreams[1].Weight != 0 {
		t.Errorf("made %+v", made)
	}
	if made.ProxyKeys[0] != "****5678" || made.Settings["proxy_url"] != "http://****@proxy:3128" {
		t.Errorf("secrets are shown: %v, %v", made.ProxyKeys, made.Settings)
	}
	got, err := w.client.Group(t.Context(), made.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	if got.ProxyKeys[0] != in.ProxyKeys[0] || got.Settings["proxy_url"] != in.Settings["proxy_url"] || got.Settings["max_retries"] != 5.0 {
		t.Errorf("revealed %v, %v", got.ProxyKeys, got.Settings)
	}
	overrides := got.ParamOverrides
	if string(overrides[0].Value) != "0.70" || string(overrides[1].Value) != "null" || overrides[1].Remove || !overrides[2].Remove || overrides[2].Value != nil {
		t.Errorf("overrides %+v", overrides)
	}
	if got.Validation != in.Validation || !got.ModelRedirectStrict || !slices.Equal(got.HeaderRules, in.HeaderRules) || got.Sort != 7 || got.Description != in.Description {
		t.Errorf("got %+v", got)
	}
	byName, err := w.client.GroupByName(t.Context(), "CHAT")
	if err != nil || byName.ID != made.ID {
		t.Errorf("by name: %+v, %v", byName, err)
	}
}

func TestGroupFaultsComeAllAtOnce(t *testing.T) {
	w := newWorld(t)
	in := openai("Upper")
	in.ParamOverrides = []adminapi.ParamOverride{{Path: "", Value: json.RawMessage("1")}, {Path: "a"}}
	in.ProxyKeys = []string{"****5678"}
	in.Settings = map[string]any{"max_retries": 99, "no_such": 1, "app_url": "https://x.example"}
	in.Members = []adminapi.Member{{GroupID: "x", Weight: 1, Tier: 1}}
	_, err := w.client.CreateGroup(t.Context(), in)
	e := refused(t, err, adminapi.CodeInvalid)
	if e.Status != http.StatusUnprocessableEntity {
		t.Errorf("status %d", e.Status)
	}
	got := fieldsOf(e)
	slices.Sort(got)
	want := []string{"members", "members[0].group_id", "name", "param_overrides[0].path", "param_overrides[1]", "proxy_keys[0]", "settings.app_url", "settings.max_retries", "settings.no_such"}
	if !slices.Equal(got, want) {
		t.Errorf("faults of %q, want %q\n%s", got, want, e.Error())
	}
	if w.lastRevision() != 0 {
		t.Error("the node was told of a change that was refused")
	}
}

func TestPatchChangesOnlyWhatIsSent(t *testing.T) {
	w := newWorld(t)
	in := openai("a")
	in.ProxyKeys, in.Description, in.Settings = []string{"sk-client-12345678"}, "stays", map[string]any{"max_retries": 5, "connect_timeout": 7}
	in.Validation = adminapi.Validation{Model: "probe", Path: "/v1/p"}
	made := w.group(in)

	changed, err := w.client.ChangeGroup(t.Context(), made.ID, adminapi.GroupPatch{
		DisplayName: new("A"), Upstreams: &[]adminapi.Upstream{{URL: "https://b.example", Weight: 2}},
		Validation: &adminapi.ValidationPatch{Model: new("")}, Settings: map[string]any{"max_retries": nil, "request_timeout": "30"},
	}, made.Revision)
	if err != nil {
		t.Fatal(err)
	}
	if changed.Revision <= made.Revision || w.lastRevision() != changed.Revision {
		t.Errorf("revision %d after %d, the node was told %d", changed.Revision, made.Revision, w.lastRevision())
	}
	want := map[string]any{"connect_timeout": 7.0, "request_timeout": 30.0}
	if changed.Description != "stays" || changed.DisplayName != "A" || len(changed.ProxyKeys) != 1 || changed.Upstreams[0].URL != "https://b.example" ||
		changed.Validation != (adminapi.Validation{Path: "/v1/p"}) || len(changed.Settings) != 2 || changed.Settings["connect_timeout"] != want["connect_timeout"] ||
		changed.Settings["request_timeout"] != want["request_timeout"] {
		t.Errorf("changed to %+v", changed)
	}
	if got, err := w.client.Group(t.Context(), made.ID, true); err != nil || got.ProxyKeys[0] != in.ProxyKeys[0] {
		t.Errorf("the proxy key did not survive a patch: %v, %v", got.ProxyKeys, err)
	}
}

func TestTwoAdminsDoNotOverwriteEachOther(t *testing.T) {
	w := newWorld(t)
	made := w.group(openai("a"))
	first, err := w.client.ChangeGroup(t.Context(), made.ID, adminapi.GroupPatch{Description: new("first")}, made.Revision)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.client.ChangeGroup(t.Context(), made.ID, adminapi.GroupPatch{Description: new("second")}, made.Revision)
	if e := refused(t, err, adminapi.CodePreconditionFailed); e.Revision != first.Revision || !strings.Contains(e.Message, "somebody else") {
		t.Errorf("says %q", e.Message)
	}
	_, err = w.client.DeleteGroup(t.Context(), made.ID, made.Revision)
	refused(t, err, adminapi.CodePreconditionFailed)
	status, header, _ := w.raw(http.MethodPatch, "/groups/"+made.ID, http.Header{"If-Match": {`"` + strconv.FormatInt(made.Revision, 10) + `"`}}, `{}`)
	if want := `"` + strconv.FormatInt(first.Revision, 10) + `"`; status != http.StatusPreconditionFailed || header.Get("ETag") != want {
		t.Errorf("answered %d with ETag %s, want 412 with %s", status, header.Get("ETag"), want)
	}
	if _, err := w.client.ChangeGroup(t.Context(), made.ID, adminapi.GroupPatch{Description: new("second")}, 0); err != nil {
		t.Errorf("without If-Match: %v", err)
	}
	if first.Revision == made.Revision {
		t.Error("a change kept the revision")
	}
}

func TestAggregateAndItsMembers(t *testing.T) {
	w := newWorld(t)
	a, b := w.group(openai("a")), w.group(openai("b"))
	all := w.group(adminapi.GroupInput{
		Name: "all", Kind: adminapi.KindAggregate, Channel: adminapi.ChannelOpenAI,
		Members: []adminapi.Member{{GroupID: a.ID, Weight: 3, Tier: 1}, {GroupID: b.ID, Weight: 0, Tier: 2}},
	})
	if len(all.Members) != 2 || all.Members[0] != (adminapi.Member{GroupID: a.ID, Weight: 3, Tier: 1}) {
		t.Errorf("members %+v", all.Members)
	}
	if _, err := w.client.AddKeys(t.Context(), a.ID, adminapi.KeyInput{Text: "sk-1234567890ab"}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.client.Group(t.Context(), all.ID, false); err != nil || got.KeyCounts.Active != 1 {
		t.Errorf("an aggregate counts %+v, %v", got.KeyCounts, err)
	}
	_, err := w.client.DeleteGroup(t.Context(), a.ID, 0)
	if e := refused(t, err, adminapi.CodeConflict); !strings.Contains(e.Message, "all") {
		t.Errorf("does not name the aggregate: %q", e.Message)
	}
	_, err = w.client.AddKeys(t.Context(), all.ID, adminapi.KeyInput{Text: "sk-1234567890ab"})
	refused(t, err, adminapi.CodeInvalid)
	if _, err := w.client.DeleteGroup(t.Context(), all.ID, 0); err != nil {
		t.Fatal(err)
	}
	revision, err := w.client.DeleteGroup(t.Context(), a.ID, 0)
	if err != nil || revision != w.lastRevision() {
		t.Errorf("revision %d, the node was told %d, %v", revision, w.lastRevision(), err)
	}
	_, err = w.client.Group(t.Context(), a.ID, false)
	refused(t, err, adminapi.CodeNotFound)
}

func TestEffectiveSettingsSayWhereTheyComeFrom(t *testing.T) {
	w := newWorld(t)
	if _, err := w.client.ChangeSettings(t.Context(), adminapi.SettingsPatch{"max_retries": 4, "connect_timeout": 9}); err != nil {
		t.Fatal(err)
	}
	in := openai("a")
	in.Settings = map[string]any{"max_retries": 1}
	got, err := w.client.GroupSettings(t.Context(), w.group(in).ID, false)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]adminapi.Setting{
		"max_retries":     {Value: 1.0, Level: adminapi.LevelGroup, Inherited: 4.0, InheritedLevel: adminapi.LevelSystem},
		"connect_timeout": {Value: 9.0, Level: adminapi.LevelSystem},
		"request_timeout": {Value: 600.0, Level: adminapi.LevelDefault},
	} {
		s := find(t, got.Settings, name)
		if s.Value != want.Value || s.Level != want.Level || s.Inherited != want.Inherited || s.InheritedLevel != want.InheritedLevel {
			t.Errorf("%s is %+v", name, s)
		}
	}
}

func TestNothingIsFalselyCalledServed(t *testing.T) {
	w := newWorld(t)
	w.reloadErr = fleet.NewError(fleet.CodeUnavailable, "the store is away", nil)
	_, err := w.client.CreateGroup(t.Context(), openai("a"))
	e := refused(t, err, adminapi.CodeUnavailable)
	if !strings.Contains(e.Message, "saved as revision") || e.RetryAfter == 0 {
		t.Errorf("says %q, retry after %v", e.Message, e.RetryAfter)
	}
}

func find(t *testing.T, list []adminapi.Setting, name string) adminapi.Setting {
	t.Helper()
	for _, s := range list {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no setting %s", name)
	return adminapi.Setting{}
}
