package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// act is an event on its way into the database, for a change that takes one transaction or several. Each transaction of the
// change calls record; after each that was committed, committed is called where there may be another.
type act struct {
	event  audit.Event
	stored bool  // in a transaction that is committed
	parts  int64 // of what it takes to undo it

	counted int64 // by the transaction under way
	kept    int64 // parts, by the transaction under way
}

// begin begins an act of whoever acts within the context.
func (s *Store) begin(ctx context.Context, kind audit.Kind) *act {
	return &act{event: audit.Event{Kind: kind, Actor: audit.ActorOf(ctx), Node: s.node}}
}

// about says which one thing an act changes.
func (a *act) about(id int64, name string) *act {
	a.event.NounID, a.event.Name = idText(id), name
	return a
}

// in says which group an act is in.
func (a *act) in(group int64) *act {
	a.event.Group = fleet.GroupID(group)
	return a
}

// record writes an act as one that changed n more things, in the transaction that changes them, with what it takes to undo
// that; nil for nothing. What is sealed is sealed with the box, which is nil where undo holds no secret.
func (s *Store) record(ctx context.Context, tx bun.Tx, a *act, n int64, undo *audit.Undo, box *secret.Box) error {
	a.counted, a.kept = n, 0
	if n == 0 {
		return nil
	}
	undoing := audit.UndoingOf(ctx)
	if undoing != nil {
		undo = nil // an undo is not undone
	}
	if a.stored {
		q := tx.NewUpdate().Model((*auditRow)(nil)).Set("count = count + ?", n).Where("id = ?", a.event.ID[:])
		if undo != nil {
			q.Set("undoable = ?", true)
		}
		if _, err := q.Exec(ctx); err != nil {
			return err
		}
	} else if err := s.insertAct(ctx, tx, a, undoing, undo != nil); err != nil {
		return err
	}
	if undo == nil {
		return nil
	}
	a.kept = 1
	return s.insertUndo(ctx, tx, a.event.ID, a.parts, undo, box)
}

func (s *Store) insertAct(ctx context.Context, tx bun.Tx, a *act, undoing *audit.Undoing, undoable bool) error {
	e := &a.event
	e.At = now()
	e.ID, e.Count, e.Undoable = audit.NewID(timeOf(s.stamp(e.At))), a.counted, undoable
	if undoing != nil {
		e.UndoOf = undoing.Of
		if err := claimUndo(ctx, tx, undoing, e.ID); err != nil {
			return err
		}
	}
	row, err := s.rowOfEvent(e)
	if err != nil {
		return err
	}
	_, err = tx.NewInsert().Model(&row).Exec(ctx)
	return err
}

// claimUndo makes an event the one that undid another, unless a third did so before.
func claimUndo(ctx context.Context, tx bun.Tx, undoing *audit.Undoing, by audit.ID) error {
	undoing.Issue(by)
	result, err := tx.NewUpdate().Model((*auditRow)(nil)).Set("undone_by = ?", by[:]).Where("id = ?", undoing.Of[:]).Where("undone_by IS NULL").Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	var row auditRow
	if err := tx.NewSelect().Model(&row).Column("undone_by").Where("id = ?", undoing.Of[:]).Scan(ctx); err != nil {
		return notFound(err, "there is no event with id "+undoing.Of.String())
	}
	var before audit.ID
	copy(before[:], row.UndoneBy)
	if undoing.Issued(before) {
		return nil
	}
	return audit.ErrUndone(before)
}

func (s *Store) insertUndo(ctx context.Context, tx bun.Tx, id audit.ID, part int64, undo *audit.Undo, box *secret.Box) error {
	text, err := json.Marshal(undo)
	if err != nil {
		return err
	}
	row := undoRow{EventID: id[:], Part: part, Sealed: box != nil, Content: string(text)}
	if row.Sealed {
		row.Content = box.Seal(secret.New(row.Content), undoPlace(row.EventID, part))
	}
	_, err = tx.NewInsert().Model(&row).Exec(ctx)
	return err
}

func idText(id int64) string { return strconv.FormatInt(id, 10) }

func undoPlace(event []byte, part int64) string { return fmt.Sprintf("audit_undo/%x/%d", event, part) }

// committed says that the transaction of the last record is.
func (a *act) committed() {
	if a.counted > 0 {
		a.stored = true
		a.parts += a.kept
	}
	a.counted, a.kept = 0, 0
}

// RecordEvent writes an event of whoever acts within the context that is no change: Kind, NounID, Name, Group, Count, Reason and After
// are taken from e.
func (s *Store) RecordEvent(ctx context.Context, e audit.Event) error {
	return s.write(ctx, "writing to the audit log", func(ctx context.Context, tx bun.Tx) error {
		a := s.begin(ctx, e.Kind)
		a.event.NounID, a.event.Name, a.event.Group, a.event.Reason, a.event.After = e.NounID, e.Name, e.Group, e.Reason, e.After
		return s.record(ctx, tx, a, max(1, e.Count), nil, nil)
	})
}
