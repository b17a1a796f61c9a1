package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/sqlstore"
	"gpt-load/internal/testenv"
)

// server is a database server of the test's own.
type server interface {
	NewDatabase(tb testing.TB) string
	DSN(database string) string
	DSNAt(address, database string) string
	Address() string
	Freeze() error
	Thaw() error
	Kill() error
	Restart(ctx context.Context) error
	SQL(ctx context.Context, database, statements string) (string, error)
}

// eachServer runs a test on the servers that all tests share. A test that hurts its server takes eachOwnServer.
func eachServer(t *testing.T, test func(t *testing.T, s server)) {
	t.Run("PostgreSQL", func(t *testing.T) { test(t, testenv.Postgres(t)) })
	t.Run("MariaDB", func(t *testing.T) { test(t, testenv.MariaDB(t)) })
}

func eachOwnServer(t *testing.T, test func(t *testing.T, s server)) {
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, testenv.NewPostgres(t))
	})
	t.Run("MariaDB", func(t *testing.T) {
		t.Parallel()
		test(t, testenv.NewMariaDB(t))
	})
}

// every is one call of each kind.
var every = map[string]func(ctx context.Context, s *sqlstore.Store) error{
	"ping":      func(ctx context.Context, s *sqlstore.Store) error { return s.Ping(ctx) },
	"revisions": func(ctx context.Context, s *sqlstore.Store) error { _, err := s.Revisions(ctx); return err },
	"groups":    func(ctx context.Context, s *sqlstore.Store) error { _, err := s.Groups(ctx); return err },
	"settings": func(ctx context.Context, s *sqlstore.Store) error {
		_, err := s.SaveSettings(ctx, map[string]string{"max_retries": "1"}, nil)
		return err
	},
	"keys": func(ctx context.Context, s *sqlstore.Store) error {
		return s.EachKey(ctx, 0, func([]fleet.Key) error { return nil })
	},
	"changes": func(ctx context.Context, s *sqlstore.Store) error {
		return s.ApplyKeyChanges(ctx, []fleet.KeyChange{{KeyID: 1, GroupID: 1, State: fleet.KeyActive, At: time.Now()}})
	},
	"records": func(ctx context.Context, s *sqlstore.Store) error {
		return s.WriteRecords(ctx, requestlog.Batch{Source: "spool", Position: time.Now().UnixNano(), Records: []fleet.RequestRecord{record(int(time.Now().UnixNano() % 1e6))}})
	},
	"migrate": func(ctx context.Context, s *sqlstore.Store) error { return s.Migrate(ctx) },
}

// TestAServerThatIsAway freezes, kills and cuts off a server: calls end by their deadlines with a reason, and the same store
// works again as soon as the server does.
func TestAServerThatIsAway(t *testing.T) {
	eachOwnServer(t, func(t *testing.T, server server) {
		dsn := server.NewDatabase(t)
		database := dsn[strings.LastIndexByte(dsn, '/')+1:]
		database, _, _ = strings.Cut(database, "?")
		link := testenv.NewTCPProxy(t, server.Address())
		s := openAt(t, server.DSNAt(link.Addr(), database), passphrase)
		const patience = 300 * time.Millisecond
		away := func(t *testing.T) {
			t.Helper()
			for name, call := range every {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				begun := time.Now()
				err := call(ctx, s)
				cancel()
				if wantCode(t, err, fleet.CodeUnavailable); fleet.CodeOf(err) == fleet.CodeInternal {
					t.Errorf("%s: %v", name, errors.Unwrap(err))
				}
				if took := time.Since(begun); took > 5*time.Second {
					t.Errorf("%s took %v, its deadline was %v", name, took, patience)
				}
			}
		}
		back := func(t *testing.T) {
			t.Helper()
			for name, call := range every {
				if err := call(t.Context(), s); err != nil {
					t.Errorf("%s after the server was back: %v", name, err)
				}
			}
		}
		back(t)
		for name, fault := range map[string]struct{ begin, end func() error }{
			"Frozen":  {server.Freeze, server.Thaw},
			"Killed":  {server.Kill, func() error { return server.Restart(t.Context()) }},
			"Cut":     {func() error { link.Cut(); return nil }, link.Heal},
			"Refused": {func() error { link.Refuse(); return nil }, link.Heal},
		} {
			t.Run(name, func(t *testing.T) {
				if err := fault.begin(); err != nil {
					t.Fatal(err)
				}
				away(t)
				if err := fault.end(); err != nil {
					t.Fatal(err)
				}
				back(t)
			})
		}
		t.Run("AtStart", func(t *testing.T) {
			link.Refuse()
			late := must(sqlstore.Open(t.Context(), server.DSNAt(link.Addr(), database), sqlstore.Options{}))(t)
			defer func() { _ = late.Close() }()
			err := late.Ping(t.Context())
			wantCode(t, err, fleet.CodeUnavailable)
			if err == nil || !strings.Contains(err.Error(), "DATABASE_DSN") {
				t.Errorf("a server that is away: %v", err)
			}
			waited := make(chan error, 1)
			go func() { waited <- late.AwaitSchema(t.Context()) }()
			if err := link.Heal(); err != nil {
				t.Fatal(err)
			}
			if err := <-waited; err != nil {
				t.Errorf("waiting for a server that comes: %v", err)
			}
		})
	})
}

