package sqlstore

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
	"gpt-load/internal/secret"
)

// EditKeys does an operator's act to the next keys of a selection, operation.StepKeys at most, whose ids are greater than after:
// one transaction, all or nothing. It returns the id to go on after, 0 at the end. Where no index serves the filter, it may come
// to the end of its time with no key edited and more to go through.
func (s *Store) EditKeys(ctx context.Context, which fleet.KeySelection, edit fleet.KeyEdit, after fleet.KeyID) (edited fleet.KeysEdited, next fleet.KeyID, err error) {
	ids, next, err := s.idsAfter(ctx, which, edit, after)
	if err != nil || len(ids) == 0 {
		return edited, next, err
	}
	err = s.write(ctx, editing, func(ctx context.Context, tx bun.Tx) error {
		revision, err := bump(ctx, tx, keysRevision)
		if err != nil {
			return err
		}
		edited, err = s.edit(ctx, tx, which, edit, ids, revision)
		return err
	})
	return edited, next, err
}

// EditSomeKeys is EditKeys as a step of an operation: record is told what became of the keys and where to go on, and returns the
// progress, which is stored in the same transaction. It may be called more than once. A claim that is not the newest any more is
// CodeConflict.
func (s *Store) EditSomeKeys(ctx context.Context, c operation.Claim, which fleet.KeySelection, edit fleet.KeyEdit, after fleet.KeyID,
	record func(edited fleet.KeysEdited, next fleet.KeyID) (operation.Progress, []byte),
) error {
	// Outside of the transaction, which keeps other writers of keys waiting.
	ids, next, err := s.idsAfter(ctx, which, edit, after)
	if err != nil {
		return err
	}
	return s.sealing(func(box *secret.Box) error {
		return s.write(ctx, editing, func(ctx context.Context, tx bun.Tx) error {
			revision, err := bump(ctx, tx, keysRevision)
			if err != nil {
				return err
			}
			if err := s.stillSealing(ctx, tx, box); err != nil {
				return err
			}
			edited, err := s.edit(ctx, tx, which, edit, ids, revision)
			if err != nil {
				return err
			}
			progress, result := record(edited, next)
			return s.advance(ctx, tx, box, c, progress, result)
		})
	})
}

const editing = "changing keys"

// selected is the look for the keys of a selection that an act is for, in ascending order of id.
func (s *Store) selected(which fleet.KeySelection, edit fleet.KeyEdit) *keyScan {
	k := s.keyScan(&fleet.KeyQuery{Group: which.Group, State: which.State, Filter: which.Filter})
	k.match.acted = edit.From()
	k.match.ids = which.IDs
	if len(which.IDs) > 0 {
		k.measured, k.small = true, true
	}
	return k
}

// idsAfter finds keys for EditKeys. A selection by ids names operation.StepKeys of them at most.
func (s *Store) idsAfter(ctx context.Context, which fleet.KeySelection, edit fleet.KeyEdit, after fleet.KeyID) (ids []int64, next fleet.KeyID, err error) {
	if which.Group == 0 {
		return nil, 0, fleet.InvalidFields([]fleet.FieldError{{Field: "group", Message: "must be named"}})
	}
	k := s.selected(which, edit)
	k.place.id, k.limit = int64(after), operation.StepKeys
	if err := s.read(ctx, "looking for keys", k.run); err != nil {
		return nil, 0, err
	}
	for i := range k.rows {
		ids = append(ids, k.rows[i].ID)
	}
	if k.next != nil {
		next = fleet.KeyID(k.next.id)
	}
	return ids, next, nil
}

