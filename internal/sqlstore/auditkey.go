package sqlstore

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
)

// kindOfState names what an operator does to keys that stand so, empty for any, and are to stand otherwise.
func kindOfState(from, to fleet.KeyState) audit.Kind {
	switch {
	case to == fleet.KeyDisabled:
		return audit.KeysDisabled
	case to == fleet.KeyInvalid:
		return audit.KeysInvalidated
	case from == fleet.KeyDisabled:
		return audit.KeysEnabled
	}
	return audit.KeysRestored
}

// kindOfEdit names an operator's act.
func kindOfEdit(e fleet.KeyEdit) audit.Kind {
	switch e.Act {
	case fleet.ActDelete:
		return audit.KeysDeleted
	case fleet.ActDisable:
		return audit.KeysDisabled
	case fleet.ActEnable:
		return audit.KeysEnabled
	case fleet.ActResetCooldowns:
		return audit.KeysRestsEnded
	case fleet.ActSet:
		return audit.KeysEdited
	}
	return audit.KeysRestored
}

// recordReset writes that an act ends rests of keys, for one model or all.
func (s *Store) recordReset(ctx context.Context, tx bun.Tx, a *act, rows []keyRow, model string) error {
	if !a.stored {
		if model != "" {
			a.event.After = audit.Fields{"model": audit.Raw(model)}
		}
		if err := s.nameKeys(ctx, tx, a, rows); err != nil {
			return err
		}
	}
	return s.record(ctx, tx, a, int64(len(rows)), nil, nil)
}

// nameKeys names an act after its only key, or after the group of several.
func (s *Store) nameKeys(ctx context.Context, tx bun.Tx, a *act, rows []keyRow) error {
	if len(rows) == 1 {
		a.about(rows[0].ID, keyName(s.box.Load(), &rows[0]))
		return nil
	}
	return a.inNamed(ctx, tx, rows[0].GroupID)
}

// recordStates writes what an act makes of keys, before it does.
func (s *Store) recordStates(ctx context.Context, tx bun.Tx, a *act, ids []int64, to fleet.KeyState, reason string) error {
	rows, err := statesOf(ctx, tx, ids)
	if err != nil || len(rows) == 0 {
		return err
	}
	var undo audit.Undo
	for i := range rows {
		if row := &rows[i]; row.State != string(to) {
			undo.Add(audit.Undo{Keys: []audit.KeyStep{{From: to, To: fleet.KeyState(row.State), Reason: row.Reason, IDs: []fleet.KeyID{fleet.KeyID(row.ID)}}}})
		}
	}
	var way *audit.Undo
	if len(undo.Keys) > 0 {
		way = &undo
	}
	if !a.stored {
		a.event.Reason, a.event.After = reason, audit.Fields{"state": audit.Raw(to)}
		if len(ids) == 1 {
			a.about(rows[0].ID, keyName(s.box.Load(), &rows[0]))
			a.event.Before = stateFields(&rows[0])
		} else if err := a.inNamed(ctx, tx, rows[0].GroupID); err != nil {
			return err
		}
	}
	return s.record(ctx, tx, a, int64(len(ids)), way, nil)
}

// inNamed names an act on several keys after their group.
func (a *act) inNamed(ctx context.Context, tx bun.Tx, group int64) error {
	return tx.NewSelect().Model((*groupRow)(nil)).Column("name").Where("id = ?", group).Scan(ctx, &a.event.Name)
}

// recordDeletion writes that an act deletes keys, before it does.
func (s *Store) recordDeletion(ctx context.Context, tx bun.Tx, a *act, ids []int64) error {
	if !a.stored && len(ids) > 1 {
		if err := a.inNamed(ctx, tx, int64(a.event.Group)); err != nil {
			return err
		}
	}
	if !a.stored && len(ids) == 1 {
		rows, err := statesOf(ctx, tx, ids)
		if err != nil {
			return err
		}
		for i := range rows {
			a.about(rows[i].ID, keyName(s.box.Load(), &rows[i]))
			a.event.Before = stateFields(&rows[i])
		}
	}
	return s.record(ctx, tx, a, int64(len(ids)), nil, nil)
}

// statesOf reads how keys stand, in ascending order of id.
func statesOf(ctx context.Context, tx bun.Tx, ids []int64) (rows []keyRow, err error) {
	err = tx.NewSelect().Model(&rows).Column("id", "group_id", "hash", "value", "state", "reason", "cooldowns", "operator_at").
		Where("id IN (?)", bun.List(ids)).Order("id").Scan(ctx)
	return rows, err
}

