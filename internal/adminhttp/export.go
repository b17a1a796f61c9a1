package adminhttp

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"gpt-load/pkg/adminapi"
)

// exportPage is how many things an export holds at a time: some MiB at most.
const exportPage = 500

// exporter writes a list as a file, page by page.
type exporter[T any] struct {
	name    string // of the file
	format  string // adminapi.RecordsCSV or RecordsJSONL
	now     time.Time
	columns []string
	row     func(T) ([]string, error) // in the order of columns
	// page reads a page. It may be empty although it is not the last.
	page func(ctx context.Context, limit int, cursor string) (page []T, next string, err error)

	call   *call
	cursor string
	left   int
	all    bool
	done   bool
}

// answer reads the first page, whose error can still be told, and streams the rest.
func (e *exporter[T]) answer(ctx context.Context) (*huma.StreamResponse, error) {
	page, err := e.next(ctx)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		mediaType := "application/jsonl"
		if e.format == adminapi.RecordsCSV {
			mediaType = "text/csv; charset=utf-8"
		}
		c.SetHeader("Content-Type", mediaType)
		c.SetHeader("Content-Disposition", `attachment; filename="gpt-load-`+e.name+"-"+e.now.UTC().Format("20060102-150405")+"."+e.format+`"`)
		e.call = callOf(c.Context())
		// The context of the handler ends when it returns; this one is the request's.
		if err := e.write(c.Context(), &extendingWriter{c, e.call}, page); err != nil {
			e.call.logger.Warn("an export broke off", zap.String("of", e.name), zap.Error(err))
			panic(http.ErrAbortHandler) // half a file must not look like a whole one
		}
	}}, nil
}

func (e *exporter[T]) next(ctx context.Context) (page []T, err error) {
	limit := exportPage
	if !e.all {
		limit = min(e.left, exportPage)
	}
	page, e.cursor, err = e.page(ctx, limit, e.cursor)
	e.left -= len(page)
	e.done = e.cursor == "" || !e.all && e.left <= 0
	return page, err
}

func (e *exporter[T]) write(ctx context.Context, to io.Writer, page []T) error {
	out := bufio.NewWriterSize(to, 64<<10)
	add := jsonLines[T](out)
	if e.format == adminapi.RecordsCSV {
		add = e.table(out)
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

func jsonLines[T any](out io.Writer) func([]T) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return func(page []T) error {
		for _, item := range page {
			if err := encoder.Encode(item); err != nil {
				return err
			}
		}
		return nil
	}
}

func (e *exporter[T]) table(out io.Writer) func([]T) error {
	table := csv.NewWriter(out)
	headed := false
	return func(page []T) error {
		if !headed {
			headed = true
			if err := table.Write(e.columns); err != nil {
				return err
			}
		}
		for _, item := range page {
			row, err := e.row(item)
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

// cell keeps a spreadsheet from running what a client sent: https://owasp.org/www-community/attacks/CSV_Injection.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
