package adminclient

import (
	"context"
	"net/http"

	"gpt-load/pkg/adminapi"
)

// Nodes lists the nodes of the fleet.
func (c *Client) Nodes(ctx context.Context) (adminapi.NodeList, error) {
	return call[adminapi.NodeList](ctx, c, request{method: http.MethodGet, path: at("nodes")})
}
