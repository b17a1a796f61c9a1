package testenv

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kept is a server with something to remember.
type kept struct {
	*Process
	address string
	put     func(ctx context.Context) error
	get     func(ctx context.Context) (string, error) // "remembered" after put; an error or "" when there is nothing
}

// silence is how long a frozen server is given to prove that it answers after all.
const silence = 300 * time.Millisecond

func keptPostgres(t *testing.T) kept {
	s := NewPostgres(t)
	return kept{
		Process: &s.Process, address: s.Address(),
		put: func(ctx context.Context) error {
			_, err := s.SQL(ctx, "postgres", "CREATE TABLE notes (note text); INSERT INTO notes VALUES ('remembered');")
			return err
		},
		get: func(ctx context.Context) (string, error) { return s.SQL(ctx, "postgres", "SELECT note FROM notes;") },
	}
}

func keptMariaDB(t *testing.T) kept {
	s := NewMariaDB(t)
	return kept{
		Process: &s.Process, address: s.Address(),
		put: func(ctx context.Context) error {
			_, err := s.SQL(ctx, "", "CREATE DATABASE d; USE d; CREATE TABLE notes (note text); INSERT INTO notes VALUES ('remembered');")
			return err
		},
		get: func(ctx context.Context) (string, error) { return s.SQL(ctx, "d", "SELECT note FROM notes;") },
	}
}

func keptRedis(o RedisOptions) func(t *testing.T) kept {
	return func(t *testing.T) kept {
		s := NewRedis(t, o)
		return kept{
			Process: &s.Process, address: s.Address(),
			put: func(ctx context.Context) error {
				_, err := s.Do(ctx, "SET", "note", "remembered")
				return err
			},
			get: func(ctx context.Context) (string, error) { return s.Do(ctx, "GET", "note") },
		}
	}
}

// TestLives takes a server of each kind through everything that can happen to it.
func TestLives(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T) kept{
		"PostgreSQL":          keptPostgres,
		"MariaDB":             keptMariaDB,
		"Redis":               keptRedis(RedisOptions{}),
		"Redis with password": keptRedis(RedisOptions{Password: "secret"}),
		"Redis with ACL, TLS": keptRedis(RedisOptions{User: "node", Password: "secret", TLS: true}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t)
			ctx := t.Context()
			must(t, s.put(ctx))
			s.remembers(t, "once written")

			must(t, s.Freeze())
			s.isFrozen(t)
			must(t, s.Thaw())
			s.remembers(t, "thawed")

			processes := append(descendants(s.PID()), s.PID())
			must(t, s.Kill())
			allGone(t, processes)
			s.refuses(t)
			must(t, s.Restart(ctx))
			s.remembers(t, "restarted after a kill")

			must(t, s.Restart(ctx))
			s.remembers(t, "restarted in good order")

			must(t, s.Freeze())
			must(t, s.Kill())
			must(t, s.RestartEmpty(ctx))
			if note, err := s.get(ctx); err == nil && note != "" {
				t.Errorf("restarted empty, the server still remembers %q", note)
			}
			must(t, s.put(ctx))
			s.remembers(t, "restarted empty and written again")

			processes = append(descendants(s.PID()), s.PID())
			must(t, s.Stop())
			allGone(t, processes)
			s.refuses(t)
			if err := s.Restart(ctx); err == nil {
				t.Error("a server that was stopped for good started again")
			}
		})
	}
}

func (s kept) remembers(t *testing.T, when string) {
	t.Helper()
	if note, err := s.get(t.Context()); err != nil || note != "remembered" {
		t.Fatalf("%s, the server answered %q, %v", when, note, err)
	}
}

// isFrozen checks that connections are accepted and nothing is said on them.
func (s kept) isFrozen(t *testing.T) {
	t.Helper()
	for _, pid := range append(descendants(s.PID()), s.PID()) {
		if _, state, ok := processStat(pid); ok && !strings.ContainsRune(frozenStates, rune(state)) {
			t.Errorf("process %d of the frozen server is in state %c", pid, state)
		}
	}
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatalf("the kernel accepts no connection for the frozen server: %v", err)
	}
	_ = conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), silence)
	defer cancel()
	if note, err := s.get(ctx); err == nil {
		t.Errorf("the frozen server answered %q", note)
	}
}

func (s kept) refuses(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling a server that is gone: %v, not refused", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func allGone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if _, state, ok := processStat(pid); ok && !strings.ContainsRune(goneStates, rune(state)) {
			t.Errorf("process %d of the server is still in state %c", pid, state)
		}
	}
}

