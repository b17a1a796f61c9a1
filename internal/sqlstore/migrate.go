package sqlstore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

//go:embed migrations
var migrationFiles embed.FS

// migrateTries bounds the wait for another process that migrates: each try waits busyTimeout.
const migrateTries = 24

type migration struct {
	version int64
	name    string
	sql     string
}

// Migrate brings the schema up to date. It may be called by several processes at once: one migrates, the others wait
// and find nothing to do; a killed one leaves nothing behind. A database that a newer version migrated is CodeInvalid
// and stays untouched.
func (s *Store) Migrate(ctx context.Context) error {
	known, err := migrations(s.dialect.name)
	if err != nil {
		return err
	}
	const doing = "migrating the database"
	for try := 1; ; try++ {
		var applied []migration
		err := s.write(ctx, doing, func(ctx context.Context, tx bun.Tx) error {
			var err error
			applied, err = migrate(ctx, tx, known)
			return err
		})
		if err != nil {
			if isBusy(err) && try < migrateTries {
				continue
			}
			return err
		}
		for _, m := range applied {
			s.log.Info("database migrated", zap.Int64("version", m.version), zap.String("name", m.name))
		}
		return nil
	}
}

func migrate(ctx context.Context, tx bun.Tx, known []migration) ([]migration, error) {
	const table = `CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT NOT NULL PRIMARY KEY, name VARCHAR(200) NOT NULL, applied_at BIGINT NOT NULL)`
	if _, err := tx.Tx.ExecContext(ctx, table); err != nil {
		return nil, err
	}
	var versions []int64
	if err := tx.NewSelect().Table("schema_migrations").Column("version").Order("version").Scan(ctx, &versions); err != nil {
		return nil, err
	}
	newest := known[len(known)-1].version
	if len(versions) > 0 && versions[len(versions)-1] > newest {
		return nil, fleet.NewError(fleet.CodeInvalid, fmt.Sprintf(
			"the database has schema version %d, made by a newer GPT-Load; this one knows versions up to %d: run the newer GPT-Load, or restore the backup made before the upgrade",
			versions[len(versions)-1], newest), nil)
	}
	var applied []migration
	for _, m := range known {
		if slices.Contains(versions, m.version) {
			continue
		}
		// The plain transaction, because bun would take a question mark in the SQL for a placeholder.
		if _, err := tx.Tx.ExecContext(ctx, m.sql); err != nil {
			return nil, fmt.Errorf("migration %s: %w", m.name, err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO schema_migrations (version, name, applied_at) VALUES (?, ?, ?)", m.version, m.name, micros(now())); err != nil {
			return nil, err
		}
		applied = append(applied, m)
	}
	return applied, nil
}

// migrations lists the embedded files of a dialect, named NNNN_what.sql, in order of their number.
func migrations(dialect string) ([]migration, error) {
	dir := path.Join("migrations", dialect)
	names, err := fs.Glob(migrationFiles, dir+"/*.sql")
	if err != nil {
		return nil, err
	}
	var list []migration
	for _, name := range names {
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		plain := strings.TrimSuffix(path.Base(name), ".sql")
		number, _, _ := strings.Cut(plain, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s: its name does not begin with a number", name)
		}
		list = append(list, migration{version: version, name: plain, sql: string(text)})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no migrations for %s", dialect)
	}
	return list, nil
}
