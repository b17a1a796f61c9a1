package sqlstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
)

// recordValues writes that an act gives keys other weights, notes or tags: some of those in before become those in after, both in
// ascending order of id. An act on several keys is shown as what they have in common.
func (s *Store) recordValues(ctx context.Context, tx bun.Tx, a *act, before, after []keyRow, common audit.Fields) error {
	if len(after) == 0 {
		return s.record(ctx, tx, a, 0, nil, nil)
	}
	var undo audit.Undo
	places := make(map[string]int) // of the steps, by their changes
	for i := range after {
		at, _ := slices.BinarySearchFunc(before, after[i].ID, func(r keyRow, id int64) int { return int(max(-1, min(1, r.ID-id))) })
		change := audit.Diff(valueFields(&before[at]), valueFields(&after[i]))
		text := string(audit.Raw(change))
		place, known := places[text]
		if !known {
			place = len(undo.Values)
			places[text], undo.Values = place, append(undo.Values, audit.ValueStep{Change: change})
		}
		undo.Values[place].IDs = append(undo.Values[place].IDs, fleet.KeyID(after[i].ID))
	}
	if !a.stored {
		a.event.After = common
		if len(after) == 1 {
			a.event.Before, a.event.After = undo.Values[0].Before, undo.Values[0].After
		}
		if err := s.nameKeys(ctx, tx, a, after); err != nil {
			return err
		}
	}
	return s.record(ctx, tx, a, int64(len(after)), &undo, nil)
}

// shownEdit is what an edit of several keys has in common.
func shownEdit(edit fleet.KeyEdit) audit.Fields {
	shown := audit.Fields{}
	if edit.Weight != nil {
		shown["weight"] = audit.Raw(*edit.Weight)
	}
	if edit.Notes != nil {
		shown["notes"] = audit.Raw(clean(*edit.Notes, maxKeyNotes))
	}
	if len(edit.AddTags) > 0 {
		shown["add_tags"] = audit.Raw(edit.AddTags)
	}
	if len(edit.RemoveTags) > 0 {
		shown["remove_tags"] = audit.Raw(edit.RemoveTags)
	}
	return shown
}

// valueFields are what people gave to a key.
func valueFields(row *keyRow) audit.Fields {
	return audit.Fields{"weight": audit.Raw(row.Weight), "notes": audit.Raw(row.Notes), "tags": audit.Raw(append([]string{}, tagsOf(row.Tags)...))}
}

// setValueFields is the way back of valueFields, for those that there are.
func setValueFields(row *keyRow, fields audit.Fields) error {
	var tags []string
	for name, into := range map[string]any{"weight": &row.Weight, "notes": &row.Notes, "tags": &tags} {
		if raw, ok := fields[name]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return errUndoLost(errors.New("damaged"))
			}
		}
	}
	if _, ok := fields["tags"]; ok {
		row.Tags = tagText(tags)
	}
	return nil
}

// ReturnKeyValues gives keys of a group the weights, notes and tags back that they had before an event. Those that have others by now
// than it left them are left alone. It returns the keys that it changed, also with an error: the earlier portions stand.
func (s *Store) ReturnKeyValues(ctx context.Context, group fleet.GroupID, steps []audit.ValueStep) (returned []fleet.KeyID, err error) {
	changes := make(map[fleet.KeyID]audit.Change)
	for _, step := range steps {
		for _, id := range step.IDs {
			changes[id] = step.Change
		}
	}
	act := s.begin(ctx, audit.KeysEdited).in(int64(group))
	for part := range slices.Chunk(slices.Sorted(maps.Keys(changes)), operation.StepKeys) {
		var after []keyRow
		err := s.changeKeys(ctx, act, func(ctx context.Context, tx bun.Tx, revision int64) error {
			var before []keyRow
			err := tx.NewSelect().Model(&before).Where("id IN (?)", bun.List(part)).Where("group_id = ?", int64(group)).Where(orphans).Order("id").Scan(ctx)
			if err != nil {
				return err
			}
			if after, err = valuesBack(before, changes); err != nil {
				return err
			}
			if err := s.recordValues(ctx, tx, act, before, after, returnedAlike(steps)); err != nil {
				return err
			}
			return s.setValues(ctx, tx, after, revision)
		})
		if err != nil {
			return returned, err
		}
		returned = append(returned, rowIDs(after)...)
	}
	return returned, nil
}

// returnedAlike are the values that every step gives back.
func returnedAlike(steps []audit.ValueStep) audit.Fields {
	alike := audit.Fields{}
	for i, step := range steps {
		if i == 0 {
			maps.Copy(alike, step.Before)
		}
		maps.DeleteFunc(alike, func(name string, value json.RawMessage) bool { return !bytes.Equal(step.Before[name], value) })
	}
	return alike
}

// valuesBack returns those keys that stand as a change left them, as they were before it.
func valuesBack(rows []keyRow, changes map[fleet.KeyID]audit.Change) (after []keyRow, err error) {
	for _, row := range rows {
		back, err := changes[fleet.KeyID(row.ID)].Back(valueFields(&row))
		if err != nil {
			continue // it moved on
		}
		if err := setValueFields(&row, back); err != nil {
			return nil, err
		}
		after = append(after, row)
	}
	return after, nil
}
