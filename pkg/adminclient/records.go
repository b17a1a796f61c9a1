package adminclient

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gpt-load/pkg/adminapi"
)

// Records gets a page of request records, newest first.
func (c *Client) Records(ctx context.Context, f adminapi.RecordFilter) (adminapi.RecordPage, error) {
	query := recordQuery(f)
	addInt(query, "limit", f.Limit)
	add(query, "cursor", f.Cursor)
	return call[adminapi.RecordPage](ctx, c, request{method: http.MethodGet, path: at("records"), query: query})
}

// TailRecords follows records: without a cursor it gets the newest f.Limit, with one what was written since. A cursor that is
// too old is an *Error with adminapi.CodeGone.
func (c *Client) TailRecords(ctx context.Context, f adminapi.RecordFilter) (adminapi.RecordTail, error) {
	query := recordQuery(f)
	addInt(query, "limit", f.Limit)
	add(query, "cursor", f.Cursor)
	return call[adminapi.RecordTail](ctx, c, request{method: http.MethodGet, path: at("records", "tail"), query: query})
}

// ExportRecords gets the records as adminapi.RecordsCSV or RecordsJSONL, newest first: all of them, or the newest f.Limit. The
// cursor of f is not used. The caller closes what it gets. An export that breaks off ends with an error and not with io.EOF.
func (c *Client) ExportRecords(ctx context.Context, f adminapi.RecordFilter, format string) (io.ReadCloser, error) {
	query := recordQuery(f)
	add(query, "format", format)
	addInt(query, "limit", f.Limit)
	return c.open(ctx, request{method: http.MethodGet, path: at("records", "export"), query: query})
}

func recordQuery(f adminapi.RecordFilter) url.Values {
	query := url.Values{}
	addTime(query, "from", f.From)
	addTime(query, "to", f.To)
	add(query, "group_id", f.GroupID)
	add(query, "parent_id", f.ParentID)
	add(query, "model", f.Model)
	addInt(query, "status", f.Status)
	addInt(query, "status_from", f.StatusFrom)
	addInt(query, "status_to", f.StatusTo)
	add(query, "class", f.Class)
	addBool(query, "stream", f.Stream)
	addBool(query, "retried", f.Retried)
	add(query, "key_id", f.KeyID)
	add(query, "key_tail", f.KeyTail)
	add(query, "proxy_key", f.ProxyKey)
	add(query, "client_ip", f.ClientIP)
	add(query, "text", f.Text)
	return query
}

// Record gets a request record with its attempts and captured bodies.
func (c *Client) Record(ctx context.Context, id string) (adminapi.Record, error) {
	return call[adminapi.Record](ctx, c, request{method: http.MethodGet, path: at("records", id)})
}

func addTime(query url.Values, name string, t time.Time) {
	if !t.IsZero() {
		query.Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}

func addBool(query url.Values, name string, b *bool) {
	if b != nil {
		query.Set(name, strconv.FormatBool(*b))
	}
}
