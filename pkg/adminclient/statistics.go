package adminclient

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"gpt-load/pkg/adminapi"
)

// Statistics gets sums of requests over whole steps of time.
func (c *Client) Statistics(ctx context.Context, f adminapi.StatisticsFilter) (adminapi.Statistics, error) {
	query := url.Values{}
	addTime(query, "from", f.From)
	addTime(query, "to", f.To)
	add(query, "step", f.Step)
	add(query, "group_id", f.GroupID)
	add(query, "parent_id", f.ParentID)
	add(query, "model", f.Model)
	add(query, "proxy_key", f.ProxyKey)
	add(query, "key_id", f.KeyID)
	add(query, "by", strings.Join(f.By, ","))
	if f.Percentiles {
		query.Set("percentiles", "true")
	}
	return call[adminapi.Statistics](ctx, c, request{method: http.MethodGet, path: at("statistics"), query: query})
}

// GroupStatistics gets how a group did in a period, adminapi.PeriodDay when it is empty, with the top 1 to 100 models, keys and
// proxy keys; 0 takes 20.
func (c *Client) GroupStatistics(ctx context.Context, group, period string, top int) (adminapi.GroupStatistics, error) {
	query := url.Values{}
	add(query, "period", period)
	addInt(query, "top", top)
	return call[adminapi.GroupStatistics](ctx, c, request{method: http.MethodGet, path: at("groups", group, "statistics"), query: query})
}
