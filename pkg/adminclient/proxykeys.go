package adminclient

import (
	"context"
	"net/http"
	"net/url"

	"gpt-load/pkg/adminapi"
)

// ProxyKeyFilter narrows a page of proxy keys. Zero fields do not filter.
type ProxyKeyFilter struct {
	GroupID     string // only keys that open this group
	Fingerprint string
	Reveal      bool   // show them in clear
	Limit       int    // 1 to 200; 0 takes 50
	Cursor      string // NextCursor of the page before
}

// ProxyKeys gets a page of the keys that clients use, with the groups that each opens and their addresses.
func (c *Client) ProxyKeys(ctx context.Context, f ProxyKeyFilter) (adminapi.ProxyKeyPage, error) {
	query := url.Values{}
	add(query, "group_id", f.GroupID)
	add(query, "fingerprint", f.Fingerprint)
	add(query, "cursor", f.Cursor)
	addInt(query, "limit", f.Limit)
	if f.Reveal {
		query.Set("reveal", "true")
	}
	return call[adminapi.ProxyKeyPage](ctx, c, request{method: http.MethodGet, path: at("proxy-keys"), query: query})
}