// TestSharedServers: one server for all tests, one empty database for each.
func TestSharedServers(t *testing.T) {
	ctx := t.Context()
	for _, servers := range [][2]any{{Postgres(t), Postgres(t)}, {MariaDB(t), MariaDB(t)}, {Redis(t), Redis(t)}} {
		if servers[0] != servers[1] {
			t.Errorf("a shared %T was started twice", servers[0])
		}
	}
	if one, two := Postgres(t).NewDatabase(t), Postgres(t).NewDatabase(t); one == two {
		t.Errorf("two tests got the database %s", one)
	}
	if dsn := MariaDB(t).NewDatabase(t); !strings.HasPrefix(dsn, "gptload:") || !strings.Contains(dsn, "@tcp(127.0.0.1:") {
		t.Errorf("the DSN of MariaDB is %q", dsn)
	}
	// What makes these servers hard on an application.
	for _, c := range []struct{ statement, want string }{
		{"SHOW timezone;", "<+0545>-05:45"},
		{"SELECT 'a' < 'B' AND 'B' < 'c';", "t"},
		{"SHOW ssl;", "on"},
	} {
		if got, err := Postgres(t).SQL(ctx, "postgres", c.statement); err != nil || got != c.want {
			t.Errorf("PostgreSQL answers %s with %q, %v; want %q", c.statement, got, err, c.want)
		}
	}
	for _, c := range []struct{ statement, want string }{
		{"SELECT @@collation_server;", "latin1_swedish_ci"},
		{"SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP());", "05:45:00"},
		{"SELECT @@have_ssl;", "YES"},
	} {
		if got, err := MariaDB(t).SQL(ctx, "", c.statement); err != nil || got != c.want {
			t.Errorf("MariaDB answers %s with %q, %v; want %q", c.statement, got, err, c.want)
		}
	}
}

// TestPasswords: who does not know the password stays outside.
func TestPasswords(t *testing.T) {
	postgres, mariadb := Postgres(t), MariaDB(t)
	stranger := &PostgresServer{
		Process: Process{dir: postgres.dir, ports: postgres.ports}, bin: postgres.bin, runAs: postgres.runAs, Password: "wrong",
	}
	if _, err := stranger.SQL(t.Context(), "postgres", "SELECT 1;"); err == nil || !strings.Contains(err.Error(), "password authentication") {
		t.Errorf("PostgreSQL lets a wrong password in: %v", err)
	}
	guest := &MariaDBServer{Process: Process{ports: mariadb.ports}, client: mariadb.client, Password: "wrong"}
	if _, err := guest.SQL(t.Context(), "", "SELECT 1;"); err == nil || !strings.Contains(err.Error(), "Access denied") {
		t.Errorf("MariaDB lets a wrong password in: %v", err)
	}
	for name, o := range map[string]RedisOptions{
		"password": {Password: "secret"},
		"ACL":      {User: "node", Password: "secret"},
	} {
		server := NewRedis(t, o)
		nobody := &RedisServer{Process: Process{ports: server.ports}}
		if _, err := nobody.Do(t.Context(), "PING"); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
			t.Errorf("Redis with %s answers a client that shows nothing: %v", name, err)
		}
	}
}

// TestStartFails: a server that does not start says why, and leaves nothing behind.
func TestStartFails(t *testing.T) {
	_, err := StartRedis(t.Context(), NewDir(t), RedisOptions{Conf: []string{"no-such-directive yes"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-directive") {
		t.Errorf("a server with a bad configuration: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := StartMariaDB(ended, NewDir(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("a start whose context has ended: %v", err)
	}
	if os.Geteuid() == 0 {
		closed := t.TempDir() // its parent is closed to all but root
		if _, err := StartPostgres(t.Context(), closed); err == nil || !strings.Contains(err.Error(), "cannot enter") {
			t.Errorf("a directory that the server's account cannot enter: %v", err)
		}
	}
}

// TestReplica: it has its master's data, takes no writes, and finds its master again.
func TestReplica(t *testing.T) {
	ctx := t.Context()
	master := NewRedis(t, RedisOptions{Password: "secret"})
	if _, err := master.Do(ctx, "SET", "note", "remembered"); err != nil {
		t.Fatal(err)
	}
	replica := NewRedis(t, RedisOptions{Password: "secret", ReplicaOf: master})
	if note, err := replica.Do(ctx, "GET", "note"); err != nil || note != "remembered" {
		t.Errorf("the replica answered %q, %v", note, err)
	}
	if _, err := replica.Do(ctx, "SET", "note", "changed"); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
		t.Errorf("the replica took a write: %v", err)
	}
	must(t, master.Kill())
	must(t, replica.Restart(ctx))
	must(t, master.Restart(ctx))
	must(t, poll(ctx, func() error { return replica.synced(ctx) }))
}
