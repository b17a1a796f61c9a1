package sqlstore_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
)

func standard(name string) fleet.Group {
	return fleet.Group{
		Name: name, Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI,
		Upstreams: []fleet.Upstream{{URL: "https://api.example.com", Weight: 1}},
	}
}

func addGroup(t testing.TB, s *sqlstore.Store, g fleet.Group) fleet.Group {
	t.Helper()
	return must(s.CreateGroup(t.Context(), g))(t)
}

func fullGroup() fleet.Group {
	return fleet.Group{
		Name: "full", DisplayName: "Full 组 '\"?%\\", Description: "line\nline", Kind: fleet.KindStandard, Channel: fleet.ChannelGemini, Sort: 3,
		Upstreams:      []fleet.Upstream{{URL: "https://a.example.com/base", Weight: 3}, {URL: "http://127.0.0.1:1", Weight: 0}},
		ProxyKeys:      []secret.Text{secret.New("sk-proxy-secret")},
		ParamOverrides: []fleet.ParamOverride{{Path: "a.b", Value: json.RawMessage(`{ "x": 1.0,  "y":"<&>" }`)}, {Path: "gone"}, {Path: "null", Value: json.RawMessage("null")}},
		HeaderRules:    []fleet.HeaderRule{{Name: "X-Extra", Action: fleet.HeaderSet, Value: "header-secret"}, {Name: "X-Off", Action: fleet.HeaderRemove}},
		ModelRedirects: []fleet.ModelRedirect{{From: "a", To: "b"}}, ModelRedirectStrict: true,
		Validation: fleet.Validation{Model: "m", Path: "/v1/x?y=z", Payload: `{"a": 1}`},
		Settings:   map[string]string{"max_retries": "1", "proxy_url": "http://user:proxy-secret@host:1"},
	}
}

func testGroups(t *testing.T, open opener) {
	t.Run("RoundTrip", func(t *testing.T) { testGroupRoundTrip(t, open(t)) })
	t.Run("Names", func(t *testing.T) { testGroupNames(t, open(t)) })
	t.Run("Revisions", func(t *testing.T) { testGroupRevisions(t, open(t)) })
	t.Run("Members", func(t *testing.T) { testMembers(t, open(t)) })
	t.Run("Delete", func(t *testing.T) { testDeleteGroup(t, open(t)) })
}

func testGroupRoundTrip(t *testing.T, s *sqlstore.Store) {
	want := fullGroup()
	created := addGroup(t, s, want)
	if created.ID == 0 || created.Revision == 0 || created.CreatedAt.IsZero() || !created.CreatedAt.Equal(created.UpdatedAt) {
		t.Errorf("created %+v", created)
	}
	read := must(s.Group(t.Context(), created.ID))(t)
	if !reflect.DeepEqual(read, created) {
		t.Errorf("read %+v\nwrote %+v", read, created)
	}
	want.ID, want.Revision, want.CreatedAt, want.UpdatedAt = read.ID, read.Revision, read.CreatedAt, read.UpdatedAt
	if !reflect.DeepEqual(read, want) {
		t.Errorf("read %+v\nwant %+v", read, want)
	}
	want.ProxyKeys, want.Settings, want.Sort = nil, nil, 0
	updated := must(s.UpdateGroup(t.Context(), want, read.Revision))(t)
	if updated.ProxyKeys != nil || updated.Settings != nil || updated.Revision <= read.Revision || !updated.CreatedAt.Equal(read.CreatedAt) {
		t.Errorf("updated %+v", updated)
	}
	addGroup(t, s, standard("alpha"))
	list := must(s.Groups(t.Context()))(t)
	if len(list) != 2 || list[0].Name != "alpha" || !reflect.DeepEqual(list[1], updated) {
		t.Errorf("listed %+v", list)
	}
	_, err := s.Group(t.Context(), 12345)
	wantCode(t, err, fleet.CodeNotFound)
}

func testGroupNames(t *testing.T, s *sqlstore.Store) {
	a, b := addGroup(t, s, standard("Main")), addGroup(t, s, standard("other"))
	_, err := s.CreateGroup(t.Context(), standard("mAIN"))
	wantNameConflict(t, err)
	b.Name = "MAIN"
	_, err = s.UpdateGroup(t.Context(), b, 0)
	wantNameConflict(t, err)
	a.Name = "main"
	if got := must(s.UpdateGroup(t.Context(), a, 0))(t); got.Name != "main" {
		t.Errorf("renamed to %q", got.Name)
	}
}

func wantNameConflict(t *testing.T, err error) {
	t.Helper()
	wantCode(t, err, fleet.CodeConflict)
	if err != nil && !strings.Contains(err.Error(), "name: is taken") {
		t.Errorf("the error does not name the field: %v", err)
	}
}

