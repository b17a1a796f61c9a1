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
	From        time.Time `query:"from" doc:"Begin; the step that it lies in counts whole. Absent means 24 hours before to, of minutes an hour."`
	To          time.Time `query:"to" doc:"End; the step that it lies in counts whole. Absent means now."`
	Step        string    `query:"step" enum:"minute,hour,day" default:"hour" doc:"What times are counted in. Minutes are kept for three hours; days are those of UTC."`
	GroupID     string    `query:"group_id" doc:"The group that served or the aggregate that was asked; of provider keys, their group."`
	ParentID    string    `query:"parent_id" doc:"The aggregate that was asked."`
	Model       string    `query:"model" doc:"The model sent." maxLength:"256"`
	ProxyKey    string    `query:"proxy_key" doc:"Fingerprint of the proxy key." maxLength:"64"`
	KeyID       string    `query:"key_id" doc:"A provider key. Sums of provider keys count attempts by the hour for 32 days, and know no model, parent or proxy key."`
	By          []string  `query:"by" doc:"What rows are told apart by: any of time, group, parent, model, proxy_key and key, with commas between."`
	Percentiles bool      `query:"percentiles" doc:"Give the 50th, 95th and 99th percentiles of durations. They are added up of all rows, which takes a second for a million of them."`
}

func (a *API) mountStatistics(api huma.API) {
	tags := []string{"statistics"}
	route(api, huma.Operation{
		OperationID: "get-statistics", Method: http.MethodGet, Path: "/statistics", Tags: tags,
		Summary: "Sums of requests by time, group, model, proxy key or provider key",
	}, a.statistics)
	route(api, huma.Operation{
		OperationID: "get-group-statistics", Method: http.MethodGet, Path: "/groups/{id}/statistics", Tags: tags,
		Summary: "How a group did in the last hour, day, week or month: its series, models, keys and proxy keys",
	}, a.groupStatistics)
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

var statisticsSteps = map[string]time.Duration{
	adminapi.StepMinute: fleet.StatsMinute, adminapi.StepHour: fleet.StatsHour, adminapi.StepDay: fleet.StatsDay,
}

func (f *statisticsFilter) query(now time.Time) (fleet.StatsQuery, error) {
	var faults []fleet.FieldError
	fault := func(field, message string) {
		faults = append(faults, fleet.FieldError{Field: field, Message: message})
	}
	q := fleet.StatsQuery{From: f.From, To: f.To, Step: statisticsSteps[f.Step], Model: f.Model, ProxyKey: f.ProxyKey, Latencies: f.Percentiles}
	f.span(&q, now)
	if !q.From.Before(q.To) {
		fault("to", "must be later than from")
	} else if q.To.Sub(q.From) > longestStatistics {
		fault("from", "must be at most 400 days before to")
	}
	for _, id := range []struct {
		field, text string
		set         func(id int64)
	}{
		{"group_id", f.GroupID, func(id int64) { q.GroupID = fleet.GroupID(id) }},
		{"parent_id", f.ParentID, func(id int64) { q.ParentID = fleet.GroupID(id) }},
		{"key_id", f.KeyID, func(id int64) { q.KeyID = fleet.KeyID(id) }},
	} {
		if number, ok := parseID[int64](id.text); ok {
			id.set(number)
		} else if id.text != "" {
			fault(id.field, "must be an id, which is a positive number")
		}
	}
	known := []fleet.StatsBy{fleet.StatsByTime, fleet.StatsByGroup, fleet.StatsByParent, fleet.StatsByModel, fleet.StatsByProxyKey, fleet.StatsByKey}
	for _, text := range f.By {
		by := fleet.StatsBy(text)
		if !slices.Contains(known, by) {
			fault("by", "may hold time, group, parent, model, proxy_key and key, not "+clip(text))
		} else if !slices.Contains(q.By, by) {
			q.By = append(q.By, by)
		}
	}
	return q, fleet.InvalidFields(faults)
}

// span widens the times asked for to whole steps.
func (f *statisticsFilter) span(q *fleet.StatsQuery, now time.Time) {
	if q.To.IsZero() {
		q.To = now
	}
	q.To = wholeAfter(q.To, q.Step)
	if q.From.IsZero() {
		usual := usualStatistics
		if q.Step == fleet.StatsMinute {
			usual = time.Hour
		}
		q.From = q.To.Add(-usual)
	}
	q.From = q.From.UTC().Truncate(q.Step)
}

// wholeAfter is the end of the step that t lies in; t when that is where one ends.
func wholeAfter(t time.Time, step time.Duration) time.Time {
	whole := t.UTC().Truncate(step)
	if whole.Before(t) {
		whole = whole.Add(step)
	}
	return whole
}

func wireStats(r fleet.StatsRow) adminapi.StatisticsRow {
	return adminapi.StatisticsRow{
		Start: wireTime(r.Start), GroupID: idText(r.GroupID), ParentID: idText(r.ParentID), KeyID: idText(r.KeyID),
		Model: r.Model, ProxyKeyFingerprint: r.ProxyKeyFingerprint,
		Requests: r.Requests, Succeeded: r.Succeeded, ClientFaults: r.ClientFaults, Failed: r.Failed, Retries: r.Retries,
		RequestBytes: r.RequestBytes, ResponseBytes: r.ResponseBytes,
		MeanDurationMS: mean(r.DurationSum, r.Requests), MeanFirstByteMS: mean(r.FirstByteSum, r.FirstBytes),
		Duration: wirePercentiles(r.Duration), FirstByte: wirePercentiles(r.FirstByte),
	}
}

func wirePercentiles(p fleet.Percentiles) *adminapi.Percentiles {
	if p == (fleet.Percentiles{}) {
		return nil // not asked for, or of no request
	}
	ms := func(d time.Duration) int64 { return d.Round(time.Millisecond).Milliseconds() }
	return &adminapi.Percentiles{P50MS: ms(p.P50), P95MS: ms(p.P95), P99MS: ms(p.P99)}
}

func mean(sum time.Duration, n int64) int64 {
	if n == 0 {
		return 0
	}
	return (sum / time.Duration(n)).Milliseconds()
}
