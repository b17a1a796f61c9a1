package sqlstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

type usageRow struct {
	bun.BaseModel `bun:"table:key_usage,alias:key_usage"`
	KeyID         int64 `bun:"key_id,pk"`
	Requests      int64 `bun:"requests"`
	Failures      int64 `bun:"failures"`
	LastUsedAt    int64 `bun:"last_used_at"`
}

// KeyUsage returns what the stored request records say of keys. A key that none of them names is not in the answer.
func (s *Store) KeyUsage(ctx context.Context, ids []fleet.KeyID) (map[fleet.KeyID]fleet.KeyUsage, error) {
	usage := make(map[fleet.KeyID]fleet.KeyUsage, len(ids))
	err := chunks(ids, func(part []fleet.KeyID) error {
		var rows []usageRow
		err := s.read(ctx, "reading the usage of keys", func(ctx context.Context, db bun.IDB) error {
			return db.NewSelect().Model(&rows).Where("key_id IN (?)", bun.List(part)).Scan(ctx)
		})
		for _, row := range rows {
			usage[fleet.KeyID(row.KeyID)] = fleet.KeyUsage{Requests: row.Requests, Failures: row.Failures, LastUsedAt: timeOf(row.LastUsedAt)}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return usage, nil
}

// SweepKeyUsage deletes at most 500 rows of the usage of keys that are gone, and returns how many: a record may be written
// after the key that it names was deleted. Call it until it returns 0.
func (s *Store) SweepKeyUsage(ctx context.Context) (deleted int, err error) {
	const doing = "deleting the usage of keys that are gone"
	var gone []int64
	// The look takes a second with a million keys, so it is outside of the transaction; a key that is gone stays gone.
	err = s.read(ctx, doing, func(ctx context.Context, db bun.IDB) error {
		return db.NewSelect().Model((*usageRow)(nil)).Column("key_id").
			Where("NOT EXISTS (SELECT 1 FROM provider_keys WHERE provider_keys.id = key_usage.key_id)").Limit(maxRows).Scan(ctx, &gone)
	})
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	slices.Sort(gone)
	err = s.write(ctx, doing, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*usageRow)(nil)).Where("key_id IN (?)", bun.List(gone)).Exec(ctx)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(gone), nil
}

// addUsage adds the attempts of a record.
func addUsage(totals map[int64]*usageRow, r *fleet.RequestRecord) {
	for i := range r.Attempts[:min(len(r.Attempts), maxAttempts)] {
		a := &r.Attempts[i]
		if a.KeyID <= 0 {
			continue
		}
		t := totals[int64(a.KeyID)]
		if t == nil {
			t = &usageRow{KeyID: int64(a.KeyID)}
			totals[t.KeyID] = t
		}
		t.Requests++
		switch a.Class {
		case fleet.ClassOK, fleet.ClassClient, fleet.ClassCanceled:
		default:
			t.Failures++
		}
		t.LastUsedAt = max(t.LastUsedAt, micros(r.StartedAt))
	}
}

// usageOf lists the totals in the order of the primary key, as the hourly sums are.
func usageOf(totals map[int64]*usageRow) []usageRow {
	rows := make([]usageRow, 0, len(totals))
	for _, row := range totals {
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b usageRow) int { return cmp.Compare(a.KeyID, b.KeyID) })
	return rows
}

var usageColumns = []string{"key_id", "requests", "failures", "last_used_at"}
