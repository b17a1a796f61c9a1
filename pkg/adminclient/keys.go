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
	State  string // adminapi.KeyActive, KeyInvalid or KeyDisabled
	Limit  int    // 1 to 1000; 0 takes 50
	Cursor string // NextCursor of the page before
}

// Keys gets a page of the keys of a group, oldest first.
func (c *Client) Keys(ctx context.Context, group string, f KeyFilter) (adminapi.KeyPage, error) {
	query := url.Values{}
	add(query, "state", f.State)
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

// TestKeys tests up to 100 keys now.
func (c *Client) TestKeys(ctx context.Context, group string, ids ...string) (adminapi.KeyTests, error) {
	return call[adminapi.KeyTests](ctx, c, keyAction(group, "test", adminapi.KeySelection{IDs: ids}))
}

// RestoreKeys makes invalid keys active again and ends the rests of active ones. It returns how many it changed.
func (c *Client) RestoreKeys(ctx context.Context, group string, which adminapi.KeySelection) (int, error) {
	return c.changeKeys(ctx, keyAction(group, "restore", which))
}

// EnableKeys makes disabled keys active again. It returns how many it changed.
func (c *Client) EnableKeys(ctx context.Context, group string, which adminapi.KeySelection) (int, error) {
	return c.changeKeys(ctx, keyAction(group, "enable", which))
}

// DisableKeys takes keys out until they are enabled. It returns how many it changed.
func (c *Client) DisableKeys(ctx context.Context, group string, which adminapi.KeySelection) (int, error) {
	return c.changeKeys(ctx, keyAction(group, "disable", which))
}

// DeleteKeys deletes keys for good. It returns how many.
func (c *Client) DeleteKeys(ctx context.Context, group string, which adminapi.KeySelection) (int, error) {
	return c.changeKeys(ctx, keyAction(group, "delete", which))
}

func keyAction(group, action string, which adminapi.KeySelection) request {
	return request{method: http.MethodPost, path: at("groups", group, "keys", action), json: which}
}

func (c *Client) changeKeys(ctx context.Context, r request) (int, error) {
	changed, err := call[adminapi.KeysChanged](ctx, c, r)
	return changed.Changed, err
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
