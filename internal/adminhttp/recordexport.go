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

type recordExport struct {
	RecordFilter
	Format string `query:"format" enum:"csv,jsonl" default:"jsonl"`
	Limit  int    `query:"limit" minimum:"1" doc:"The newest so many. Absent means all."`
}

func (a *API) mountRecordExport(api huma.API, tags []string) {
	file := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	route(api, huma.Operation{
		OperationID: "export-records", Method: http.MethodGet, Path: "/records/export", Tags: tags, Summary: "Download request records, newest first",
		Description: "JSON lines hold what a list does. CSV has a row for each record, with the attempts as JSON in its last column; a text that a spreadsheet would take for a formula begins with an apostrophe. Bodies are in no export. A download that breaks off is no whole answer of HTTP.",
		Responses: map[string]*huma.Response{"200": {Description: "The records", Content: map[string]*huma.MediaType{
			"text/csv": file, "application/jsonl": file,
		}}},
	}, a.exportRecords)
}

func (a *API) exportRecords(ctx context.Context, in *recordExport) (*huma.StreamResponse, error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	e := &exporter[adminapi.Record]{
		name: "records", format: in.Format, now: a.Clock(), left: in.Limit, all: in.Limit == 0, columns: recordColumns, row: csvRecord,
		page: func(ctx context.Context, limit int, cursor string) ([]adminapi.Record, string, error) {
			q.Limit, q.Cursor = limit, cursor
			records, next, err := a.Store.Records(ctx, q)
			return mapped(records, wireRecord), next, err
		},
	}
	return e.answer(ctx)
}

var recordColumns = []string{
	"id", "started_at", "duration_ms", "first_byte_ms", "group_id", "group_name", "parent_id", "parent_name", "proxy_key_fingerprint", "client_ip", "user_agent",
	"method", "path", "model_asked", "model_sent", "stream", "status", "class", "error", "request_bytes", "response_bytes", "attempts",
}

// csvRecord is in the order of recordColumns.
func csvRecord(r adminapi.Record) ([]string, error) {
	attempts, err := json.Marshal(r.Attempts)
	if err != nil {
		return nil, err
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []string{
		r.ID, r.StartedAt.Format(time.RFC3339Nano), number(r.DurationMS), number(r.FirstByteMS), r.GroupID, cell(r.GroupName), r.ParentID, cell(r.ParentName),
		cell(r.ProxyKeyFingerprint), cell(r.ClientIP), cell(r.UserAgent), cell(r.Method), cell(r.Path), cell(r.ModelAsked), cell(r.ModelSent),
		strconv.FormatBool(r.Stream), strconv.Itoa(r.Status), r.Class, cell(r.Error), number(r.RequestBytes), number(r.ResponseBytes), string(attempts),
	}, nil
}
