package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
)

// CreateOperation stores a new operation in the state that it has, Uploading or Waiting. It is CodeNotFound without its group,
// CodeInvalid for an aggregate, and CodeConflict while the group has one of the kind that has not ended, whose id the error
// gives in the field operation_id, or while MaxActive have not ended.
func (s *Store) CreateOperation(ctx context.Context, o operation.Operation) (operation.Operation, error) {
	options, err := json.Marshal(o.Options)
	if err != nil { // words and numbers always marshal
		return operation.Operation{}, fleet.NewError(fleet.CodeInternal, "the options of an operation cannot be stored", err)
	}
	at := now()
	row := operationRow{
		Kind: string(o.Kind), GroupID: int64(o.GroupID), State: string(o.State), Active: activeName(o.Kind, o.GroupID), Options: string(options),
		Counts: "{}", Total: o.Total, Node: o.Node, CreatedAt: s.stamp(at), SeenAt: s.stamp(at),
	}
	err = s.write(ctx, "beginning an operation", func(ctx context.Context, tx bun.Tx) error {
		row.ID = 0
		// The lock puts those who begin at the same moment in line.
		if err := lock(ctx, tx, keysRevision); err != nil {
			return err
		}
		group, err := standardGroup(ctx, tx, o.GroupID)
		if err != nil {
			return err
		}
		row.GroupName = group.Name
		if err := mayBegin(ctx, tx, &row); err != nil {
			return err
		}
		if _, err = tx.NewInsert().Model(&row).ExcludeColumn("id").Returning("id").Exec(ctx); err != nil {
			return err
		}
		return s.recordOperation(ctx, tx, audit.OperationStarted, &row)
	})
	if err != nil {
		return operation.Operation{}, err
	}
	return s.operation(&row)
}

// standardGroup reads a group that may have keys.
func standardGroup(ctx context.Context, tx bun.Tx, id fleet.GroupID) (groupRow, error) {
	stored, _, err := readGroup(ctx, tx, id)
	if err == nil && stored.Kind != string(fleet.KindStandard) {
		err = fleet.NewError(fleet.CodeInvalid, "group "+stored.Name+" is an aggregate and has no keys of its own; use its members", nil)
	}
	return stored, err
}

func mayBegin(ctx context.Context, tx bun.Tx, row *operationRow) error {
	var active []operationRow
	if err := tx.NewSelect().Model(&active).Column("id", "active").Where("active IS NOT NULL").Scan(ctx); err != nil {
		return err
	}
	for _, other := range active {
		if *other.Active == *row.Active {
			id := strconv.FormatInt(other.ID, 10)
			e := fleet.NewError(fleet.CodeConflict, fmt.Sprintf("operation %s of the same kind has not ended in group %s; wait for it or cancel it", id, row.GroupName), nil)
			e.Fields = []fleet.FieldError{{Field: "operation_id", Message: id}}
			return e
		}
	}
	if len(active) >= operation.MaxActive {
		return fleet.NewError(fleet.CodeConflict, fmt.Sprintf("%d operations have not ended, which is the limit; wait for one or cancel one", len(active)), nil)
	}
	return nil
}

// BeginOperation lets an operation whose upload is complete wait for a node. The total is the number of its entries.
func (s *Store) BeginOperation(ctx context.Context, id operation.ID, total, bytes int64) (operation.Operation, error) {
	return s.changeOperation(ctx, "beginning an operation", id, func(row *operationRow) error {
		if row.State != string(operation.Uploading) {
			return fleet.NewError(fleet.CodeConflict, fmt.Sprintf("operation %d does not wait for a file any more: it is %s", id, row.State), nil)
		}
		row.State, row.Total, row.InputBytes, row.Node = string(operation.Waiting), total, bytes, ""
		if row.CancelAsked {
			s.end(row, operation.Canceled, "")
		}
		return nil
	})
}

// CancelOperation ends an operation that no node works on, and asks the node that does to end it. One that has ended is
// CodeConflict.
func (s *Store) CancelOperation(ctx context.Context, id operation.ID) (operation.Operation, error) {
	return s.changeOperation(ctx, "canceling an operation", id, func(row *operationRow) error {
		switch operation.State(row.State) {
		case operation.Waiting:
			s.end(row, operation.Canceled, "")
		case operation.Running, operation.Uploading:
			row.CancelAsked = true
		default:
			return fleet.NewError(fleet.CodeConflict, fmt.Sprintf("operation %d has ended: it is %s", id, row.State), nil)
		}
		return nil
	})
}

// AbortUpload ends an operation whose file did not come, or is none, as failed, or as canceled when that was asked for.
func (s *Store) AbortUpload(ctx context.Context, id operation.ID, why string) error {
	_, err := s.changeOperation(ctx, "ending an operation", id, func(row *operationRow) error {
		switch {
		case row.State != string(operation.Uploading):
		case row.CancelAsked:
			s.end(row, operation.Canceled, "")
		default:
			s.end(row, operation.Failed, why)
		}
		return nil
	})
	return err
}

// end fills what an operation is when it has ended.
func (s *Store) end(row *operationRow, state operation.State, why string) {
	row.State, row.Active, row.Error, row.EndedAt = string(state), nil, clean(why, maxOperationError), s.stamp(now())
	row.SeenAt = row.EndedAt
}

