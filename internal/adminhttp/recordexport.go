package adminhttp

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

// exportPage is how many records an export holds at a time: some MiB at most.
const exportPage = 500

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
	e := &recordExporter{api: a, q: q, left: in.Limit, all: in.Limit == 0}
	page, err := e.next(ctx) // an error that comes now can still be told
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		mediaType := "application/jsonl"
		if in.Format == adminapi.RecordsCSV {
			mediaType = "text/csv; charset=utf-8"
		}
		c.SetHeader("Content-Type", mediaType)
		c.SetHeader("Content-Disposition", `attachment; filename="gpt-load-records-`+a.Clock().UTC().Format("20060102-150405")+"."+in.Format+`"`)
		call := callOf(c.Context())
		e.call = call
		// The context of the handler ends when it returns; this one is the request's.
		if err := e.write(c.Context(), &extendingWriter{c, call}, in.Format, page); err != nil {
			call.logger.Warn("an export of records broke off", zap.Error(err))
			panic(http.ErrAbortHandler) // half a file must not look like a whole one
		}
	}}, nil
}

// recordExporter reads page by page.
type recordExporter struct {
	api  *API
	call *call
	q    fleet.RecordQuery
	left int
	all  bool
	done bool
}

// next reads a page. It may be empty although it is not the last.
func (e *recordExporter) next(ctx context.Context) (page []fleet.RequestRecord, err error) {
	e.q.Limit = exportPage
	if !e.all {
		e.q.Limit = min(e.left, exportPage)
	}
	page, e.q.Cursor, err = e.api.Store.Records(ctx, e.q)
	e.left -= len(page)
	e.done = e.q.Cursor == "" || !e.all && e.left <= 0
	return page, err
}

func (e *recordExporter) write(ctx context.Context, to io.Writer, format string, page []fleet.RequestRecord) error {
	out := bufio.NewWriterSize(to, 64<<10)
	add := jsonRecords(out)
	if format == adminapi.RecordsCSV {
		add = csvRecords(out)
	}
	for {
		if err := add(page); err != nil {
			return err
		}
		if err := out.Flush(); err != nil || e.done {
			return err
		}
		// Where nothing is found for long, nothing is written either: the client hears at least that it began.
		e.call.extend(usualTimeout)
		_ = http.NewResponseController(e.call.answer).Flush()
		var err error
		if page, err = e.next(ctx); err != nil {
			return err
		}
	}
}

func jsonRecords(out io.Writer) func([]fleet.RequestRecord) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return func(page []fleet.RequestRecord) error {
		for _, r := range page {
			if err := encoder.Encode(wireRecord(r)); err != nil {
				return err
			}
		}
		return nil
	}
}

var recordColumns = []string{
	"id", "started_at", "duration_ms", "first_byte_ms", "group_id", "group_name", "parent_id", "parent_name", "proxy_key_fingerprint", "client_ip", "user_agent",
	"method", "path", "model_asked", "model_sent", "stream", "status", "class", "error", "request_bytes", "response_bytes", "attempts",
}

func csvRecords(out io.Writer) func([]fleet.RequestRecord) error {
	table := csv.NewWriter(out)
	headed := false
	return func(page []fleet.RequestRecord) error {
		if !headed {
			headed = true
			if err := table.Write(recordColumns); err != nil {
				return err
			}
		}
		for _, r := range page {
			row, err := csvRecord(wireRecord(r))
			if err != nil {
				return err
			}
			if err := table.Write(row); err != nil {
				return err
			}
		}
		table.Flush()
		return table.Error()
	}
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

// cell keeps a spreadsheet from running what a client sent: https://owasp.org/www-community/attacks/CSV_Injection.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
