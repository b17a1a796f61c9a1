package sqlstore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// maxRows is the number of rows that one statement touches, and that one transaction of bulk work changes:
// small enough for every database's statement limits (MariaDB's default max_allowed_packet is 16 MB) and for
// other writers to get their turn every few milliseconds.
const maxRows = 500

// Store is the database. It is safe for concurrent use.
type Store struct {
	writer  *bun.DB
	reader  *bun.DB // the same as writer where the database serves many writers
	dialect dialect
	log     *zap.Logger

	box    atomic.Pointer[secret.Box] // nil until Unlock
	closed atomic.Bool
}

// Options are what a store needs beside its address.
type Options struct {
	Logger *zap.Logger // nil logs nothing
}

// Open opens the database that DATABASE_DSN names and makes an SQLite file, with mode 0600, and its folder, with
// mode 0700, when they are not there. It reads and writes no table: call Migrate and Unlock next. A DSN that it does not
// understand is a CodeInvalid error that names the accepted forms and does not quote the DSN, which may hold a password.
func Open(ctx context.Context, dsn string, opts Options) (*Store, error) {
	log := opts.Logger
	if log == nil {
		log = zap.NewNop()
	}
	path, err := sqlitePath(dsn)
	if err != nil {
		return nil, err
	}
	writer, reader, err := openSQLite(ctx, path)
	if err != nil {
		return nil, translate("opening the database", err)
	}
	return &Store{writer: writer, reader: reader, dialect: sqliteDialect, log: log}, nil
}

// Close waits for running statements and closes the database. Later calls answer CodeUnavailable.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	err := s.reader.Close()
	// The last connection to close writes the log back into the file and removes it.
	if werr := s.writer.Close(); err == nil {
		err = werr
	}
	return translate("closing the database", err)
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, "asking the database", func(ctx context.Context, db bun.IDB) error {
		_, err := db.ExecContext(ctx, "SELECT 1")
		return err
	})
}

// write runs fn in one write transaction. doing names the work in errors, such as "saving the group".
func (s *Store) write(ctx context.Context, doing string, fn func(ctx context.Context, tx bun.Tx) error) error {
	if s.closed.Load() {
		return errClosed(doing)
	}
	err := s.writer.RunInTx(ctx, nil, fn)
	if err != nil && ctx.Err() != nil {
		// What the driver says of a statement cut short by the context is noise.
		err = ctx.Err()
	}
	return translate(doing, err)
}

// read runs fn against the readers, outside of a transaction.
func (s *Store) read(ctx context.Context, doing string, fn func(ctx context.Context, db bun.IDB) error) error {
	if s.closed.Load() {
		return errClosed(doing)
	}
	err := fn(ctx, s.reader)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return translate(doing, err)
}

// sealer returns the box, or an error when Unlock has not been called: a defect of the caller.
func (s *Store) sealer() (*secret.Box, error) {
	if box := s.box.Load(); box != nil {
		return box, nil
	}
	return nil, fleet.NewError(fleet.CodeInternal, "the store was used for secrets before it was unlocked", nil)
}

// latest is the last moment that any of the databases can be asked about: the end of the year 9999.
var latest = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).UnixMicro()

// micros is the stored form of a time: 0 for the zero time, bounded so that arithmetic on it cannot overflow.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, min(t.UnixMicro(), latest))
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// now is the present with the precision that is stored, so that what a write returns equals what a read gives later.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// chunks calls fn with at most maxRows items at a time.
func chunks[T any](items []T, fn func([]T) error) error {
	for len(items) > 0 {
		n := min(len(items), maxRows)
		if err := fn(items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}
