package sqlstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
)

// Audit returns one page of events, newest first, and the cursor of the next one, empty at the end.
func (s *Store) Audit(ctx context.Context, q audit.Query) (page []audit.Event, next string, err error) {
	var rows []auditRow
	limit := pageSize(q.Limit)
	var before []byte
	if q.Cursor != "" {
		id, ok := audit.ParseID(q.Cursor)
		if !ok {
			return nil, "", badCursor()
		}
		before = id[:]
	}
	err = s.read(ctx, "reading the audit log", func(ctx context.Context, db bun.IDB) error {
		sel := db.NewSelect().Model(&rows).Order("id DESC").Limit(int64(limit) + 1)
		if before != nil {
			sel.Where("id < ?", before)
		}
		s.filterAudit(sel, q)
		return sel.Scan(ctx)
	})
	if err != nil {
		return nil, "", err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		var last audit.ID
		copy(last[:], rows[limit-1].ID)
		next = last.String()
	}
	page = make([]audit.Event, len(rows))
	for i := range rows {
		page[i] = s.event(&rows[i])
	}
	return page, next, nil
}

func (s *Store) filterAudit(sel *bun.SelectQuery, q audit.Query) {
	if !q.From.IsZero() {
		at := s.stamp(q.From)
		sel.Where("id >= ?", firstID(timeOf(at))).Where("at >= ?", at)
	}
	if !q.To.IsZero() {
		at := s.stamp(q.To)
		sel.Where("id < ?", firstID(timeOf(at).Add(time.Millisecond))).Where("at < ?", at)
	}
	if q.Kind != "" {
		sel.Where("kind = ?", clean(string(q.Kind), maxAuditNounID))
	}
	if q.Actor != "" {
		sel.Where("actor = ?", clean(string(q.Actor), maxAuditNounID))
	}
	if q.Noun != "" {
		sel.Where("noun = ?", clean(q.Noun, maxAuditNounID))
	}
	if q.NounID != "" {
		sel.Where("noun_id = ?", clean(q.NounID, maxAuditNounID)).Where("noun_id <> ''") // makes its partial index usable
	}
	if q.Group != 0 {
		sel.Where("group_id = ?", int64(q.Group)).Where("group_id <> 0") // as above
	}
}

// AuditEvent returns one event, or CodeNotFound.
func (s *Store) AuditEvent(ctx context.Context, id audit.ID) (audit.Event, error) {
	var row auditRow
	err := s.read(ctx, "reading the audit log", func(ctx context.Context, db bun.IDB) error {
		err := db.NewSelect().Model(&row).Where("id = ?", id[:]).Scan(ctx)
		return notFound(err, "there is no event with id "+id.String()+"; it may be too old to be kept")
	})
	if err != nil {
		return audit.Event{}, err
	}
	return s.event(&row), nil
}

// AuditUndo returns what it takes to undo an event. One that cannot be undone, or was before, is CodeConflict.
func (s *Store) AuditUndo(ctx context.Context, id audit.ID) (audit.Event, audit.Undo, error) {
	e, err := s.AuditEvent(ctx, id)
	if err != nil {
		return e, audit.Undo{}, err
	}
	if !e.UndoneBy.IsZero() {
		return e, audit.Undo{}, audit.ErrUndone(e.UndoneBy)
	}
	if !e.Undoable {
		return e, audit.Undo{}, fleet.NewError(fleet.CodeConflict, whyNot(&e), nil)
	}
	var rows []undoRow
	err = s.read(ctx, "reading the audit log", func(ctx context.Context, db bun.IDB) error {
		return db.NewSelect().Model(&rows).Where("event_id = ?", id[:]).Order("part").Scan(ctx)
	})
	if err != nil {
		return e, audit.Undo{}, err
	}
	if len(rows) == 0 {
		undo, err := undoOfVerdict(&e)
		return e, undo, err
	}
	var undo audit.Undo
	for i := range rows {
		part, err := s.openUndo(&rows[i])
		if err != nil {
			return e, undo, err
		}
		undo.Add(part)
	}
	return e, undo, nil
}

// whyNot says why there is no way back.
func whyNot(e *audit.Event) string {
	switch {
	case !e.UndoOf.IsZero():
		return "the event is an undo; repeat the change instead"
	case e.Kind == audit.KeysDeleted || e.Kind == audit.GroupDeleted:
		return "what was deleted is not kept; add it again, or restore a backup"
	case e.Kind == audit.KeysAdded || e.Kind == audit.GroupCreated || e.Kind == audit.GroupCopied:
		return "what was added is not taken away by an undo; delete it"
	}
	switch e.Kind {
	case audit.OperationStarted, audit.OperationEnded, audit.OperationCanceled:
		return "what an operation did is not put back by an undo; begin one that does the opposite"
	case audit.KeysRestsEnded:
		return "rests that were ended are not put back; disable the keys to keep them out"
	case audit.SessionClosed, audit.SessionsEnded:
		return "a session that ended is over; log in again"
	}
	return "an event of the kind " + string(e.Kind) + " changed nothing that could be put back"
}

