package sqlstore

import (
	"context"
	"errors"
	"time"

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

// maxSource is the length of a source's name in bytes.
const maxSource = 128

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

// WriteRecords stores a batch exactly once: records, captured bodies, sums and the source's position in one
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
		reached, err := lockSource(ctx, tx, source)
		if err != nil || reached >= b.Position {
			return err
		}
		records := b.Records
		if look {
			if records, err = newRecords(ctx, tx, records); err != nil {
				return err
			}
		}
		insert := s.dialect.records(tx)
		defer insert.close()
		sums, err := s.insertRecords(ctx, insert, records)
		if err != nil {
			return err
		}
		if len(records) > 0 {
			if err := s.count(ctx, tx, records, &sums); err != nil {
				return err
			}
		}
		if err := insert.usage(ctx, usageOf(sums.usage)); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model((*sourceRow)(nil)).Set("position = ?", b.Position).Where("source = ?", source).Exec(ctx)
		return err
	})
}

// count tells who follows of the batch and adds its sums.
func (s *Store) count(ctx context.Context, tx bun.Tx, records []fleet.RequestRecord, sums *recordSums) error {
	ids := make([]byte, 0, len(records)*len(fleet.RecordID{}))
	for i := range records {
		ids = append(ids, records[i].ID[:]...)
	}
	if err := announce(ctx, tx, ids); err != nil {
		return err
	}
	if err := s.rollUp(ctx, tx, &hourlyStats, sums.hours); err != nil {
		return err
	}
	if err := s.rollUp(ctx, tx, &minuteStats, sums.minutes); err != nil {
		return err
	}
	return s.rollUp(ctx, tx, &keyStats, sums.attempts)
}

// lockSource returns the position of a source and keeps other writers of the same source out until the transaction ends: of
// two leaders that overlap for a moment, the second finds that there is nothing left to do.
func lockSource(ctx context.Context, tx bun.Tx, source string) (int64, error) {
	row := sourceRow{Source: source, UpdatedAt: micros(now())}
	result, err := tx.NewUpdate().Model(&row).Column("updated_at").WherePK().Exec(ctx)
	if err != nil {
		return 0, err
	}
	if n, err := result.RowsAffected(); err != nil {
		return 0, err
	} else if n == 0 {
		if _, err := tx.NewInsert().Model(&row).Ignore().Exec(ctx); err != nil {
			return 0, err
		}
		if _, err := tx.NewUpdate().Model(&row).Column("updated_at").WherePK().Exec(ctx); err != nil {
			return 0, err
		}
	}
	return readPosition(ctx, tx, source)
}

// ForgetSources forgets at most 500 of the sources that wrote nothing since t, and returns how many. Call it until it returns 0.
// A source that comes back later is one never heard of: records that it had written and was not told of are known by their ids.
func (s *Store) ForgetSources(ctx context.Context, t time.Time) (forgotten int, err error) {
	err = s.write(ctx, "forgetting spools that are gone", func(ctx context.Context, tx bun.Tx) error {
		forgotten = 0
		var gone []string
		err := tx.NewSelect().Model((*sourceRow)(nil)).Column("source").Where("updated_at < ?", micros(t)).Order("source").Limit(maxRows).Scan(ctx, &gone)
		if err != nil || len(gone) == 0 {
			return err
		}
		// The condition once more: a source may have come back in between.
		result, err := tx.NewDelete().Model((*sourceRow)(nil)).Where("source IN (?)", bun.List(gone)).Where("updated_at < ?", micros(t)).Exec(ctx)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		forgotten = int(n)
		return err
	})
	return forgotten, err
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

// insertRecords inserts the records and sums them up.
func (s *Store) insertRecords(ctx context.Context, insert recordInserter, records []fleet.RequestRecord) (recordSums, error) {
	sums := newRecordSums(&s.full)
	rows := make([]recordRow, 0, min(len(records), insert.room()))
	for len(records) > 0 {
		part := records[:min(len(records), insert.room())]
		records = records[len(part):]
		rows = rows[:0]
		for i := range part {
			rows = append(rows, rowOfRecord(&part[i]))
			sums.add(&rows[i], &part[i])
		}
		if err := insert.records(ctx, rows); err != nil {
			return sums, err
		}
		for i := range part {
			if part[i].Capture == nil {
				continue
			}
			if err := insert.bodies(ctx, rowOfBodies(&part[i])); err != nil {
				return sums, err
			}
		}
	}
	return sums, nil
}
