package adminhttp_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/adminhttp"
	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/pkg/adminapi"
)

// exported downloads records whole.
func (w *world) exported(f adminapi.RecordFilter, format string) []byte {
	w.t.Helper()
	file, err := w.client.ExportRecords(w.t.Context(), f, format)
	if err != nil {
		w.t.Fatal(err)
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		w.t.Fatal(err)
	}
	return content
}

func linesOf(t *testing.T, content []byte) (records []adminapi.Record) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(content))
	for {
		var r adminapi.Record
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			return records
		} else if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
}

// TestExportRecords exports more than one page of records, as a list shows them.
func TestExportRecords(t *testing.T) {
	w := newWorld(t)
	busy(t, w, 1, 2, []fleet.KeyID{1, 2}, 1201)
	var listed []adminapi.Record
	for f := (adminapi.RecordFilter{Limit: 1000}); ; {
		page, err := w.client.Records(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, page.Records...)
		if f.Cursor = page.NextCursor; f.Cursor == "" {
			break
		}
	}
	if got := linesOf(t, w.exported(adminapi.RecordFilter{}, "")); len(got) != 1201 || !reflect.DeepEqual(got, listed) {
		t.Errorf("%d records exported, %d listed, or they differ", len(got), len(listed))
	}
	if got := linesOf(t, w.exported(adminapi.RecordFilter{Limit: 501}, adminapi.RecordsJSONL)); !reflect.DeepEqual(got, listed[:501]) {
		t.Errorf("%d records exported, want the newest 501", len(got))
	}
	rows, err := csv.NewReader(bytes.NewReader(w.exported(adminapi.RecordFilter{Class: "upstream", ParentID: "2"}, adminapi.RecordsCSV))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := func(column string) int { return slices.Index(rows[0], column) }
	failed := slices.DeleteFunc(slices.Clone(listed), func(r adminapi.Record) bool { return r.Class != "upstream" || r.ParentID != "2" })
	if len(rows) != len(failed)+1 || len(failed) == 0 {
		t.Fatalf("%d rows for %d records", len(rows), len(failed))
	}
	for i, r := range failed {
		row := rows[i+1]
		var attempts []adminapi.Attempt
		if err := json.Unmarshal([]byte(row[at("attempts")]), &attempts); err != nil {
			t.Fatal(err)
		}
		if row[at("id")] != r.ID || row[at("started_at")] != r.StartedAt.Format(time.RFC3339Nano) || row[at("status")] != "502" || !reflect.DeepEqual(attempts, r.Attempts) {
			t.Errorf("row %q of %+v", row, r)
		}
	}
	if none := w.exported(adminapi.RecordFilter{GroupID: "9"}, adminapi.RecordsCSV); strings.Count(string(none), "\n") != 1 {
		t.Errorf("no records are %q", none)
	}
	_, err = w.client.ExportRecords(t.Context(), adminapi.RecordFilter{Class: "bad", StatusFrom: 500, StatusTo: 400, ParentID: "x"}, "")
	if got, want := fieldsOf(refused(t, err, adminapi.CodeInvalid)), []string{"parent_id", "class", "status_to"}; !slices.Equal(got, want) {
		t.Errorf("faults of %q, want %q", got, want)
	}
	_, err = w.client.ExportRecords(t.Context(), adminapi.RecordFilter{}, "xlsx")
	refused(t, err, adminapi.CodeInvalid)
}

// TestExportOfFormulas has what a client may send to whoever opens the file.
func TestExportOfFormulas(t *testing.T) {
	w := newWorld(t)
	r := fleet.RequestRecord{ID: fleet.NewRecordID(w.clock()), StartedAt: w.clock(), UserAgent: `=HYPERLINK("http://198.51.100.1","x")`, ModelAsked: "@SUM(1)", Path: "/v1,\"x\"", Status: 200, Class: fleet.ClassOK}
	if err := w.store.WriteRecords(t.Context(), requestlog.Batch{Source: "spool", Position: 1, Records: []fleet.RequestRecord{r}}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(w.exported(adminapi.RecordFilter{}, adminapi.RecordsCSV))).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("%q, %v", rows, err)
	}
	for _, want := range []string{"'" + r.UserAgent, "'@SUM(1)", r.Path} {
		if !slices.Contains(rows[1], want) {
			t.Errorf("%q is not in %q", want, rows[1])
		}
	}
}

// breaking fails from the second page on.
type breaking struct{ adminhttp.Store }

func (s breaking) Records(ctx context.Context, q fleet.RecordQuery) ([]fleet.RequestRecord, string, error) {
	if q.Cursor != "" {
		return nil, "", errors.New("the database is away")
	}
	return s.Store.Records(ctx, q)
}

func TestAnExportThatBreaksOff(t *testing.T) {
	w := newWorld(t, func(o *adminhttp.Options) { o.Store = breaking{o.Store} })
	busy(t, w, 1, 2, []fleet.KeyID{1, 2}, 501)
	// The client that checks the document reads answers whole, and tells this error before there is an answer.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+adminapi.Prefix+"/records/export", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+authKey)
	answer, err := w.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if content, err := io.ReadAll(answer.Body); !errors.Is(err, io.ErrUnexpectedEOF) || len(content) == 0 {
		t.Errorf("%d bytes of an export that broke off end with %v", len(content), err)
	}
}
