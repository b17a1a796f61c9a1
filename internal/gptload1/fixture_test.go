package gptload1_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"gpt-load/internal/gptload1"
	"gpt-load/internal/secret"
	"gpt-load/internal/testenv"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testenv.WithServers(m), goleak.IgnoreAnyFunction(testenv.ServerGoroutine))
}

const passphrase = "correct horse battery staple"

// product is one of the databases that 1.x runs on.
type product struct {
	name   string
	driver string
	empty  func(tb testing.TB) string // DSN of an empty database
	admin  func(dsn string) string    // DSN for running scripts
}

var sqliteProduct = product{
	name: "sqlite", driver: "sqlite",
	empty: func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "gpt-load.db") },
	admin: func(dsn string) string { return dsn + "?_synchronous=OFF" },
}

var products = []product{
	sqliteProduct,
	{
		name: "postgres", driver: "pgx",
		empty: func(tb testing.TB) string { return testenv.Postgres(tb).NewDatabase(tb) },
		admin: func(dsn string) string { return dsn + "&default_query_exec_mode=simple_protocol" },
	},
	{
		name: "mysql", driver: "mysql",
		empty: func(tb testing.TB) string { return testenv.MariaDB(tb).NewDatabase(tb) },
		admin: func(dsn string) string {
			return dsn + "?multiStatements=true&charset=utf8mb4&sql_mode=%27NO_BACKSLASH_ESCAPES%27"
		},
	},
}

// fixture is a 1.x database that a test fills.
type fixture struct {
	product
	dsn string
	db  *sql.DB
}

// newFixture makes a database with the tables of a 1.x version and rows of it.
func newFixture(tb testing.TB, p product, version string) *fixture {
	tb.Helper()
	f := emptyFixture(tb, p)
	f.exec(tb, readFile(tb, "schema-"+version+"."+p.name+".sql"))
	return f
}

func emptyFixture(tb testing.TB, p product) *fixture {
	tb.Helper()
	f := &fixture{product: p, dsn: p.empty(tb)}
	var err error
	if f.db, err = sql.Open(p.driver, p.admin(f.dsn)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.db.Close() })
	return f
}

func readFile(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// exec runs a script; backquotes become what the database wants.
func (f *fixture) exec(tb testing.TB, script string) {
	tb.Helper()
	if f.name == "postgres" {
		script = strings.ReplaceAll(script, "`", `"`)
	}
	if _, err := f.db.ExecContext(context.Background(), script); err != nil {
		tb.Fatalf("%s: %v", f.name, err)
	}
}

// keyRow is a row of api_keys.
type keyRow struct {
	group    int64
	value    string // as the provider gave it
	status   string
	notes    string
	failures int
	lastUsed string // 2025-09-05 12:00:00, in UTC
}

// addKeys writes rows as 1.x does: in clear with a plain digest, or sealed with a keyed one.
func (f *fixture) addKeys(tb testing.TB, seal sealer, rows ...keyRow) {
	tb.Helper()
	for _, r := range rows {
		value, hash := seal.row(r.value)
		used := "NULL"
		if r.lastUsed != "" {
			used = "'" + r.lastUsed + "'"
			if f.name == "postgres" {
				used = "'" + r.lastUsed + "+00'"
			}
		}
		f.exec(tb, fmt.Sprintf("INSERT INTO `api_keys` (`key_value`, `key_hash`, `group_id`, `status`, `notes`, `failure_count`, `request_count`, `last_used_at`)"+
			" VALUES (%s, %s, %d, %s, %s, %d, %d, %s)",
			quoted(value), quoted(hash), r.group, quoted(r.status), quoted(r.notes), r.failures, 10*r.failures, used))
	}
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// sealer writes key values in the way of 1.x. The zero sealer leaves them in clear.
type sealer struct {
	aead cipher.AEAD
	key  []byte
}

func newSealer(tb testing.TB, passphrase string) sealer {
	tb.Helper()
	if passphrase == "" {
		return sealer{}
	}
	key, err := pbkdf2.Key(sha256.New, passphrase, []byte("gpt-load-encryption-v1"), 100000, 32)
	if err != nil {
		tb.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		tb.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		tb.Fatal(err)
	}
	return sealer{aead: aead, key: key}
}

func (s sealer) row(value string) (stored, hash string) {
	if value == "" {
		return "", ""
	}
	if s.aead == nil {
		digest := sha256.Sum256([]byte(value))
		return value, hex.EncodeToString(digest[:])
	}
	nonce := make([]byte, 12)
	_, _ = rand.Read(nonce)
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(value))
	return hex.EncodeToString(s.aead.Seal(nonce, nonce, []byte(value), nil)), hex.EncodeToString(mac.Sum(nil))
}

func open(tb testing.TB, dsn, passphrase string) *gptload1.Database {
	tb.Helper()
	d, err := gptload1.Open(tb.Context(), gptload1.Options{DSN: secret.New(dsn), EncryptionKey: secret.New(passphrase)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

func planOf(tb testing.TB, d *gptload1.Database) *gptload1.Plan {
	tb.Helper()
	plan, err := d.Plan(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return plan
}

// keysOf reads the keys of one group.
func keysOf(tb testing.TB, d *gptload1.Database, g gptload1.Group) ([]gptload1.Key, gptload1.KeyTally) {
	tb.Helper()
	var keys []gptload1.Key
	tally, err := d.EachKey(tb.Context(), g, func(page []gptload1.Key) error {
		keys = append(keys, page...)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return keys, tally
}

// lines writes notices for comparing.
func lines(notices []gptload1.Notice) []string {
	out := make([]string, len(notices))
	for i, n := range notices {
		out[i] = fmt.Sprintf("%s/%s %s: %s", n.Group, n.Field, n.Effect, n.Message)
	}
	return out
}
