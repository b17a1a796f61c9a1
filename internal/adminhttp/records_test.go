package adminhttp_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/pkg/adminapi"
)

// recorded writes requests of three hours: one fine, one that needed two attempts, one that the client got wrong.
func recorded(t *testing.T, w *world) []fleet.RequestRecord {
	t.Helper()
	start := time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour)
	records := []fleet.RequestRecord{
		{
			StartedAt: start, Duration: 200 * time.Millisecond, TimeToFirstByte: 50 * time.Millisecond, GroupID: 1, GroupName: "a", ParentID: 3, ParentName: "all",
			ProxyKeyFingerprint: "0123456789ab", ClientIP: "203.0.113.9", Method: "POST", Path: "/v1/chat/completions", ModelAsked: "gpt-4o", ModelSent: "gpt-4o-mini",
			Stream: true, Status: 200, Class: fleet.ClassOK, RequestBytes: 100, ResponseBytes: 1000,
			Attempts: []fleet.Attempt{{GroupID: 1, KeyID: 5, KeyTail: "abcd", Upstream: "api.openai.com:443", Status: 200, Class: fleet.ClassOK, Duration: 190 * time.Millisecond}},
			Capture:  &fleet.BodyCapture{Request: []byte(`{"model":"gpt-4o"}`), Response: []byte("caf\xc3"), ResponseTruncated: true},
		},
		{
			StartedAt: start.Add(time.Hour), Duration: time.Second, GroupID: 1, GroupName: "a", Method: "POST", Path: "/v1/embeddings", ModelAsked: "emb", ModelSent: "emb",
			Status: 502, Class: fleet.ClassUpstream, Error: "connection refused twice", RequestBytes: 10, ResponseBytes: 20,
			Attempts: []fleet.Attempt{{KeyID: 5, KeyTail: "abcd", Class: fleet.ClassUpstream, Reason: "connection_refused"}, {KeyID: 6, KeyTail: "wxyz", Class: fleet.ClassUpstream}},
			Capture:  &fleet.BodyCapture{Request: []byte{0xff, 0xfe}},
		},
		{
			StartedAt: start.Add(2 * time.Hour), Duration: 10 * time.Millisecond, TimeToFirstByte: 10 * time.Millisecond, GroupID: 2, GroupName: "b", Method: "GET",
			Path: "/v1/models", Status: 404, Class: fleet.ClassClient, Attempts: []fleet.Attempt{{KeyID: 7, Status: 404, Class: fleet.ClassClient}},
		},
	}
	for i := range records {
		records[i].ID = fleet.NewRecordID(records[i].StartedAt)
	}
	if err := w.store.WriteRecords(t.Context(), requestlog.Batch{Source: "spool", Position: 3, Records: records}); err != nil {
		t.Fatal(err)
	}
	return records
}

func TestRecords(t *testing.T) {
	w := newWorld(t)
	records := recorded(t, w)
	id := func(i int) string { return records[i].ID.String() }
	for name, c := range map[string]struct {
		filter adminapi.RecordFilter
		want   []string
	}{
		"all, newest first": {adminapi.RecordFilter{}, []string{id(2), id(1), id(0)}},
		"time":              {adminapi.RecordFilter{From: records[1].StartedAt, To: records[2].StartedAt}, []string{id(1)}},
		"group":             {adminapi.RecordFilter{GroupID: "1"}, []string{id(1), id(0)}},
		"aggregate":         {adminapi.RecordFilter{GroupID: "3"}, []string{id(0)}},
		"parent":            {adminapi.RecordFilter{ParentID: "3"}, []string{id(0)}},
		"model asked":       {adminapi.RecordFilter{Model: "gpt-4o"}, []string{id(0)}},
		"model sent":        {adminapi.RecordFilter{Model: "gpt-4o-mini"}, []string{id(0)}},
		"status":            {adminapi.RecordFilter{Status: 404}, []string{id(2)}},
		"statuses":          {adminapi.RecordFilter{StatusFrom: 400, StatusTo: 599}, []string{id(2), id(1)}},
		"class":             {adminapi.RecordFilter{Class: "upstream"}, []string{id(1)}},
		"stream":            {adminapi.RecordFilter{Stream: new(true)}, []string{id(0)}},
		"retried":           {adminapi.RecordFilter{Retried: new(true)}, []string{id(1)}},
		"not retried":       {adminapi.RecordFilter{Retried: new(false)}, []string{id(2), id(0)}},
		"key":               {adminapi.RecordFilter{KeyID: "6"}, []string{id(1)}},
		"key tail":          {adminapi.RecordFilter{KeyTail: "abcd"}, []string{id(1), id(0)}},
		"proxy key":         {adminapi.RecordFilter{ProxyKey: "0123456789ab"}, []string{id(0)}},
		"client":            {adminapi.RecordFilter{ClientIP: "203.0.113.9"}, []string{id(0)}},
		"text of the error": {adminapi.RecordFilter{Text: "REFUSED"}, []string{id(1)}},
		"nothing":           {adminapi.RecordFilter{GroupID: "9"}, nil},
	} {
		page, err := w.client.Records(t.Context(), c.filter)
		var got []string
		for _, r := range page.Records {
			got = append(got, r.ID)
			if r.Capture != nil {
				t.Errorf("%s: a page holds bodies", name)
			}
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v, %v", name, got, c.want, err)
		}
	}
	first, err := w.client.Records(t.Context(), adminapi.RecordFilter{Limit: 2})
	if err != nil || len(first.Records) != 2 || first.NextCursor == "" {
		t.Fatalf("first page %d, cursor %q, %v", len(first.Records), first.NextCursor, err)
	}
	second, err := w.client.Records(t.Context(), adminapi.RecordFilter{Limit: 2, Cursor: first.NextCursor})
	if err != nil || len(second.Records) != 1 || second.Records[0].ID != id(0) || second.NextCursor != "" {
		t.Errorf("second page %+v, %v", second, err)
	}
}

