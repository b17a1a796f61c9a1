package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// Groups returns every group with its members, in the order of Sort and Name.
func (s *Store) Groups(ctx context.Context) ([]fleet.Group, error) {
	var rows []groupRow
	var members []memberRow
	err := s.read(ctx, "reading the groups", func(ctx context.Context, db bun.IDB) error {
		// One transaction, so that members and groups are of the same moment.
		return db.RunInTx(ctx, s.dialect.snapshot, func(ctx context.Context, tx bun.Tx) error {
			if err := tx.NewSelect().Model(&rows).Order("sort", "folded_name").Scan(ctx); err != nil {
				return err
			}
			return tx.NewSelect().Model(&members).Order("group_id", "place").Scan(ctx)
		})
	})
	if err != nil {
		return nil, err
	}
	byGroup := make(map[int64][]memberRow)
	for _, m := range members {
		byGroup[m.GroupID] = append(byGroup[m.GroupID], m)
	}
	groups := make([]fleet.Group, 0, len(rows))
	for _, row := range rows {
		g, err := row.group(s.sealer, byGroup[row.ID])
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// Group returns one group, or CodeNotFound.
func (s *Store) Group(ctx context.Context, id fleet.GroupID) (fleet.Group, error) {
	var row groupRow
	var members []memberRow
	err := s.read(ctx, "reading the group", func(ctx context.Context, db bun.IDB) error {
		return db.RunInTx(ctx, s.dialect.snapshot, func(ctx context.Context, tx bun.Tx) (err error) {
			row, members, err = readGroup(ctx, tx, id)
			return err
		})
	})
	if err != nil {
		return fleet.Group{}, err
	}
	return row.group(s.sealer, members)
}

func readGroup(ctx context.Context, tx bun.Tx, id fleet.GroupID) (row groupRow, members []memberRow, err error) {
	if err := tx.NewSelect().Model(&row).Where("id = ?", int64(id)).Scan(ctx); err != nil {
		return row, nil, notFound(err, fmt.Sprintf("there is no group with id %d", id))
	}
	err = tx.NewSelect().Model(&members).Where("group_id = ?", int64(id)).Order("place").Scan(ctx)
	return row, members, err
}

// CreateGroup stores a new group; ID, Revision and the times of g are ignored and come back set. A name that is taken
// is CodeConflict on the field name; a member that does not fit is CodeInvalid.
func (s *Store) CreateGroup(ctx context.Context, g fleet.Group) (created fleet.Group, err error) {
	err = s.sealing(func(box *secret.Box) error {
		created, err = s.createGroup(ctx, box, g)
		return err
	})
	return created, err
}

func (s *Store) createGroup(ctx context.Context, box *secret.Box, g fleet.Group) (fleet.Group, error) {
	var row groupRow
	var members []memberRow
	err := s.write(ctx, "creating the group", func(ctx context.Context, tx bun.Tx) error {
		revision, err := bump(ctx, tx, configurationRevision)
		if err != nil {
			return err
		}
		if row, members, err = s.insertGroup(ctx, tx, box, g, revision); err != nil {
			return err
		}
		return s.recordGroup(ctx, tx, audit.GroupCreated, &row, "", &fleet.Group{}, &g, nil)
	})
	if err != nil {
		return fleet.Group{}, err
	}
	return row.group(s.sealer, members)
}

// insertGroup stores g as a new group, in a transaction that has raised the configuration to revision.
func (s *Store) insertGroup(ctx context.Context, tx bun.Tx, box *secret.Box, g fleet.Group, revision int64) (row groupRow, members []memberRow, err error) {
	if err := s.stillSealing(ctx, tx, box); err != nil {
		return row, nil, err
	}
	g.ID = 0
	if row, err = rowOfGroup(g); err != nil {
		return row, nil, err
	}
	row.Revision, row.CreatedAt = revision, micros(now())
	row.UpdatedAt = row.CreatedAt
	if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
		return row, nil, nameTaken(err)
	}
	if row.Secrets, err = sealGroup(box, row.ID, g); err != nil {
		return row, nil, err
	}
	if row.Secrets != "" {
		if _, err := tx.NewUpdate().Model(&row).Column("secrets").WherePK().Exec(ctx); err != nil {
			return row, nil, err
		}
	}
	g.ID = fleet.GroupID(row.ID)
	members, err = writeMembers(ctx, tx, g)
	return row, members, err
}

// UpdateGroup writes g whole. ifRevision, unless 0, must be the stored group's revision, else CodePreconditionFailed. Kind never
// changes (CodeInvalid); the channel of a group that is a member of an aggregate does not either (CodeConflict).
func (s *Store) UpdateGroup(ctx context.Context, g fleet.Group, ifRevision int64) (updated fleet.Group, err error) {
	err = s.sealing(func(box *secret.Box) error {
		updated, err = s.updateGroup(ctx, box, g, ifRevision)
		return err
	})
	return updated, err
}

func (s *Store) updateGroup(ctx context.Context, box *secret.Box, g fleet.Group, ifRevision int64) (fleet.Group, error) {
	row, err := rowOfGroup(g)
	if err != nil {
		return fleet.Group{}, translate("saving the group", err)
	}
	if row.Secrets, err = sealGroup(box, row.ID, g); err != nil {
		return fleet.Group{}, translate("saving the group", err)
	}
	var members []memberRow
	err = s.write(ctx, "saving the group", func(ctx context.Context, tx bun.Tx) error {
		if row.Revision, err = bump(ctx, tx, configurationRevision); err != nil {
			return err
		}
		stored, storedMembers, err := readGroup(ctx, tx, g.ID)
		if err != nil {
			return err
		}
		if err := mayUpdate(ctx, tx, stored, g, ifRevision); err != nil {
			return err
		}
		if err := s.stillSealing(ctx, tx, box); err != nil {
			return err
		}
		row.CreatedAt, row.UpdatedAt = stored.CreatedAt, micros(now())
		if _, err := tx.NewUpdate().Model(&row).WherePK().Exec(ctx); err != nil {
			return nameTaken(err)
		}
		if _, err := tx.NewDelete().Model((*memberRow)(nil)).Where("group_id = ?", row.ID).Exec(ctx); err != nil {
			return err
		}
		if members, err = writeMembers(ctx, tx, g); err != nil {
			return err
		}
		// What cannot be opened is no reason not to write it anew.
		before, err := stored.group(s.sealer, storedMembers)
		if err != nil {
			return s.recordGroup(ctx, tx, audit.GroupChanged, &row, "", &fleet.Group{}, &g, nil)
		}
		return s.recordGroup(ctx, tx, audit.GroupChanged, &row, "", &before, &g, box)
	})
	if err != nil {
		return fleet.Group{}, err
	}
	return row.group(s.sealer, members)
}

func mayUpdate(ctx context.Context, tx bun.Tx, stored groupRow, g fleet.Group, ifRevision int64) error {
	if err := fleet.CheckRevision("the group", ifRevision, stored.Revision); err != nil {
		return err
	}
	if string(g.Kind) != stored.Kind {
		return fleet.InvalidFields([]fleet.FieldError{{Field: "kind", Message: "cannot change; make a new group"}})
	}
	if string(g.Channel) == stored.Channel {
		return nil
	}
	aggregates, err := aggregatesOf(ctx, tx, g.ID)
	if err != nil || len(aggregates) == 0 {
		return err
	}
	return &fleet.Error{Code: fleet.CodeConflict, Message: "the group is a member of " + strings.Join(aggregates, ", "), Fields: []fleet.FieldError{
		{Field: "channel", Message: "must be that of the aggregate; take the group out of it first"},
	}}
}

// DeleteGroup deletes a group and its keys. A member of an aggregate is CodeConflict with the aggregates' names. The
// group is gone when its transaction commits; keys follow in chunks, and what a killed process leaves of them is
// unreachable until SweepDeletedGroups runs.
func (s *Store) DeleteGroup(ctx context.Context, id fleet.GroupID) error {
	_, err := s.DeleteGroupAt(ctx, id, 0)
	return err
}

// DeleteGroupAt is DeleteGroup for whoever saw the group at a revision, as in UpdateGroup. It returns the new revision of the
// configuration.
func (s *Store) DeleteGroupAt(ctx context.Context, id fleet.GroupID, ifRevision int64) (revision int64, err error) {
	err = s.write(ctx, "deleting the group", func(ctx context.Context, tx bun.Tx) error {
		if revision, err = bump(ctx, tx, configurationRevision); err != nil {
			return err
		}
		// Also this one, so that no import adds keys to a group that it saw just before: they would stay for ever.
		if _, err := bump(ctx, tx, keysRevision); err != nil {
			return err
		}
		stored, members, err := readGroup(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := fleet.CheckRevision("the group", ifRevision, stored.Revision); err != nil {
			return err
		}
		aggregates, err := aggregatesOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if len(aggregates) > 0 {
			return fleet.NewError(fleet.CodeConflict, "the group is a member of "+strings.Join(aggregates, ", ")+"; take it out first", nil)
		}
		if _, err := tx.NewDelete().Model((*groupRow)(nil)).Where("id = ?", int64(id)).Exec(ctx); err != nil {
			return err
		}
		if _, err = tx.NewRaw("INSERT INTO deleted_groups (id, deleted_at) VALUES (?, ?)", int64(id), micros(now())).Exec(ctx); err != nil {
			return err
		}
		// What cannot be opened is no reason not to delete it.
		before, _ := stored.group(s.sealer, members)
		return s.recordGroup(ctx, tx, audit.GroupDeleted, &stored, "", &before, &fleet.Group{}, nil)
	})
	if err != nil {
		return 0, err
	}
	// The group is deleted whatever becomes of its keys' rows: a caller that gave up waiting must not be told that
	// it is not.
	if err := s.SweepDeletedGroups(ctx); err != nil {
		s.log.Warn("keys of a deleted group are left for the next sweep", zap.Int64("group", int64(id)), zap.Error(err))
	}
	return revision, nil
}

// SweepDeletedGroups deletes the keys that deleted groups left behind, in short transactions.
func (s *Store) SweepDeletedGroups(ctx context.Context) error {
	for {
		var rest bool
		err := s.write(ctx, "deleting the keys of deleted groups", func(ctx context.Context, tx bun.Tx) error {
			rest = false
			if _, err := bump(ctx, tx, keysRevision); err != nil {
				return err
			}
			var groups []int64
			if err := tx.NewSelect().Table("deleted_groups").Column("id").Limit(1).Scan(ctx, &groups); err != nil || len(groups) == 0 {
				return err
			}
			rest = true
			var keys []int64
			if err := tx.NewSelect().Model((*keyRow)(nil)).Column("id").Where("group_id = ?", groups[0]).Limit(maxRows).Scan(ctx, &keys); err != nil {
				return err
			}
			if len(keys) > 0 {
				return deleteKeys(ctx, tx, keys)
			}
			_, err := tx.NewDelete().Table("deleted_groups").Where("id = ?", groups[0]).Exec(ctx)
			return err
		})
		if err != nil || !rest {
			return err
		}
	}
}

// aggregatesOf lists the names of the aggregates that a group is a member of.
func aggregatesOf(ctx context.Context, tx bun.Tx, id fleet.GroupID) (names []string, err error) {
	err = tx.NewSelect().TableExpr("group_members AS m").Join("JOIN proxy_groups AS g ON g.id = m.group_id").
		ColumnExpr("g.name").Where("m.member_id = ?", int64(id)).OrderExpr("g.folded_name").Scan(ctx, &names)
	return names, err
}

// writeMembers checks the members inside the transaction, so that none can vanish meanwhile, and stores them.
func writeMembers(ctx context.Context, tx bun.Tx, g fleet.Group) ([]memberRow, error) {
	if len(g.Members) == 0 {
		return nil, nil
	}
	ids := make([]int64, len(g.Members))
	rows := make([]memberRow, len(g.Members))
	for i, m := range g.Members {
		ids[i] = int64(m.GroupID)
		rows[i] = memberRow{GroupID: int64(g.ID), MemberID: int64(m.GroupID), Place: i, Weight: m.Weight, Tier: m.Tier}
	}
	var found []groupRow
	if err := tx.NewSelect().Model(&found).Where("id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
		return nil, err
	}
	byID := make(map[int64]groupRow, len(found))
	for _, row := range found {
		byID[row.ID] = row
	}
	var faults []fleet.FieldError
	seen := make(map[int64]bool)
	for i, id := range ids {
		row, ok := byID[id]
		var why string
		switch {
		case g.Kind != fleet.KindAggregate:
			why = "a standard group has no members"
		case !ok:
			why = fmt.Sprintf("there is no group with id %d", id)
		case row.Kind != string(fleet.KindStandard):
			why = "group " + row.Name + " is an aggregate; members are standard groups"
		case row.Channel != string(g.Channel):
			why = fmt.Sprintf("group %s has channel %s; members have the aggregate's channel %s", row.Name, row.Channel, g.Channel)
		case seen[id]:
			why = "group " + row.Name + " is listed twice"
		}
		if why != "" {
			faults = append(faults, fleet.FieldError{Field: fmt.Sprintf("members[%d].group_id", i), Message: why})
		}
		seen[id] = true
	}
	if err := fleet.InvalidFields(faults); err != nil {
		return nil, err
	}
	return rows, chunks(rows, func(part []memberRow) error {
		_, err := tx.NewInsert().Model(&part).Exec(ctx)
		return err
	})
}

func nameTaken(err error) error {
	if !isDuplicate(err) {
		return err
	}
	return &fleet.Error{Code: fleet.CodeConflict, Message: "the group was not saved", Cause: err, Fields: []fleet.FieldError{
		{Field: "name", Message: "is taken by another group; upper and lower case do not tell names apart"},
	}}
}
