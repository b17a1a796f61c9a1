package adminclient

import (
	"context"
	"net/http"

	"gpt-load/pkg/adminapi"
)

// Preview tells what an upstream of a group would get of a request, which is not sent. The spaces between the parts of
// in.Body do not survive json.Marshal.
func (c *Client) Preview(ctx context.Context, group string, in adminapi.PreviewInput) (adminapi.Preview, error) {
	return call[adminapi.Preview](ctx, c, request{method: http.MethodPost, path: at("groups", group, "preview"), json: in})
}
