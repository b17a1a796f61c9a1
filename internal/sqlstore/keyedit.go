package sqlstore

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
	"gpt-load/internal/secret"
)

// EditKeys does an operator's act to the keys of a selection: operation.StepKeys at a time, each portion in a transaction of its own,
// and tells after its commit what became of them. On an error the earlier portions stand. All of it is one event.
func (s *Store) EditKeys(ctx context.Context, which fleet.KeySelection, edit fleet.KeyEdit, committed func(fleet.KeysEdited)) error {
	act := s.begin(ctx, kindOfEdit(edit)).in(int64(which.Group))
	portions := [][]fleet.KeyID{nil}
	if len(which.IDs) > 0 {
		portions = slices.Collect(slices.Chunk(slices.Sorted(slices.Values(which.IDs)), operation.StepKeys))
	}
	for _, which.IDs = range portions {
		for after, more := fleet.KeyID(0), true; more; more = after != 0 {
			ids, next, err := s.idsAfter(ctx, which, edit, after)
			if err != nil {
				return err
			}
			if after = next; len(ids) == 0 {
				continue
			}
			var edited fleet.KeysEdited
			err = s.changeKeys(ctx, act, func(ctx context.Context, tx bun.Tx, revision int64) error {
				edited, err = s.edit(ctx, tx, act, which, edit, ids, revision)
				return err
			})
			if err != nil {
				return err
			}
			if edited.Count() > 0 {
				committed(edited)
			}
		}
	}
	return nil
}

// changeKeys is one transaction of an act on keys.
func (s *Store) changeKeys(ctx context.Context, act *act, change func(ctx context.Context, tx bun.Tx, revision int64) error) error {
	err := s.write(ctx, editing, func(ctx context.Context, tx bun.Tx) error {
		revision, err := bump(ctx, tx, keysRevision)
		if err != nil {
			return err
		}
		return change(ctx, tx, revision)
	})
	if err == nil {
		act.committed()
	}
	return err
}

// ReturnKeys puts keys of a group back to where they stood before an event. Those that stand otherwise by now than it left them stay.
// It returns a change for each key that went back, also with an error: the earlier portions stand.
func (s *Store) ReturnKeys(ctx context.Context, group fleet.GroupID, step audit.KeyStep) (changes []fleet.KeyChange, err error) {
	act := s.begin(ctx, kindOfState(step.From, step.To)).in(int64(group))
	for part := range slices.Chunk(slices.Sorted(slices.Values(step.IDs)), operation.StepKeys) {
		var changed []fleet.KeyChange
		err := s.changeKeys(ctx, act, func(ctx context.Context, tx bun.Tx, revision int64) error {
			var ids []int64
			err := tx.NewSelect().Model((*keyRow)(nil)).Column("id").Where("id IN (?)", bun.List(part)).Where("group_id = ?", int64(group)).
				Where("state = ?", string(step.From)).Where(orphans).Order("id").Scan(ctx, &ids)
			if err != nil || len(ids) == 0 {
				return err
			}
			changed, err = s.setStates(ctx, tx, act, group, ids, step.To, clean(step.Reason, maxKeyReason), revision)
			return err
		})
		if err != nil {
			return changes, err
		}
		changes = append(changes, changed...)
	}
	return changes, nil
}

// setStates puts keys into a state as an operator does: failures and rests are forgotten, and verdicts older than this do not
// undo it. There is a change also for a key that stood so already: nodes know of rests too short to be stored. Without an act
// it is no event of its own.
func (s *Store) setStates(ctx context.Context, tx bun.Tx, act *act, group fleet.GroupID, ids []int64, state fleet.KeyState, reason string, revision int64) ([]fleet.KeyChange, error) {
	if act != nil {
		if err := s.recordStates(ctx, tx, act, ids, state, reason); err != nil {
			return nil, err
		}
	}
	at := now()
	changes := make([]fleet.KeyChange, 0, len(ids))
	for _, id := range ids {
		changes = append(changes, fleet.KeyChange{KeyID: fleet.KeyID(id), GroupID: group, State: state, Reason: reason, At: at})
	}
	_, err := tx.NewUpdate().Model((*keyRow)(nil)).
		Set("state = ?", string(state)).Set("reason = ?", reason).Set("evidence = ''").Set("failures = 0").Set("cooldowns = ''").
		Set("operator_at = ?", s.stamp(at)).Set("updated_at = ?", s.stamp(at)).Set("revision = ?", revision).
		Where("id IN (?)", bun.List(ids)).Exec(ctx)
	return changes, err
}

// EditSomeKeys does an act to the next keys of a selection whose ids are greater than after, as a step of an operation: record is told what became of the keys and where to go on, and returns the
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
			edited, err := s.edit(ctx, tx, nil, which, edit, ids, revision)
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

// idsAfter finds the next keys for an act. A selection by ids names operation.StepKeys of them at most.
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
// holds the revision. Without an act it is no event of its own.
func (s *Store) edit(ctx context.Context, tx bun.Tx, act *act, which fleet.KeySelection, edit fleet.KeyEdit, ids []int64, revision int64) (done fleet.KeysEdited, err error) {
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
	switch edit.Act {
	case fleet.ActDelete:
		if act != nil {
			if err := s.recordDeletion(ctx, tx, act, ids); err != nil {
				return done, err
			}
		}
		for _, id := range ids {
			done.Deleted = append(done.Deleted, fleet.KeyID(id))
		}
		return done, s.deleteAndRemember(ctx, tx, which.Group, ids, revision)
	case fleet.ActResetCooldowns:
		if act != nil {
			if err := s.recordReset(ctx, tx, act, rows, edit.Model); err != nil {
				return done, err
			}
		}
		return s.resetCooldowns(ctx, tx, rows, edit.Model, now(), revision)
	case fleet.ActSet:
		after, err := annotated(rows, edit)
		if err == nil && act != nil {
			err = s.recordValues(ctx, tx, act, rows, after, shownEdit(edit))
		}
		if err != nil {
			return done, err
		}
		done.Set = rowIDs(after)
		return done, s.setValues(ctx, tx, after, revision)
	}
	state, reason := fleet.KeyActive, ""
	if edit.Act == fleet.ActDisable {
		state, reason = fleet.KeyDisabled, fleet.ReasonDisabled
	}
	done.Changes, err = s.setStates(ctx, tx, act, which.Group, ids, state, reason, revision)
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