// edit does an act to those of some keys that still are as the selection says: nobody else changes keys while the transaction
// holds the revision.
func (s *Store) edit(ctx context.Context, tx bun.Tx, which fleet.KeySelection, edit fleet.KeyEdit, ids []int64, revision int64) (done fleet.KeysEdited, err error) {
	if len(ids) == 0 {
		return done, nil
	}
	k := s.selected(which, edit)
	var rows []keyRow
	sel := tx.NewSelect().Model(&rows).Where("key_row.id IN (?)", bun.List(ids)).Where("key_row.group_id = ?", int64(which.Group)).Where(orphans).OrderExpr("key_row.id")
	for i := range k.walks {
		k.walks[i].belongs(sel, which.Group)
	}
	k.match.apply(sel, s)
	if err := sel.Scan(ctx); err != nil || len(rows) == 0 {
		return done, err
	}
	ids = make([]int64, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	at := now()
	switch edit.Act {
	case fleet.ActDelete:
		for _, id := range ids {
			done.Deleted = append(done.Deleted, fleet.KeyID(id))
		}
		return done, s.deleteAndRemember(ctx, tx, which.Group, ids, revision)
	case fleet.ActResetCooldowns:
		return s.resetCooldowns(ctx, tx, rows, edit.Model, at, revision)
	case fleet.ActSet:
		return s.annotate(ctx, tx, rows, edit, revision)
	}
	state, reason := fleet.KeyActive, ""
	if edit.Act == fleet.ActDisable {
		state, reason = fleet.KeyDisabled, fleet.ReasonDisabled
	}
	for _, id := range ids {
		done.Changes = append(done.Changes, fleet.KeyChange{KeyID: fleet.KeyID(id), GroupID: which.Group, State: state, Reason: reason, At: at})
	}
	_, err = tx.NewUpdate().Model((*keyRow)(nil)).
		Set("state = ?", string(state)).Set("reason = ?", reason).Set("evidence = ''").Set("failures = 0").Set("cooldowns = ''").
		Set("operator_at = ?", s.stamp(at)).Set("updated_at = ?", s.stamp(at)).Set("revision = ?", revision).
		Where("id IN (?)", bun.List(ids)).Exec(ctx)
	return done, err
}

// resetCooldowns ends rests of active keys, also of those for which none is stored: nodes know of rests too short for that.
func (s *Store) resetCooldowns(ctx context.Context, tx bun.Tx, rows []keyRow, model string, at time.Time, revision int64) (done fleet.KeysEdited, err error) {
	stamp := s.stamp(at)
	args := make([]any, 0, 5*len(rows))
	for i := range rows {
		var kept []fleet.Cooldown
		if model != "" {
			kept = slices.DeleteFunc(s.cooldowns(rows[i].Cooldowns, at), func(c fleet.Cooldown) bool { return c.Model == model })
		}
		args = append(args, rows[i].ID, s.cooldownText(kept), stamp, stamp, revision)
		done.Changes = append(done.Changes, fleet.KeyChange{
			KeyID: fleet.KeyID(rows[i].ID), GroupID: fleet.GroupID(rows[i].GroupID), State: fleet.KeyActive, Reason: rows[i].Reason, Evidence: rows[i].Evidence,
			Failures: rows[i].Failures, Cooldowns: kept, Reset: true, At: at,
		})
	}
	statement := s.dialect.updateEach("provider_keys", []string{"id"}, []string{"cooldowns", "operator_at", "updated_at", "revision"}, len(rows), "1 = 1")
	_, err = tx.NewRaw(statement, args...).Exec(ctx)
	return done, err
}

// CountSelected counts the keys of a selection that an act is for, exactly up to most; more says that there are others.
func (s *Store) CountSelected(ctx context.Context, which fleet.KeySelection, edit fleet.KeyEdit, most int) (count int, more bool, err error) {
	k := s.selected(which, edit)
	err = s.read(ctx, "counting keys", func(ctx context.Context, db bun.IDB) error {
		part := db.NewSelect().TableExpr("provider_keys AS key_row").ColumnExpr("1").Limit(int64(most) + 1)
		for i := range k.walks {
			k.walks[i].belongs(part, which.Group)
		}
		k.match.apply(part, s)
		return db.NewSelect().TableExpr("(?) AS found", part).ColumnExpr("COUNT(*)").Scan(ctx, &count)
	})
	return min(count, most), count > most, err
}

// SelectedKeys returns the first keys of a selection that an act is for, at most limit, in ascending order of id.
func (s *Store) SelectedKeys(ctx context.Context, which fleet.KeySelection, edit fleet.KeyEdit, limit int) ([]fleet.Key, error) {
	box, err := s.sealer()
	if err != nil {
		return nil, err
	}
	k := s.selected(which, edit)
	k.limit = limit
	for {
		if err := s.read(ctx, "looking for keys", k.run); err != nil {
			return nil, err
		}
		if len(k.rows) >= limit || k.next == nil {
			return s.open(ctx, box, k.rows)
		}
		k.place, k.next = *k.next, nil
	}
}

// KeysAfter returns the next keys of a selection, limit at most, that have a greater id than after, in ascending order of id, and the
// id to go on after, 0 at the end: before that there may be pages without a key. which.IDs is not looked at. Keys that cannot be
// opened are logged and left out.
func (s *Store) KeysAfter(ctx context.Context, which fleet.KeySelection, after fleet.KeyID, limit int) (keys []fleet.Key, next fleet.KeyID, err error) {
	box, err := s.sealer()
	if err != nil {
		return nil, 0, err
	}
	which.IDs = nil
	k := s.selected(which, fleet.KeyEdit{})
	k.place.id, k.limit = int64(after), limit
	if err := s.read(ctx, "reading keys", k.run); err != nil {
		return nil, 0, err
	}
	if k.next != nil {
		next = fleet.KeyID(k.next.id)
	}
	keys, err = s.open(ctx, box, k.rows)
	return keys, next, err
}