func testGroupRevisions(t *testing.T, s *sqlstore.Store) {
	g := addGroup(t, s, standard("g"))
	g.Description = "one"
	first := must(s.UpdateGroup(t.Context(), g, g.Revision))(t)
	if now := must(s.Revision(t.Context()))(t); now != first.Revision {
		t.Errorf("store at %d, group at %d", now, first.Revision)
	}
	g.Description = "two"
	_, err := s.UpdateGroup(t.Context(), g, g.Revision)
	wantCode(t, err, fleet.CodePreconditionFailed)
	_, err = s.DeleteGroupAt(t.Context(), g.ID, g.Revision)
	wantCode(t, err, fleet.CodePreconditionFailed)
	var stale *fleet.Error
	if !errors.As(err, &stale) || stale.Revision != first.Revision {
		t.Errorf("the refusal %v does not say that the group is at %d", err, first.Revision)
	}
	if got := must(s.Group(t.Context(), g.ID))(t); got.Description != "one" {
		t.Errorf("the loser wrote %q", got.Description)
	}
	g.Kind = fleet.KindAggregate
	_, err = s.UpdateGroup(t.Context(), g, 0)
	wantCode(t, err, fleet.CodeInvalid)
	g.ID, g.Kind = 999, fleet.KindStandard
	_, err = s.UpdateGroup(t.Context(), g, 0)
	wantCode(t, err, fleet.CodeNotFound)
}

func testMembers(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	one, two := addGroup(t, s, standard("one")), addGroup(t, s, standard("two"))
	gemini := standard("gemini")
	gemini.Channel = fleet.ChannelGemini
	gemini = addGroup(t, s, gemini)
	all := fleet.Group{Name: "all", Kind: fleet.KindAggregate, Channel: fleet.ChannelOpenAI, Members: []fleet.Member{
		{GroupID: two.ID, Weight: 3, Tier: 2}, {GroupID: one.ID, Weight: 0, Tier: 1},
	}}
	created := addGroup(t, s, all)
	if got := must(s.Group(ctx, created.ID))(t); !reflect.DeepEqual(got.Members, all.Members) {
		t.Errorf("members %+v", got.Members)
	}
	for name, members := range map[string][]fleet.Member{
		"unknown": {{GroupID: 999, Weight: 1, Tier: 1}}, "another channel": {{GroupID: gemini.ID}}, "an aggregate": {{GroupID: created.ID}},
		"twice": {{GroupID: one.ID}, {GroupID: one.ID}},
	} {
		bad := created
		bad.Members = members
		_, err := s.UpdateGroup(ctx, bad, 0)
		wantCode(t, err, fleet.CodeInvalid)
		if err == nil || !strings.Contains(err.Error(), "members[") {
			t.Errorf("%s: the error does not name the field: %v", name, err)
		}
	}
	keyed := one
	keyed.Members = []fleet.Member{{GroupID: two.ID}}
	_, err := s.UpdateGroup(ctx, keyed, 0)
	wantCode(t, err, fleet.CodeInvalid)
	one.Channel = fleet.ChannelAnthropic
	_, err = s.UpdateGroup(ctx, one, 0)
	wantCode(t, err, fleet.CodeConflict)
	err = s.DeleteGroup(ctx, two.ID)
	wantCode(t, err, fleet.CodeConflict)
	if err == nil || !strings.Contains(err.Error(), "all") {
		t.Errorf("the error does not name the aggregate: %v", err)
	}
	if got := must(s.Group(ctx, created.ID))(t); len(got.Members) != 2 {
		t.Errorf("refused writes changed the members: %+v", got.Members)
	}
	if err := s.DeleteGroup(ctx, created.ID); err != nil {
		t.Error(err)
	}
	if err := s.DeleteGroup(ctx, two.ID); err != nil {
		t.Error(err)
	}
}

func testDeleteGroup(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	gone, stays := addGroup(t, s, standard("gone")), addGroup(t, s, standard("stays"))
	must2(s.AddKeys(ctx, gone.ID, texts("gone", 1200), false))(t)
	must2(s.AddKeys(ctx, stays.ID, texts("stays", 3), false))(t)
	before := must(s.Revision(ctx))(t)
	if err := s.DeleteGroup(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}
	if after := must(s.Revision(ctx))(t); after <= before {
		t.Error("deleting a group did not raise the revision")
	}
	if counts := must(s.CountKeys(ctx, 0))(t); counts[fleet.KeyActive] != 3 {
		t.Errorf("keys left: %v", counts)
	}
	wantCode(t, s.DeleteGroup(ctx, gone.ID), fleet.CodeNotFound)
	if again := addGroup(t, s, standard("gone")); again.ID == gone.ID {
		t.Error("an id was used twice")
	}
}
