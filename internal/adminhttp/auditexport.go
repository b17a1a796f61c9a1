package adminhttp

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/pkg/adminapi"
)

type auditExport struct {
	AuditFilter
	Format string `query:"format" enum:"csv,jsonl" default:"jsonl"`
	Limit  int    `query:"limit" minimum:"1" doc:"The newest so many. Absent means all."`
}

func (a *API) mountAuditExport(api huma.API, tags []string) {
	file := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	route(api, huma.Operation{
		OperationID: "export-audit", Method: http.MethodGet, Path: "/audit/export", Tags: tags, Summary: "Download the audit log, newest first",
		Description: "JSON lines hold what a list does. CSV has a row for each event, with what changed as JSON in its last columns; a text that a spreadsheet would take for a formula begins with an apostrophe. Secrets are masked. A download that breaks off is no whole answer of HTTP.",
		Responses: map[string]*huma.Response{"200": {Description: "The events", Content: map[string]*huma.MediaType{
			"text/csv": file, "application/jsonl": file,
		}}},
	}, a.exportAudit)
}

func (a *API) exportAudit(ctx context.Context, in *auditExport) (*huma.StreamResponse, error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	e := &exporter[adminapi.AuditEvent]{
		name: "audit", format: in.Format, now: a.Clock(), left: in.Limit, all: in.Limit == 0, columns: auditColumns, row: csvEvent,
		page: func(ctx context.Context, limit int, cursor string) ([]adminapi.AuditEvent, string, error) {
			q.Limit, q.Cursor = limit, cursor
			events, next, err := a.Store.Audit(ctx, q)
			return mapped(events, wireEvent), next, err
		},
	}
	return e.answer(ctx)
}

var auditColumns = []string{
	"id", "at", "kind", "actor", "client_ip", "session", "request_id", "node", "noun_id", "name", "group_id", "count", "class", "reason", "evidence",
	"undo_of", "undone_by", "before", "after",
}

// csvEvent is in the order of auditColumns.
func csvEvent(e adminapi.AuditEvent) ([]string, error) {
	before, err := json.Marshal(e.Before)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(e.After)
	if err != nil {
		return nil, err
	}
	return []string{
		e.ID, e.At.Format(time.RFC3339Nano), e.Kind, e.Who.Kind, cell(e.Who.ClientIP), cell(e.Who.Session), cell(e.Who.RequestID), cell(e.Node), cell(e.NounID),
		cell(e.Name), e.GroupID, strconv.FormatInt(e.Count, 10), e.Class, cell(e.Reason), cell(e.Evidence), e.UndoOf, e.UndoneBy, string(before), string(after),
	}, nil
}
