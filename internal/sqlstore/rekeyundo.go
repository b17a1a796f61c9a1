package sqlstore

import (
	"context"
	"errors"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"gpt-load/internal/secret"
)

// eachUndo calls fn with what is sealed of ways back, in the order of their primary key, some at a time.
func eachUndo(ctx context.Context, read func(func(ctx context.Context, db bun.IDB) error) error, fn func(ctx context.Context, db bun.IDB, rows []undoRow) error) error {
	last := undoRow{EventID: []byte{}}
	for more := true; more; {
		err := read(func(ctx context.Context, db bun.IDB) error {
			var rows []undoRow
			err := db.NewSelect().Model(&rows).Where("sealed = ?", true).
				Where("event_id > ? OR event_id = ? AND part > ?", last.EventID, last.EventID, last.Part).
				Order("event_id", "part").Limit(groupRows).Scan(ctx)
			if err != nil || len(rows) == 0 {
				more = false
				return err
			}
			if err := fn(ctx, db, rows); err != nil {
				return err
			}
			last = rows[len(rows)-1] // only now: a transaction that meets another one is tried again
			return nil
		})
		if err != nil {
			return err
		}
	}
	return translate(rekeyDoing, ctx.Err())
}

// rekeyUndo seals the ways back anew: one for each change of settings and groups that is still kept. A call that goes on looks at each
// of them again. One that cannot be opened is of no use to anybody, and goes.
func (s *Store) rekeyUndo(ctx context.Context, r *Rekeying) error {
	read := func(fn func(ctx context.Context, db bun.IDB) error) error {
		return s.write(ctx, rekeyDoing, func(ctx context.Context, tx bun.Tx) error {
			if err := lock(ctx, tx, configurationRevision); err != nil {
				return err
			}
			if _, err := r.mine(ctx, tx); err != nil {
				return err
			}
			return fn(ctx, tx)
		})
	}
	return eachUndo(ctx, read, func(ctx context.Context, db bun.IDB, rows []undoRow) error {
		for i := range rows {
			row := &rows[i]
			if r.To.Sealed(row.Content) {
				continue
			}
			place := undoPlace(row.EventID, row.Part)
			content, err := r.seal(row.Content, place, place)
			if err != nil {
				s.log.Warn("what it takes to undo an event cannot be opened, and is deleted", zap.Stringer("event", row.id()), zap.Error(err))
				if _, err := db.NewDelete().Model((*undoRow)(nil)).Where("event_id = ?", row.EventID).Where("part = ?", row.Part).Exec(ctx); err != nil {
					return err
				}
				continue
			}
			if _, err := db.NewUpdate().Model((*undoRow)(nil)).Set("content = ?", content).Where("event_id = ?", row.EventID).Where("part = ?", row.Part).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkUndo looks for ways back that are sealed with another key.
func (s *Store) checkUndo(ctx context.Context, box *secret.Box, fault func(string, error)) error {
	read := func(fn func(ctx context.Context, db bun.IDB) error) error {
		return s.read(ctx, "reading the audit log", fn)
	}
	return eachUndo(ctx, read, func(_ context.Context, _ bun.IDB, rows []undoRow) error {
		for i := range rows {
			row := &rows[i]
			if _, err := box.Open(row.Content, undoPlace(row.EventID, row.Part)); errors.Is(err, secret.ErrOtherKey) {
				fault("the way back of event "+row.id().String(), err)
			}
		}
		return nil
	})
}
