package sqlstore

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// The rows of the table revisions. A transaction that raises one does so before it looks at anything else: the row is locked
// until the transaction ends, so revisions follow the order of commits, what is read after it cannot change until the
// commit, and writers of one kind wait for each other in one place instead of meeting crosswise. Who raises both begins
// with the configuration.
const (
	configurationRevision = "configuration"
	settingsRevision      = "settings" // what the configuration's was at the last change of a setting
	keysRevision          = "keys"
	recordsRevision       = "records"        // of the batches of request records: see announce
	forgottenRevision     = "keys_forgotten" // of the newest deletion of a key that deleted_keys does not list any more
)

type revisionRow struct {
	bun.BaseModel `bun:"table:revisions"`
	Name          string `bun:"name,pk"`
	Value         int64  `bun:"value"`
}

// Revision is the number of the newest configuration, 0 before the first. Every write of settings, groups or members
// raises it in the same transaction.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	revisions, err := s.Revisions(ctx)
	return revisions.Configuration, err
}

// Revisions returns the numbers of the newest configuration, of its settings and of the newest change of keys. Everything that
// they count is committed.
func (s *Store) Revisions(ctx context.Context) (fleet.Revisions, error) {
	values, err := s.revisions(ctx, configurationRevision, settingsRevision, keysRevision)
	return fleet.Revisions{Configuration: values[configurationRevision], Settings: values[settingsRevision], Keys: values[keysRevision]}, err
}

// revisions reads some of the rows of the table in one statement, and the database's clock with them.
func (s *Store) revisions(ctx context.Context, names ...string) (map[string]int64, error) {
	var rows []struct {
		Name  string `bun:"name"`
		Value int64  `bun:"value"`
		Clock int64  `bun:"clock"`
	}
	var before, after time.Time
	err := s.read(ctx, "reading the revisions", func(ctx context.Context, db bun.IDB) error {
		q := db.NewSelect().Model((*revisionRow)(nil)).Column("name", "value").Where("name IN (?)", bun.List(names))
		if s.dialect.clock != "" {
			q.ColumnExpr(s.dialect.clock + " AS clock")
		}
		before = time.Now()
		err := q.Scan(ctx, &rows)
		after = time.Now()
		return err
	})
	if err != nil {
		return nil, err
	}
	values := make(map[string]int64, len(rows))
	for _, row := range rows {
		values[row.Name] = row.Value
	}
	if s.dialect.clock != "" && len(rows) > 0 {
		s.clock.measured(before, after, timeOf(rows[0].Clock))
	}
	return values, nil
}

// bump raises a revision, locks it until the transaction ends and returns it.
func bump(ctx context.Context, tx bun.Tx, name string) (revision int64, err error) {
	if _, err := tx.NewUpdate().Model((*revisionRow)(nil)).Set("value = value + 1").Where("name = ?", name).Exec(ctx); err != nil {
		return 0, err
	}
	err = tx.NewSelect().Model((*revisionRow)(nil)).Column("value").Where("name = ?", name).Scan(ctx, &revision)
	return revision, err
}

// lock keeps other writers that raise a revision waiting until the transaction ends, without raising it.
func lock(ctx context.Context, tx bun.Tx, name string) error {
	_, err := tx.NewUpdate().Model((*revisionRow)(nil)).Set("value = value").Where("name = ?", name).Exec(ctx)
	return err
}
