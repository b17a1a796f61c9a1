package adminclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"gpt-load/pkg/adminapi"
)

// AddKeys adds keys to a standard group, at most 16 MiB of them, before it returns; ImportKeys takes more, and files.
func (c *Client) AddKeys(ctx context.Context, group string, in adminapi.KeyInput) (adminapi.KeyImport, error) {
	return call[adminapi.KeyImport](ctx, c, request{method: http.MethodPost, path: at("groups", group, "keys"), json: in})
}

// KeyFilter narrows a page of keys. Zero fields do not filter.
type KeyFilter struct {
	adminapi.KeyFilter
	Sort   string // adminapi.KeysOldest and so on; empty is the oldest first
	Limit  int    // 1 to 1000; 0 takes 50
	Cursor string // NextCursor of the page before
}

// Keys gets a page of the keys of a group. Where the server has no index for the filter, a page may have fewer keys than asked
// for, or none, and still name a next one: only a page without NextCursor is the last.
func (c *Client) Keys(ctx context.Context, group string, f KeyFilter) (adminapi.KeyPage, error) {
	query := url.Values{}
	add(query, "state", f.State)
	add(query, "reason", f.Reason)
	add(query, "notes", f.Notes)
	add(query, "tag", f.Tag)
	addTime(query, "created_from", f.CreatedFrom)
	addTime(query, "created_to", f.CreatedTo)
	addTime(query, "used_from", f.UsedFrom)
	addTime(query, "used_to", f.UsedTo)
	if f.NeverUsed {
		query.Set("never_used", "true")
	}
	add(query, "sort", f.Sort)
	add(query, "cursor", f.Cursor)
	addInt(query, "limit", f.Limit)
	return call[adminapi.KeyPage](ctx, c, request{method: http.MethodGet, path: at("groups", group, "keys"), query: query})
}

// SearchKey finds one exact key, in every group when group is empty.
func (c *Client) SearchKey(ctx context.Context, group, value string) (adminapi.KeyPage, error) {
	return call[adminapi.KeyPage](ctx, c, request{
		method: http.MethodPost, path: at("keys", "search"), json: adminapi.KeySearch{Value: value, GroupID: group},
	})
}

// Key gets a key without its value.
func (c *Client) Key(ctx context.Context, id string) (adminapi.Key, error) {
	return call[adminapi.Key](ctx, c, request{method: http.MethodGet, path: at("keys", id)})
}

// RevealKey gets a key in clear.
func (c *Client) RevealKey(ctx context.Context, id string) (string, error) {
	value, err := call[adminapi.KeyValue](ctx, c, request{method: http.MethodGet, path: at("keys", id, "value")})
	return value.Value, err
}

func add(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

func addInt(query url.Values, name string, value int) {
	if value != 0 {
		query.Set(name, strconv.Itoa(value))
	}
}
