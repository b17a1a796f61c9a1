package main

import (
	"context"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
)

func (a *app) groupStatisticsCommand() *cobra.Command {
	period, top := "", uint(0)
	c := a.leaf("stats", "Tell how a group did in the last hour, day, week or month", []string{"GROUP"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, client, args[0])
		if err != nil {
			return err
		}
		stats, err := client.GroupStatistics(ctx, g.ID, period, int(top))
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(stats)
		}
		names := map[string]string{}
		if stats.Members != nil {
			groups, err := client.Groups(ctx)
			if err != nil {
				return err
			}
			names = groupsByID(groups)
		}
		return a.showGroupStatistics(g.Name, stats, names)
	})
	c.Long = "Tells how a group did in a period and in as long a time before it, and what its requests are made of: the models, proxy keys\nand provider keys that were used most, or the members of an aggregate. Rows of provider keys count attempts. With --output\njson there is also the series that a chart is made of."
	periods := []string{adminapi.PeriodHour, adminapi.PeriodDay, adminapi.PeriodWeek, adminapi.PeriodMonth}
	c.Flags().Var(&choice{value: &period, of: periods}, "period", "last `while`: 1h, 24h (also when left out), 7d or 30d")
	c.Flags().UintVar(&top, "top", 10, "`number` of rows of each kind, 1 to 100")
	complete(c, "period", periods...)
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

func (a *app) showGroupStatistics(name string, stats adminapi.GroupStatistics, names map[string]string) error {
	list := a.newListing(append([]terminal.Column{{Title: "OF"}, {Title: "NAME", Flexible: true}}, sumColumns()...)...)
	row := func(of, name string, r adminapi.StatisticsRow) {
		_ = list.add(nil, append([]terminal.Cell{text(of), text(name)}, sumCells(r)...)...) // writes nothing yet
	}
	row("total", "", stats.Total)
	row("before", "", stats.Before)
	for _, share := range []struct {
		of, by string
		shares *adminapi.StatisticsShares
	}{
		{"member", adminapi.ByGroup, stats.Members},
		{"model", adminapi.ByModel, &stats.Models},
		{"proxy key", adminapi.ByProxyKey, &stats.ProxyKeys},
		{"key", adminapi.ByKey, stats.Keys},
	} {
		if share.shares == nil {
			continue
		}
		for _, r := range share.shares.Rows {
			row(share.of, toldApart(r, share.by, names), r)
		}
		if share.shares.Others != nil {
			row(share.of, "(others)", *share.shares.Others)
		}
	}
	if err := a.say("%s, %s to %s", name, localTime(stats.From), localTime(stats.To)); err != nil {
		return err
	}
	return list.flush()
}
