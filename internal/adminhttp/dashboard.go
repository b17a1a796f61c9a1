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
	// chartedGroups have a series of their own: as many as can be told apart by colour.
	chartedGroups = 8
	// rateMinutes is what requests per minute are the mean of: records come in bursts, whenever nodes write them.
	rateMinutes = 10
)

type dashboardQuery struct {
	Period string `query:"period" enum:"1h,24h,7d,30d" default:"24h" doc:"Of the chart, as in the statistics of a group."`
}

func (a *API) mountDashboard(api huma.API) {
	route(api, huma.Operation{
		OperationID: "get-dashboard", Method: http.MethodGet, Path: "/dashboard", Tags: []string{"dashboard"},
		Summary: "The state of the installation: keys, requests, failures, a chart and security findings",
	}, a.dashboard)
}

func (a *API) dashboard(ctx context.Context, in *dashboardQuery) (*answer[adminapi.Dashboard], error) {
	groups, err := a.Store.Groups(ctx)
	if err != nil {
		return nil, err
	}
	now := a.Clock()
	d := adminapi.Dashboard{At: wireTime(now), Groups: []adminapi.DashboardGroup{}}
	for _, g := range groups {
		counts := a.countKeys(g)
		d.Groups = append(d.Groups, adminapi.DashboardGroup{ID: idText(g.ID), Name: g.Name, Kind: string(g.Kind), Keys: counts})
		if g.Kind != fleet.KindAggregate { // whose keys are those of others
			addCounts(&d.Keys, counts)
		}
	}
	if d.RequestsPerMinute, err = a.requestRate(ctx, now); err != nil {
		return nil, err
	}
	if d.Day, err = a.daySum(ctx, now); err != nil {
		return nil, err
	}
	if d.Chart, err = a.chart(ctx, in.Period, now, groups); err != nil {
		return nil, err
	}
	if d.Security, err = a.findings(ctx, groups); err != nil {
		return nil, err
	}
	return &answer[adminapi.Dashboard]{d}, nil
}

func addCounts(to *adminapi.KeyCounts, c adminapi.KeyCounts) {
	to.Active += c.Active
	to.Cooling += c.Cooling
	to.Invalid += c.Invalid
	to.Disabled += c.Disabled
}

// between is the total of a time.
func (a *API) between(ctx context.Context, from, to time.Time, step time.Duration) (fleet.StatsRow, error) {
	stats, err := a.Store.Stats(ctx, fleet.StatsQuery{From: from, To: to, Step: step})
	return stats.Total, err
}

func (a *API) requestRate(ctx context.Context, now time.Time) (adminapi.Trend, error) {
	to := now.UTC().Truncate(time.Minute)
	from := to.Add(-rateMinutes * time.Minute)
	last, err := a.between(ctx, from, to, fleet.StatsMinute)
	if err != nil {
		return adminapi.Trend{}, err
	}
	before, err := a.between(ctx, from.Add(-rateMinutes*time.Minute), from, fleet.StatsMinute)
	return trendOf(float64(last.Requests)/rateMinutes, float64(before.Requests)/rateMinutes), err
}

func (a *API) daySum(ctx context.Context, now time.Time) (adminapi.DaySum, error) {
	to := wholeAfter(now, fleet.StatsHour)
	from := to.Add(-fleet.StatsDay)
	day, err := a.between(ctx, from, to, fleet.StatsHour)
	if err != nil {
		return adminapi.DaySum{}, err
	}
	before, err := a.between(ctx, from.Add(-fleet.StatsDay), from, fleet.StatsHour)
	return adminapi.DaySum{
		Requests:    trendOf(float64(day.Requests), float64(before.Requests)),
		Failed:      trendOf(float64(day.Failed), float64(before.Failed)),
		FailureRate: trendOf(percent(day.Failed, day.Requests), percent(before.Failed, before.Requests)),
	}, err
}

func percent(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

func trendOf(now, before float64) adminapi.Trend {
	t := adminapi.Trend{Now: now, Before: before}
	if before != 0 {
		t.ChangePercent = new(100 * (now - before) / before)
	}
	return t
}

// chart asks for the series of each group by itself: all groups by all steps could be more rows than one answer holds.
func (a *API) chart(ctx context.Context, name string, now time.Time, groups []fleet.Group) (adminapi.Chart, error) {
	period := statisticsPeriods[name]
	to := wholeAfter(now, period.step)
	q := fleet.StatsQuery{From: to.Add(-period.length), To: to, Step: period.step}
	chart := adminapi.Chart{Period: name, Step: period.name, From: q.From, To: q.To, Groups: []adminapi.ChartSeries{}}

	byTime := func(q fleet.StatsQuery) ([]adminapi.ChartPoint, error) {
		q.By = []fleet.StatsBy{fleet.StatsByTime}
		stats, err := a.Store.Stats(ctx, q)
		return mapped(wholeSeries(stats.Rows, q), chartPoint), err
	}
	var err error
	if chart.Total, err = byTime(q); err != nil {
		return chart, err
	}
	byGroup := q
	byGroup.By = []fleet.StatsBy{fleet.StatsByGroup}
	stats, err := a.Store.Stats(ctx, byGroup)
	if err != nil {
		return chart, err
	}
	chart.Others = slices.Clone(chart.Total)
	// Requests that no group served stay with the others.
	served := slices.DeleteFunc(stats.Rows, func(r fleet.StatsRow) bool { return r.GroupID == 0 })
	for _, row := range sharesOf(served, chartedGroups).Rows {
		one := q
		one.GroupID, _ = parseID[fleet.GroupID](row.GroupID)
		points, err := byTime(one)
		if err != nil {
			return chart, err
		}
		series := adminapi.ChartSeries{GroupID: row.GroupID, Points: points}
		if at := slices.IndexFunc(groups, func(g fleet.Group) bool { return g.ID == one.GroupID }); at >= 0 {
			series.GroupName = groups[at].Name
		}
		chart.Groups = append(chart.Groups, series)
		for i, p := range points {
			without(&chart.Others[i], p)
		}
	}
	return chart, nil
}

func chartPoint(r adminapi.StatisticsRow) adminapi.ChartPoint {
	return adminapi.ChartPoint{Start: r.Start, Requests: r.Requests, Succeeded: r.Succeeded, ClientFaults: r.ClientFaults, Failed: r.Failed}
}

// without takes p off. More may have been served since the total was read.
func without(from *adminapi.ChartPoint, p adminapi.ChartPoint) {
	from.Requests = max(from.Requests-p.Requests, 0)
	from.Succeeded = max(from.Succeeded-p.Succeeded, 0)
	from.ClientFaults = max(from.ClientFaults-p.ClientFaults, 0)
	from.Failed = max(from.Failed-p.Failed, 0)
}
