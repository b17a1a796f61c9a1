package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"gpt-load/internal/fleet"
)

const (
	// busyTimeout is how long a statement waits for another process's write. Our own writes take milliseconds.
	busyTimeout = 5 * time.Second
	// aloneTimeout is busyTimeout for who wants the file alone: who has it open keeps it open.
	aloneTimeout = time.Second
	// openTries bounds waiting for the file while other processes make it: SQLite does not wait for the lock when
	// it switches a new file to WAL.
	openTries = 50
	// readers beside the writer. Reads are pages for people and the load at start; none is on a request's path.
	readers = 4
	// Page caches in KiB of the writer and of each reader, at most. Digests are random, so a bulk import touches the whole
	// of their index: 500,000 keys have 30 MB of it.
	writerCacheKiB = 32 << 10
	readerCacheKiB = 4 << 10
	// walPages is how far the log grows, in pages of 4 KiB, before it is written back into the file. A bulk import dirties
	// the same index pages in every chunk; writing them back every 4,000 instead of every 1,000 saves most of that.
	walPages = 4000
	// walKept is what the log is cut back to after a long transaction made it grow.
	walKept = 64 << 20
)

var sqliteDialect = dialect{
	name:       "sqlite",
	restsUntil: `CAST(substr(key_row.cooldowns, instr(key_row.cooldowns, '{"u":') + 5) AS INTEGER)`,
	restIndex:  true,
	rowOrder:   true,
	alone:      aloneSQLite,
	split:      whole,
	contains:   func(column string) string { return "instr(" + column + ", ?) > 0" },
	failures:   true,
	hex:        func(column string) string { return "hex(" + column + ")" },
	onConflict: doUpdate,
	offered:    excluded,
	returning:  true,
	selectEach: selectFromValues,
	doSet:      " SET ",
	updateEach: updateFromValues,
	bytes:      binary,
	rewrite:    rewriteSQLite,
	insertKeys: insertKeysPrepared,
	records:    func(tx bun.Tx) recordInserter { return newPreparedInsert(tx, insertOrIgnore, sqliteAddUsage, true) },
	reclaim:    reclaimSQLite,
}

// sqliteAddUsage ends an INSERT into key_usage that adds to the rows that are there.
const sqliteAddUsage = " ON CONFLICT (key_id) DO UPDATE SET requests = requests + EXCLUDED.requests, " +
	"failures = failures + EXCLUDED.failures, last_used_at = MAX(last_used_at, EXCLUDED.last_used_at)"

// aloneSQLite is a write transaction: it begins IMMEDIATE, which no two do at once.
func aloneSQLite(ctx context.Context, s *Store, fn func(ctx context.Context, db session) error) error {
	return s.writer.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return fn(ctx, tx.Tx) })
}

