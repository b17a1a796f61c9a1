package adminclient

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"gpt-load/pkg/adminapi"
)

// Audit gets a page of the audit log, newest first.
func (c *Client) Audit(ctx context.Context, f adminapi.AuditFilter) (adminapi.AuditPage, error) {
	query := auditQuery(f)
	addInt(query, "limit", f.Limit)
	add(query, "cursor", f.Cursor)
	return call[adminapi.AuditPage](ctx, c, request{method: http.MethodGet, path: at("audit"), query: query})
}

// ExportAudit gets the audit log as adminapi.RecordsCSV or RecordsJSONL, newest first: all of it, or the newest f.Limit events. The
// cursor of f is not used. The caller closes what it gets. An export that breaks off ends with an error and not with io.EOF.
func (c *Client) ExportAudit(ctx context.Context, f adminapi.AuditFilter, format string) (io.ReadCloser, error) {
	query := auditQuery(f)
	add(query, "format", format)
	addInt(query, "limit", f.Limit)
	return c.open(ctx, request{method: http.MethodGet, path: at("audit", "export"), query: query})
}

func auditQuery(f adminapi.AuditFilter) url.Values {
	query := url.Values{}
	addTime(query, "from", f.From)
	addTime(query, "to", f.To)
	add(query, "kind", f.Kind)
	add(query, "actor", f.Actor)
	add(query, "noun", f.Noun)
	add(query, "noun_id", f.NounID)
	add(query, "group_id", f.GroupID)
	return query
}

// AuditEvent gets one event.
func (c *Client) AuditEvent(ctx context.Context, id string) (adminapi.AuditEvent, error) {
	return call[adminapi.AuditEvent](ctx, c, request{method: http.MethodGet, path: at("audit", id)})
}

// UndoAuditEvent undoes a change. What moved on since is an *Error with the code conflict.
func (c *Client) UndoAuditEvent(ctx context.Context, id string) (adminapi.AuditUndone, error) {
	return call[adminapi.AuditUndone](ctx, c, request{method: http.MethodPost, path: at("audit", id, "undo")})
}
