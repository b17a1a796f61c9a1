package sqlstore

import (
	"context"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
)

type sourceRow struct {
	bun.BaseModel `bun:"table:record_sources"`
	Source        string `bun:"source,pk"`
	Position      int64  `bun:"position"`
	UpdatedAt     int64  `bun:"updated_at"`
}

const (
	// recordRows is the number of records in one statement: 25 columns of up to 4 KB stay below 1 MB.
	recordRows = 200
	// bodyBytes bounds the captured bytes of one statement; as hexadecimal text they take twice as much.
	bodyBytes = 1 << 20
	// maxSource is the length of a source's name in bytes.
	maxSource = 128
)

// Position returns the position that the batches of a source have reached, 0 for one that is not known.
func (s *Store) Position(ctx context.Context, source string) (position int64, err error) {
	err = s.read(ctx, "reading the position of a spool", func(ctx context.Context, db bun.IDB) error {
		position, err = readPosition(ctx, db, source)
		return err
	})
	return position, err
}

func readPosition(ctx context.Context, db bun.IDB, source string) (int64, error) {
	var found []int64
	err := db.NewSelect().Model((*sourceRow)(nil)).Column("position").Where("source = ?", clean(source, maxSource)).Scan(ctx, &found)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	return found[0], nil
}

// WriteRecords stores a batch exactly once: records, captured bodies, hourly sums and the source's position in one
// transaction. A batch whose position the source has reached is skipped; a record whose id is stored is neither stored nor
// summed again. Texts that a column cannot hold are cleaned and clipped, so no record can block its batch. A batch
// without records moves the position.
func (s *Store) WriteRecords(ctx context.Context, b requestlog.Batch) error {
	source := clean(b.Source, maxSource)
	records, bodies := s.recordRows(b.Records)
	return s.write(ctx, "writing request records", func(ctx context.Context, tx bun.Tx) error {
		reached, err := readPosition(ctx, tx, source)
		if err != nil || reached >= b.Position {
			return err
		}
		fresh, err := insertRecords(ctx, tx, records)
		if err != nil {
			return err
		}
		if err := insertBodies(ctx, tx, bodies, fresh); err != nil {
			return err
		}
		if err := rollUp(ctx, tx, records, fresh); err != nil {
			return err
		}
		row := sourceRow{Source: source, Position: b.Position, UpdatedAt: micros(now())}
		if reached == 0 {
			_, err = tx.NewInsert().Model(&row).Ignore().Exec(ctx)
			if err != nil {
				return err
			}
		}
		_, err = tx.NewUpdate().Model(&row).WherePK().Exec(ctx)
		return err
	})
}

func (s *Store) recordRows(records []fleet.RequestRecord) (rows []recordRow, bodies []bodyRow) {
	rows = make([]recordRow, 0, len(records))
	seen := make(map[fleet.RecordID]bool, len(records))
	for i := range records {
		r := &records[i]
		if seen[r.ID] {
			continue
		}
		seen[r.ID] = true
		row, err := rowOfRecord(r)
		if err != nil { // strings and integers always marshal
			s.log.Error("the attempts of a request record were left out", zap.Stringer("record", r.ID), zap.Error(err))
		}
		rows = append(rows, row)
		if r.Capture != nil {
			bodies = append(bodies, rowOfBodies(r))
		}
	}
	return rows, bodies
}

// insertRecords returns the ids that were not stored before.
func insertRecords(ctx context.Context, tx bun.Tx, rows []recordRow) (map[string]bool, error) {
	fresh := make(map[string]bool, len(rows))
	for len(rows) > 0 {
		part := rows[:min(len(rows), recordRows)]
		rows = rows[len(part):]
		var inserted []struct {
			ID []byte `bun:"id"`
		}
		if err := tx.NewInsert().Model(&part).Ignore().Returning("id").Scan(ctx, &inserted); err != nil {
			return nil, err
		}
		for _, row := range inserted {
			fresh[string(row.ID)] = true
		}
	}
	return fresh, nil
}

func insertBodies(ctx context.Context, tx bun.Tx, bodies []bodyRow, fresh map[string]bool) error {
	var part []bodyRow
	size := 0
	flush := func() error {
		if len(part) == 0 {
			return nil
		}
		_, err := tx.NewInsert().Model(&part).Ignore().Exec(ctx)
		part, size = part[:0], 0
		return err
	}
	for _, body := range bodies {
		if !fresh[string(body.RecordID)] {
			continue
		}
		part = append(part, body)
		size += len(body.Request) + len(body.Response)
		if size >= bodyBytes || len(part) == recordRows {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
