package sqlstore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

//go:embed migrations
var migrationFiles embed.FS

const (
	// migrateTries bounds the wait for another process that migrates an SQLite file: each try waits busyTimeout.
	migrateTries = 24
	// migratePatience bounds a migration whose caller set no deadline, with the wait for another process that migrates.
	migratePatience = 10 * time.Minute
	// schemaPause is between two looks for the schema that another node is to make.
	schemaPause = time.Second
)

type migration struct {
	version int64
	name    string
	sql     string
}

// Migrate brings the schema up to date. It may be called by several processes at once: one migrates, the others wait
// and find nothing to do; a killed one leaves nothing behind that the next cannot complete. A database that a newer
// version migrated is CodeInvalid and stays untouched.
func (s *Store) Migrate(ctx context.Context) error {
	const doing = "migrating the database"
	known, err := migrations(s.dialect.name)
	if err != nil {
		return err
	}
	if s.closed.Load() {
		return errClosed(doing)
	}
	ctx, cancel := withPatience(ctx, migratePatience)
	defer cancel()
	for try := 1; ; try++ {
		var applied []migration
		err := s.dialect.alone(ctx, s, func(ctx context.Context, db session) error {
			var err error
			applied, err = s.migrate(ctx, db, known)
			return err
		})
		if err == nil {
			for _, m := range applied {
				s.log.Info("database migrated", zap.Int64("version", m.version), zap.String("name", m.name))
			}
			return nil
		}
		if !isBusy(err) || try == migrateTries {
			return translate(doing, orEnded(ctx, err))
		}
	}
}

func (s *Store) migrate(ctx context.Context, db session, known []migration) ([]migration, error) {
	const table = `CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT NOT NULL PRIMARY KEY, name VARCHAR(200) NOT NULL, applied_at BIGINT NOT NULL)`
	if _, err := db.ExecContext(ctx, table); err != nil {
		return nil, err
	}
	reached, err := schemaVersion(ctx, db)
	if err != nil {
		return nil, err
	}
	if err := checkVersion(reached, known); err != nil {
		return nil, err
	}
	var applied []migration
	for _, m := range known {
		if m.version <= reached {
			continue
		}
		for _, statement := range s.dialect.split(m.sql) {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return nil, fmt.Errorf("migration %s: %w", m.name, err)
			}
		}
		// Without placeholders, whose spelling differs; the name is that of a file of ours.
		done := fmt.Sprintf("INSERT INTO schema_migrations (version, name, applied_at) VALUES (%d, '%s', %d)", m.version, m.name, micros(now()))
		if _, err := db.ExecContext(ctx, done); err != nil {
			return nil, err
		}
		applied = append(applied, m)
	}
	return applied, nil
}

// schemaVersion is the newest version that is complete, 0 for none. Migrations are applied in order, so the others are too.
func schemaVersion(ctx context.Context, db session) (version int64, err error) {
	rows, err := db.QueryContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_migrations")
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := rows.Scan(&version); err != nil {
			return 0, err
		}
	}
	return version, rows.Err()
}

func checkVersion(reached int64, known []migration) error {
	newest := known[len(known)-1].version
	if reached <= newest {
		return nil
	}
	return fleet.NewError(fleet.CodeInvalid, fmt.Sprintf(
		"the database has schema version %d, made by a newer GPT-Load; this one knows versions up to %d: run the newer GPT-Load, or restore the backup made before the upgrade",
		reached, newest), nil)
}

// AwaitSchema waits until the database has the schema that this version needs, for a node that does not make it itself. It
// waits for the database, too, and ends with ctx, with CodeInvalid for a database that a newer version migrated, or with
// CodeInvalid for an account that the database refuses. It logs once what it waits for.
func (s *Store) AwaitSchema(ctx context.Context) error {
	known, err := migrations(s.dialect.name)
	if err != nil {
		return err
	}
	newest := known[len(known)-1].version
	said := ""
	for {
		var reached int64
		err := s.read(ctx, "looking for the schema of the database", func(ctx context.Context, _ bun.IDB) (err error) {
			reached, err = schemaVersion(ctx, s.reader.DB)
			return err
		})
		waits := ""
		switch {
		case err == nil && reached == newest:
			return nil
		case err == nil && reached > newest:
			return checkVersion(reached, known)
		case err == nil || isNoTable(err):
			waits = "the schema of the database is older than this node needs; waiting for a candidate (IS_SLAVE=false) of this version to migrate it"
		case fleet.CodeOf(err) == fleet.CodeUnavailable:
			waits = "the database cannot be asked for its schema; waiting for it"
		default:
			return err
		}
		if ctx.Err() != nil {
			return translate("waiting for the schema of the database", ctx.Err())
		}
		if waits != said {
			s.log.Info(waits, zap.Int64("version", reached), zap.Int64("needed", newest), zap.Error(err))
			said = waits
		}
		if err := rest(ctx, schemaPause); err != nil {
			return translate("waiting for the schema of the database", err)
		}
	}
}

// SchemaVersions returns the version of the schema that the database has, 0 for none of ours, and the one that this version
// needs. A database that a newer version migrated is CodeInvalid.
func (s *Store) SchemaVersions(ctx context.Context) (has, needs int64, err error) {
	known, err := migrations(s.dialect.name)
	if err != nil {
		return 0, 0, err
	}
	err = s.read(ctx, "looking for the schema of the database", func(ctx context.Context, _ bun.IDB) error {
		has, err = schemaVersion(ctx, s.reader.DB)
		if isNoTable(err) {
			return nil
		}
		return err
	})
	if err == nil {
		err = checkVersion(has, known)
	}
	return has, known[len(known)-1].version, err
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
