package sqlstore

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/testenv"
)

// frozenServer is a database server of the test's own.
type frozenServer interface {
	NewDatabase(tb testing.TB) string
	Freeze() error
	Thaw() error
}

func eachServer(t *testing.T, test func(t *testing.T, server frozenServer)) {
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, testenv.NewPostgres(t))
	})
	t.Run("MariaDB", func(t *testing.T) {
		t.Parallel()
		test(t, testenv.NewMariaDB(t))
	})
}

func openServer(t *testing.T, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	unlockInternal(t, s)
	return s
}

func unlockInternal(t *testing.T, s *Store) {
	t.Helper()
	install, err := s.Install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	box, err := secret.NewBox(secret.Text{}, install.Salt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(t.Context(), box); err != nil {
		t.Fatal(err)
	}
}

// TestACommitOnAFrozenServer freezes the server when all that is left of a transaction is its end, which the drivers'
// interface gives no deadline.
func TestACommitOnAFrozenServer(t *testing.T) {
	eachServer(t, func(t *testing.T, server frozenServer) {
		s := openServer(t, server.NewDatabase(t))
		refused := errors.New("refused")
		for name, ends := range map[string]error{"commit": nil, "rollback": refused} {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			begun := time.Now()
			err := s.write(ctx, "testing", func(ctx context.Context, tx bun.Tx) error {
				if _, err := bump(ctx, tx, keysRevision); err != nil {
					return err
				}
				return errors.Join(ends, server.Freeze())
			})
			cancel()
			if err == nil || time.Since(begun) > 5*time.Second {
				t.Errorf("%s: %v after %v", name, err, time.Since(begun))
			}
			if err := server.Thaw(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.SaveSettings(t.Context(), map[string]string{"max_retries": "1"}, nil); err != nil {
				t.Errorf("after a frozen %s: %v", name, err)
			}
		}
	})
}

// TestAFrozenNodeLetsGo leaves a transaction open, as a stopped process does: others can write within a bound that the
// server keeps.
func TestAFrozenNodeLetsGo(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, server frozenServer) {
		dsn := server.NewDatabase(t)
		frozen, other := openServer(t, dsn), openServer(t, dsn)
		holds, ended := make(chan struct{}), make(chan error, 1)
		wake, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			// Its own deadline does not end what does not run.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Hour)
			defer cancel()
			ended <- frozen.write(ctx, "testing", func(ctx context.Context, tx bun.Tx) error {
				_, err := bump(ctx, tx, configurationRevision)
				close(holds)
				<-wake.Done()
				return err
			})
		}()
		<-holds
		begun := time.Now()
		ctx, stop := context.WithTimeout(t.Context(), 2*idlePatience)
		defer stop()
		if _, err := other.SaveSettings(ctx, map[string]string{"max_retries": "1"}, nil); err != nil {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		t.Logf("another node could write after %v", time.Since(begun).Round(time.Millisecond))
		cancel()
		if err := <-ended; fleet.CodeOf(err) != fleet.CodeUnavailable {
			t.Errorf("the frozen node's transaction ended with %v", err)
		}
		if revision, err := other.Revision(t.Context()); err != nil || revision != 1 {
			t.Errorf("revision %d: %v", revision, err)
		}
	})
}

// TestWorkWithoutADeadlineHasOne asks what a statement sees of its deadline.
func TestWorkWithoutADeadlineHasOne(t *testing.T) {
	s, err := Open(t.Context(), "postgres://u@127.0.0.1:1/db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	err = s.read(context.Background(), "testing", func(ctx context.Context, _ bun.IDB) error {
		deadline, set := ctx.Deadline()
		if left := time.Until(deadline); !set || left > statementPatience || left < statementPatience-time.Second {
			t.Errorf("a deadline in %v: %v", left, set)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestMigrationsOfMySQLMayRunAgain stops before each of the statements, which MySQL commits one by one.
func TestMigrationsOfMySQLMayRunAgain(t *testing.T) {
	known, err := migrations(mysqlDialect.name)
	if err != nil {
		t.Fatal(err)
	}
	var statements []string
	for _, m := range known {
		statements = append(statements, mysqlDialect.split(m.sql)...)
	}
	for n := range statements {
		s, err := Open(t.Context(), testenv.MariaDB(t).NewDatabase(t), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range statements[:n+1] {
			if _, err := s.writer.DB.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Errorf("after %d statements: %v", n+1, err)
		}
		unlockInternal(t, s)
		if _, err := s.SaveSettings(t.Context(), map[string]string{"max_retries": "1"}, nil); err != nil {
			t.Errorf("after %d statements: %v", n+1, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestVersionsAgree holds the dialects to the same newest version, since its number is what nodes and databases compare.
func TestVersionsAgree(t *testing.T) {
	newest := make(map[int64][]string)
	for _, d := range []*dialect{&sqliteDialect, &postgresDialect, &mysqlDialect} {
		known, err := migrations(d.name)
		if err != nil {
			t.Fatal(err)
		}
		last := known[len(known)-1].version
		newest[last] = append(newest[last], d.name)
	}
	if len(newest) != 1 {
		t.Errorf("newest versions: %v", newest)
	}
}

// TestFaultsHaveWords holds every message about a server to naming a remedy in place of the driver's own words.
func TestFaultsHaveWords(t *testing.T) {
	for _, says := range []string{saysAccount, saysMissing, saysRights, saysNoTables, saysCrowded, saysReadOnly, saysFull} {
		if !strings.Contains(says, ";") {
			t.Errorf("no remedy in %q", says)
		}
	}
}
