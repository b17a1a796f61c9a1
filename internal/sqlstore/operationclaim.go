package sqlstore

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
	"gpt-load/internal/secret"
)

// ClaimOperation gives a node the oldest operation that waits, or whose node has not been heard of for HeartbeatTimeout; ok is
// false when there is none.
func (s *Store) ClaimOperation(ctx context.Context, node string) (o operation.Operation, ok bool, err error) {
	var ids []int64
	err = s.read(ctx, "looking for an operation", func(ctx context.Context, db bun.IDB) error {
		return db.NewSelect().Model((*operationRow)(nil)).Column("id").Where("active IS NOT NULL").
			Where("state = ? OR state = ? AND seen_at < ?", string(operation.Waiting), string(operation.Running), s.stamp(now().Add(-operation.HeartbeatTimeout))).
			Order("id").Scan(ctx, &ids)
	})
	if err != nil {
		return o, false, err
	}
	taken := errors.New("taken")
	for _, id := range ids {
		o, err := s.changeOperation(ctx, "claiming an operation", operation.ID(id), func(row *operationRow) error {
			free := row.State == string(operation.Waiting) ||
				row.State == string(operation.Running) && row.SeenAt < s.stamp(now().Add(-operation.HeartbeatTimeout))
			if !free {
				return fleet.NewError(fleet.CodeConflict, "", taken)
			}
			row.State, row.Node, row.Claim, row.SeenAt = string(operation.Running), clean(node, 128), row.Claim+1, s.stamp(now())
			if row.StartedAt == 0 {
				row.StartedAt = row.SeenAt
			}
			return nil
		})
		if errors.Is(err, taken) || err != nil && fleet.CodeOf(err) == fleet.CodeNotFound {
			continue
		}
		return o, err == nil, err
	}
	return operation.Operation{}, false, nil
}

// errClaimLost says that another node works on the operation, or that it has ended.
var errClaimLost = fleet.NewError(fleet.CodeConflict, "another node has taken the operation over", nil)

// HoldOperation says that the node of a claim lives, and returns whether the operation is to be canceled. A claim that is not the
// newest any more is CodeConflict.
func (s *Store) HoldOperation(ctx context.Context, c operation.Claim) (cancel bool, err error) {
	err = s.write(ctx, "holding an operation", func(ctx context.Context, tx bun.Tx) error {
		result, err := held(tx, c).Set("seen_at = ?", s.stamp(now())).Exec(ctx)
		if err := mustChange(result, err); err != nil {
			return err
		}
		return tx.NewSelect().Model((*operationRow)(nil)).Column("cancel_asked").Where("id = ?", int64(c.ID)).Scan(ctx, &cancel)
	})
	return cancel, err
}

// held is a change of an operation by who holds the claim.
func held(tx bun.Tx, c operation.Claim) *bun.UpdateQuery {
	return tx.NewUpdate().Model((*operationRow)(nil)).Where("id = ?", int64(c.ID)).Where("claim = ?", c.Number).Where("state = ?", string(operation.Running))
}

type affected interface{ RowsAffected() (int64, error) }

func mustChange(result affected, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(errClaimLost, err)
	}
	return nil
}

// ReleaseOperation lets an operation wait for another node.
func (s *Store) ReleaseOperation(ctx context.Context, c operation.Claim) error {
	return s.write(ctx, "giving an operation back", func(ctx context.Context, tx bun.Tx) error {
		return mustChange(held(tx, c).Set("state = ?", string(operation.Waiting)).Exec(ctx))
	})
}

// FinishOperation ends an operation as succeeded, failed or canceled.
func (s *Store) FinishOperation(ctx context.Context, c operation.Claim, state operation.State, why string) error {
	_, err := s.changeOperation(ctx, "ending an operation", c.ID, func(row *operationRow) error {
		if row.Claim != c.Number || row.State != string(operation.Running) {
			return errClaimLost
		}
		s.end(row, state, why)
		return nil
	})
	return err
}

// AdvanceOperation stores how far an operation has come, and the next piece of its result, if there is one.
func (s *Store) AdvanceOperation(ctx context.Context, c operation.Claim, p operation.Progress, result []byte) error {
	return s.sealing(func(box *secret.Box) error {
		return s.write(ctx, "saving the progress of an operation", func(ctx context.Context, tx bun.Tx) error {
			if len(result) > 0 {
				// Who seals holds a revision: see stillSealing.
				if err := lock(ctx, tx, keysRevision); err != nil {
					return err
				}
				if err := s.stillSealing(ctx, tx, box); err != nil {
					return err
				}
			}
			return s.advance(ctx, tx, box, c, p, result)
		})
	})
}

// advance is AdvanceOperation within a transaction that holds the revision of keys.
func (s *Store) advance(ctx context.Context, tx bun.Tx, box *secret.Box, c operation.Claim, p operation.Progress, result []byte) error {
	counts, err := json.Marshal(p.Counts)
	if err != nil { // words and numbers always marshal
		return err
	}
	q := held(tx, c).Set("done = ?", p.Done).Set("counts = ?", string(counts)).Set("position = ?", p.Position).Set("seen_at = ?", s.stamp(now()))
	if len(result) > 0 {
		row := sealedChunk(box, c.ID, operation.Result, p.Chunks, result)
		p.Chunks, p.Bytes = p.Chunks+1, p.Bytes+int64(len(result))
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
	}
	return mustChange(q.Set("result_chunks = ?", p.Chunks).Set("result_bytes = ?", p.Bytes).Exec(ctx))
}
