package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
)

func (a *app) statisticsCommand() *cobra.Command {
	var span timeFlags
	filter, group, parent := adminapi.StatisticsFilter{Percentiles: true}, "", ""
	c := a.withConnection(a.leaf("stats", "Sum up requests", nil, func(ctx context.Context, _ []string) error {
		var err error
		if filter.From, filter.To, err = span.span(time.Now()); err != nil {
			return err
		}
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		groups, err := client.Groups(ctx)
		if err != nil {
			return err
		}
		if err := groupIDs(ctx, client, groupWord{group, &filter.GroupID}, groupWord{parent, &filter.ParentID}); err != nil {
			return err
		}
		sums, err := client.Statistics(ctx, filter)
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(sums)
		}
		return a.showStatistics(sums, filter.By, groupsByID(groups))
	}))
	c.Aliases = []string{"statistics"}
	c.Long = "Sums up requests over whole hours, of the last 24 unless told otherwise, with the 50th, 95th and 99th percentiles of how long\nthey took and of the time to the first byte. The sums live longer than the records; those of minutes for three hours, those\nof provider keys for 32 days. `gpt-load groups stats` tells all of one group. With --output json it is one object, since a\nlist alone would not say which hours it is about."
	span.add(c)
	flags := c.Flags()
	flags.StringVar(&group, "group", "", "the `group` that served or the aggregate that was asked")
	flags.StringVar(&parent, "parent", "", "the `aggregate` that was asked")
	flags.StringVar(&filter.Model, "model", "", "`model` sent")
	flags.StringVar(&filter.ProxyKey, "proxy-key", "", "`fingerprint` of the proxy key")
	flags.StringVar(&filter.KeyID, "key-id", "", "`id` of a provider key, whose attempts are summed up")
	steps := []string{adminapi.StepMinute, adminapi.StepHour, adminapi.StepDay}
	flags.Var(&choice{value: &filter.Step, of: steps}, "step", "`step` of time: minute, hour (also when left out) or day")
	flags.StringSliceVar(&filter.By, "by", nil, "rows for each `of` time, group, parent, model, proxy_key and key; several with commas between")
	completeWith(c, "group", a.groupNames)
	completeWith(c, "parent", a.groupNames)
	complete(c, "step", steps...)
	complete(c, "by", adminapi.ByTime, adminapi.ByGroup, adminapi.ByParent, adminapi.ByModel, adminapi.ByProxyKey, adminapi.ByKey)
	return c
}

func (a *app) showStatistics(sums adminapi.Statistics, by []string, names map[string]string) error {
	heads := map[string]string{
		adminapi.ByTime: "FROM", adminapi.ByGroup: "GROUP", adminapi.ByParent: "ASKED AS", adminapi.ByModel: "MODEL", adminapi.ByProxyKey: "PROXY KEY", adminapi.ByKey: "KEY",
	}
	columns := make([]terminal.Column, 0, len(by))
	for _, word := range by {
		columns = append(columns, terminal.Column{Title: heads[word], Flexible: word == adminapi.ByModel})
	}
	list := a.newListing(append(columns, sumColumns()...)...)
	for _, r := range sums.Rows {
		cells := make([]terminal.Cell, 0, len(by))
		for _, word := range by {
			cells = append(cells, text(toldApart(r, word, names)))
		}
		if err := list.add(nil, append(cells, sumCells(r)...)...); err != nil {
			return err
		}
	}
	total := make([]terminal.Cell, len(by))
	for i := range total {
		total[i].Style = terminal.Strong
	}
	if len(by) > 0 {
		total[0].Text = "total"
	}
	if err := list.add(nil, append(total, sumCells(sums.Total)...)...); err != nil {
		return err
	}
	if err := a.say("%s to %s", localTime(sums.From), localTime(sums.To)); err != nil {
		return err
	}
	return list.flush()
}

// toldApart is what a row is of.
func toldApart(r adminapi.StatisticsRow, by string, names map[string]string) string {
	switch by {
	case adminapi.ByTime:
		return localTime(r.Start)
	case adminapi.ByGroup:
		return groupOf(r.GroupID, "(unknown)", names)
	case adminapi.ByParent:
		return groupOf(r.ParentID, "(itself)", names)
	case adminapi.ByModel:
		return r.Model
	case adminapi.ByProxyKey:
		return r.ProxyKeyFingerprint
	case adminapi.ByKey:
		if r.KeyID == "" {
			return "(others)"
		}
		return joined(r.KeyID, r.KeyMasked)
	}
	return ""
}

func groupOf(id, none string, names map[string]string) string {
	if id == "" {
		return none
	}
	return nameOf(id, names)
}

// sumColumns are the columns of sumCells.
func sumColumns() []terminal.Column {
	var columns []terminal.Column
	for _, title := range []string{"REQUESTS", "OK", "CLIENT", "FAILED", "FAILED %", "RETRIES"} {
		columns = append(columns, terminal.Column{Title: title, Right: true})
	}
	for _, title := range []string{"P50", "P95", "P99", "FIRST P50", "FIRST P95", "FIRST P99"} {
		columns = append(columns, terminal.Column{Title: title, Right: true, Least: len("12.34 s")})
	}
	return append(columns, terminal.Column{Title: "IN", Right: true}, terminal.Column{Title: "OUT", Right: true})
}

func sumCells(r adminapi.StatisticsRow) []terminal.Cell {
	share := ""
	if r.Requests > 0 {
		share = fmt.Sprintf("%.1f", 100*float64(r.Failed)/float64(r.Requests))
	}
	cells := []terminal.Cell{
		count(r.Requests), count(r.Succeeded), styled(r.ClientFaults, terminal.Warning), styled(r.Failed, terminal.Bad), text(share), count(r.Retries),
	}
	for _, p := range []*adminapi.Percentiles{r.Duration, r.FirstByte} {
		if p == nil {
			cells = append(cells, text(""), text(""), text(""))
			continue
		}
		cells = append(cells, text(milliseconds(p.P50MS)), text(milliseconds(p.P95MS)), text(milliseconds(p.P99MS)))
	}
	return append(cells, text(terminal.Bytes(r.RequestBytes)), text(terminal.Bytes(r.ResponseBytes)))
}
