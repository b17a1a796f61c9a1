package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

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
	// recordRows is the number of records in one statement: enough to share its cost. With every text at its bound and every
	// character of the details escaped they stay below 8 MB.
	recordRows = 32
	// maxSource is the length of a source's name in bytes.
	maxSource = 128
)

// errStored says that some of the records of a batch are stored already. It leaves WriteRecords only when another node
// writes the same records at the same time, and the batch is worth trying again then.
var errStored = fleet.NewError(fleet.CodeUnavailable, "writing request records: some of them were written by another node meanwhile; try again", nil)

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
//
// That a record is stored already happens only after a fault, because the position skips whole batches. So the batch is
// first written as if all of it were new, which costs no look at any id; the database counts the rows that it took, and
// when one is missing nothing stands, and the batch is written again without those that are found.
func (s *Store) WriteRecords(ctx context.Context, b requestlog.Batch) error {
	err := s.writeBatch(ctx, b, false)
	if errors.Is(err, errStored) {
		err = s.writeBatch(ctx, b, true)
	}
	return err
}

// writeBatch writes the batch in one transaction, or returns errStored when not every record that it tried is new. With
// look it tries only those that are.
func (s *Store) writeBatch(ctx context.Context, b requestlog.Batch, look bool) error {
	source := clean(b.Source, maxSource)
	return s.write(ctx, "writing request records", func(ctx context.Context, tx bun.Tx) error {
		reached, err := readPosition(ctx, tx, source)
		if err != nil || reached >= b.Position {
			return err
		}
		records := b.Records
		if look {
			if records, err = newRecords(ctx, tx, records); err != nil {
				return err
			}
		}
		totals, err := s.insertRecords(ctx, tx, records)
		if err != nil {
			return err
		}
		if err := s.insertBodies(ctx, tx, records); err != nil {
			return err
		}
		if err := rollUp(ctx, tx, totals); err != nil {
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

// newRecords returns the records whose ids are not stored, each id once.
func newRecords(ctx context.Context, tx bun.Tx, records []fleet.RequestRecord) ([]fleet.RequestRecord, error) {
	seen := make(map[string]bool, len(records))
	err := chunks(records, func(part []fleet.RequestRecord) error {
		ids := make([][]byte, len(part))
		for i := range part {
			ids[i] = part[i].ID[:]
		}
		var stored [][]byte
		err := tx.NewSelect().Model((*recordRow)(nil)).Column("id").Where("id IN (?)", bun.List(ids)).Scan(ctx, &stored)
		for _, id := range stored {
			seen[string(id)] = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var fresh []fleet.RequestRecord
	for i := range records {
		if id := string(records[i].ID[:]); !seen[id] {
			seen[id] = true
			fresh = append(fresh, records[i])
		}
	}
	return fresh, nil
}

// insertRecords inserts the records and sums them up. The statement is prepared once and its arguments are bound: the text
// of a statement with the values in it costs more to write and to parse than the rows cost to store.
func (s *Store) insertRecords(ctx context.Context, tx bun.Tx, records []fleet.RequestRecord) (map[statKey]*statRow, error) {
	totals := make(map[statKey]*statRow)
	columns := len(recordColumns)
	var insert preparedInsert
	defer insert.close()
	args := make([]any, 0, min(len(records), recordRows)*columns)
	var texts textArgs
	for len(records) > 0 {
		part := records[:min(len(records), recordRows)]
		records = records[len(part):]
		args = args[:0]
		for i := range part {
			row := rowOfRecord(&part[i])
			args = row.appendArgs(args, &texts)
			addUp(totals, &row, &part[i])
		}
		if err := insert.prepare(ctx, tx, s.dialect.insertNew, "request_records", recordColumns, len(part)); err != nil {
			return nil, err
		}
		if err := insert.exec(ctx, args); err != nil {
			return nil, err
		}
	}
	return totals, nil
}

func (s *Store) insertBodies(ctx context.Context, tx bun.Tx, records []fleet.RequestRecord) error {
	var insert preparedInsert
	defer insert.close()
	for i := range records {
		if records[i].Capture == nil {
			continue
		}
		if err := insert.prepare(ctx, tx, s.dialect.insertNew, "record_bodies", bodyColumns, 1); err != nil {
			return err
		}
		row := rowOfBodies(&records[i])
		if err := insert.exec(ctx, []any{row.RecordID, row.Request, row.Response, row.RequestTruncated, row.ResponseTruncated}); err != nil {
			return err
		}
	}
	return nil
}

// preparedInsert is an INSERT of some rows for the length of a transaction.
type preparedInsert struct {
	stmt *sql.Stmt
	rows int
}

// prepare makes the statement ready for that many rows.
func (p *preparedInsert) prepare(ctx context.Context, tx bun.Tx, spell func(table string, columns []string, rows int) string, table string, columns []string, rows int) error {
	if p.rows == rows {
		return nil
	}
	p.close()
	stmt, err := tx.Tx.PrepareContext(ctx, spell(table, columns, rows))
	if err != nil {
		return err
	}
	p.stmt, p.rows = stmt, rows
	return nil
}

// exec inserts, or returns errStored when a row was there.
//
// A statement takes less than a millisecond; watching the context while it runs would cost a goroutine and two switches. Its
// end is looked for in between, and rolls the transaction back all the same.
func (p *preparedInsert) exec(ctx context.Context, args []any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	result, err := p.stmt.ExecContext(context.WithoutCancel(ctx), args...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && int(n) != p.rows {
		err = errStored
	}
	return err
}

func (p *preparedInsert) close() {
	if p.stmt != nil {
		_ = p.stmt.Close() // the end of the transaction frees what is left
		p.stmt, p.rows = nil, 0
	}
}
