package gptload1_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/gptload1"
	"gpt-load/internal/secret"
	"gpt-load/internal/testenv"
)

// refused opens a DSN that must not open, and checks that the error holds no password.
func refused(t *testing.T, dsn string, code fleet.Code, says string) {
	t.Helper()
	d, err := gptload1.Open(t.Context(), gptload1.Options{DSN: secret.New(dsn)})
	if err == nil {
		_ = d.Close()
		t.Fatal("it opened")
	}
	if fleet.CodeOf(err) != code || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want %s with %q", fleet.CodeOf(err), err, code, says)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password stands in the error: %v", err)
	}
}

func TestOpenRefusesWhatIsNoDSN(t *testing.T) {
	for dsn, says := range map[string]string{
		"":                                  "is empty",
		"  ":                                "is empty",
		"redis://:hunter2@host":             "not known",
		"file::memory:":                     "in memory",
		"a\x00b":                            "NUL",
		"postgres://u:hunter2@host:port/db": "one of PostgreSQL",
		"u:hunter2@tcp(host:3306":           "one of MySQL",
		"u:hunter2@tcp(host:3306)/":         "names no database",
		"mysql://u:hunter2@/db":             "one of MySQL",
		"mysql://u:hunter2@host:3306/":      "names no database",
		"?_busy_timeout=5000":               "names no file",
	} {
		t.Run(dsn, func(t *testing.T) { refused(t, dsn, fleet.CodeInvalid, says) })
	}
}

func TestOpenRefusesFilesThatAreNoDatabaseOf1x(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	refused(t, filepath.Join(dir, "missing.db"), fleet.CodeInvalid, "there is no 1.x database at")
	if _, err := os.Stat(filepath.Join(dir, "missing.db")); err == nil {
		t.Error("a file was made")
	}
	refused(t, dir, fleet.CodeInvalid, "there is no 1.x database at")
	refused(t, write("text.db", strings.Repeat("not a database ", 100)), fleet.CodeInvalid, "is not an SQLite database")
	refused(t, write("empty.db", ""), fleet.CodeInvalid, "lacks the table system_settings, the table groups, the table api_keys")
}

func TestOpenRefusesOtherDatabases(t *testing.T) {
	for _, p := range products {
		t.Run(p.name, func(t *testing.T) {
			f := emptyFixture(t, p)
			f.exec(t, "CREATE TABLE `users` (`id` integer)")
			refused(t, f.dsn, fleet.CodeInvalid, "not a database of GPT-Load 1.x")
			f.exec(t, "CREATE TABLE `provider_keys` (`id` integer)")
			refused(t, f.dsn, fleet.CodeInvalid, "a database of this version")
		})
		t.Run(p.name+", without columns", func(t *testing.T) {
			f := emptyFixture(t, p)
			f.exec(t, strings.NewReplacer("key_value", "key_text", "weight", "share").Replace(readFile(t, "schema-1.4."+p.name+".sql")))
			refused(t, f.dsn, fleet.CodeInvalid, "lacks group_sub_groups.weight, api_keys.key_value; start its own version")
		})
		t.Run(p.name+", keys being migrated", func(t *testing.T) {
			f := newFixture(t, p, "1.4")
			f.exec(t, "CREATE TABLE `temp_migration` (`id` bigint PRIMARY KEY, `key_value_new` text, `key_hash_new` varchar(255))")
			refused(t, f.dsn, fleet.CodeInvalid, "migrate-keys of 1.x is running on this database, or broke off")
		})
	}
}

func TestOpenSaysWhyAServerRefuses(t *testing.T) {
	postgres, maria := testenv.Postgres(t), testenv.MariaDB(t)
	wrong := func(dsn, password string) string { return strings.Replace(dsn, password, "hunter2", 1) }
	refused(t, wrong(postgres.DSN("postgres"), postgres.Password), fleet.CodeInvalid, "refuses the user or the password")
	refused(t, wrong(maria.DSN("mysql"), maria.Password), fleet.CodeInvalid, "refuses the user or the password")
	refused(t, postgres.DSN("nowhere"), fleet.CodeInvalid, "no database of that name")
	refused(t, maria.DSN("nowhere"), fleet.CodeInvalid, "no database of that name")

	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	refused(t, "postgres://u:hunter2@"+address+"/db?sslmode=disable", fleet.CodeUnavailable, "cannot be reached")
	refused(t, "u:hunter2@tcp("+address+")/db", fleet.CodeUnavailable, "cannot be reached")
}

// TestOpenEndsWithItsContext has a server that takes connections and says nothing.
func TestOpenEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	address := silent.Addr().String()
	for _, dsn := range []string{"postgres://u:hunter2@" + address + "/db?sslmode=disable", "u:hunter2@tcp(" + address + ")/db"} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := gptload1.Open(ctx, gptload1.Options{DSN: secret.New(dsn)})
		cancel()
		if fleet.CodeOf(err) != fleet.CodeUnavailable || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}

func TestOpenTakesEveryFormOfDSN(t *testing.T) {
	postgres, maria := products[1], products[2]
	pg, my, lite := newFixture(t, postgres, "1.4"), newFixture(t, maria, "1.4"), newFixture(t, sqliteProduct, "1.4")
	lite.exec(t, "PRAGMA user_version = 1")
	server := testenv.MariaDB(t)
	name := my.dsn[strings.LastIndexByte(my.dsn, '/')+1:]
	keywords := strings.NewReplacer("postgres://gptload:", "user=gptload password=", "@", " host=", ":", " port=", "/", " dbname=", "?", " ").Replace(pg.dsn)
	for _, dsn := range []string{
		pg.dsn, strings.Replace(pg.dsn, "postgres:", "postgresql:", 1), keywords,
		my.dsn, my.dsn + "?charset=utf8mb4&loc=Local", "mysql://gptload:" + server.Password + "@" + server.Address() + "/" + name + "?parseTime=false",
		"gptload:" + server.Password + "@unix(" + server.Socket() + ")/" + name,
		lite.dsn, "sqlite://" + lite.dsn, "file:" + lite.dsn + "?_journal=WAL", lite.dsn + "?_busy_timeout=5000",
	} {
		plan := planOf(t, open(t, dsn, ""))
		if len(plan.Groups) != 0 || len(plan.Notices) != 1 {
			t.Errorf("an empty installation: %+v", plan)
		}
	}
}