// TestWrongAddresses names what is wrong, and nothing secret.
func TestWrongAddresses(t *testing.T) {
	eachServer(t, func(t *testing.T, server server) {
		ctx := t.Context()
		right := server.NewDatabase(t)
		openAt(t, right, "")
		nobody, err := url.Parse("tcp://" + closedPort(t))
		if err != nil {
			t.Fatal(err)
		}
		password := passwordOf(server)
		for name, c := range map[string]struct {
			dsn  string
			code fleet.Code
			says string
		}{
			"password":    {strings.Replace(right, password, "hunter22", 1), fleet.CodeInvalid, "password"},
			"user":        {strings.Replace(right, "gptload:", "nobody:", 1), fleet.CodeInvalid, "user"},
			"database":    {server.DSN("no_such_database"), fleet.CodeInvalid, "does not exist"},
			"unreachable": {server.DSNAt(nobody.Host, "x"), fleet.CodeUnavailable, "cannot be reached"},
			"no host":     {server.DSNAt("no-such-host.invalid:1", "x"), fleet.CodeUnavailable, "cannot be reached"},
			"certificate": {withTLS(right), fleet.CodeInvalid, "certificate"},
		} {
			s := must(sqlstore.Open(ctx, c.dsn, sqlstore.Options{}))(t)
			for call, err := range map[string]error{"ping": s.Ping(ctx), "migrate": s.Migrate(ctx)} {
				wantCode(t, err, c.code)
				if err == nil {
					continue
				}
				if said := err.Error(); !strings.Contains(said, c.says) || !strings.Contains(said, "DATABASE_DSN") ||
					strings.Contains(said, password) || strings.Contains(said, "hunter22") {
					t.Errorf("%s, %s: %v", name, call, err)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func passwordOf(s server) string {
	switch s := s.(type) {
	case *testenv.PostgresServer:
		return s.Password
	case *testenv.MariaDBServer:
		return s.Password
	}
	return ""
}

// withTLS asks for a certificate of an authority that the machine trusts.
func withTLS(dsn string) string {
	if trimmed, ok := strings.CutSuffix(dsn, "sslmode=disable"); ok {
		return trimmed + "sslmode=verify-full&sslrootcert=system"
	}
	return dsn + "?tls=true"
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	p := testenv.NewTCPProxy(t, "127.0.0.1:1")
	p.Refuse()
	return p.Addr()
}

// TestForms opens one database by every form of its address.
func TestForms(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		server := testenv.Postgres(t)
		dsn := server.NewDatabase(t)
		openAt(t, dsn, "")
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		words := fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s", u.Hostname(), u.Port(), u.User.Username(), server.Password, u.Path[1:])
		for _, form := range []string{
			dsn, " " + strings.Replace(dsn, "postgres:", "postgresql:", 1) + " ", strings.Replace(dsn, "postgres:", "Postgres:", 1), words + " sslmode=disable",
			words + " sslmode=verify-full sslrootcert=" + server.Certificate.AuthorityFile,
		} {
			s := migrated(t, form)
			if form == dsn && !s.Shared() {
				t.Error("a server is not for several nodes")
			}
		}
	})
	t.Run("MariaDB", func(t *testing.T) {
		server := testenv.MariaDB(t)
		dsn := server.NewDatabase(t)
		openAt(t, dsn, "")
		account, database := dsn[:strings.IndexByte(dsn, '@')], dsn[strings.LastIndexByte(dsn, '/')+1:]
		for _, form := range []string{
			dsn, dsn + "?tls=skip-verify&charset=latin1&clientFoundRows=false&sql_mode=ANSI", account + "@unix(" + server.Socket() + ")/" + database,
			"mysql://" + account + "@" + server.Address() + "/" + database, "MySQL://" + account + "@" + server.Address() + "/" + database + "?tls=skip-verify",
		} {
			s := migrated(t, form)
			g, err := s.CreateGroup(t.Context(), fleet.Group{Name: fmt.Sprint("g", len(form)), Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI, Description: `"组" \ 'x'`})
			if fleet.CodeOf(err) != fleet.CodeUnavailable { // locked: nothing is written without the passphrase
				t.Errorf("%+v, %v", g, err)
			}
		}
	})
}

// TestAKilledMigrator leaves the schema in every state that it can be left in, and the next one completes it.
func TestAKilledMigrator(t *testing.T) {
	eachServer(t, func(t *testing.T, server server) {
		kill, reached := killMySQL, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()"
		if _, ok := server.(*testenv.PostgresServer); ok {
			// Nothing of a transaction shows before its end; each of its CREATEs holds more locks.
			kill, reached = killPostgres, "SELECT COUNT(DISTINCT relation) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
		}
		for _, tables := range []int{1, 3, 6, 11} {
			dsn := server.NewDatabase(t)
			db := rawDB(t, dsn)
			db.SetMaxOpenConns(1)
			s := must(sqlstore.Open(t.Context(), dsn, sqlstore.Options{}))(t)
			ended := make(chan error, 1)
			go func() { ended <- s.Migrate(t.Context()) }()
			for there := 0; there < tables && len(ended) == 0; {
				if err := db.QueryRowContext(t.Context(), reached).Scan(&there); err != nil {
					t.Fatal(err)
				}
			}
			kill(t, db)
			if err := <-ended; err != nil {
				wantCode(t, err, fleet.CodeUnavailable)
			}
			if err := s.Migrate(t.Context()); err != nil {
				t.Errorf("after a migrator that was killed at %d tables: %v", tables, err)
			}
			if err := unlock(s, passphrase); err != nil {
				t.Error(err)
			}
			addGroup(t, s, standard("g"))
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			_ = db.Close()
		}
	})
}
