package audit_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// full is a group with something in every field that an operator sets.
func full(mark string) fleet.Group {
	return fleet.Group{
		Name: "name-" + mark, DisplayName: "display-" + mark, Description: "description-" + mark, Kind: fleet.KindStandard, Channel: fleet.Channel("channel-" + mark), Sort: len(mark),
		Upstreams: []fleet.Upstream{{URL: "https://" + mark, Weight: 3}}, ProxyKeys: []secret.Text{secret.New("sk-secret-" + mark + "-1234")},
		ParamOverrides: []fleet.ParamOverride{{Path: mark, Value: json.RawMessage(`{ "spaced" : "secret" }`)}, {Path: "gone"}},
		HeaderRules:    []fleet.HeaderRule{{Name: mark, Action: fleet.HeaderSet, Value: "secret"}}, ModelRedirects: []fleet.ModelRedirect{{From: mark, To: "b"}},
		ModelRedirectStrict: len(mark)%2 == 0, Validation: fleet.Validation{Off: len(mark)%2 == 0, Model: mark, Path: mark, Payload: mark},
		Members: []fleet.Member{{GroupID: fleet.GroupID(len(mark)), Weight: 2, Tier: 3}}, Settings: map[string]string{"max_retries": mark, "proxy_url": "http://secret@" + mark},
	}
}

// A field that a group gains and this package does not know would be lost in silence by every event and every undo.
func TestGroupFieldsAreComplete(t *testing.T) {
	before, after := full("a"), full("bb")
	unset := map[string]bool{"ID": true, "Kind": true, "Revision": true, "CreatedAt": true, "UpdatedAt": true} // nobody changes them
	for i := range reflect.TypeFor[fleet.Group]().NumField() {
		f := reflect.TypeFor[fleet.Group]().Field(i)
		if unset[f.Name] {
			continue
		}
		changed := before
		reflect.ValueOf(&changed).Elem().Field(i).Set(reflect.ValueOf(after).Field(i))
		clear, masked := audit.ChangeOfGroup(&before, &changed)
		if clear.Empty() || masked.Empty() {
			t.Errorf("a change of %s is not seen", f.Name)
		}
		back, err := clear.Back(audit.GroupFields(&changed))
		if err != nil {
			t.Fatal(err)
		}
		restored := changed
		if err := audit.SetGroupFields(&restored, back); err != nil || !reflect.DeepEqual(restored, before) {
			t.Errorf("%s comes back as %+v, %v", f.Name, restored, err)
		}
	}
}

func TestSecretsAreMasked(t *testing.T) {
	before, after := full("a"), full("bb")
	_, masked := audit.ChangeOfGroup(&before, &after)
	for _, fields := range []audit.Fields{masked.Before, masked.After} {
		text, err := json.Marshal(fields)
		if err != nil || strings.Contains(string(text), "secret") {
			t.Errorf("a secret is in %s, %v", text, err)
		}
	}
	_, masked = audit.ChangeOfSettings(map[string]string{"of_an_older_release": "secret"}, map[string]string{"proxy_keys": "sk-secret-000011112222,short"})
	if got := string(masked.Before["of_an_older_release"]) + string(masked.After["proxy_keys"]); got != `"****""****2222,****"` {
		t.Errorf("shown as %s", got)
	}
}

func TestDiff(t *testing.T) {
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	c := audit.Diff(audit.Fields{"same": raw("1"), "other": raw("1"), "gone": raw(`"x"`)}, audit.Fields{"same": raw("1"), "other": raw("2"), "new": raw("3"), "nothing": raw("null")})
	want := audit.Change{
		Before: audit.Fields{"other": raw("1"), "gone": raw(`"x"`), "new": raw("null")}, After: audit.Fields{"other": raw("2"), "gone": raw("null"), "new": raw("3")},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v", c)
	}
	if back, err := c.Back(audit.Fields{"other": raw("2"), "new": raw("3"), "beside": raw("9")}); err != nil || !reflect.DeepEqual(back, want.Before) {
		t.Errorf("back %+v, %v", back, err)
	}
	if _, err := c.Back(audit.Fields{"other": raw("7"), "new": raw("3"), "gone": raw("5")}); fleet.CodeOf(err) != fleet.CodeConflict || !strings.Contains(err.Error(), "gone") {
		t.Errorf("got %v", err)
	}
}

func TestIDsAreInTheOrderOfTime(t *testing.T) {
	at := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	last := ""
	for step := range 3000 {
		id := audit.NewID(at.Add(time.Duration(step) * time.Microsecond))
		if id.String() <= last {
			t.Fatalf("%s after %s", id, last)
		}
		last = id.String()
		if back, ok := audit.ParseID(last); !ok || back != id || last[14] != '7' {
			t.Fatalf("%s reads as %s, %v", last, back, ok)
		}
	}
}
