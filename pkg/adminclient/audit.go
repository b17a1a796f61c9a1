package adminclient

import (
	"context"
	"net/http"
	"net/url"

	"gpt-load/pkg/adminapi"
)

// Audit gets a page of the audit log, newest first.
func (c *Client) Audit(ctx context.Context, f adminapi.AuditFilter) (adminapi.AuditPage, error) {
	query := url.Values{}
	addTime(query, "from", f.From)
	addTime(query, "to", f.To)
	add(query, "kind", f.Kind)
	add(query, "actor", f.Actor)
	add(query, "noun", f.Noun)
	add(query, "noun_id", f.NounID)
	add(query, "group_id", f.GroupID)
	addInt(query, "limit", f.Limit)
	add(query, "cursor", f.Cursor)
	return call[adminapi.AuditPage](ctx, c, request{method: http.MethodGet, path: at("audit"), query: query})
}

// AuditEvent gets one event.
func (c *Client) AuditEvent(ctx context.Context, id string) (adminapi.AuditEvent, error) {
	return call[adminapi.AuditEvent](ctx, c, request{method: http.MethodGet, path: at("audit", id)})
}

// UndoAuditEvent undoes a change. What moved on since is an *Error with the code conflict.
func (c *Client) UndoAuditEvent(ctx context.Context, id string) (adminapi.AuditUndone, error) {
	return call[adminapi.AuditUndone](ctx, c, request{method: http.MethodPost, path: at("audit", id, "undo")})
}
