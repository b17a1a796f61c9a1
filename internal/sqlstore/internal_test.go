package sqlstore

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/secret"
)

func openInternal(t *testing.T) *Store {
	t.Helper()
	ctx := t.Context()
	s, err := Open(ctx, filepath.Join(t.TempDir(), "x.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	install, err := s.Install(ctx)
	if err != nil {
		t.Fatal(err)
	}
	box, err := secret.NewBox(secret.Text{}, install.Salt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(ctx, box); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSQLiteErrorsAreTranslated(t *testing.T) {
	for name, c := range map[string]struct {
		pragma string
		says   string
	}{
		"full":     {"PRAGMA max_page_count = 1", "no space is left"},
		"readonly": {"PRAGMA query_only = on", "cannot be written"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openInternal(t)
			if _, err := s.writer.ExecContext(t.Context(), c.pragma); err != nil {
				t.Fatal(err)
			}
			// More than the free room of the pages that are there.
			values := map[string]string{"app_url": "https://" + strings.Repeat("x", 100_000)}
			_, err := s.SaveSettings(t.Context(), values, nil)
			wantUnavailable(t, err, c.says)
		})
	}
	t.Run("locked", func(t *testing.T) {
		s := openInternal(t)
		other, err := Open(t.Context(), databaseFile(t, s), Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = other.Close() })
		tx, err := other.writer.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.writer.ExecContext(t.Context(), "PRAGMA busy_timeout = 1"); err != nil {
			t.Fatal(err)
		}
		_, err = s.SaveSettings(t.Context(), map[string]string{"max_retries": "1"}, nil)
		wantUnavailable(t, err, "locked by another process")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestABatchIsAllOrNothing runs out of space inside a batch and writes it again when there is some.
func TestABatchIsAllOrNothing(t *testing.T) {
	s, ctx := openInternal(t), t.Context()
	batch := requestlog.Batch{Source: "spool", Position: 7}
	for range 300 {
		at := now()
		batch.Records = append(batch.Records, fleet.RequestRecord{
			ID: fleet.NewRecordID(at), StartedAt: at, Class: fleet.ClassOK, Capture: &fleet.BodyCapture{Request: make([]byte, 10_000)},
		})
	}
	if _, err := s.writer.ExecContext(ctx, "PRAGMA max_page_count = 300"); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, s.WriteRecords(ctx, batch), "no space is left")
	if page, _, err := s.Records(ctx, fleet.RecordQuery{}); err != nil || len(page) != 0 {
		t.Errorf("%d records of a batch that failed: %v", len(page), err)
	}
	if position, err := s.Position(ctx, "spool"); err != nil || position != 0 {
		t.Errorf("position %d after a batch that failed: %v", position, err)
	}
	if _, err := s.writer.ExecContext(ctx, "PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.WriteRecords(ctx, batch); err != nil {
			t.Fatal(err)
		}
	}
	stats, err := s.Stats(ctx, fleet.StatsQuery{})
	if err != nil || stats.Total.Requests != 300 {
		t.Errorf("%+v, %v", stats, err)
	}
}

func databaseFile(t *testing.T, s *Store) string {
	t.Helper()
	var file string
	if err := s.writer.NewRaw("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

func wantUnavailable(t *testing.T, err error, says string) {
	t.Helper()
	if fleet.CodeOf(err) != fleet.CodeUnavailable || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want words %q", fleet.CodeOf(err), err, says)
	}
}

func TestClean(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"plain", 10, "plain"},
		{"plain", 3, "pla"},
		{"aü", 2, "a"},
		{"a组", 3, "a"},
		{"a🔑", 4, "a"},
		{"a🔑", 5, "a🔑"},
		{"a\x00b", 10, "a?b"},
		{"a\xff\xfeb", 10, "a?b"},
		{"\xff\xff\xff\xff\xff", 4, "?"},
		{"", 0, ""},
		{"x", 0, ""},
	} {
		if got := clean(c.text, c.limit); got != c.want {
			t.Errorf("clean(%q, %d) = %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x00ü\xff", 3)
	f.Add(strings.Repeat("🔑", 10), 7)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit &= 0xff
		got := clean(text, limit)
		if len(got) > limit || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Errorf("clean(%q, %d) = %q", text, limit, got)
		}
		if len(text) <= limit && utf8.ValidString(text) && !strings.Contains(text, "\x00") && got != text {
			t.Errorf("%q was changed to %q", text, got)
		}
	})
}

// FuzzRecord holds the row's texts to what every database takes, whatever a record holds.
func FuzzRecord(f *testing.F) {
	f.Add("model", "error", "reason", 200, int64(1))
	f.Add("\x00\xff", strings.Repeat("ü", 3000), "\\u0000", -1, int64(-1))
	f.Fuzz(func(t *testing.T, model, fault, reason string, status int, span int64) {
		r := fleet.RequestRecord{ModelSent: model, Error: fault, Status: status, RequestBytes: span, Duration: time.Duration(span), UserAgent: fault, GroupName: model, Method: reason, Attempts: []fleet.Attempt{{Reason: reason, KeyTail: model, Status: status}}}
		row := rowOfRecord(&r)
		for _, text := range []string{row.ModelSent, row.Error, row.Details} {
			if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
				t.Errorf("%q cannot be stored", text)
			}
		}
		var details detailsJSON
		if err := json.Unmarshal([]byte(row.Details), &details); err != nil || len(details.Attempts) != 1 {
			t.Fatalf("%q does not read back: %v", row.Details, err)
		}
		if spelled, err := json.Marshal(details); err != nil || string(spelled) != row.Details {
			t.Errorf("written by hand  %s\nby encoding/json %s", row.Details, spelled)
		}
	})
}
