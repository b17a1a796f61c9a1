package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
)

func (a *app) nodesCommand() *cobra.Command {
	c := a.withConnection(a.leaf("nodes", "List the nodes of the fleet: who leads, who lags, what waits", nil, func(ctx context.Context, _ []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		fleet, err := client.Nodes(ctx)
		if err != nil {
			return err
		}
		list := a.newListing(terminal.Column{Title: "NODE", Flexible: true}, terminal.Column{Title: "ROLE"}, terminal.Column{Title: "ADDRESS"}, terminal.Column{Title: "VERSION"},
			terminal.Column{Title: "SERVES FROM"}, terminal.Column{Title: "REVISION", Right: true}, terminal.Column{Title: "BEHIND", Right: true},
			terminal.Column{Title: "IN FLIGHT", Right: true}, terminal.Column{Title: "RECORDS WAITING", Right: true}, terminal.Column{Title: "DROPPED", Right: true},
			terminal.Column{Title: "SEEN"})
		for _, n := range fleet.Nodes {
			if err := list.add(n, nodeRow(n)...); err != nil {
				return err
			}
		}
		if err := list.end("nodes"); err != nil {
			return err
		}
		if !fleet.Complete {
			a.note("only the node that answered is listed: %s", fleet.Message)
			return quiet(exitFailed)
		}
		return nil
	}))
	c.Long = "Lists the nodes of the fleet, as the one that answers sees them. BEHIND is how many revisions of settings, groups and keys the\nfurthest node is ahead. A node that is gone without a word stays in the list for 15 seconds. The exit code is 1 when the\nlist is not complete, because Redis does not answer."
	return c
}

func nodeRow(n adminapi.Node) []terminal.Cell {
	role := text(n.Role)
	if n.Role == "leader" {
		role.Style = terminal.Strong
	}
	from := text(n.ServingFrom)
	switch {
	case !n.Ready:
		from = terminal.Cell{Text: "not ready", Style: terminal.Bad}
	case n.ServingFrom != "store":
		from.Style = terminal.Warning
	}
	return []terminal.Cell{
		text(n.ID), role, text(n.Address), text(n.Version), from, text(strconv.FormatInt(n.Revision, 10)), styled(n.RevisionLag+n.KeyRevisionLag, terminal.Warning),
		count(n.InFlight), count(n.RecordsWaiting), styled(n.RecordsDropped, terminal.Bad), text(localTime(n.SeenAt)),
	}
}
