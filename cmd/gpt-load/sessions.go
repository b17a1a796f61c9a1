package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
)

func (a *app) sessionsCommand() *cobra.Command {
	return a.withConnection(a.branch("sessions", "List the logins of browsers, and end them", "", a.listSessionsCommand(), a.endSessionsCommand()))
}

func (a *app) listSessionsCommand() *cobra.Command {
	return a.leaf("list", "List the sessions that hold", nil, func(ctx context.Context, _ []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		sessions, err := client.Sessions(ctx)
		if err != nil {
			return err
		}
		list := a.newListing(terminal.Column{Title: "ID"}, terminal.Column{Title: "FROM"}, terminal.Column{Title: "LOGGED IN"}, terminal.Column{Title: "USED"},
			terminal.Column{Title: "ENDS"}, terminal.Column{Title: "BROWSER", Flexible: true})
		for _, s := range sessions.Sessions {
			err := list.add(s, text(s.ID), text(s.ClientIP), text(localTime(s.CreatedAt)), text(localTime(s.UsedAt)), text(localTime(s.IdleExpiresAt)), text(s.UserAgent))
			if err != nil {
				return err
			}
		}
		return list.end("sessions")
	})
}

func (a *app) endSessionsCommand() *cobra.Command {
	all := false
	c := a.leaf("end", "End one session, or log out everywhere", []string{"[ID]"}, func(ctx context.Context, args []string) error {
		if all == (len(args) == 1) {
			return usage(errors.New("no session named"), "give the id of one, as `gpt-load sessions list` shows it, or --all")
		}
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		var ended adminapi.SessionsEnded
		if all {
			ended, err = client.EndSessions(ctx)
		} else {
			ended, err = client.EndSession(ctx, args[0])
		}
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(ended)
		}
		if ended.Ended == 1 {
			return a.say("ended 1 session")
		}
		return a.say("ended %s sessions", terminal.Count(int64(ended.Ended)))
	})
	c.Long = "Ends sessions. Every node stops accepting their cookies within a second. AUTH_KEY as bearer, which this command itself uses, is\nnot affected; who has that can log in again until it is changed."
	c.Flags().BoolVar(&all, "all", false, "end every session: log out everywhere")
	return c
}
