package sqlstore_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/sqlstore"
)

func testCopyGroup(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	from := addGroup(t, s, fullGroup())
	must2(s.AddKeys(ctx, from.ID, texts("k", 3), false))(t)
	made := must(s.CopyGroup(ctx, fleet.GroupCopy{From: from.ID, Name: "again", DisplayName: "Again"}))(t)
	if made.ID == from.ID || made.Revision <= from.Revision || made.Revision != must(s.Revision(ctx))(t) {
		t.Errorf("made %+v", made)
	}
	want := from
	want.ID, want.Name, want.DisplayName, want.Revision, want.CreatedAt, want.UpdatedAt = made.ID, "again", "Again", made.Revision, made.CreatedAt, made.UpdatedAt
	for what, got := range map[string]fleet.Group{"answered": made, "stored": must(s.Group(ctx, made.ID))(t)} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s %+v\nwant %+v", what, got, want)
		}
	}
	if !reflect.DeepEqual(must(s.Group(ctx, from.ID))(t), from) {
		t.Error("the copy changed the original")
	}
	if counts := must(s.CountKeys(ctx, made.ID))(t); len(counts) != 0 {
		t.Errorf("keys came along: %v", counts)
	}
	_, err := s.CopyGroup(ctx, fleet.GroupCopy{From: from.ID, Name: "AGAIN"})
	wantNameConflict(t, err)
	_, err = s.CopyGroup(ctx, fleet.GroupCopy{From: 999, Name: "other"})
	wantCode(t, err, fleet.CodeNotFound)
	if now := must(s.Revision(ctx))(t); now != made.Revision {
		t.Errorf("refused copies raised the revision to %d", now)
	}
}

func testJoinAggregates(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	one, two := addGroup(t, s, standard("one")), addGroup(t, s, standard("two"))
	all := fleet.Group{Name: "all", Kind: fleet.KindAggregate, Channel: fleet.ChannelOpenAI, Members: []fleet.Member{
		{GroupID: one.ID, Weight: 3, Tier: 2}, {GroupID: two.ID, Weight: 1, Tier: 1},
	}}
	all = addGroup(t, s, all)
	twin := must(s.CopyGroup(ctx, fleet.GroupCopy{From: all.ID, Name: "twin", Join: true}))(t)
	if !reflect.DeepEqual(twin.Members, all.Members) {
		t.Errorf("the copied aggregate has the members %+v", twin.Members)
	}
	joined := must(s.CopyGroup(ctx, fleet.GroupCopy{From: one.ID, Name: "joined", Join: true}))(t)
	want := append(slices.Clone(all.Members), fleet.Member{GroupID: joined.ID, Weight: 3, Tier: 2})
	for _, parent := range []fleet.Group{all, twin} {
		if got := must(s.Group(ctx, parent.ID))(t); !reflect.DeepEqual(got.Members, want) || got.Revision != joined.Revision {
			t.Errorf("%s has the members %+v at revision %d", parent.Name, got.Members, got.Revision)
		}
	}
	full := all
	full.Members = nil
	for i := range fleet.MaxMembers {
		g := one
		if i > 0 {
			g = addGroup(t, s, standard(fmt.Sprintf("m%d", i)))
		}
		full.Members = append(full.Members, fleet.Member{GroupID: g.ID, Weight: 1, Tier: 1})
	}
	must(s.UpdateGroup(ctx, full, 0))(t)
	_, err := s.CopyGroup(ctx, fleet.GroupCopy{From: one.ID, Name: "too-many", Join: true})
	wantCode(t, err, fleet.CodeConflict)
	if err == nil || !strings.Contains(err.Error(), "aggregate all has 100 members") {
		t.Errorf("the error names neither aggregate nor limit: %v", err)
	}
	if groups := must(s.Groups(ctx))(t); slices.ContainsFunc(groups, func(g fleet.Group) bool { return g.Name == "too-many" }) {
		t.Error("half a copy was made")
	}
}

func testOrderGroups(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	ids := make([]fleet.GroupID, 600) // more than one statement changes
	for i := range ids {
		ids[i] = addGroup(t, s, standard(fmt.Sprintf("g%03d", i))).ID
	}
	slices.Reverse(ids)
	revision := must(s.OrderGroups(ctx, ids))(t)
	groups := must(s.Groups(ctx))(t)
	for i, g := range groups {
		if g.ID != ids[i] || g.Sort != i+1 || g.Revision != revision {
			t.Fatalf("at %d stands %s with sort %d at revision %d", i, g.Name, g.Sort, g.Revision)
		}
	}
	ids[0], ids[1] = ids[1], ids[0]
	swapped := must(s.OrderGroups(ctx, ids))(t)
	for i, g := range must(s.Groups(ctx))(t) {
		want := revision
		if i < 2 {
			want = swapped
		}
		if g.ID != ids[i] || g.Revision != want {
			t.Fatalf("after a swap, at %d stands %s at revision %d, want %d", i, g.Name, g.Revision, want)
		}
	}
	added := addGroup(t, s, standard("added"))
	_, err := s.OrderGroups(ctx, ids)
	wantOrderConflict(t, err, fmt.Sprintf("misses %d (added)", added.ID))
	if err := s.DeleteGroup(ctx, added.ID); err != nil {
		t.Fatal(err)
	}
	_, err = s.OrderGroups(ctx, append([]fleet.GroupID{added.ID}, ids...))
	wantOrderConflict(t, err, fmt.Sprintf("not there: %d", added.ID))
	_, err = s.OrderGroups(ctx, nil)
	wantOrderConflict(t, err, "590 more")
	_, err = s.OrderGroups(ctx, append(ids[:len(ids):len(ids)], ids[7]))
	wantCode(t, err, fleet.CodeInvalid)
	if got := must(s.Groups(ctx))(t); got[0].ID != ids[0] || got[1].ID != ids[1] {
		t.Error("refused orders changed something")
	}
}

func wantOrderConflict(t *testing.T, err error, says string) {
	t.Helper()
	wantCode(t, err, fleet.CodeConflict)
	var e *fleet.Error
	if errors.As(err, &e) && !strings.Contains(e.Error(), says) {
		t.Errorf("the conflict says %q, want %q", e.Error(), says)
	}
}