// undoOfVerdict is the way back of an automatic change of a key, which the event itself says. A key that was rested has no other
// state after it than before.
func undoOfVerdict(e *audit.Event) (audit.Undo, error) {
	step := audit.KeyStep{From: fleet.KeyActive, To: fleet.KeyActive}
	id, err := strconv.ParseInt(e.NounID, 10, 64)
	for _, part := range []struct {
		fields audit.Fields
		name   string
		into   any
	}{{e.After, "state", &step.From}, {e.Before, "state", &step.To}, {e.Before, "reason", &step.Reason}} {
		if raw, ok := part.fields[part.name]; ok {
			err = errors.Join(err, json.Unmarshal(raw, part.into))
		}
	}
	if err != nil {
		return audit.Undo{}, errUndoLost(err)
	}
	step.IDs = []fleet.KeyID{fleet.KeyID(id)}
	return audit.Undo{Keys: []audit.KeyStep{step}}, nil
}

func (s *Store) openUndo(row *undoRow) (undo audit.Undo, err error) {
	text := row.Content
	if row.Sealed {
		box, err := s.sealer()
		if err != nil {
			return undo, err
		}
		var plain secret.Text
		if plain, err = box.Open(row.Content, undoPlace(row.EventID, row.Part)); err != nil {
			return undo, errUndoLost(err)
		}
		text = plain.Reveal()
	}
	if err := json.Unmarshal([]byte(text), &undo); err != nil {
		return undo, errUndoLost(errors.New("damaged"))
	}
	return undo, nil
}

func errUndoLost(cause error) error {
	return fleet.NewError(fleet.CodeConflict, "what it takes to undo the event cannot be opened any more", cause)
}

// pruneChunks is how many transactions of at most 500 events one call of PruneAudit makes.
const pruneChunks = 10

// PruneAudit deletes some of the events that are not kept: acts from before acts, and automatic ones, wrong keys among them, that
// are from before automatic or not among the newest most of their actor. It returns how many; call it until that is 0.
func (s *Store) PruneAudit(ctx context.Context, acts, automatic time.Time, most int) (deleted int, err error) {
	for _, who := range audit.ActorKinds {
		before := firstID(timeOf(s.stamp(acts)))
		if who.Automatic() {
			if before, err = s.automaticBound(ctx, who, automatic, most); err != nil {
				return deleted, err
			}
		}
		for range pruneChunks {
			n, err := s.deleteEvents(ctx, who, before)
			deleted += n
			if err != nil {
				return deleted, err
			}
			if n < maxRows {
				break
			}
		}
	}
	return deleted, nil
}

// deleteEvents deletes at most maxRows events of an actor with lower ids.
func (s *Store) deleteEvents(ctx context.Context, who audit.ActorKind, before []byte) (deleted int, err error) {
	err = s.write(ctx, "deleting old events", func(ctx context.Context, tx bun.Tx) error {
		var ids [][]byte
		err := tx.NewSelect().Model((*auditRow)(nil)).Column("id").Where("actor = ?", string(who)).Where("id < ?", before).Order("id").Limit(maxRows).Scan(ctx, &ids)
		if deleted = len(ids); err != nil || deleted == 0 {
			return err
		}
		if _, err := tx.NewDelete().Model((*undoRow)(nil)).Where("event_id IN (?)", bun.List(ids)).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewDelete().Model((*auditRow)(nil)).Where("id IN (?)", bun.List(ids)).Exec(ctx)
		return err
	})
	return deleted, err
}

// automaticBound is the id from which on the automatic events of an actor stay.
func (s *Store) automaticBound(ctx context.Context, who audit.ActorKind, before time.Time, most int) ([]byte, error) {
	bound := firstID(timeOf(s.stamp(before)))
	var last [][]byte // the oldest that stays
	err := s.read(ctx, "counting events", func(ctx context.Context, db bun.IDB) error {
		return db.NewSelect().Model((*auditRow)(nil)).Column("id").Where("actor = ?", string(who)).Order("id DESC").Offset(int64(most)-1).Limit(1).Scan(ctx, &last)
	})
	if err == nil && len(last) == 1 && bytes.Compare(last[0], bound) > 0 {
		bound = last[0]
	}
	return bound, err
}

// keyName is what an event calls a key: masked, and nothing when the key cannot be opened.
func keyName(box *secret.Box, row *keyRow) string {
	if box == nil {
		return ""
	}
	value, err := box.Open(row.Value, keyPlace(row.GroupID, row.Hash))
	if err != nil {
		return ""
	}
	return settings.Mask(value)
}
