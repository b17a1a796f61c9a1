package adminclient

import (
	"context"
	"net/http"
	"net/url"

	"gpt-load/pkg/adminapi"
)

// Dashboard gets the state of the installation, with a chart of a period, adminapi.PeriodDay when it is empty.
func (c *Client) Dashboard(ctx context.Context, period string) (adminapi.Dashboard, error) {
	query := url.Values{}
	add(query, "period", period)
	return call[adminapi.Dashboard](ctx, c, request{method: http.MethodGet, path: at("dashboard"), query: query})
}
