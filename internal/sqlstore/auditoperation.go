package sqlstore

import (
	"context"
	"encoding/json"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/operation"
)

// recordOperationChange writes what happened to an operation, if that is an event: its end, or that somebody wants it.
func (s *Store) recordOperationChange(ctx context.Context, tx bun.Tx, before, after *operationRow) error {
	switch ended := operation.State(after.State).Ended(); {
	case ended && !operation.State(before.State).Ended():
		return s.recordOperation(ctx, tx, audit.OperationEnded, after)
	case after.CancelAsked && !before.CancelAsked:
		return s.recordOperation(ctx, tx, audit.OperationCanceled, after)
	}
	return nil
}

// recordOperation writes an event of an operation, in the transaction that changes its row.
func (s *Store) recordOperation(ctx context.Context, tx bun.Tx, kind audit.Kind, row *operationRow) error {
	a := s.begin(ctx, kind).about(row.ID, row.Kind+" in "+row.GroupName).in(row.GroupID)
	a.event.After = audit.Fields{"kind": audit.Raw(row.Kind)}
	switch kind {
	case audit.OperationStarted:
		if json.Valid([]byte(row.Options)) {
			a.event.After["options"] = json.RawMessage(row.Options)
		}
	case audit.OperationEnded:
		a.event.After["state"], a.event.After["done"] = audit.Raw(row.State), audit.Raw(row.Done)
		if json.Valid([]byte(row.Counts)) {
			a.event.After["counts"] = json.RawMessage(row.Counts)
		}
		a.event.Reason = row.Error
	}
	return s.record(ctx, tx, a, 1, nil, nil)
}
