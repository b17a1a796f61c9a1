package gptload1_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/gptload1"
	"gpt-load/internal/secret"
)

// manyKeys adds n rows to the group 1 in a few statements.
func (f *fixture) manyKeys(tb testing.TB, seal sealer, n int) {
	tb.Helper()
	const chunk = 500
	for from := 0; from < n; from += chunk {
		var b strings.Builder
		b.WriteString("INSERT INTO `api_keys` (`group_id`, `key_value`, `key_hash`, `status`, `notes`) VALUES ")
		for i := from; i < min(n, from+chunk); i++ {
			value, hash := seal.row(fmt.Sprintf("sk-proj-%08d-%s", i, strings.Repeat("x", 40)))
			fmt.Fprintf(&b, "(1, '%s', '%s', '%s', 'key %d'), ", value, hash, []string{"active", "invalid"}[i%2], i)
		}
		f.exec(tb, strings.TrimSuffix(b.String(), ", "))
	}
}

// TestDatabaseInUse has a 1.x that writes all the time, in SQLite's rollback mode as 1.x uses it and with a log.
func TestDatabaseInUse(t *testing.T) {
	for _, mode := range []string{"DELETE", "WAL"} {
		t.Run(mode, func(t *testing.T) {
			f := newFixture(t, sqliteProduct, "1.4")
			f.db.SetMaxOpenConns(1)
			f.exec(t, "PRAGMA journal_mode="+mode+"; PRAGMA busy_timeout=5000")
			f.exec(t, oneGroup)
			f.manyKeys(t, sealer{}, 5000)

			ctx, stop := context.WithCancel(t.Context())
			written := make(chan error, 1)
			first := make(chan struct{})
			go func() {
				for n := 0; ; n++ {
					_, err := f.db.ExecContext(context.Background(), fmt.Sprintf("UPDATE `api_keys` SET `request_count` = %d WHERE `id` %% 7 = %d", n, n%7))
					if n == 0 {
						close(first)
					}
					if err != nil || ctx.Err() != nil {
						written <- err
						return
					}
				}
			}()
			<-first
			d := open(t, f.dsn, "")
			for range 3 {
				plan := planOf(t, d)
				if keys, tally := keysOf(t, d, plan.Groups[0]); len(keys) != 5000 || tally != (gptload1.KeyTally{Active: 2500, Invalid: 2500}) || plan.Groups[0].Keys != tally {
					t.Errorf("%d keys, tally %+v", len(keys), tally)
				}
			}
			stop()
			if err := <-written; err != nil {
				t.Errorf("1.x could not write: %v", err)
			}
		})
	}
}

// TestNoLockBetweenPages commits as 1.x does while a page of keys is worked on.
func TestNoLockBetweenPages(t *testing.T) {
	f := newFixture(t, sqliteProduct, "1.4")
	f.exec(t, oneGroup)
	f.manyKeys(t, sealer{}, 2500)
	d := open(t, f.dsn, "")
	g := planOf(t, d).Groups[0]
	var sizes []int
	_, err := d.EachKey(t.Context(), g, func(page []gptload1.Key) error {
		sizes = append(sizes, len(page))
		_, err := f.db.ExecContext(t.Context(), "PRAGMA busy_timeout=0; UPDATE `api_keys` SET `failure_count` = `failure_count` + 1")
		return err
	})
	if err != nil || !slices.Equal(sizes, []int{1000, 1000, 500}) {
		t.Errorf("pages of %v keys: %v", sizes, err)
	}
}

// TestStoppedWithALog has a file in WAL mode that nobody holds open, so that the files beside it are gone.
func TestStoppedWithALog(t *testing.T) {
	f := newFixture(t, sqliteProduct, "1.4")
	f.exec(t, "PRAGMA journal_mode=WAL")
	f.exec(t, oneGroup)
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(f.dsn)
	if err != nil {
		t.Fatal(err)
	}
	if plan := planOf(t, open(t, f.dsn, "")); len(plan.Groups) != 1 {
		t.Errorf("plan: %+v", plan)
	}
	if after, err := os.ReadFile(f.dsn); err != nil || string(after) != string(before) {
		t.Errorf("the file changed: %v", err)
	}
}

func TestWriterThatNeverEnds(t *testing.T) {
	f := newFixture(t, sqliteProduct, "1.4")
	f.db.SetMaxOpenConns(1)
	f.exec(t, oneGroup+"BEGIN EXCLUSIVE")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := gptload1.Open(ctx, gptload1.Options{DSN: secret.New(f.dsn)}); fleet.CodeOf(err) != fleet.CodeUnavailable {
		t.Errorf("a locked file: %v", err)
	}
	f.exec(t, "ROLLBACK")
	open(t, f.dsn, "")
}

// TestKilledWriter has a file with a journal that only a writer may roll back.
func TestKilledWriter(t *testing.T) {
	f := newFixture(t, sqliteProduct, "1.4")
	f.db.SetMaxOpenConns(1)
	f.exec(t, oneGroup)
	f.manyKeys(t, sealer{}, 5000)
	// A cache of few pages makes SQLite write into the file before the commit.
	f.exec(t, "PRAGMA cache_size=5; BEGIN IMMEDIATE; UPDATE `api_keys` SET `notes` = 'half done', `request_count` = 7")
	copied := filepath.Join(t.TempDir(), "copied.db")
	for _, suffix := range []string{"", "-journal"} {
		content, err := os.ReadFile(f.dsn + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.exec(t, "ROLLBACK")
	refused(t, copied, fleet.CodeInvalid, "start it once so that it repairs the file")
	if _, err := os.Stat(copied + "-journal"); err != nil {
		t.Errorf("the journal is gone: %v", err)
	}
}

func TestDamagedFile(t *testing.T) {
	f := newFixture(t, sqliteProduct, "1.4")
	f.exec(t, oneGroup)
	f.manyKeys(t, sealer{}, 3000)
	content, err := os.ReadFile(f.dsn)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []int{len(content) / 2, 5000} {
		path := filepath.Join(t.TempDir(), "cut.db")
		if err := os.WriteFile(path, content[:kept], 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := gptload1.Open(t.Context(), gptload1.Options{DSN: secret.New(path)})
		if err == nil {
			_, err = d.Plan(t.Context())
			_ = d.Close()
		}
		if fleet.CodeOf(err) != fleet.CodeInvalid || !strings.Contains(err.Error(), "the file is damaged") {
			t.Errorf("%d bytes of %d: %v", kept, len(content), err)
		}
	}
}

func TestEachKeyEndsWithItsCaller(t *testing.T) {
	f := newFixture(t, sqliteProduct, "1.4")
	f.exec(t, oneGroup)
	f.manyKeys(t, sealer{}, 2000)
	d := open(t, f.dsn, "")
	g := planOf(t, d).Groups[0]
	enough := errors.New("enough")
	if _, err := d.EachKey(t.Context(), g, func([]gptload1.Key) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := d.EachKey(ctx, g, func([]gptload1.Key) error { cancel(); return nil })
	if fleet.CodeOf(err) != fleet.CodeUnavailable {
		t.Errorf("%v", err)
	}
	if keys, _ := keysOf(t, d, g); len(keys) != 2000 {
		t.Errorf("%d keys after that", len(keys))
	}
}