func openSQLite(ctx context.Context, path string) (writer, reader *bun.DB, err error) {
	if err := makeFile(path); err != nil {
		return nil, nil, err
	}
	write, err := sql.Open("sqlite", sqliteURI(path, pragmas(writerCacheKiB, true)))
	if err != nil {
		return nil, nil, err
	}
	write.SetMaxOpenConns(1)
	if err := untilOpen(ctx, write); err != nil {
		_ = write.Close()
		return nil, nil, err
	}
	read, err := sql.Open("sqlite", sqliteURI(path, pragmas(readerCacheKiB, false)))
	if err != nil {
		_ = write.Close()
		return nil, nil, err
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return bun.NewDB(write, sqlitedialect.New()), bun.NewDB(read, sqlitedialect.New()), nil
}

// openSQLiteAlone opens the one connection that there is until it closes.
func openSQLiteAlone(ctx context.Context, path string) (*bun.DB, error) {
	if err := makeFile(path); err != nil {
		return nil, err
	}
	p := pragmas(writerCacheKiB, true)
	p.Set("_busy_timeout", strconv.FormatInt(aloneTimeout.Milliseconds(), 10))
	p.Add("_pragma", "locking_mode(EXCLUSIVE)")
	db, err := sql.Open("sqlite", sqliteURI(path, p))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	// The first write takes the lock of the whole file, and in this mode it stays.
	for _, statement := range []string{"BEGIN IMMEDIATE", "COMMIT"} {
		if _, err = db.ExecContext(ctx, statement); err != nil {
			break
		}
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return bun.NewDB(db, sqlitedialect.New()), nil
}

// mustExist refuses a file that is not there.
func mustExist(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fleet.NewError(fleet.CodeInvalid, "DATABASE_DSN names an SQLite file that does not exist", err)
	}
	return nil
}

// pragmas are the driver's own shorthand parameters; it applies auto_vacuum first, which counts only while the file
// is empty.
func pragmas(cacheKiB int, writes bool) url.Values {
	p := url.Values{
		"_busy_timeout": {strconv.FormatInt(busyTimeout.Milliseconds(), 10)},
		"_foreign_keys": {"on"},
		"_dqs":          {"0"}, // a misspelt column is an error, not a string
		"_error_rc":     {"1"},
		"_pragma":       {"cache_size(-" + strconv.Itoa(cacheKiB) + ")"},
	}
	if !writes {
		p.Set("_query_only", "on")
		return p
	}
	p.Set("_auto_vacuum", "INCREMENTAL")
	p.Set("_journal_mode", "WAL")
	p.Set("_synchronous", "NORMAL")
	p.Set("_txlock", "immediate")
	p.Add("_pragma", "journal_size_limit("+strconv.Itoa(walKept)+")")
	p.Add("_pragma", "wal_autocheckpoint("+strconv.Itoa(walPages)+")")
	// The undo log of a single statement is a temporary file otherwise: it took a third of a bulk import.
	p.Add("_pragma", "temp_store(MEMORY)")
	return p
}

// makeFile makes the folder and the file, so that keys are never readable by others, whatever the umask. SQLite gives
// the files beside it (-wal, -shm) the same mode.
func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fleet.NewError(fleet.CodeInvalid, "DATABASE_DSN: the folder of the database file cannot be made", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- the path is the operator's own
	switch {
	case err == nil:
		return file.Close()
	case errors.Is(err, fs.ErrPermission):
		return fleet.NewError(fleet.CodeInvalid, "DATABASE_DSN: the database file cannot be opened for writing; check its owner and mode", err)
	}
	return fleet.NewError(fleet.CodeInvalid, "DATABASE_DSN: the database file cannot be opened; it must be a file in a folder that can be written", err)
}

func untilOpen(ctx context.Context, db *sql.DB) error {
	const between = 100 * time.Millisecond
	for try := 1; ; try++ {
		err := db.PingContext(ctx)
		if err == nil || !isBusy(err) || try == openTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(between):
		}
	}
}

// rewriteSQLite copies all pages in use. PRAGMA secure_delete would not do: pages that are split keep what stood between their
// cells.
func rewriteSQLite(ctx context.Context, db *bun.DB) error {
	for _, statement := range []string{
		"PRAGMA temp_store = FILE", // the copy may be larger than the memory
		"VACUUM",
		"PRAGMA temp_store = MEMORY",
		"PRAGMA wal_checkpoint(TRUNCATE)", // the log has all pages once more
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func reclaimSQLite(ctx context.Context, db *bun.DB, pages int) (freed int, err error) {
	var before, after int
	if err := db.NewRaw("PRAGMA freelist_count").Scan(ctx, &before); err != nil || before == 0 {
		return 0, err
	}
	if _, err := db.ExecContext(ctx, "PRAGMA incremental_vacuum("+strconv.Itoa(pages)+")"); err != nil {
		return 0, err
	}
	if err := db.NewRaw("PRAGMA freelist_count").Scan(ctx, &after); err != nil {
		return 0, err
	}
	// The file shrinks when the log is written back into it; readers that are inside are not waited for.
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
	return before - after, err
}
