package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// testedAtOnce is less than the API takes (100), so that results and progress come while the rest is under way.
const testedAtOnce = 50

func (a *app) testKeysCommand() *cobra.Command {
	var which selection
	c := a.leaf("test", "Test keys now, by the same path as real traffic", []string{"GROUP", "[ID...]"}, func(ctx context.Context, args []string) error {
		if err := which.take(ctx, a, args[1:]); err != nil {
			return err
		}
		client, err := a.client(longWait)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, client, args[0])
		if err != nil {
			return err
		}
		return a.testKeys(ctx, client, g, which)
	})
	c.Long = "Sends the group's validation request with each key and lists the answers; what they say of a key changes its state, as\nwith real traffic. The exit code is 1 when any key did not pass."
	which.add(c)
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

func (a *app) testKeys(ctx context.Context, client *adminclient.Client, g adminapi.Group, which selection) error {
	list := a.newListing(
		terminal.Column{Title: "ID", Right: true, Least: len(g.ID)}, terminal.Column{Title: "RESULT", Least: len("key_exhausted")}, terminal.Column{Title: "STATUS", Right: true},
		terminal.Column{Title: "TOOK", Right: true, Least: len("12.34 s")}, terminal.Column{Title: "STATE", Least: len(adminapi.KeyDisabled)},
		terminal.Column{Title: "WHY", Flexible: true},
	)
	passed, tested := 0, 0
	progress := a.NewProgress("testing", int64(which.total(g)), terminal.Count)
	test := func(ids []string) error {
		results, err := client.TestKeys(ctx, g.ID, ids...)
		if err != nil {
			return err
		}
		progress.Clear()
		for _, r := range results.Results {
			tested++
			result := terminal.Cell{Text: r.Class, Style: terminal.Bad}
			if r.OK {
				passed++
				result.Style = terminal.Good
			}
			err := list.add(r, text(r.ID), result, text(statusInWords(r.Status)), text(milliseconds(r.DurationMS)),
				terminal.Cell{Text: r.State, Style: stateStyles[r.State]}, text(joined(r.Reason, r.Evidence)))
			if err != nil {
				return err
			}
		}
		if err := list.flush(); err != nil {
			return err
		}
		progress.Add(int64(len(ids)))
		return nil
	}
	err := which.each(ctx, client, g.ID, testedAtOnce, test)
	progress.Finish()
	if err != nil {
		return err
	}
	a.note("%d of %s passed", passed, keysInWords(tested))
	if passed < tested {
		return quiet(exitFailed)
	}
	return nil
}

// total is about how many keys are meant, as far as that is known without asking; 0 otherwise.
func (s *selection) total(g adminapi.Group) int {
	if s.all {
		return total(g.KeyCounts)
	}
	return len(s.ids)
}

func statusInWords(status int) string {
	if status == 0 {
		return "-"
	}
	return fmt.Sprint(status)
}

// milliseconds writes a duration with three digits that matter.
func milliseconds(ms int64) string {
	switch {
	case ms < 1000:
		return fmt.Sprintf("%d ms", ms)
	case ms < 60_000:
		return fmt.Sprintf("%.2f s", float64(ms)/1000)
	default:
		return fmt.Sprintf("%.1f min", float64(ms)/60_000)
	}
}

// joined puts texts behind each other, without the empty ones.
func joined(parts ...string) string {
	text := ""
	for _, part := range parts {
		if part != "" && text != "" {
			text += "; "
		}
		text += part
	}
	return text
}
