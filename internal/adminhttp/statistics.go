package adminhttp

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

const (
	usualStatistics   = 24 * time.Hour
	longestStatistics = 400 * 24 * time.Hour // a year to compare with, and a month
)

type statisticsFilter struct {
	From    time.Time `query:"from" doc:"First hour; its minutes are cut off. Absent means 24 hours before to."`
	To      time.Time `query:"to" doc:"End; the hour that it lies in counts whole. Absent means now."`
	GroupID string    `query:"group_id" doc:"The group that served or the aggregate that was asked."`
	Model   string    `query:"model" doc:"The model sent." maxLength:"256"`
	By      []string  `query:"by" doc:"What rows are told apart by: any of hour, group, model and proxy_key, with commas between."`
}

func (a *API) mountStatistics(api huma.API) {
	route(api, huma.Operation{
		OperationID: "get-statistics", Method: http.MethodGet, Path: "/statistics", Tags: []string{"statistics"},
		Summary: "Sums of requests over whole hours, by hour, group, model or proxy key",
	}, a.statistics)
}

func (a *API) statistics(ctx context.Context, in *statisticsFilter) (*answer[adminapi.Statistics], error) {
	q, err := in.query(a.Clock())
	if err != nil {
		return nil, err
	}
	stats, err := a.Store.Stats(ctx, q)
	if err != nil {
		return nil, err
	}
	return &answer[adminapi.Statistics]{adminapi.Statistics{From: q.From, To: q.To, Total: wireStats(stats.Total), Rows: mapped(stats.Rows, wireStats)}}, nil
}

func (f *statisticsFilter) query(now time.Time) (fleet.StatsQuery, error) {
	var faults []fleet.FieldError
	fault := func(field, message string) {
		faults = append(faults, fleet.FieldError{Field: field, Message: message})
	}
	q := fleet.StatsQuery{From: f.From, To: f.To, Model: f.Model}
	if q.To.IsZero() {
		q.To = now
	}
	if whole := q.To.UTC().Truncate(time.Hour); whole.Before(q.To) {
		q.To = whole.Add(time.Hour)
	}
	if q.From.IsZero() {
		q.From = q.To.Add(-usualStatistics)
	}
	q.From, q.To = q.From.UTC().Truncate(time.Hour), q.To.UTC()
	if !q.From.Before(q.To) {
		fault("to", "must be later than from")
	} else if q.To.Sub(q.From) > longestStatistics {
		fault("from", "must be at most 400 days before to")
	}
	var ok bool
	if q.GroupID, ok = parseID[fleet.GroupID](f.GroupID); !ok && f.GroupID != "" {
		fault("group_id", "must be an id, which is a positive number")
	}
	known := map[string]fleet.StatsBy{"hour": fleet.StatsByTime, "group": fleet.StatsByGroup, "model": fleet.StatsByModel, "proxy_key": fleet.StatsByProxyKey}
	for _, text := range f.By {
		by, ok := known[text]
		if !ok {
			fault("by", "may hold hour, group, model and proxy_key, not "+clip(text))
		} else if !slices.Contains(q.By, by) {
			q.By = append(q.By, by)
		}
	}
	return q, fleet.InvalidFields(faults)
}

func wireStats(r fleet.StatsRow) adminapi.StatisticsRow {
	return adminapi.StatisticsRow{
		Hour: wireTime(r.Start), GroupID: idText(r.GroupID), Model: r.Model, ProxyKeyFingerprint: r.ProxyKeyFingerprint,
		Requests: r.Requests, Succeeded: r.Succeeded, ClientFaults: r.ClientFaults, Failed: r.Failed, Retries: r.Retries,
		RequestBytes: r.RequestBytes, ResponseBytes: r.ResponseBytes,
		MeanDurationMS: mean(r.DurationSum, r.Requests), MeanFirstByteMS: mean(r.FirstByteSum, r.FirstBytes),
	}
}

func mean(sum time.Duration, n int64) int64 {
	if n == 0 {
		return 0
	}
	return (sum / time.Duration(n)).Milliseconds()
}
