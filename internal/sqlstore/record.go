package sqlstore

import (
	"context"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// Records returns one page, newest first, with attempts and without bodies, and the cursor of the next one, empty at the end.
//
// Time, groups, failing classes and (not on MySQL) failing statuses are found by indexes. What else a query asks for is looked
// for in what those leave, a window of records after the other, for recordScanTime: then the page ends where the look came
// to, with fewer records than asked for, or none, and the cursor goes on from there.
func (s *Store) Records(ctx context.Context, q fleet.RecordQuery) (page []fleet.RequestRecord, next string, err error) {
	scan := recordScan{store: s, q: q, limit: pageSize(q.Limit)}
	if q.Cursor != "" {
		id, err := fleet.ParseRecordID(q.Cursor)
		if err != nil {
			return nil, "", badCursor()
		}
		scan.before = id[:]
	}
	err = s.read(ctx, "reading request records", scan.run)
	if err != nil {
		return nil, "", err
	}
	if scan.next != nil {
		next = fleet.RecordID(scan.next).String()
	}
	return scan.records(), next, nil
}

// Record returns one record with its attempts and bodies, or CodeNotFound.
func (s *Store) Record(ctx context.Context, id fleet.RecordID) (fleet.RequestRecord, error) {
	var row recordRow
	var bodies []bodyRow
	err := s.read(ctx, "reading the request record", func(ctx context.Context, db bun.IDB) error {
		err := db.NewSelect().Model(&row).Where("id = ?", id[:]).Scan(ctx)
		if err != nil {
			return notFound(err, "there is no request record with id "+id.String()+"; it may be past request_log_retention_days")
		}
		return db.NewSelect().Model(&bodies).Where("record_id = ?", id[:]).Scan(ctx)
	})
	if err != nil {
		return fleet.RequestRecord{}, err
	}
	record := row.record()
	if len(bodies) > 0 {
		b := bodies[0]
		record.Capture = &fleet.BodyCapture{Request: b.Request, Response: b.Response, RequestTruncated: b.RequestTruncated, ResponseTruncated: b.ResponseTruncated}
	}
	return record, nil
}
