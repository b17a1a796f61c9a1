package sqlstore

import (
	"context"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/operation"
	"gpt-load/internal/secret"
)

// ImportKeys adds at most operation.StepKeys keys to a group, with all that is said of them, and stores how far the operation has
// come: one transaction, all or nothing. Values that the group has already stay as they are. record is told, in the order of
// keys, which ones were added; it returns the progress and the next piece of the result, and may be called more than once.
// A claim that is not the newest any more is CodeConflict.
func (s *Store) ImportKeys(ctx context.Context, c operation.Claim, group fleet.GroupID, keys []keyfile.Key,
	record func(added []bool) (operation.Progress, []byte),
) error {
	return s.sealing(func(box *secret.Box) error {
		rows, rowOf := s.importRows(box, group, keys)
		return s.write(ctx, "importing keys", func(ctx context.Context, tx bun.Tx) error {
			revision, err := bump(ctx, tx, keysRevision)
			if err != nil {
				return err
			}
			if _, err := standardGroup(ctx, tx, group); err != nil {
				return err
			}
			if err := s.stillSealing(ctx, tx, box); err != nil {
				return err
			}
			// Nobody else adds keys while this transaction holds the revision.
			fresh, err := withoutOthers(ctx, tx, group, rows)
			if err != nil {
				return err
			}
			for i := range fresh {
				fresh[i].Revision = revision
			}
			inserted, err := s.dialect.insertKeys(ctx, tx, fresh)
			if err != nil {
				return err
			}
			added := make([]bool, len(keys))
			for i, row := range rowOf {
				added[i] = row >= 0 && inserted[string(rows[row].Hash)]
			}
			progress, result := record(added)
			return s.advance(ctx, tx, box, c, progress, result)
		})
	})
}

// importRows makes the rows of keys, and tells the row of each key; -1 for one that repeats another.
func (s *Store) importRows(box *secret.Box, group fleet.GroupID, keys []keyfile.Key) (rows []keyRow, rowOf []int) {
	at := s.stamp(now())
	rows, rowOf = make([]keyRow, 0, len(keys)), make([]int, len(keys))
	seen := make(map[string]bool, len(keys))
	for i := range keys {
		k := &keys[i]
		both := digests(box, k.Value)
		hash := both[0]
		if seen[string(hash)] {
			rowOf[i] = -1
			continue
		}
		seen[string(hash)] = true
		row := keyRow{
			GroupID: int64(group), Hash: hash, Value: box.Seal(k.Value, keyPlace(int64(group), hash)), State: string(k.State),
			Reason: clean(k.Reason, maxKeyReason), Evidence: clean(k.Evidence, maxKeyEvidence), Failures: k.Failures,
			Cooldowns: s.cooldownText(k.Cooldowns), CreatedAt: at, UpdatedAt: at, OperatorAt: at,
		}
		if row.State == "" {
			row.State = string(fleet.KeyActive)
		}
		if len(both) > 1 {
			row.OtherHash = both[1]
		}
		rowOf[i], rows = len(rows), append(rows, row)
	}
	return rows, rowOf
}

// DeleteSomeKeys deletes the first of a group's keys, operation.StepKeys at most, that stand as which says and have a greater id than
// after, and stores how far the operation has come: one transaction, all or nothing. record is told their ids in ascending
// order; fewer than operation.StepKeys are the last ones. It returns as it does in ImportKeys. which.IDs is not looked at.
func (s *Store) DeleteSomeKeys(ctx context.Context, c operation.Claim, which fleet.KeySelection, after fleet.KeyID,
	record func(deleted []fleet.KeyID) (operation.Progress, []byte),
) error {
	return s.sealing(func(box *secret.Box) error {
		return s.write(ctx, "deleting keys", func(ctx context.Context, tx bun.Tx) error {
			revision, err := bump(ctx, tx, keysRevision)
			if err != nil {
				return err
			}
			if err := s.stillSealing(ctx, tx, box); err != nil {
				return err
			}
			var ids []int64
			q := tx.NewSelect().Model((*keyRow)(nil)).Column("id").Where("group_id = ?", int64(which.Group)).Where("id > ?", int64(after)).Where(orphans).Order("id").Limit(operation.StepKeys)
			if which.State != "" {
				q.Where("state = ?", string(which.State))
			}
			if err := q.Scan(ctx, &ids); err != nil {
				return err
			}
			deleted := make([]fleet.KeyID, len(ids))
			for i, id := range ids {
				deleted[i] = fleet.KeyID(id)
			}
			if len(ids) > 0 {
				if err := s.deleteAndRemember(ctx, tx, which.Group, ids, revision); err != nil {
					return err
				}
			}
			progress, result := record(deleted)
			return s.advance(ctx, tx, box, c, progress, result)
		})
	})
}

// KeysAfter returns the first limit keys of a group that stand as which says and have a greater id than after, in ascending order
// of id, and the id to go on after, 0 at the end. which.IDs is not looked at. Keys that cannot be opened are logged and left
// out.
func (s *Store) KeysAfter(ctx context.Context, which fleet.KeySelection, after fleet.KeyID, limit int) (keys []fleet.Key, next fleet.KeyID, err error) {
	box, err := s.sealer()
	if err != nil {
		return nil, 0, err
	}
	var rows []keyRow
	err = s.read(ctx, "reading keys", func(ctx context.Context, db bun.IDB) error {
		q := db.NewSelect().Model(&rows).Where("group_id = ?", int64(which.Group)).Where("id > ?", int64(after)).Where(orphans).Order("id").Limit(int64(limit) + 1)
		if which.State != "" {
			q.Where("state = ?", string(which.State))
		}
		return q.Scan(ctx)
	})
	if err != nil {
		return nil, 0, err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = fleet.KeyID(rows[limit-1].ID)
	}
	keys, err = s.open(ctx, box, rows)
	return keys, next, err
}
