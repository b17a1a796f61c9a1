package sqlstore

import (
	"context"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// RecordsWritten returns the revision of the newest batch of records, from which RecordsAfter goes on, and how many records were
// written after another revision, as far as their batches are remembered. With a negative revision nothing is counted.
func (s *Store) RecordsWritten(ctx context.Context, after int64) (revision, count int64, err error) {
	err = s.read(ctx, "looking for new request records", func(ctx context.Context, db bun.IDB) error {
		if err := db.NewSelect().Model((*revisionRow)(nil)).Column("value").Where("name = ?", recordsRevision).Scan(ctx, &revision); err != nil {
			return err
		}
		if after < 0 || revision == after {
			return nil
		}
		return db.NewSelect().Model((*batchRow)(nil)).ColumnExpr("COALESCE(SUM(LENGTH(ids)), 0)").
			Where("revision > ?", after).Where("revision <= ?", revision).Scan(ctx, &count)
	})
	return revision, count / int64(len(fleet.RecordID{})), err
}
