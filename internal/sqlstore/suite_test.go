package sqlstore_test

import (
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
	"gpt-load/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.WithServers(m)) }

// fresh makes an empty database and returns its DSN.
type fresh func(t testing.TB) string

// opener opens an empty database that is migrated and unlocked.
type opener func(t testing.TB) *sqlstore.Store

const passphrase = "correct horse"

// runSuite is the contract of the store. Each database runs it whole.
func runSuite(t *testing.T, database fresh) {
	open := func(t testing.TB) *sqlstore.Store { return openAt(t, database(t), passphrase) }
	for name, test := range map[string]func(*testing.T, opener){
		"Settings":   testSettings,
		"Groups":     testGroups,
		"Keys":       testKeys,
		"Deltas":     testKeyDeltas,
		"KeyEdits":   testKeyEdits,
		"Copy":       testCopy,
		"Records":    testRecords,
		"Stats":      testStats,
		"RecordTail": testRecordTail,
		"Audit":      testAudit,
		"Sessions":   testSessions,
		"Operations": testOperations,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
	for name, test := range map[string]func(*testing.T, fresh){
		"Together":      testTogether,
		"Preconditions": testPreconditions,
		"StartAtOnce":   testStartAtOnce,
		"EncryptionKey": testEncryptionKey,
		"Rekey":         testRekey,
		"RekeyRefuses":  testRekeyRefuses,
		"RekeyNothing":  testRekeyNothing,
		"RekeyHalf":     testRekeyHalf,
		"RekeyKilled":   testRekeyKilled,
		"RekeyOnline":   testRekeyOnline,
		"Schema":        testSchema,
	} {
		t.Run(name, func(t *testing.T) { test(t, database) })
	}
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	runSuite(t, sqliteFile)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	runSuite(t, postgresDatabase)
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	runSuite(t, mariadbDatabase)
}

func sqliteFile(t testing.TB) string       { return filepath.Join(t.TempDir(), "gpt-load.db") }
func postgresDatabase(t testing.TB) string { return testenv.Postgres(t).NewDatabase(t) }
func mariadbDatabase(t testing.TB) string  { return testenv.MariaDB(t).NewDatabase(t) }

// openAt opens a database as a node does at start.
func openAt(t testing.TB, dsn, passphrase string) *sqlstore.Store {
	t.Helper()
	s := migrated(t, dsn)
	if err := unlock(s, passphrase); err != nil {
		t.Fatal(err)
	}
	return s
}

func migrated(t testing.TB, dsn string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(context.Background(), dsn, sqlstore.Options{Logger: zaptest.NewLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

func unlock(s *sqlstore.Store, passphrase string) error {
	install, err := s.Install(context.Background())
	if err != nil {
		return err
	}
	box, err := secret.NewBox(secret.New(passphrase), install.Salt)
	if err != nil {
		return err
	}
	return s.Unlock(context.Background(), box)
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantCode(t testing.TB, err error, code fleet.Code) {
	t.Helper()
	if err == nil || fleet.CodeOf(err) != code {
		t.Errorf("error %v has code %s, want %s", err, fleet.CodeOf(err), code)
	}
}
