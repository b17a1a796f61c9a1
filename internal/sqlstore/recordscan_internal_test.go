package sqlstore

import (
	"slices"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/testenv"
)

// TestRecordsInWindows looks for what is rare with no time for it: each page is one window, and together they find every
// record once, in order.
func TestRecordsInWindows(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { recordsInWindows(t, openInternal(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { recordsInWindows(t, openServer(t, testenv.Postgres(t).NewDatabase(t))) })
	t.Run("MariaDB", func(t *testing.T) { recordsInWindows(t, openServer(t, testenv.MariaDB(t).NewDatabase(t))) })
}

func recordsInWindows(t *testing.T, s *Store) {
	t.Helper()
	const records = 3*firstWindow + 100
	start := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	all := make([]fleet.RequestRecord, records)
	for i := range all {
		at := start.Add(time.Duration(i) * time.Millisecond)
		r := fleet.RequestRecord{ID: fleet.NewRecordID(at), StartedAt: at, GroupID: fleet.GroupID(i%2 + 1), Status: 200, Class: fleet.ClassOK, ClientIP: "192.0.2.1"}
		if i%2 == 1 {
			r.ParentID = 1
		}
		if i%1000 == 7 {
			r.ClientIP, r.Status, r.Class = "192.0.2.2", 502, fleet.ClassUpstream
		}
		all[i] = r
	}
	for i, part := range slices.Collect(slices.Chunk(all, 1000)) {
		if err := s.WriteRecords(t.Context(), requestlog.Batch{Source: "spool", Position: int64(i + 1), Records: part}); err != nil {
			t.Fatal(err)
		}
	}
	s.scanTime = 0
	for name, c := range map[string]struct {
		q     fleet.RecordQuery
		pages int
		match func(r fleet.RequestRecord) bool
	}{
		"a client":            {fleet.RecordQuery{ClientIP: "192.0.2.2"}, 4, nil},
		"of a group":          {fleet.RecordQuery{ClientIP: "192.0.2.2", GroupID: 2}, 2, nil},
		"of both":             {fleet.RecordQuery{ClientIP: "192.0.2.2", GroupID: 1}, 2, nil},
		"of an aggregate":     {fleet.RecordQuery{ClientIP: "192.0.2.2", ParentID: 1}, 2, nil},
		"of a class":          {fleet.RecordQuery{ClientIP: "192.0.2.2", Class: fleet.ClassUpstream}, 1, nil},
		"nobody":              {fleet.RecordQuery{ClientIP: "192.0.2.3"}, 4, func(fleet.RequestRecord) bool { return false }},
		"small pages":         {fleet.RecordQuery{ClientIP: "192.0.2.2", Limit: 2}, 7, nil},
		"of a time":           {fleet.RecordQuery{ClientIP: "192.0.2.2", From: all[100].StartedAt}, 3, func(r fleet.RequestRecord) bool { return !r.StartedAt.Before(all[100].StartedAt) }},
		"of a time to an end": {fleet.RecordQuery{ClientIP: "192.0.2.2", To: all[firstWindow].StartedAt}, 1, func(r fleet.RequestRecord) bool { return r.StartedAt.Before(all[firstWindow].StartedAt) }},
	} {
		var want, got []string
		for _, r := range slices.Backward(all) {
			if r.ClientIP == "192.0.2.2" && (c.match == nil || c.match(r)) {
				want = append(want, r.ID.String())
			}
		}
		pages := 0
		for {
			page, next, err := s.Records(t.Context(), c.q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page {
				got = append(got, r.ID.String())
			}
			pages++
			if c.q.Cursor = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: found %d records, want %d", name, len(got), len(want))
		}
		if pages < c.pages || pages > 2*c.pages+1 {
			t.Errorf("%s: %d pages, about %d expected", name, pages, c.pages)
		}
	}
}
