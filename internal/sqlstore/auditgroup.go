package sqlstore

import (
	"context"
	"slices"
	"strconv"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// recordGroup writes what an act changed of a group. With a box, which seals what it takes, it can be undone.
func (s *Store) recordGroup(ctx context.Context, tx bun.Tx, kind audit.Kind, row *groupRow, reason string, before, after *fleet.Group, box *secret.Box) error {
	clear, masked := audit.ChangeOfGroup(before, after)
	if clear.Empty() {
		return nil
	}
	a := s.begin(ctx, kind).about(row.ID, row.Name).in(row.ID)
	a.event.Reason, a.event.Before, a.event.After = reason, masked.Before, masked.After
	var undo *audit.Undo
	if box != nil {
		undo = &audit.Undo{Group: &clear}
	}
	return s.record(ctx, tx, a, 1, undo, box)
}

// recordJoin writes that an aggregate is to get one member more. What cannot be opened of it is not shown.
func (s *Store) recordJoin(ctx context.Context, tx bun.Tx, box *secret.Box, aggregate int64, member fleet.Member) error {
	row, members, err := readGroup(ctx, tx, fleet.GroupID(aggregate))
	if err != nil {
		return err
	}
	before, _ := row.group(s.sealer, members)
	after := before
	after.Members = append(slices.Clone(before.Members), member)
	return s.recordGroup(ctx, tx, audit.GroupChanged, &row, "by a copy of a member", &before, &after, box)
}

// recordOrder writes a new order of all groups, which stand in rows as they were.
func (s *Store) recordOrder(ctx context.Context, tx bun.Tx, rows []groupRow, after []fleet.GroupID) error {
	sorted := slices.Clone(rows)
	slices.SortStableFunc(sorted, inOrder)
	before := make([]fleet.GroupID, len(sorted))
	names := make(map[fleet.GroupID]string, len(sorted))
	for i, r := range sorted {
		before[i] = fleet.GroupID(r.ID)
		names[before[i]] = r.Name
	}
	if slices.Equal(before, after) {
		return nil
	}
	listed := func(ids []fleet.GroupID) audit.Fields {
		list := make([]string, len(ids))
		for i, id := range ids {
			list[i] = strconv.FormatInt(int64(id), 10) + " " + names[id]
		}
		return audit.Fields{"order": audit.Raw(list)}
	}
	a := s.begin(ctx, audit.GroupsOrdered)
	a.event.Before, a.event.After = listed(before), listed(after)
	return s.record(ctx, tx, a, int64(len(after)), &audit.Undo{Order: &audit.Order{Before: before, After: after}}, nil)
}
