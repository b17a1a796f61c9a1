package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// ServerGoroutine is the function in which one goroutine of each running server stands, for goleak.IgnoreAnyFunction.
const ServerGoroutine = "gpt-load/internal/testenv.(*processRun).live"

// stopper is a server of any kind.
type stopper interface{ Stop() error }

// shared is a server that all tests of the process use.
type shared[S stopper] struct {
	begin  func(ctx context.Context, dir string) (S, error)
	mu     sync.Mutex
	tried  bool
	server S
	err    error
}

var (
	sharedPostgres = &shared[*PostgresServer]{begin: StartPostgres}
	sharedMariaDB  = &shared[*MariaDBServer]{begin: StartMariaDB}
	sharedRedis    = &shared[*RedisServer]{begin: func(ctx context.Context, dir string) (*RedisServer, error) {
		return StartRedis(ctx, dir, RedisOptions{})
	}}

	sharedMu   sync.Mutex
	sharedDirs []*Dir
	sharedEnds []stopper
)

func (s *shared[S]) get(tb testing.TB) S {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tried {
		s.tried = true
		s.server, s.err = s.start()
	}
	if s.err != nil {
		tb.Fatal(s.err)
	}
	return s.server
}

func (s *shared[S]) start() (S, error) {
	dir, err := MakeDir()
	if err != nil {
		var none S
		return none, err
	}
	sharedMu.Lock()
	sharedDirs = append(sharedDirs, dir)
	sharedMu.Unlock()
	server, err := s.begin(context.Background(), dir.Path)
	if err == nil {
		sharedMu.Lock()
		sharedEnds = append(sharedEnds, server)
		sharedMu.Unlock()
	}
	return server, err
}

// Tests runs the tests of a package and ends the servers that they shared.
type Tests struct{ m *testing.M }

// WithServers wraps the tests of a package whose tests use Postgres, MariaDB or Redis:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.WithServers(m)) }
//
// or os.Exit(testenv.WithServers(m).Run()).
func WithServers(m *testing.M) *Tests { return &Tests{m: m} }

// Run runs the tests and returns the exit code.
func (t *Tests) Run() int {
	code := t.m.Run()
	if err := endShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

func endShared() error {
	sharedMu.Lock()
	defer sharedMu.Unlock()
	var errs []error
	for _, server := range sharedEnds {
		errs = append(errs, server.Stop())
	}
	for _, dir := range sharedDirs {
		errs = append(errs, dir.Remove())
	}
	sharedEnds, sharedDirs = nil, nil
	return errors.Join(errs...)
}

// Postgres is one server for all tests of the process; TestMain must run them through WithServers. A test that hurts
// its server takes NewPostgres.
func Postgres(tb testing.TB) *PostgresServer {
	tb.Helper()
	return sharedPostgres.get(tb)
}

// MariaDB is one server for all tests of the process, as Postgres is.
func MariaDB(tb testing.TB) *MariaDBServer {
	tb.Helper()
	return sharedMariaDB.get(tb)
}

// Redis is one plain server for all tests of the process, as Postgres is. Tests keep apart by their key prefixes; it
// starts in 50 ms, so a test that flushes, counts or hurts takes NewRedis.
func Redis(tb testing.TB) *RedisServer {
	tb.Helper()
	return sharedRedis.get(tb)
}

// NewPostgres is a server of the test's own.
func NewPostgres(tb testing.TB) *PostgresServer {
	tb.Helper()
	return own(tb, StartPostgres)
}

// NewMariaDB is a server of the test's own.
func NewMariaDB(tb testing.TB) *MariaDBServer {
	tb.Helper()
	return own(tb, StartMariaDB)
}

// NewRedis is a server of the test's own.
func NewRedis(tb testing.TB, options RedisOptions) *RedisServer {
	tb.Helper()
	return own(tb, func(ctx context.Context, dir string) (*RedisServer, error) { return StartRedis(ctx, dir, options) })
}

func own[S stopper](tb testing.TB, begin func(context.Context, string) (S, error)) S {
	tb.Helper()
	server, err := begin(tb.Context(), NewDir(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return server
}

// databases numbers the databases of this process.
var databases atomic.Int64

// NewDatabase makes an empty database for the test and returns its DSN.
func (s *PostgresServer) NewDatabase(tb testing.TB) string {
	tb.Helper()
	return s.DSN(newDatabase(tb, s.CreateDatabase, s.DropDatabase))
}

// NewDatabase makes an empty database for the test and returns its DSN.
func (s *MariaDBServer) NewDatabase(tb testing.TB) string {
	tb.Helper()
	return s.DSN(newDatabase(tb, s.CreateDatabase, s.DropDatabase))
}

func newDatabase(tb testing.TB, create, drop func(context.Context, string) error) string {
	tb.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := create(tb.Context(), name); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// The test's own context has ended. What a dead server keeps goes with its directory.
		ctx, cancel := context.WithTimeout(context.Background(), defaultStopTimeout)
		defer cancel()
		if err := drop(ctx, name); err != nil {
			tb.Logf("dropping database %s: %v", name, err)
		}
	})
	return name
}