// changeOperation reads an operation, lets change fill it anew and writes it, in one transaction that other changes wait for.
// The input of an operation that has ended is deleted.
func (s *Store) changeOperation(ctx context.Context, doing string, id operation.ID, change func(row *operationRow) error) (operation.Operation, error) {
	var row operationRow
	err := s.write(ctx, doing, func(ctx context.Context, tx bun.Tx) error {
		// The row is locked before it is read, in a way that every database knows.
		if _, err := tx.NewUpdate().Model((*operationRow)(nil)).Set("claim = claim").Where("id = ?", int64(id)).Exec(ctx); err != nil {
			return err
		}
		row = operationRow{}
		err := tx.NewSelect().Model(&row).Where("id = ?", int64(id)).Scan(ctx)
		if err := notFound(err, fmt.Sprintf("there is no operation with id %d", id)); err != nil {
			return err
		}
		before := row
		if err := change(&row); err != nil {
			return err
		}
		if err := s.recordOperationChange(ctx, tx, &before, &row); err != nil {
			return err
		}
		if operation.State(row.State).Ended() {
			if _, err := tx.NewDelete().Table("operation_chunks").Where("operation_id = ?", int64(id)).Where("stream = ?", string(operation.Input)).Exec(ctx); err != nil {
				return err
			}
		}
		_, err = tx.NewUpdate().Model(&row).WherePK().Exec(ctx)
		return err
	})
	if err != nil {
		return operation.Operation{}, err
	}
	return s.operation(&row)
}

// Operation returns one operation, or CodeNotFound.
func (s *Store) Operation(ctx context.Context, id operation.ID) (operation.Operation, error) {
	var row operationRow
	err := s.read(ctx, "reading the operation", func(ctx context.Context, db bun.IDB) error {
		err := db.NewSelect().Model(&row).Where("id = ?", int64(id)).Scan(ctx)
		return notFound(err, fmt.Sprintf("there is no operation with id %d", id))
	})
	if err != nil {
		return operation.Operation{}, err
	}
	return s.operation(&row)
}

// Operations returns one page, newest first, and the cursor of the next one, empty at the end.
func (s *Store) Operations(ctx context.Context, q operation.Query) (page []operation.Operation, next string, err error) {
	before := int64(1<<63 - 1)
	if q.Cursor != "" {
		if before, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil {
			return nil, "", badCursor()
		}
	}
	limit := pageSize(q.Limit)
	var rows []operationRow
	err = s.read(ctx, "reading operations", func(ctx context.Context, db bun.IDB) error {
		sel := db.NewSelect().Model(&rows).Where("id < ?", before).Order("id DESC").Limit(int64(limit) + 1)
		if q.Group != 0 {
			sel.Where("group_id = ?", int64(q.Group))
		}
		if q.Kind != "" {
			sel.Where("kind = ?", string(q.Kind))
		}
		if q.State != "" {
			sel.Where("state = ?", string(q.State))
		}
		return sel.Scan(ctx)
	})
	if err != nil {
		return nil, "", err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = strconv.FormatInt(rows[limit-1].ID, 10)
	}
	page, err = s.operations(rows)
	return page, next, err
}

// PruneOperations ends uploads that fell silent, and deletes some of the files and of the operations whose time is over. It returns
// how many it touched; call it until that is 0.
func (s *Store) PruneOperations(ctx context.Context) (touched int, err error) {
	silent, err := s.idsOfOperations(ctx, func(q *bun.SelectQuery) {
		q.Where("active IS NOT NULL").Where("state = ?", string(operation.Uploading)).Where("seen_at < ?", s.stamp(now().Add(-operation.UploadTimeout)))
	})
	if err != nil {
		return 0, err
	}
	for _, id := range silent {
		if err := s.AbortUpload(ctx, operation.ID(id), "the node that received the file ended; nothing was changed, send it again"); err != nil {
			return touched, err
		}
		touched++
	}
	files, err := s.idsOfOperations(ctx, func(q *bun.SelectQuery) {
		q.Where("ended_at > 0").Where("ended_at < ?", s.stamp(now().Add(-operation.ResultKept))).Where("kind = ?", string(operation.Export)).Where("result_chunks > 0")
	})
	if err != nil {
		return touched, err
	}
	for _, id := range files {
		if err := s.deleteResult(ctx, id); err != nil {
			return touched, err
		}
		touched++
	}
	n, err := s.deleteOperationsBefore(ctx, now().Add(-operation.Kept))
	return touched + n, err
}

func (s *Store) idsOfOperations(ctx context.Context, which func(*bun.SelectQuery)) (ids []int64, err error) {
	const some = 20 // each may hold a thousand chunks
	err = s.read(ctx, "looking for old operations", func(ctx context.Context, db bun.IDB) error {
		q := db.NewSelect().Model((*operationRow)(nil)).Column("id").Order("id").Limit(some)
		which(q)
		return q.Scan(ctx, &ids)
	})
	return ids, err
}

const deletingOperations = "deleting old operations"

func (s *Store) deleteResult(ctx context.Context, id int64) error {
	return s.write(ctx, deletingOperations, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewDelete().Table("operation_chunks").Where("operation_id = ?", id).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewUpdate().Model((*operationRow)(nil)).Set("result_chunks = 0").Set("result_bytes = 0").Where("id = ?", id).Exec(ctx)
		return err
	})
}

func (s *Store) deleteOperationsBefore(ctx context.Context, t time.Time) (int, error) {
	ids, err := s.idsOfOperations(ctx, func(q *bun.SelectQuery) { q.Where("ended_at > 0").Where("ended_at < ?", s.stamp(t)) })
	for _, id := range ids {
		err := s.write(ctx, deletingOperations, func(ctx context.Context, tx bun.Tx) error {
			if _, err := tx.NewDelete().Table("operation_chunks").Where("operation_id = ?", id).Exec(ctx); err != nil {
				return err
			}
			_, err := tx.NewDelete().Model((*operationRow)(nil)).Where("id = ?", id).Exec(ctx)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return len(ids), err
}
