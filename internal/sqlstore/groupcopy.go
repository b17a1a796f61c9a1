package sqlstore

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// CopyGroup makes a group like another one, without its keys, in one transaction. A name that is taken is CodeConflict on
// the field name, as is an aggregate without room for one member more that the copy is to join.
func (s *Store) CopyGroup(ctx context.Context, c fleet.GroupCopy) (made fleet.Group, err error) {
	err = s.sealing(func(box *secret.Box) error {
		made, err = s.copyGroup(ctx, box, c)
		return err
	})
	return made, err
}

func (s *Store) copyGroup(ctx context.Context, box *secret.Box, c fleet.GroupCopy) (fleet.Group, error) {
	var row groupRow
	var members []memberRow
	err := s.write(ctx, "copying the group", func(ctx context.Context, tx bun.Tx) error {
		revision, err := bump(ctx, tx, configurationRevision)
		if err != nil {
			return err
		}
		from, itsMembers, err := readGroup(ctx, tx, c.From)
		if err != nil {
			return err
		}
		// Secrets are bound to the group that they stand in, so they are opened and sealed anew.
		g, err := from.group(s.sealer, itsMembers)
		if err != nil {
			return err
		}
		g.Name, g.DisplayName = c.Name, c.DisplayName
		if row, members, err = s.insertGroup(ctx, tx, box, g, revision); err != nil {
			return err
		}
		if err := s.recordGroup(ctx, tx, audit.GroupCopied, &row, "of group "+from.Name, &fleet.Group{}, &g, nil); err != nil || !c.Join {
			return err
		}
		return s.joinAggregates(ctx, tx, box, c.From, &row)
	})
	if err != nil {
		return fleet.Group{}, err
	}
	return row.group(s.sealer, members)
}

// joinAggregates makes a copy a member wherever the original is one, behind the members that there are.
func (s *Store) joinAggregates(ctx context.Context, tx bun.Tx, box *secret.Box, original fleet.GroupID, copied *groupRow) error {
	var parents []struct {
		memberRow
		Name    string `bun:"name"`
		Last    int    `bun:"last_place"`
		Members int    `bun:"members"`
	}
	err := tx.NewSelect().TableExpr("group_members AS m").Join("JOIN proxy_groups AS g ON g.id = m.group_id").
		ColumnExpr("m.group_id, m.member_id, m.place, m.weight, m.tier, g.name").
		ColumnExpr("(SELECT MAX(o.place) FROM group_members AS o WHERE o.group_id = m.group_id) AS last_place").
		ColumnExpr("(SELECT COUNT(*) FROM group_members AS o WHERE o.group_id = m.group_id) AS members").
		Where("m.member_id = ?", int64(original)).OrderExpr("m.group_id").Scan(ctx, &parents)
	if err != nil || len(parents) == 0 {
		return err
	}
	ids, rows := make([]int64, len(parents)), make([]memberRow, len(parents))
	for i, p := range parents {
		if p.Members >= fleet.MaxMembers {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "the group was not copied", Fields: []fleet.FieldError{{
				Field: "join_aggregates", Message: fmt.Sprintf("aggregate %s has %d members, which is the limit; copy without joining, or take a member out first", p.Name, p.Members),
			}}}
		}
		ids[i] = p.GroupID
		if err := s.recordJoin(ctx, tx, box, p.GroupID, fleet.Member{GroupID: fleet.GroupID(copied.ID), Weight: p.Weight, Tier: p.Tier}); err != nil {
			return err
		}
		rows[i] = memberRow{GroupID: p.GroupID, MemberID: copied.ID, Place: p.Last + 1, Weight: p.Weight, Tier: p.Tier}
	}
	if err := insertAll(ctx, tx, rows); err != nil {
		return err
	}
	_, err = tx.NewUpdate().Model((*groupRow)(nil)).Set("revision = ?", copied.Revision).Set("updated_at = ?", copied.UpdatedAt).
		Where("id IN (?)", bun.List(ids)).Exec(ctx)
	return err
}
