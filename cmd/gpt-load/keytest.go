package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	c.Flags().BoolVar(&which.all, "all", false, "every key of the group")
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
	progress := a.NewProgress("testing", int64(which.size(g)), terminal.Count)
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

// selection is which keys of a group a command is about.
type selection struct {
	ids   []string
	state string
	all   bool
}

func (s *selection) add(c *cobra.Command) {
	stateFlag(c, &s.state, "all keys of this `state`: active (resting or not), invalid or disabled")
}

// take takes the ids of the command line, or those of the standard input for a single -.
func (s *selection) take(ctx context.Context, a *app, words []string) error {
	if slices.Equal(words, []string{"-"}) {
		content, err := a.readInput(ctx, "-")
		if err != nil {
			return err
		}
		if words = splitWords(content); len(words) == 0 {
			return failed("the standard input holds no id", "")
		}
	}
	s.ids = words
	ways := 0
	for _, given := range []bool{len(words) > 0, s.state != "", s.all} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return usage(errors.New("name the keys in one way"), "ids behind the group, a single - for ids from the standard input, or --state")
	}
	return nil
}

// size is about how many keys are meant, by what the node knows of the group.
func (s *selection) size(g adminapi.Group) int {
	switch {
	case s.all:
		return total(g.KeyCounts)
	case s.state == adminapi.KeyActive:
		return g.KeyCounts.Active + g.KeyCounts.Cooling
	case s.state == adminapi.KeyInvalid:
		return g.KeyCounts.Invalid
	case s.state == adminapi.KeyDisabled:
		return g.KeyCounts.Disabled
	}
	return len(s.ids)
}

// each hands over the ids in portions. Those of a state are listed before the first portion of their page is handed over, and
// pages follow ids, so that keys whose state changes on the way are neither left out nor taken twice.
func (s *selection) each(ctx context.Context, client *adminclient.Client, group string, portion int, do func([]string) error) error {
	portions := func(ids []string) error {
		for part := range slices.Chunk(ids, portion) {
			if err := do(part); err != nil {
				return err
			}
		}
		return nil
	}
	if len(s.ids) > 0 {
		return portions(s.ids)
	}
	return eachKeyPage(ctx, client, group, s.state, 0, func(keys []adminapi.Key) error {
		return portions(mapped(keys, func(k adminapi.Key) string { return k.ID }))
	})
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
