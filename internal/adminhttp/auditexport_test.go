package adminhttp_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/audit"
	"gpt-load/pkg/adminapi"
)

// exportedAudit downloads events whole.
func (w *world) exportedAudit(f adminapi.AuditFilter, format string) string {
	w.t.Helper()
	file, err := w.client.ExportAudit(w.t.Context(), f, format)
	if err != nil {
		w.t.Fatal(err)
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(content)
}

// TestExportAudit exports more than one page of events, as a list shows them.
func TestExportAudit(t *testing.T) {
	w := newWorld(t)
	in := openai("g")
	in.Description, in.ProxyKeys = `=HYPERLINK("http://198.51.100.1")`, []string{"sk-client-canary-12345678"}
	g := w.group(in)
	for range 501 {
		e := audit.Event{Kind: audit.KeyRevealed, NounID: "7", Name: "=SUM(1)"}
		if err := w.store.RecordEvent(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	listed := w.events(adminapi.AuditFilter{Limit: 1000})
	var exported []adminapi.AuditEvent
	text := w.exportedAudit(adminapi.AuditFilter{}, "")
	for line := range strings.Lines(text) {
		var e adminapi.AuditEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		exported = append(exported, e)
	}
	if len(listed) != 502 || !reflect.DeepEqual(exported, listed) {
		t.Errorf("%d events exported, %d listed, or they differ", len(exported), len(listed))
	}
	if got := strings.Count(w.exportedAudit(adminapi.AuditFilter{Limit: 501}, adminapi.RecordsJSONL), "\n"); got != 501 {
		t.Errorf("%d events exported, want the newest 501", got)
	}
	table := w.exportedAudit(adminapi.AuditFilter{GroupID: g.ID}, adminapi.RecordsCSV)
	rows, err := csv.NewReader(bytes.NewReader([]byte(table))).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("%q, %v", rows, err)
	}
	column := func(name string) string { return rows[1][slices.Index(rows[0], name)] }
	var after map[string]json.RawMessage
	if err := json.Unmarshal([]byte(column("after")), &after); err != nil {
		t.Fatal(err)
	}
	if column("kind") != "group.created" || column("actor") != "auth_key" || column("noun_id") != g.ID || string(after["proxy_keys"]) != `["****5678"]` {
		t.Errorf("row %q", rows[1])
	}
	if strings.Contains(text+table, "canary") {
		t.Error("a secret is in the export")
	}
	if formula := w.exportedAudit(adminapi.AuditFilter{NounID: "7", Limit: 1}, adminapi.RecordsCSV); !strings.Contains(formula, ",'=SUM(1),") {
		t.Errorf("a formula is %q", formula)
	}
	_, err = w.client.ExportAudit(t.Context(), adminapi.AuditFilter{GroupID: "x"}, "")
	refused(t, err, adminapi.CodeInvalid)
	_, err = w.client.ExportAudit(t.Context(), adminapi.AuditFilter{}, "xlsx")
	refused(t, err, adminapi.CodeInvalid)
}
