package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func (a *app) auditCommand() *cobra.Command {
	return a.withConnection(a.branch("audit", "List what was changed, by whom or why, and undo it", "", a.listAuditCommand(), a.exportAuditCommand(), a.undoCommand()))
}

// actors are the words of --by.
var actors = []string{"auth_key", "session", "anonymous", "command", "system"}

// auditFlags choose events.
type auditFlags struct {
	filter     adminapi.AuditFilter
	span       timeFlags
	group, key string
}

func (f *auditFlags) add(c *cobra.Command, a *app) {
	c.Flags().StringVar(&f.filter.Kind, "kind", "", "only events of this `kind`, such as settings.changed or key.invalidated")
	c.Flags().StringVar(&f.filter.Noun, "noun", "", "only what happened to this kind of `thing`: settings, group, key, operation, session")
	c.Flags().StringVar(&f.group, "group", "", "only this `group` and the keys in it")
	c.Flags().StringVar(&f.key, "key-id", "", "only the key of this `id`")
	c.Flags().Var(&choice{value: &f.filter.Actor, of: actors}, "by", "only what was done by this `kind` of actor: "+strings.Join(actors, ", "))
	c.MarkFlagsMutuallyExclusive("noun", "key-id")
	completeWith(c, "group", a.groupNames)
	complete(c, "by", actors...)
	complete(c, "noun", "settings", "group", "key", "proxy_key", "operation", "session", "encryption_key")
	f.span.add(c)
}

func (f *auditFlags) build(ctx context.Context, client *adminclient.Client) (adminapi.AuditFilter, error) {
	filter := f.filter
	var err error
	if filter.From, filter.To, err = f.span.span(time.Now()); err != nil {
		return filter, err
	}
	if f.group != "" {
		g, err := findGroup(ctx, client, f.group)
		if err != nil {
			return filter, err
		}
		filter.GroupID = g.ID
	}
	if f.key != "" {
		filter.Noun, filter.NounID = "key", f.key
	}
	return filter, nil
}

func (a *app) listAuditCommand() *cobra.Command {
	var flags auditFlags
	limit := uint(0)
	c := a.leaf("list", "List events, newest first", nil, func(ctx context.Context, _ []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		filter, err := flags.build(ctx, client)
		if err != nil {
			return err
		}
		list := a.newAuditListing()
		err = eachAuditPage(ctx, client, filter, int(limit), func(events []adminapi.AuditEvent) error {
			for _, e := range events {
				if err := list.addEvent(e); err != nil {
					return err
				}
			}
			return list.flush()
		})
		if err != nil {
			return err
		}
		return list.end("events")
	})
	c.Long = "Lists what was changed, newest first: settings, groups, keys, operations and sessions by people, the states of keys also by\nverdicts and validations. An event with a way back has its id in the column UNDO, for `gpt-load audit undo`."
	c.Example = "  gpt-load audit list --since 24h --by session\n  gpt-load audit list --group openai --kind key.invalidated"
	flags.add(c, a)
	c.Flags().UintVar(&limit, "limit", 50, "`number` of events at most; 0 lists all")
	return c
}

// eachAuditPage hands over pages, newest first, at most limit events unless that is 0.
func eachAuditPage(ctx context.Context, client *adminclient.Client, filter adminapi.AuditFilter, limit int, take func([]adminapi.AuditEvent) error) error {
	filter.Limit = pageSize
	for left := limit; ; {
		if limit > 0 {
			filter.Limit = min(left, pageSize)
		}
		page, err := client.Audit(ctx, filter)
		if err != nil {
			return err
		}
		if err := take(page.Events); err != nil {
			return err
		}
		left -= len(page.Events)
		if filter.Cursor = page.NextCursor; filter.Cursor == "" || limit > 0 && left <= 0 {
			return nil
		}
	}
}

// auditListing is a list of events.
type auditListing struct{ *listing }

func (a *app) newAuditListing() auditListing {
	return auditListing{a.newListing(
		terminal.Column{Title: "TIME"}, terminal.Column{Title: "WHO"}, terminal.Column{Title: "WHAT"}, terminal.Column{Title: "ON"},
		terminal.Column{Title: "CHANGE", Flexible: true}, terminal.Column{Title: "UNDO"},
	)}
}

func (l auditListing) addEvent(e adminapi.AuditEvent) error {
	undo := ""
	switch {
	case e.UndoneBy != "":
		undo = "undone"
	case e.UndoOf != "":
		undo = "an undo"
	case e.Undoable:
		undo = e.ID
	}
	return l.add(e, text(localTime(e.At)), text(actorInWords(e.Who)), text(e.Kind), text(thingInWords(e)), text(changeInWords(e)), terminal.Cell{Text: undo, Style: terminal.Faint})
}

func actorInWords(who adminapi.AuditActor) string {
	words := who.Kind
	if who.Session != "" {
		words += " " + who.Session
	}
	if who.ClientIP != "" {
		words += " from " + who.ClientIP
	}
	return words
}

func thingInWords(e adminapi.AuditEvent) string {
	switch {
	case e.Name != "" && e.Noun == "key" && e.NounID != "":
		return e.NounID + " " + e.Name
	case e.Name != "" && e.Noun != "key":
		return e.Name
	case e.NounID != "":
		return e.NounID
	case e.Noun == "key":
		return keysInWords(int(e.Count)) + " of " + e.Name
	case e.Count > 1:
		return terminal.Count(e.Count)
	}
	return ""
}

// changeInWords says what became of each field, and why.
func changeInWords(e adminapi.AuditEvent) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.After)) {
		before, after := valueInWords(e.Before[name]), valueInWords(e.After[name])
		if before == "" {
			parts = append(parts, name+" "+after)
		} else {
			parts = append(parts, name+" "+before+" -> "+after)
		}
	}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	return strings.Join(parts, ", ")
}

// valueInWords shows texts as they are and everything else as JSON.
func valueInWords(raw json.RawMessage) string {
	var word string
	switch {
	case raw == nil:
		return ""
	case string(raw) == "null":
		return "none"
	case json.Unmarshal(raw, &word) == nil && word != "":
		return word
	}
	return string(raw)
}

func (a *app) undoCommand() *cobra.Command {
	c := a.leaf("undo", "Undo a change", []string{"ID"}, func(ctx context.Context, args []string) error {
		client, err := a.client(longWait)
		if err != nil {
			return err
		}
		done, err := client.UndoAuditEvent(ctx, args[0])
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(done)
		}
		words := fmt.Sprintf("undone: %s of %s", done.Event.Kind, localTime(done.Event.At))
		if on := thingInWords(done.Event); on != "" {
			words += ", " + on
		}
		if done.Kept > 0 {
			words += fmt.Sprintf("; %s moved on since, and no change was made there", keysInWords(done.Kept))
		}
		return a.say("%s", words)
	})
	c.Long = "Puts back what an event changed, and nothing else. What was changed again since is not overwritten: then nothing is undone, and\nthe error names it. Of a change of several keys those go back that still stand as it left them."
	return c
}
