package sqlstore_test

import (
	"errors"
	"testing"

	"gpt-load/internal/fleet"
)

func testSettings(t *testing.T, open opener) {
	s, ctx := open(t), t.Context()
	first := must(s.Revision(ctx))(t)
	if got := must(s.Settings(ctx))(t); len(got) != 0 {
		t.Errorf("a new database has settings: %v", got)
	}
	second := must(s.SaveSettings(ctx, map[string]string{"max_retries": "5", "proxy_keys": "sk-client-1,sk-client-2", "app_url": "https://ä.example/?'\"%?"}, nil))(t)
	if second <= first {
		t.Errorf("revision %d after %d", second, first)
	}
	got := must(s.Settings(ctx))(t)
	if len(got) != 3 || got["max_retries"] != "5" || got["proxy_keys"] != "sk-client-1,sk-client-2" || got["app_url"] != "https://ä.example/?'\"%?" {
		t.Errorf("read back %v", got)
	}
	third := must(s.SaveSettings(ctx, map[string]string{"max_retries": "6"}, []string{"proxy_keys", "connect_timeout"}))(t)
	if got := must(s.Settings(ctx))(t); len(got) != 2 || got["max_retries"] != "6" {
		t.Errorf("after a reset: %v", got)
	}
	_, err := s.SaveSettings(ctx, map[string]string{"max_retries": "7", "no_such": "1"}, nil)
	wantCode(t, err, fleet.CodeInvalid)
	if got := must(s.Settings(ctx))(t); got["max_retries"] != "6" {
		t.Error("a refused write left something behind")
	}
	if now := must(s.Revision(ctx))(t); now != third {
		t.Errorf("revision %d, want %d", now, third)
	}

	g := addGroup(t, s, standard("g"))
	if at := must(s.Revisions(ctx))(t); at.Settings != third || at.Configuration != g.Revision {
		t.Errorf("after a new group: revisions %+v, want settings at %d", at, third)
	}
	fourth := must(s.SaveSettingsAt(ctx, map[string]string{"max_retries": "8"}, nil, third))(t)
	_, err = s.SaveSettingsAt(ctx, map[string]string{"max_retries": "9"}, nil, third)
	wantCode(t, err, fleet.CodePreconditionFailed)
	var stale *fleet.Error
	if !errors.As(err, &stale) || stale.Revision != fourth {
		t.Errorf("the refusal %v does not say that the settings are at %d", err, fourth)
	}
	if got, at := must(s.Settings(ctx))(t), must(s.Revisions(ctx))(t); got["max_retries"] != "8" || at.Settings != fourth || at.Configuration != fourth {
		t.Errorf("the loser changed %v, %+v", got, at)
	}
}
