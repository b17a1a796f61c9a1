package sqlstore_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
)

func TestDSN(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, dsn := range []string{
		filepath.Join(dir, "abs.db"), "rel.db", "./data/deep/rel.db", "sqlite://" + filepath.Join(dir, "url.db"), "sqlite://rel2.db", "SQLITE://rel3.db",
		" spaces.db ", "odd ?a=b&c#d%41;'.db", "组.db",
	} {
		s := migrated(t, dsn)
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("%q: %v", dsn, err)
		}
		path := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(dsn), "sqlite://"), "SQLITE://")
		info, err := os.Stat(path)
		if err != nil || info.Size() == 0 {
			t.Errorf("%q: no file of that name: %v", dsn, err)
		}
	}
	for _, dsn := range []string{
		"", "  ", "sqlite://", "postgres://u:hunter22@h", "postgresql://u:hunter22@h:port/db", "mysql://u:hunter22@h", "mysql://u:hunter22@/db", "host=h password=hunter22",
		"host=h dbname=x password=hunter22 sslmode=maybe", "postgres://u:hunter22@h/db?sslmode=verify-full&sslrootcert=/no/such/hunter22",
		"u:hunter22@tcp(h:3306)/", "u:hunter22@tcp(h:3306", "u:hunter22@unix(/s)", "u:hunter22@tcp(h)/db?tls=nope", "mysql://u:hunter%@h/db", "mysql://u:hunter22@h/db/x",
		"oracle://u:hunter22@h/db", "u:hunter22@h:3306/db", "redis://:hunter22@h", ":memory:", "file:x.db?mode=memory", "nul\x00.db",
	} {
		_, err := sqlstore.Open(t.Context(), dsn, sqlstore.Options{})
		wantCode(t, err, fleet.CodeInvalid)
		if err == nil || !strings.Contains(err.Error(), "DATABASE_DSN") || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(dir, "gpt-load.db")
	openAt(t, path, "")
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v %v", info.Mode(), err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(path + suffix); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", path+suffix, err)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.db")
	if err := os.WriteFile(junk, bytes.Repeat([]byte("junk"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, junk, filepath.Join(junk, "below.db")} {
		_, err := sqlstore.Open(t.Context(), path, sqlstore.Options{})
		wantCode(t, err, fleet.CodeInvalid)
		if err == nil || !strings.Contains(err.Error(), "DATABASE_DSN") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestNothingSecretStandsInAnEncryptedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, "correct horse")
	g := addGroup(t, s, fullGroup())
	must2(s.AddKeys(t.Context(), g.ID, []secret.Text{secret.New("provider-secret")}, false))(t)
	must(s.SaveSettings(t.Context(), map[string]string{"proxy_keys": "client-secret"}, nil))(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"provider-secret", "client-secret", "sk-proxy-secret", "header-secret", "proxy-secret", "correct horse"} {
		if bytes.Contains(file, []byte(word)) {
			t.Errorf("%q stands in the file", word)
		}
	}
}

func TestDamagedSecrets(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, "correct horse")
	g := addGroup(t, s, fullGroup())
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("k", 3), false))(t)
	// A sealed value that is moved to another row does not open there.
	rawSQL(t, path, "UPDATE provider_keys SET value = (SELECT value FROM provider_keys WHERE id = ?) WHERE id = ?", int64(keys[0].ID), int64(keys[1].ID))
	page, _ := must2(s.Keys(ctx, fleet.KeyQuery{Group: g.ID}))(t)
	if len(page) != 2 || page[0].ID != keys[0].ID || page[1].ID != keys[2].ID {
		t.Errorf("keys %v", values(page))
	}
	_, err := s.Key(ctx, keys[1].ID)
	wantCode(t, err, fleet.CodeInternal)
	rawSQL(t, path, "UPDATE proxy_groups SET secrets = substr(secrets, 1, 40)")
	_, err = s.Groups(ctx)
	wantCode(t, err, fleet.CodeInternal)
	if err == nil || !strings.Contains(err.Error(), "group full") {
		t.Errorf("the error does not name the group: %v", err)
	}
}

