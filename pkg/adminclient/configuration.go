package adminclient

import (
	"context"
	"net/http"

	"gpt-load/pkg/adminapi"
)

// GroupsInClear lists every group in the order of display, secrets in clear.
func (c *Client) GroupsInClear(ctx context.Context) (adminapi.GroupList, error) {
	return call[adminapi.GroupList](ctx, c, request{method: http.MethodGet, path: at("groups"), query: reveal(true)})
}
