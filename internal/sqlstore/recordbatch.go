package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

const (
	// batchesKept is how many batches are remembered for who follows the records: 64 MiB of ids at most, a quarter of an hour of
	// 5,000 requests a second and more of fewer.
	batchesKept = 4096
	// batchesForgotten is how many are forgotten at a time.
	batchesForgotten = 64
)

type batchRow struct {
	bun.BaseModel `bun:"table:record_batches"`
	Revision      int64  `bun:"revision,pk"`
	IDs           []byte `bun:"ids"`
}

// announce raises the revision of records and stores the ids of a batch under it. Unlike those who raise the other revisions it
// comes after what it counts: what it locks until the commit is only the order of batches, and the sums.
func announce(ctx context.Context, tx bun.Tx, ids []byte) error {
	revision, err := bump(ctx, tx, recordsRevision)
	if err != nil {
		return err
	}
	if _, err := tx.NewInsert().Model(&batchRow{Revision: revision, IDs: ids}).Exec(ctx); err != nil {
		return err
	}
	if revision%batchesForgotten != 0 {
		return nil
	}
	_, err = tx.NewDelete().Model((*batchRow)(nil)).Where("revision <= ?", revision-batchesKept).Exec(ctx)
	return err
}

// tailBatches bounds the batches of one call of RecordsAfter, and tailRecords the records that it looks at.
const (
	tailBatches = 16
	tailRecords = 1000
)

// LatestRecords returns the newest records that match, newest first, as Records does, and the cursor that RecordsAfter
// goes on from. Both are of one moment: a record is here, or comes after the cursor, and never both.
func (s *Store) LatestRecords(ctx context.Context, q fleet.RecordQuery) (latest []fleet.RequestRecord, cursor string, err error) {
	scan := recordScan{store: s, q: q, limit: pageSize(q.Limit)}
	revision := int64(0)
	err = s.read(ctx, "reading the latest request records", func(ctx context.Context, db bun.IDB) error {
		return db.RunInTx(ctx, s.dialect.snapshot, func(ctx context.Context, tx bun.Tx) error {
			if err := tx.NewSelect().Model((*revisionRow)(nil)).Column("value").Where("name = ?", recordsRevision).Scan(ctx, &revision); err != nil {
				return err
			}
			return scan.run(ctx, tx)
		})
	})
	if err != nil {
		return nil, "", err
	}
	return scan.records(), strconv.FormatInt(revision, 10), nil
}

// RecordsAfter returns the records that were written after a cursor and match, in the order in which they were written, and
// the cursor to go on from. More says that there may be others already. It looks at a thousand records at most, so it may
// return few or none although there are more. Each record is returned once, however long its request took and whichever
// node wrote it.
//
// A cursor that is too old is CodeGone: the last 4,096 batches are remembered, a quarter of an hour at least. Limit and Cursor of
// the query are not used.
func (s *Store) RecordsAfter(ctx context.Context, cursor string, q fleet.RecordQuery) (records []fleet.RequestRecord, next string, more bool, err error) {
	at, err := parseTailCursor(cursor)
	if err != nil {
		return nil, "", false, err
	}
	var rows []recordRow
	err = s.read(ctx, "following request records", func(ctx context.Context, db bun.IDB) error {
		var ids [][]byte
		if ids, at, more, err = idsAfter(ctx, db, at); err != nil {
			return err
		}
		rows, err = s.recordsOf(ctx, db, ids, q)
		return err
	})
	if err != nil {
		return nil, "", false, err
	}
	scan := recordScan{rows: rows}
	return scan.records(), at.String(), more, nil
}

// tailCursor says what was seen: all batches up to a revision, and some records of the next one.
type tailCursor struct{ revision, records int64 }

func parseTailCursor(text string) (c tailCursor, err error) {
	revision, records, within := strings.Cut(text, ".")
	c.revision, err = strconv.ParseInt(revision, 10, 64)
	if err == nil && within {
		c.records, err = strconv.ParseInt(records, 10, 64)
	}
	if err != nil || c.revision < 0 || c.records < 0 {
		return c, badCursor()
	}
	return c, nil
}

// String is what parseTailCursor reads.
func (c tailCursor) String() string {
	if c.records == 0 {
		return strconv.FormatInt(c.revision, 10)
	}
	return fmt.Sprintf("%d.%d", c.revision, c.records)
}

// idsAfter lists the ids of the next records in the order in which they were written.
func idsAfter(ctx context.Context, db bun.IDB, at tailCursor) (ids [][]byte, next tailCursor, more bool, err error) {
	var newest int64
	if err := db.NewSelect().Model((*revisionRow)(nil)).Column("value").Where("name = ?", recordsRevision).Scan(ctx, &newest); err != nil {
		return nil, at, false, err
	}
	var batches []batchRow
	if err := db.NewSelect().Model(&batches).Where("revision > ?", at.revision).Order("revision").Limit(tailBatches).Scan(ctx); err != nil {
		return nil, at, false, err
	}
	forgotten := len(batches) > 0 && batches[0].Revision != at.revision+1 || len(batches) == 0 && newest != at.revision
	if forgotten {
		return nil, at, false, fleet.NewError(fleet.CodeGone, "what was written after this cursor is not remembered any more: begin again without one, and list the records for what lies between", nil)
	}
	const size = int64(len(fleet.RecordID{}))
	next = at
	for _, batch := range batches {
		here := int64(len(batch.IDs)) / size
		for i := next.records; i < here; i++ {
			if len(ids) == tailRecords {
				return ids, next, true, nil
			}
			ids = append(ids, batch.IDs[i*size:(i+1)*size])
			next.records++
		}
		next = tailCursor{revision: batch.Revision}
	}
	return ids, next, next.revision < newest, nil
}

// recordsOf reads the records that match, in the order of ids.
func (s *Store) recordsOf(ctx context.Context, db bun.IDB, ids [][]byte, q fleet.RecordQuery) ([]recordRow, error) {
	found := make(map[string]recordRow, len(ids))
	err := chunks(ids, func(part [][]byte) error {
		var rows []recordRow
		sel := db.NewSelect().Model(&rows).Where("id IN (?)", bun.List(part))
		s.filterRecords(sel, q)
		if err := sel.Scan(ctx); err != nil {
			return err
		}
		for _, row := range rows {
			found[string(row.ID)] = row
		}
		return nil
	})
	list := make([]recordRow, 0, len(found))
	for _, id := range ids {
		if row, ok := found[string(id)]; ok {
			list = append(list, row)
		}
	}
	return list, err
}
