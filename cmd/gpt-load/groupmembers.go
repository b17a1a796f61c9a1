package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
)

func (a *app) membersCommand() *cobra.Command {
	c := a.leaf("members", "List the members of an aggregate with their shares", []string{"AGGREGATE"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, client, args[0])
		if err != nil {
			return err
		}
		if g.Kind != adminapi.KindAggregate {
			return failed(g.Name+" is a standard group and has no members", "`gpt-load groups parents "+g.Name+"` lists the aggregates that it is a member of")
		}
		members, err := client.Members(ctx, g.ID)
		if err != nil {
			return err
		}
		list := a.newListing(
			terminal.Column{Title: "ID", Right: true}, terminal.Column{Title: "NAME"}, terminal.Column{Title: "TIER", Right: true}, terminal.Column{Title: "WEIGHT", Right: true},
			terminal.Column{Title: "SHARE", Right: true}, terminal.Column{Title: "ACTIVE", Right: true}, terminal.Column{Title: "COOLING", Right: true},
		)
		for _, m := range members.Members {
			err := list.add(m, text(m.GroupID), text(m.Name), count(m.Tier), count(m.Weight), text(shareInWords(m.Share)), count(m.KeyCounts.Active), styled(m.KeyCounts.Cooling, terminal.Warning))
			if err != nil {
				return err
			}
		}
		return list.end("members")
	})
	c.Long = "Lists the members of an aggregate. A share is the part of its tier's requests that a member gets while all of them can serve.\n`gpt-load groups update --member` replaces the members."
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

func (a *app) parentsCommand() *cobra.Command {
	c := a.leaf("parents", "List the aggregates that a group is a member of", []string{"GROUP"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, client, args[0])
		if err != nil {
			return err
		}
		parents, err := client.Parents(ctx, g.ID)
		if err != nil {
			return err
		}
		list := a.newListing(
			terminal.Column{Title: "ID", Right: true}, terminal.Column{Title: "NAME"}, terminal.Column{Title: "TIER", Right: true}, terminal.Column{Title: "WEIGHT", Right: true},
			terminal.Column{Title: "SHARE", Right: true},
		)
		for _, p := range parents.Parents {
			if err := list.add(p, text(p.GroupID), text(p.Name), count(p.Tier), count(p.Weight), text(shareInWords(p.Share))); err != nil {
				return err
			}
		}
		return list.end("aggregates")
	})
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

// shareInWords writes a part of 1 in percent, with a decimal where there is one.
func shareInWords(share float64) string {
	return strconv.FormatFloat(float64(int(share*1000+0.5))/10, 'f', -1, 64) + "%"
}
