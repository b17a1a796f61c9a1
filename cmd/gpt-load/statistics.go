package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
)

// What rows of statistics are told apart by.
const (
	byHour     = "hour"
	byGroup    = "group"
	byModel    = "model"
	byProxyKey = "proxy_key"
)

func (a *app) statisticsCommand() *cobra.Command {
	var span timeFlags
	filter, group := adminapi.StatisticsFilter{}, ""
	c := a.withConnection(a.leaf("statistics", "Sum up requests over whole hours", nil, func(ctx context.Context, _ []string) error {
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
		if group != "" {
			g, err := findGroup(ctx, client, group)
			if err != nil {
				return err
			}
			filter.GroupID = g.ID
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
	c.Long = "Sums up requests over whole hours, of the last 24 unless told otherwise. The sums live longer than the records. With\n--output json it is one object, since a list alone would not say which hours it is about."
	span.add(c)
	c.Flags().StringVar(&group, "group", "", "the `group` that served or the aggregate that was asked")
	c.Flags().StringVar(&filter.Model, "model", "", "`model` sent")
	c.Flags().StringSliceVar(&filter.By, "by", nil, "rows for each `of` hour, group, model and proxy_key; several with commas between")
	completeWith(c, "group", a.groupNames)
	complete(c, "by", byHour, byGroup, byModel, byProxyKey)
	return c
}

func (a *app) showStatistics(sums adminapi.Statistics, by []string, names map[string]string) error {
	columns := make([]terminal.Column, 0, len(by)+9)
	heads := map[string]string{byHour: "HOUR", byGroup: "GROUP", byModel: "MODEL", byProxyKey: "PROXY KEY"}
	for _, word := range by {
		columns = append(columns, terminal.Column{Title: heads[word], Flexible: word == byModel})
	}
	for _, title := range []string{"REQUESTS", "OK", "CLIENT", "FAILED", "FAILED %", "RETRIES", "MEAN", "FIRST BYTE", "IN", "OUT"} {
		column := terminal.Column{Title: title, Right: true}
		if title == "MEAN" || title == "FIRST BYTE" {
			column.Least = len("12.34 s")
		}
		columns = append(columns, column)
	}
	list := a.newListing(columns...)
	row := func(r adminapi.StatisticsRow, total bool) error {
		cells := make([]terminal.Cell, 0, len(columns))
		for i, word := range by {
			cell := text(map[string]string{byHour: localTime(r.Hour), byGroup: groupOf(r, names), byModel: r.Model, byProxyKey: r.ProxyKeyFingerprint}[word])
			if total {
				cell = terminal.Cell{Style: terminal.Strong}
				if i == 0 {
					cell.Text = "total"
				}
			}
			cells = append(cells, cell)
		}
		return list.add(nil, append(cells, sumCells(r)...)...)
	}
	for _, r := range sums.Rows {
		if err := row(r, false); err != nil {
			return err
		}
	}
	if err := row(sums.Total, true); err != nil {
		return err
	}
	if err := a.say("%s to %s", localTime(sums.From), localTime(sums.To)); err != nil {
		return err
	}
	return list.flush()
}

func groupOf(r adminapi.StatisticsRow, names map[string]string) string {
	if r.GroupID == "" {
		return "(unknown)"
	}
	return nameOf(r.GroupID, names)
}

func sumCells(r adminapi.StatisticsRow) []terminal.Cell {
	share := ""
	if r.Requests > 0 {
		share = fmt.Sprintf("%.1f", 100*float64(r.Failed)/float64(r.Requests))
	}
	return []terminal.Cell{
		count(r.Requests), count(r.Succeeded), styled(r.ClientFaults, terminal.Warning), styled(r.Failed, terminal.Bad), text(share), count(r.Retries),
		text(milliseconds(r.MeanDurationMS)), text(milliseconds(r.MeanFirstByteMS)), text(terminal.Bytes(r.RequestBytes)), text(terminal.Bytes(r.ResponseBytes)),
	}
}