// TestADeletionThatWasCutShort puts the database where a process killed inside DeleteGroup leaves it.
func TestADeletionThatWasCutShort(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, "")
	gone, stays := addGroup(t, s, standard("gone")), addGroup(t, s, standard("stays"))
	keys, _ := must2(s.AddKeys(ctx, gone.ID, texts("gone", 700), false))(t)
	must2(s.AddKeys(ctx, stays.ID, texts("stays", 3), false))(t)
	rawSQL(t, path, "DELETE FROM proxy_groups WHERE id = ?", int64(gone.ID))
	rawSQL(t, path, "INSERT INTO deleted_groups (id, deleted_at) VALUES (?, 0)", int64(gone.ID))

	loaded := 0
	err := s.EachKey(ctx, 0, func(list []fleet.Key) error {
		loaded += len(list)
		return nil
	})
	page, _ := must2(s.Keys(ctx, fleet.KeyQuery{}))(t)
	counts := must(s.CountKeys(ctx, 0))(t)
	if err != nil || loaded != 3 || len(page) != 3 || counts[fleet.KeyActive] != 3 {
		t.Errorf("keys of a deleted group are seen: %d loaded, %d listed, counts %v, %v", loaded, len(page), counts, err)
	}
	_, err = s.Key(ctx, keys[0].ID)
	wantCode(t, err, fleet.CodeNotFound)
	if err := s.SweepDeletedGroups(ctx); err != nil {
		t.Fatal(err)
	}
	if left := rowsOf(t, path, "provider_keys"); left != 3 {
		t.Errorf("%d rows of keys are left, want 3", left)
	}
}

func rowsOf(t testing.TB, path, table string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(context.Background(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSpaceReturns(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, "")
	testRetention(t, s)
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	rawSQL(t, path, "PRAGMA wal_checkpoint(TRUNCATE)")
	full := size()
	if freed := must(s.ReclaimSpace(ctx, 10))(t); freed != 10 {
		t.Errorf("%d pages freed, want 10", freed)
	}
	total := 10
	for {
		freed := must(s.ReclaimSpace(ctx, 500))(t)
		if total += freed; freed == 0 {
			break
		}
	}
	if after := size(); after > full/3 {
		t.Errorf("%d bytes before, %d after %d pages were given back", full, after, total)
	}
	if page, _ := must2(s.Records(ctx, fleet.RecordQuery{Limit: 1000}))(t); len(page) != 50 {
		t.Errorf("%d records left", len(page))
	}
}

func TestFaultsOfTheDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, "")
	g := addGroup(t, s, standard("g"))

	t.Run("Canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.Groups(ctx)
		wantCode(t, err, fleet.CodeUnavailable)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the cause is lost: %v", err)
		}
	})
	t.Run("Locked", func(t *testing.T) {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		db.SetMaxOpenConns(1)
		if _, err := db.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
			t.Fatal(err)
		}
		// Readers do not wait for a writer.
		if got := must(s.Group(t.Context(), g.ID))(t); got.Name != "g" {
			t.Errorf("read %+v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err = s.SaveSettings(ctx, map[string]string{"max_retries": "1"}, nil)
		wantCode(t, err, fleet.CodeUnavailable)
		if _, err := db.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		must(s.SaveSettings(t.Context(), map[string]string{"max_retries": "1"}, nil))(t)
	})
	t.Run("Closed", func(t *testing.T) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := s.Groups(t.Context())
		wantCode(t, err, fleet.CodeUnavailable)
		_, _, err = s.AddKeys(t.Context(), g.ID, texts("k", 1), false)
		wantCode(t, err, fleet.CodeUnavailable)
		_, err = s.ReclaimSpace(t.Context(), 1)
		wantCode(t, err, fleet.CodeUnavailable)
		if err := s.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
		for _, suffix := range []string{"-wal", "-shm"} {
			if _, err := os.Stat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is left: %v", suffix, err)
			}
		}
	})
}