func TestOneRecord(t *testing.T) {
	w := newWorld(t)
	records := recorded(t, w)
	got, err := w.client.Record(t.Context(), records[0].ID.String())
	if err != nil {
		t.Fatal(err)
	}
	if got.DurationMS != 200 || got.FirstByteMS != 50 || got.GroupID != "1" || got.ParentID != "3" || !got.StartedAt.Equal(records[0].StartedAt) || !got.Stream ||
		len(got.Attempts) != 1 || got.Attempts[0].KeyID != "5" || got.Attempts[0].DurationMS != 190 {
		t.Errorf("got %+v", got)
	}
	// A cut in the middle of a character leaves a text, without that character.
	if got.Capture == nil || got.Capture.Request != (adminapi.Body{Content: `{"model":"gpt-4o"}`, Encoding: "text"}) ||
		got.Capture.Response != (adminapi.Body{Content: "caf", Encoding: "text", Truncated: true}) {
		t.Errorf("bodies %+v", got.Capture)
	}
	binary, err := w.client.Record(t.Context(), records[1].ID.String())
	if err != nil || binary.Capture == nil || binary.Capture.Request.Encoding != "base64" || binary.Capture.Request.Content != base64.StdEncoding.EncodeToString([]byte{0xff, 0xfe}) {
		t.Errorf("binary body %+v, %v", binary.Capture, err)
	}
	for _, id := range []string{"nonsense", fleet.NewRecordID(time.Now()).String()} {
		_, err := w.client.Record(t.Context(), id)
		refused(t, err, adminapi.CodeNotFound)
	}
}

func TestFiltersThatCannotBe(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	_, err := w.client.Records(t.Context(), adminapi.RecordFilter{From: now, To: now, GroupID: "x", KeyID: "-1", Class: "bad"})
	if got, want := fieldsOf(refused(t, err, adminapi.CodeInvalid)), []string{"group_id", "key_id", "class", "to"}; !slices.Equal(got, want) {
		t.Errorf("faults of %q, want %q", got, want)
	}
	_, err = w.client.Records(t.Context(), adminapi.RecordFilter{Cursor: "nonsense"})
	refused(t, err, adminapi.CodeInvalid)
	_, err = w.client.Records(t.Context(), adminapi.RecordFilter{Text: strings.Repeat("x", 257), Limit: -1})
	if got, want := fieldsOf(refused(t, err, adminapi.CodeInvalid)), []string{"text", "limit"}; !slices.Equal(got, want) {
		t.Errorf("faults of %q, want %q", got, want)
	}
	_, err = w.client.Statistics(t.Context(), adminapi.StatisticsFilter{From: now.AddDate(-2, 0, 0), By: []string{"time", "weather"}, GroupID: "x"})
	if got, want := fieldsOf(refused(t, err, adminapi.CodeInvalid)), []string{"from", "group_id", "by"}; !slices.Equal(got, want) {
		t.Errorf("faults of %q, want %q", got, want)
	}
}

// TestTailRecords follows records that were written later and began earlier.
func TestTailRecords(t *testing.T) {
	w := newWorld(t)
	tail := func(f adminapi.RecordFilter) adminapi.RecordTail {
		t.Helper()
		got, err := w.client.TailRecords(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if none := tail(adminapi.RecordFilter{}); len(none.Records) != 0 || none.Cursor == "" || none.More {
		t.Errorf("of nothing: %+v", none)
	}
	records := recorded(t, w)
	begin := tail(adminapi.RecordFilter{Limit: 2})
	if len(begin.Records) != 2 || begin.Records[0].ID != records[1].ID.String() || begin.Records[1].ID != records[2].ID.String() {
		t.Errorf("it begins with %+v", begin.Records)
	}
	late := fleet.RequestRecord{StartedAt: records[0].StartedAt.Add(-time.Hour), GroupID: 1, Status: 200, Class: fleet.ClassOK}
	other := fleet.RequestRecord{StartedAt: records[2].StartedAt.Add(time.Second), GroupID: 2, Status: 200, Class: fleet.ClassOK}
	for i, r := range []*fleet.RequestRecord{&other, &late} {
		r.ID = fleet.NewRecordID(r.StartedAt)
		if err := w.store.WriteRecords(t.Context(), requestlog.Batch{Source: "late", Position: int64(i + 1), Records: []fleet.RequestRecord{*r}}); err != nil {
			t.Fatal(err)
		}
	}
	next := tail(adminapi.RecordFilter{Cursor: begin.Cursor})
	if len(next.Records) != 2 || next.Records[0].ID != other.ID.String() || next.Records[1].ID != late.ID.String() {
		t.Errorf("it goes on with %+v", next.Records)
	}
	if one := tail(adminapi.RecordFilter{Cursor: begin.Cursor, GroupID: "1"}); len(one.Records) != 1 || one.Records[0].ID != late.ID.String() || one.Cursor != next.Cursor {
		t.Errorf("of one group %+v", one)
	}
	if end := tail(adminapi.RecordFilter{Cursor: next.Cursor}); len(end.Records) != 0 || end.Cursor != next.Cursor {
		t.Errorf("at the end %+v", end)
	}
	_, err := w.client.TailRecords(t.Context(), adminapi.RecordFilter{Cursor: "nonsense"})
	refused(t, err, adminapi.CodeInvalid)
	_, err = w.client.TailRecords(t.Context(), adminapi.RecordFilter{Cursor: "99"})
	refused(t, err, adminapi.CodeGone) // of another database
}
