package sqlstore

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"gpt-load/internal/secret"
)

// maxRows is the number of rows that one statement touches, and that one transaction of bulk work changes:
// small enough for every database's statement limits (MariaDB's default max_allowed_packet is 16 MB) and for
// other writers to get their turn every few milliseconds.
const maxRows = 500

// Store is the database. It is safe for concurrent use.
type Store struct {
	writer  *bun.DB
	reader  *bun.DB // the same as writer but for an SQLite file that is open to others
	dialect *dialect
	clock   clock
	full    fullTimes
	log     *zap.Logger
	// scanTime is recordScanTime, shorter in tests.
	scanTime time.Duration
	node     string

	box      atomic.Pointer[secret.Box] // that secrets are sealed with; nil until Unlock
	unlocked atomic.Pointer[secret.Box] // as given to Unlock
	closed   atomic.Bool

	// Bounds of a look for keys: see keyscan.go. Tests lower them.
	smallGroup  int
	keyScanTime time.Duration
}

// Options are what a store needs beside its address.
type Options struct {
	Logger *zap.Logger // nil logs nothing
	Node   string      // this node, as the events of the audit log name it
	// Existing does not make an SQLite file that is not there.
	Existing bool
	// Alone keeps every other process out of an SQLite file until Close, and is refused, with CodeUnavailable, while another
	// one has it open. A server knows nothing of the kind.
	Alone bool
}

// Open opens the database that DATABASE_DSN names and makes an SQLite file, with mode 0600, and its folder, with
// mode 0700, when they are not there. A server need not answer: every call tries to reach it. It reads and writes no
// table: call Migrate or AwaitSchema, and Unlock next. A DSN that it does not understand is a CodeInvalid error that names
// the accepted forms and does not quote the DSN, which may hold a password.
func Open(ctx context.Context, dsn string, opts Options) (*Store, error) {
	log := opts.Logger
	if log == nil {
		log = zap.NewNop()
	}
	s := &Store{log: log, node: opts.Node, clock: clock{log: log}, scanTime: recordScanTime, smallGroup: smallGroup, keyScanTime: keyScanTime}
	to, err := parseDSN(dsn)
	switch {
	case err != nil:
	case to.postgres != nil:
		s.dialect, s.writer = &postgresDialect, openPostgres(to.postgres)
		s.reader = s.writer
	case to.mysql != nil:
		s.dialect = &mysqlDialect
		s.writer, err = openMySQL(to.mysql)
		s.reader = s.writer
	default:
		s.dialect = &sqliteDialect
		if opts.Existing {
			err = mustExist(to.file)
		}
		switch {
		case err != nil:
		case opts.Alone:
			s.writer, err = openSQLiteAlone(ctx, to.file)
			s.reader = s.writer
		default:
			s.writer, s.reader, err = openSQLite(ctx, to.file)
		}
	}
	if err != nil {
		return nil, translate("opening the database", err)
	}
	return s, nil
}

// Close closes the database, an SQLite file after it waited for running statements. Later calls answer CodeUnavailable.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var err error
	if s.reader != s.writer {
		err = s.reader.Close()
	}
	// The last connection to close writes the log back into the file and removes it.
	if werr := s.writer.Close(); err == nil {
		err = werr
	}
	if s.Shared() {
		return nil // what a server that is away makes of a good-bye is nothing to act on
	}
	return translate("closing the database", err)
}

// Shared tells whether several nodes can use the database: a server, not a file.
func (s *Store) Shared() bool { return s.dialect != &sqliteDialect }

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, "asking the database", func(ctx context.Context, db bun.IDB) error {
		_, err := db.ExecContext(ctx, "SELECT 1")
		return err
	})
}

const (
	// writeTries is how often a transaction is tried that the database undid because it met another one.
	writeTries = 5
	// writePause is before the second try, at most; it doubles before each further one.
	writePause = 20 * time.Millisecond
)

// write runs fn in one write transaction, and again when the database undid it because it met another one: fn starts from
// nothing each time. doing names the work in errors, such as "saving the group".
func (s *Store) write(ctx context.Context, doing string, fn func(ctx context.Context, tx bun.Tx) error) error {
	if s.closed.Load() {
		return errClosed(doing)
	}
	ctx, cancel := withPatience(ctx, s.dialect.patience)
	defer cancel()
	for try := 1; ; try++ {
		err := s.writer.RunInTx(ctx, nil, fn)
		if !isCollision(err) || try == writeTries || ctx.Err() != nil {
			return translate(doing, orEnded(ctx, err))
		}
		// Of two that met one goes first; with pauses of the same length they would meet again.
		if err := rest(ctx, rand.N(writePause<<(try-1))); err != nil {
			return translate(doing, err)
		}
	}
}

// read runs fn against the readers, outside of a transaction.
func (s *Store) read(ctx context.Context, doing string, fn func(ctx context.Context, db bun.IDB) error) error {
	if s.closed.Load() {
		return errClosed(doing)
	}
	ctx, cancel := withPatience(ctx, s.dialect.patience)
	defer cancel()
	return translate(doing, orEnded(ctx, fn(ctx, s.reader)))
}

// withPatience bounds work whose caller set no deadline; 0 does not.
func withPatience(ctx context.Context, patience time.Duration) (context.Context, context.CancelFunc) {
	if _, set := ctx.Deadline(); set || patience == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, patience)
}

// orEnded is the context's error where there is one: what a driver says of a statement cut short is noise.
func orEnded(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// rest waits, and returns the context's error when that ends first.
func rest(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
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
