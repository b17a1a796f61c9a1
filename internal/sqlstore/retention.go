package sqlstore

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// DeleteRecordsBefore deletes at most limit of the records that started before t, oldest first, with their bodies, in
// one transaction, and returns how many. Call it until it returns 0; keep limit at some thousands, so that other
// writers get their turn. A limit of 0 or less takes 500.
func (s *Store) DeleteRecordsBefore(ctx context.Context, t time.Time, limit int) (deleted int, err error) {
	if limit <= 0 {
		limit = maxRows
	}
	err = s.write(ctx, "deleting old request records", func(ctx context.Context, tx bun.Tx) error {
		// DELETE ... LIMIT exists only on MariaDB; ids are in the order of time, so the last one of the chunk bounds it.
		var last [][]byte
		err := tx.NewSelect().Model((*recordRow)(nil)).Column("id").Where("id < ?", firstID(t)).Order("id").Limit(int64(limit)).Scan(ctx, &last)
		if err != nil || len(last) == 0 {
			return err
		}
		bound := last[len(last)-1]
		if _, err := tx.NewDelete().Model((*bodyRow)(nil)).Where("record_id <= ?", bound).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewDelete().Model((*recordRow)(nil)).Where("id <= ?", bound).Exec(ctx)
		deleted = len(last)
		return err
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

// DeleteStatsBefore deletes the hourly sums of at most one hour, the oldest before t, and returns how many rows. Call it
// until it returns 0.
func (s *Store) DeleteStatsBefore(ctx context.Context, t time.Time) (deleted int, err error) {
	return s.deleteOldest(ctx, &hourlyStats, t)
}

// TrimStats deletes some of the sums by the minute and by provider key that are past their time, and returns how many rows.
// Call it until it returns 0.
func (s *Store) TrimStats(ctx context.Context) (deleted int, err error) {
	deleted, err = s.deleteOldest(ctx, &minuteStats, now().Add(-fleet.MinutesKept-time.Minute))
	if err != nil || deleted > 0 {
		return deleted, err
	}
	return s.deleteOldest(ctx, &keyStats, now().Add(-fleet.KeyStatsKept-time.Hour))
}

// deleteOldest deletes the rows of the oldest time before t.
func (s *Store) deleteOldest(ctx context.Context, table *statTable, t time.Time) (deleted int, err error) {
	err = s.write(ctx, "deleting old statistics", func(ctx context.Context, tx bun.Tx) error {
		deleted = 0
		column := bun.Ident(table.time)
		var oldest []int64
		err := tx.NewSelect().TableExpr(table.name).Column(table.time).Where("? < ?", column, micros(t)).Order(table.time).Limit(1).Scan(ctx, &oldest)
		if err != nil || len(oldest) == 0 {
			return err
		}
		result, err := tx.NewDelete().TableExpr(table.name).Where("? = ?", column, oldest[0]).Exec(ctx)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		deleted = int(n)
		return err
	})
	return deleted, err
}

// ReclaimSpace gives at most pages free pages of 4 KiB back to the file system and returns how many it gave. It holds
// the write lock meanwhile: some thousands at a time are a good measure. A database that manages its own space returns 0.
func (s *Store) ReclaimSpace(ctx context.Context, pages int) (freed int, err error) {
	const doing = "returning free space"
	if s.dialect.reclaim == nil || pages <= 0 {
		return 0, nil
	}
	if s.closed.Load() {
		return 0, errClosed(doing)
	}
	freed, err = s.dialect.reclaim(ctx, s.writer, pages)
	return freed, translate(doing, err)
}
