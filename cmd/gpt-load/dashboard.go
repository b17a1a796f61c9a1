package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"gpt-load/pkg/adminapi"
)

func (a *app) dashboardCommand() *cobra.Command {
	c := a.withConnection(a.leaf("dashboard", "Show the state of everything: keys, requests, failures and security findings", nil, func(ctx context.Context, _ []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		d, err := client.Dashboard(ctx, "")
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(d)
		}
		return a.showDashboard(d)
	}))
	c.Long = "Shows what keys can do now, how many requests there are a minute, how those of the last 24 hours ended, each against the time\nbefore, and what is not as safe as it could be, with what to do about it. With --output json there is also the chart by group."
	return c
}

func (a *app) showDashboard(d adminapi.Dashboard) error {
	s := a.newSheet()
	s.field("keys", keysByState(d.Keys))
	s.field("requests a minute", trendInWords("%.1f", d.RequestsPerMinute))
	s.field("requests in 24 h", trendInWords("%.0f", d.Day.Requests))
	s.field("failed in 24 h", trendInWords("%.0f", d.Day.Failed))
	s.field("failed %", trendInWords("%.2f", d.Day.FailureRate))
	for _, f := range d.Security {
		s.field("security, "+f.Severity, f.Message, f.Remedy)
	}
	return s.list.flush()
}

func keysByState(k adminapi.KeyCounts) string {
	return fmt.Sprintf("%d active, %d cooling, %d invalid, %d disabled", k.Active, k.Cooling, k.Invalid, k.Disabled)
}

func trendInWords(format string, t adminapi.Trend) string {
	words := fmt.Sprintf(format+", "+format+" before", t.Now, t.Before)
	if t.ChangePercent != nil {
		words += fmt.Sprintf(" (%+.0f %%)", *t.ChangePercent)
	}
	return words
}
