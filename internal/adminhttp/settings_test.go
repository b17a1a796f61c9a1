package adminhttp_test

import (
	"net/http"
	"slices"
	"testing"

	"gpt-load/internal/settings"
	"gpt-load/pkg/adminapi"
)

func TestSettings(t *testing.T) {
	w := newWorld(t)
	list, err := w.client.Settings(t.Context(), false)
	if err != nil || len(list.Settings) != len(settings.Table()) {
		t.Fatalf("%d settings, %v", len(list.Settings), err)
	}
	retries := find(t, list.Settings, "max_retries")
	if retries.Value != 3.0 || retries.Level != adminapi.LevelDefault || *retries.Min != 0 || *retries.Max != 20 || retries.Kind != "integer" || !retries.GroupOverride || retries.Doc == "" {
		t.Errorf("max_retries is %+v", retries)
	}

	changed, err := w.client.ChangeSettings(t.Context(), adminapi.SettingsPatch{
		"max_retries": "5", "enable_request_body_logging": true, "proxy_keys": "sk-client-00001111,sk-client-00002222", "proxy_url": "socks5://10.0.0.1:1080",
	})
	if err != nil {
		t.Fatal(err)
	}
	if changed.Revision <= list.Revision || w.lastRevision() != changed.Revision {
		t.Errorf("revision %d after %d, the node was told %d", changed.Revision, list.Revision, w.lastRevision())
	}
	for name, want := range map[string]any{
		"max_retries": 5.0, "enable_request_body_logging": true, "proxy_keys": "****1111,****2222", "proxy_url": "socks5://10.0.0.1:1080", "connect_timeout": 15.0,
	} {
		if got := find(t, changed.Settings, name); got.Value != want {
			t.Errorf("%s is %v, want %v", name, got.Value, want)
		}
	}
	clear, err := w.client.Settings(t.Context(), true)
	if got := find(t, clear.Settings, "proxy_keys"); err != nil || got.Value != "sk-client-00001111,sk-client-00002222" || got.Level != adminapi.LevelSystem {
		t.Errorf("revealed %+v, %v", got, err)
	}

	reset, err := w.client.ChangeSettings(t.Context(), adminapi.SettingsPatch{"max_retries": nil})
	if got := find(t, reset.Settings, "max_retries"); err != nil || got.Value != 3.0 || got.Level != adminapi.LevelDefault {
		t.Errorf("after reset %+v, %v", got, err)
	}
}

func TestSettingsAreAllOrNothing(t *testing.T) {
	w := newWorld(t)
	_, err := w.client.ChangeSettings(t.Context(), adminapi.SettingsPatch{
		"connect_timeout": 7, "max_retries": 99, "no_such": 1, "gone": nil, "proxy_keys": "****1111", "enable_request_body_logging": "maybe",
	})
	e := refused(t, err, adminapi.CodeInvalid)
	if got, want := fieldsOf(e), []string{"enable_request_body_logging", "gone", "max_retries", "no_such", "proxy_keys"}; !slices.Equal(got, want) {
		t.Errorf("faults of %q, want %q", got, want)
	}
	list, err := w.client.Settings(t.Context(), false)
	if got := find(t, list.Settings, "connect_timeout"); err != nil || got.Level != adminapi.LevelDefault || w.lastRevision() != 0 {
		t.Errorf("half a change was made: %+v, %v", got, err)
	}
	same, err := w.client.ChangeSettings(t.Context(), adminapi.SettingsPatch{})
	if err != nil || same.Revision != list.Revision {
		t.Errorf("nothing changed revision %d to %d, %v", list.Revision, same.Revision, err)
	}
}

func TestTwoAdminsDoNotOverwriteEachOthersSettings(t *testing.T) {
	w := newWorld(t)
	seen, err := w.client.ChangeSettings(t.Context(), adminapi.SettingsPatch{"max_retries": 4})
	if err != nil || seen.SettingsRevision == 0 {
		t.Fatalf("revision %d, %v", seen.SettingsRevision, err)
	}
	w.group(openai("a"))
	after, err := w.client.Settings(t.Context(), false)
	if err != nil || after.SettingsRevision != seen.SettingsRevision || after.Revision <= seen.Revision {
		t.Errorf("a new group took the settings from %d to %d, the configuration from %d to %d, %v", seen.SettingsRevision, after.SettingsRevision, seen.Revision, after.Revision, err)
	}
	first, err := w.client.ChangeSettingsAt(t.Context(), adminapi.SettingsPatch{"max_retries": 5}, seen.SettingsRevision)
	if err != nil {
		t.Fatal(err)
	}
	for _, patch := range []adminapi.SettingsPatch{{"max_retries": 6}, {}} {
		_, err = w.client.ChangeSettingsAt(t.Context(), patch, seen.SettingsRevision)
		if e := refused(t, err, adminapi.CodePreconditionFailed); e.Status != http.StatusPreconditionFailed || e.Revision != first.SettingsRevision {
			t.Errorf("%v: answered %d with revision %d, want 412 with %d", patch, e.Status, e.Revision, first.SettingsRevision)
		}
	}
	list, err := w.client.Settings(t.Context(), false)
	if got := find(t, list.Settings, "max_retries"); err != nil || got.Value != 5.0 || list.SettingsRevision != first.SettingsRevision {
		t.Errorf("the loser changed %+v, %v", got, err)
	}
	if _, err := w.client.ChangeSettings(t.Context(), adminapi.SettingsPatch{"max_retries": 6}); err != nil {
		t.Errorf("without If-Match: %v", err)
	}
}
