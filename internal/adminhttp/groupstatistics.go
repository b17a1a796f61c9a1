package adminhttp

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

// A period of the statistics of a group, and the step of its series: some dozens of points, or 168.
type statisticsPeriod struct {
	length time.Duration
	step   time.Duration
	name   string // of the step
}

var statisticsPeriods = map[string]statisticsPeriod{
	adminapi.PeriodHour:  {time.Hour, fleet.StatsMinute, adminapi.StepMinute},
	adminapi.PeriodDay:   {24 * time.Hour, fleet.StatsHour, adminapi.StepHour},
	adminapi.PeriodWeek:  {7 * 24 * time.Hour, fleet.StatsHour, adminapi.StepHour},
	adminapi.PeriodMonth: {30 * 24 * time.Hour, fleet.StatsDay, adminapi.StepDay},
}

type groupStatisticsQuery struct {
	GroupRef
	Period string `query:"period" enum:"1h,24h,7d,30d" default:"24h" doc:"The last hour by the minute, the last day or week by the hour, or the last 30 days by the day of UTC. It ends with the step that is under way."`
	Top    int    `query:"top" minimum:"1" maximum:"100" default:"20" doc:"Rows of models, keys, proxy keys and members; the others are summed up."`
}

func (a *API) groupStatistics(ctx context.Context, in *groupStatisticsQuery) (*answer[adminapi.GroupStatistics], error) {
	id, err := pathID[fleet.GroupID]("group", in.ID)
	if err != nil {
		return nil, err
	}
	group, err := a.Store.Group(ctx, id)
	if err != nil {
		return nil, err
	}
	period := statisticsPeriods[in.Period]
	to := wholeAfter(a.Clock(), period.step)
	q := fleet.StatsQuery{From: to.Add(-period.length), To: to, Step: period.step, GroupID: id, By: []fleet.StatsBy{fleet.StatsByTime}, Latencies: true}
	series, err := a.Store.Stats(ctx, q)
	if err != nil {
		return nil, err
	}
	stats := adminapi.GroupStatistics{
		GroupID: idText(id), Period: in.Period, From: q.From, To: q.To, Step: period.name,
		Total: wireStats(series.Total), Series: wholeSeries(series.Rows, q),
	}
	before := q
	before.From, before.To, before.By, before.Latencies = q.From.Add(-period.length), q.From, nil, false
	old, err := a.Store.Stats(ctx, before)
	if err != nil {
		return nil, err
	}
	stats.Before = wireStats(old.Total)
	if err := a.addShares(ctx, &stats, group, q, in.Top); err != nil {
		return nil, err
	}
	return &answer[adminapi.GroupStatistics]{stats}, nil
}

// addShares tells what the requests of a group are made of.
func (a *API) addShares(ctx context.Context, to *adminapi.GroupStatistics, group fleet.Group, q fleet.StatsQuery, top int) (err error) {
	share := func(q fleet.StatsQuery, by fleet.StatsBy) (shares adminapi.StatisticsShares) {
		if err == nil {
			q.By = []fleet.StatsBy{by}
			var stats fleet.Stats
			stats, err = a.Store.Stats(ctx, q)
			shares = sharesOf(stats.Rows, top)
		}
		return shares
	}
	to.Models = share(q, fleet.StatsByModel)
	to.ProxyKeys = share(q, fleet.StatsByProxyKey)
	if group.Kind == fleet.KindAggregate {
		to.Members = new(share(q, fleet.StatsByGroup))
		return err
	}
	q.From, q.To, q.Step = q.From.Truncate(fleet.StatsHour), wholeAfter(q.To, fleet.StatsHour), fleet.StatsHour
	to.Keys = new(share(q, fleet.StatsByKey))
	if err != nil {
		return err
	}
	return a.maskKeys(ctx, group.ID, to.Keys.Rows)
}

// maskKeys shows how people recognise the keys.
func (a *API) maskKeys(ctx context.Context, group fleet.GroupID, rows []adminapi.StatisticsRow) error {
	var ids []fleet.KeyID
	for _, r := range rows {
		if id, ok := parseID[fleet.KeyID](r.KeyID); ok {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	keys, err := a.Store.SelectedKeys(ctx, fleet.KeySelection{Group: group, IDs: ids}, fleet.KeyEdit{Act: fleet.ActSet}, len(ids))
	if err != nil {
		return err
	}
	for i := range rows {
		at := slices.IndexFunc(keys, func(k fleet.Key) bool { return idText(k.ID) == rows[i].KeyID })
		if at >= 0 {
			rows[i].KeyMasked = mask(keys[at].Value)
		}
	}
	return nil
}

// wholeSeries has a row for each step of q, also for those without requests.
func wholeSeries(rows []fleet.StatsRow, q fleet.StatsQuery) []adminapi.StatisticsRow {
	series := []adminapi.StatisticsRow{}
	for at := q.From; at.Before(q.To); at = at.Add(q.Step) {
		row := fleet.StatsRow{Start: at}
		if len(rows) > 0 && rows[0].Start.Equal(at) {
			row, rows = rows[0], rows[1:]
		}
		series = append(series, wireStats(row))
	}
	return series
}

// sharesOf puts the rows with the most requests first and sums up those past the first top.
func sharesOf(rows []fleet.StatsRow, top int) adminapi.StatisticsShares {
	slices.SortStableFunc(rows, func(a, b fleet.StatsRow) int { return cmp.Compare(b.Requests, a.Requests) })
	shares := adminapi.StatisticsShares{Rows: mapped(rows[:min(top, len(rows))], wireStats)}
	if len(rows) <= top {
		return shares
	}
	var others fleet.StatsRow
	for i := range rows[top:] {
		others.Add(&rows[top+i])
	}
	shares.Others = new(wireStats(others))
	return shares
}
