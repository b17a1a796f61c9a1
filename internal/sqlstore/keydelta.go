package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

type deletedKeyRow struct {
	bun.BaseModel `bun:"table:deleted_keys"`
	KeyID         int64 `bun:"key_id,pk"`
	GroupID       int64 `bun:"group_id"`
	Revision      int64 `bun:"revision"`
	DeletedAt     int64 `bun:"deleted_at"`
}

// KeysSince returns what changed among the keys of all groups after a revision, oldest first, values opened and cool-downs
// that are not over attached, about limit of each kind at most (0 or less: 500), and whether there is more. A revision
// that is older than what is remembered of deleted keys is CodeGone: read all keys again with EachKey, and then what is
// newer than the revision that Revisions gave before.
func (s *Store) KeysSince(ctx context.Context, revision int64, limit int) (delta fleet.KeyDelta, more bool, err error) {
	box, err := s.sealer()
	if err != nil {
		return fleet.KeyDelta{}, false, err
	}
	// No transaction changes more keys than maxRows, so a page of so many has at least one whole revision.
	limit = max(limit, maxRows)
	// Everything up to this revision is committed. What is newer may be seen by one of the two reads and not by the other, and
	// is left out below: a second bound would make PostgreSQL expect few rows, and sort all there are.
	values, err := s.revisions(ctx, keysRevision)
	if err != nil {
		return fleet.KeyDelta{}, false, err
	}
	upTo := values[keysRevision]
	if revision >= upTo {
		return fleet.KeyDelta{UpTo: upTo}, false, nil
	}
	var changed []keyRow
	var deleted []deletedKeyRow
	err = s.read(ctx, "reading the keys that changed", func(ctx context.Context, db bun.IDB) error {
		q := db.NewSelect().Model(&changed).Where("revision > ?", revision).Where(orphans)
		if err := q.Order("revision", "id").Limit(int64(limit) + 1).Scan(ctx); err != nil {
			return err
		}
		q = db.NewSelect().Model(&deleted).Where("revision > ?", revision).Where(orphans)
		return q.Order("revision", "key_id").Limit(int64(limit) + 1).Scan(ctx)
	})
	if err != nil {
		return fleet.KeyDelta{}, false, err
	}
	// Read last: what was forgotten between the reads is noticed.
	if values, err = s.revisions(ctx, forgottenRevision); err != nil {
		return fleet.KeyDelta{}, false, err
	}
	if forgotten := values[forgottenRevision]; revision < forgotten {
		return fleet.KeyDelta{}, false, fleet.NewError(fleet.CodeGone, fmt.Sprintf(
			"keys that were deleted up to revision %d are not remembered any more, and %d is older; read all keys again", forgotten, revision), nil)
	}
	newest := upTo
	if len(changed) > limit {
		newest = min(newest, changed[limit].Revision-1)
	}
	if len(deleted) > limit {
		newest = min(newest, deleted[limit].Revision-1)
	}
	delta.UpTo = newest
	whole := slices.IndexFunc(changed, func(row keyRow) bool { return row.Revision > newest })
	if whole < 0 {
		whole = len(changed)
	}
	if delta.Changed, err = s.open(ctx, box, changed[:whole]); err != nil {
		return fleet.KeyDelta{}, false, err
	}
	for _, row := range deleted {
		if row.Revision <= newest {
			delta.Deleted = append(delta.Deleted, fleet.DeletedKey{ID: fleet.KeyID(row.KeyID), GroupID: fleet.GroupID(row.GroupID)})
		}
	}
	return delta, newest < upTo, nil
}

// ForgetDeletedKeys forgets at most 500 of the keys that were deleted before t, oldest first, and returns how many. Call it
// until it returns 0. A node that has not heard of one of them by then has to read all keys again: see KeysSince.
func (s *Store) ForgetDeletedKeys(ctx context.Context, t time.Time) (forgotten int, err error) {
	err = s.write(ctx, "forgetting deleted keys", func(ctx context.Context, tx bun.Tx) error {
		forgotten = 0
		var rows []deletedKeyRow
		err := tx.NewSelect().Model(&rows).Where("deleted_at < ?", s.stamp(t)).Order("revision", "key_id").Limit(maxRows).Scan(ctx)
		if err != nil || len(rows) == 0 {
			return err
		}
		ids := make([]int64, len(rows))
		for i, row := range rows {
			ids[i] = row.KeyID
		}
		if _, err := tx.NewDelete().Model((*deletedKeyRow)(nil)).Where("key_id IN (?)", bun.List(ids)).Exec(ctx); err != nil {
			return err
		}
		forgotten = len(rows)
		newest := rows[len(rows)-1].Revision
		_, err = tx.NewUpdate().Model((*revisionRow)(nil)).Set("value = ?", newest).Where("name = ?", forgottenRevision).Where("value < ?", newest).Exec(ctx)
		return err
	})
	return forgotten, err
}