func stateFields(row *keyRow) audit.Fields {
	fields := audit.Fields{"state": audit.Raw(row.State)}
	if row.Reason != "" {
		fields["reason"] = audit.Raw(row.Reason)
	}
	return fields
}

// longRest is the shortest rest that is an event: shorter ones are the daily life of a rate limit.
const longRest = 10 * time.Minute

// recordVerdicts writes what automatic changes make of keys, before they do: one event for each key that is retired, comes back or
// begins a long rest. All of them go in with one statement, and read with one, whatever the number.
func (s *Store) recordVerdicts(ctx context.Context, tx bun.Tx, changes []keyRow, classes map[int64]fleet.Class) error {
	ids := make([]int64, len(changes))
	for i := range changes {
		ids[i] = changes[i].ID
	}
	stored, err := statesOf(ctx, tx, ids)
	if err != nil {
		return err
	}
	var events []auditRow
	for i := range stored {
		before := &stored[i]
		at, found := slices.BinarySearchFunc(changes, before.ID, func(c keyRow, id int64) int { return int(max(-1, min(1, c.ID-id))) })
		if !found || !takes(before, &changes[at]) {
			continue
		}
		e, notable := s.verdictEvent(before, &changes[at])
		if !notable {
			continue
		}
		e.Class = classes[before.ID]
		row, err := s.rowOfEvent(&e)
		if err != nil {
			return err
		}
		events = append(events, row)
	}
	if len(events) == 0 {
		return nil
	}
	return s.insertEvents(ctx, tx, events)
}

// insertEvents inserts at most maxRows events.
func (s *Store) insertEvents(ctx context.Context, tx bun.Tx, rows []auditRow) error {
	_, err := tx.NewInsert().Model(&rows).Exec(ctx)
	return err
}

// takes reports whether a change will be applied to a row: what applyChanges says in SQL.
func takes(before, change *keyRow) bool {
	return before.GroupID == change.GroupID && before.State != string(fleet.KeyDisabled) && before.OperatorAt <= change.UpdatedAt &&
		(change.Cooldowns == "" || before.State == string(fleet.KeyActive))
}

// verdictEvent says what a change makes of a key, if that is worth an event.
func (s *Store) verdictEvent(before, change *keyRow) (e audit.Event, notable bool) {
	e = audit.Event{At: s.moment(change.UpdatedAt), Actor: audit.Actor{Who: audit.System}, Node: s.node, Group: fleet.GroupID(before.GroupID), Count: 1, Undoable: true}
	switch {
	case change.State != before.State && change.State == string(fleet.KeyInvalid):
		e.Kind = audit.KeysInvalidated
	case change.State != before.State && change.State == string(fleet.KeyActive):
		e.Kind = audit.KeysRestored
	case change.State == string(fleet.KeyActive) && change.Cooldowns != "":
		rest, begins := s.newRest(before.Cooldowns, change)
		if !begins {
			return e, false
		}
		e.Kind, e.Reason = audit.KeyRested, rest.Reason
		e.After = audit.Fields{"until": audit.Raw(s.moment(rest.Until))}
		if rest.Model != "" {
			e.After["model"] = audit.Raw(rest.Model)
		}
	default:
		return e, false
	}
	if e.Kind != audit.KeyRested {
		e.Reason, e.Evidence = change.Reason, change.Evidence
		e.Before, e.After = stateFields(before), stateFields(change)
	}
	e.ID = audit.NewID(timeOf(change.UpdatedAt))
	e.NounID, e.Name = idText(before.ID), keyName(s.box.Load(), before)
	return e, true
}

// newRest is the longest of the long rests of a change that a key does not have already.
func (s *Store) newRest(before string, change *keyRow) (longest cooldownJSON, begins bool) {
	var had, has []cooldownJSON
	if json.Unmarshal([]byte(change.Cooldowns), &has) != nil {
		return longest, false
	}
	if before != "" && json.Unmarshal([]byte(before), &had) != nil {
		had = nil
	}
	for _, rest := range has {
		known := slices.ContainsFunc(had, func(r cooldownJSON) bool { return r.Model == rest.Model && r.Until > change.UpdatedAt })
		if !known && rest.Until-change.UpdatedAt >= longRest.Microseconds() && rest.Until > longest.Until {
			longest, begins = rest, true
		}
	}
	return longest, begins
}
