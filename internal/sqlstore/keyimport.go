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
		giveWay(i)
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
			Weight: max(1, k.Weight), Notes: clean(k.Notes, maxKeyNotes), Tags: tagText(k.Tags),
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
