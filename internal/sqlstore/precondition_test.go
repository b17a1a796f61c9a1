package sqlstore_test

import (
	"fmt"
	"sync"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/sqlstore"
)

// testPreconditions lets many admins on two nodes change what all of them saw at the same revision: one of them does.
func testPreconditions(t *testing.T, database fresh) {
	dsn, ctx := database(t), t.Context()
	nodes := []*sqlstore.Store{openAt(t, dsn, passphrase), openAt(t, dsn, passphrase)}
	g := addGroup(t, nodes[0], standard("g"))
	must(nodes[0].SaveSettings(ctx, map[string]string{"max_retries": "1"}, nil))(t)
	for round := range 5 {
		seen := must(nodes[0].Revisions(ctx))(t)
		g = must(nodes[0].Group(ctx, g.ID))(t)
		settings := oneOf(t, nodes, func(s *sqlstore.Store, admin int) error {
			_, err := s.SaveSettingsAt(ctx, map[string]string{"max_retries": fmt.Sprint(admin)}, nil, seen.Settings)
			return err
		})
		if got := must(nodes[1].Settings(ctx))(t)["max_retries"]; got != fmt.Sprint(settings) {
			t.Errorf("round %d: admin %d changed the settings, and they are those of %s", round, settings, got)
		}
		group := oneOf(t, nodes, func(s *sqlstore.Store, admin int) error {
			change := g
			change.Description = fmt.Sprint(admin)
			_, err := s.UpdateGroup(ctx, change, g.Revision)
			return err
		})
		if got := must(nodes[1].Group(ctx, g.ID))(t).Description; got != fmt.Sprint(group) {
			t.Errorf("round %d: admin %d changed the group, and it is that of %s", round, group, got)
		}
	}
	g = must(nodes[0].Group(ctx, g.ID))(t)
	kept := oneOf(t, nodes, func(s *sqlstore.Store, admin int) error {
		if admin%2 == 0 {
			_, err := s.DeleteGroupAt(ctx, g.ID, g.Revision)
			return err
		}
		_, err := s.UpdateGroup(ctx, g, g.Revision)
		return err
	})
	if _, err := nodes[1].Group(ctx, g.ID); (err == nil) != (kept%2 == 1) {
		t.Errorf("admin %d was the one, and the group is %v", kept, err)
	}
}

// oneOf runs a change by several admins at once and returns the one who made it. The others must hear that they came too late.
func oneOf(t *testing.T, nodes []*sqlstore.Store, change func(s *sqlstore.Store, admin int) error) (winner int) {
	t.Helper()
	const admins = 6
	var errs [admins]error
	var all sync.WaitGroup
	for i := range admins {
		all.Go(func() { errs[i] = change(nodes[i%len(nodes)], i) })
	}
	all.Wait()
	won := 0
	for i, err := range errs {
		switch {
		case err == nil:
			winner = i
			won++
		case fleet.CodeOf(err) != fleet.CodePreconditionFailed && fleet.CodeOf(err) != fleet.CodeNotFound: // deleted meanwhile
			t.Errorf("admin %d: %v", i, err)
		}
	}
	if won != 1 {
		t.Errorf("%d admins made their change at one revision", won)
	}
	return winner
}
