package main

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func (a *app) groupsCommand() *cobra.Command {
	return a.withConnection(a.branch("groups", "List, make, copy, change and delete groups", "",
		a.listGroupsCommand(), a.getGroupCommand(), a.createGroupCommand(), a.copyGroupCommand(), a.updateGroupCommand(), a.deleteGroupCommand(),
		a.orderGroupsCommand(), a.membersCommand(), a.parentsCommand(), a.previewCommand(), a.groupStatisticsCommand()))
}

// findGroup finds a group by its name, or else by its id: a name may look like an id, and goes first.
func findGroup(ctx context.Context, client *adminclient.Client, word string) (adminapi.Group, error) {
	g, err := client.GroupByName(ctx, word)
	if adminclient.CodeOf(err) != adminapi.CodeNotFound {
		return g, err
	}
	if _, notID := strconv.ParseInt(word, 10, 64); notID != nil {
		return g, err
	}
	byID, idErr := client.Group(ctx, word, false)
	if adminclient.CodeOf(idErr) == adminapi.CodeNotFound {
		return g, err // what was typed is more likely a name
	}
	return byID, idErr
}

// groupWord is a group that was told by a word, empty for none, and where its id belongs.
type groupWord struct {
	word string
	id   *string
}

func groupIDs(ctx context.Context, client *adminclient.Client, groups ...groupWord) error {
	for _, group := range groups {
		if group.word == "" {
			continue
		}
		g, err := findGroup(ctx, client, group.word)
		if err != nil {
			return err
		}
		*group.id = g.ID
	}
	return nil
}

func (a *app) listGroupsCommand() *cobra.Command {
	return a.leaf("list", "List the groups with the state of their keys", nil, func(ctx context.Context, _ []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		groups, err := client.Groups(ctx)
		if err != nil {
			return err
		}
		names := groupsByID(groups)
		list := a.newListing(
			terminal.Column{Title: "ID", Right: true}, terminal.Column{Title: "NAME"}, terminal.Column{Title: "KIND"}, terminal.Column{Title: "CHANNEL"},
			terminal.Column{Title: "ACTIVE", Right: true}, terminal.Column{Title: "COOLING", Right: true},
			terminal.Column{Title: "INVALID", Right: true}, terminal.Column{Title: "DISABLED", Right: true},
			terminal.Column{Title: "UPSTREAMS", Flexible: true},
		)
		for _, g := range groups.Groups {
			k := g.KeyCounts
			err := list.add(g, text(g.ID), text(g.Name), text(g.Kind), text(g.Channel), count(k.Active),
				styled(k.Cooling, terminal.Warning), styled(k.Invalid, terminal.Bad), styled(k.Disabled, terminal.Faint), text(behind(g, names)))
			if err != nil {
				return err
			}
		}
		return list.end("groups")
	})
}

func groupsByID(groups adminapi.GroupList) map[string]string {
	names := make(map[string]string, len(groups.Groups))
	for _, g := range groups.Groups {
		names[g.ID] = g.Name
	}
	return names
}

// behind says where the requests of a group go.
func behind(g adminapi.Group, names map[string]string) string {
	var parts []string
	for _, u := range g.Upstreams {
		parts = append(parts, u.URL)
	}
	for _, m := range g.Members {
		parts = append(parts, nameOf(m.GroupID, names))
	}
	return strings.Join(parts, ", ")
}

// nameOf is the name of a group, or its id where it was deleted meanwhile.
func nameOf(id string, names map[string]string) string {
	if name, ok := names[id]; ok {
		return name
	}
	return id
}

func (a *app) getGroupCommand() *cobra.Command {
	reveal := false
	c := a.leaf("get", "Show one group, by its name or id", []string{"GROUP"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, client, args[0])
		if err == nil && reveal {
			g, err = client.Group(ctx, g.ID, true)
		}
		if err != nil {
			return err
		}
		return a.showGroup(ctx, client, g)
	})
	c.Long = "Shows one group. With --output json, the answer can be edited and given back to `gpt-load groups update --file`, which\nthen refuses to overwrite what somebody else changed meanwhile."
	c.Flags().BoolVar(&reveal, "reveal", false, "show the proxy keys and other secrets of the group in clear")
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

func (a *app) createGroupCommand() *cobra.Command {
	var flags groupFlags
	c := a.leaf("create", "Make a group from flags, a file, or both", []string{"[NAME]"}, func(ctx context.Context, args []string) error {
		var in adminapi.GroupInput
		if flags.file != "" {
			if _, err := a.readGroupFile(ctx, flags.file, &in); err != nil {
				return err
			}
		}
		if len(args) > 0 {
			in.Name = args[0]
		}
		if in.Name == "" {
			return usage(errors.New("the group needs a name"), "as a word of the command line, or as name in the file")
		}
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		if err := flags.fill(ctx, a, client, &in); err != nil {
			return err
		}
		g, err := client.CreateGroup(ctx, in)
		if err != nil {
			return err
		}
		return a.showGroup(ctx, client, g)
	})
	c.Example = "  gpt-load groups create openai --channel openai --upstream https://api.openai.com\n" +
		"  gpt-load groups create eu --channel openai --upstream https://a.example.com=3 --upstream https://b.example.com=1\n" +
		"  gpt-load groups create all --channel openai --member openai --member eu,tier=2\n" +
		"  gpt-load groups create --file group.yaml"
	flags.add(c, a)
	c.Flags().StringVar(&flags.kind, "kind", "", "`kind`: standard or aggregate; --member makes an aggregate")
	complete(c, "kind", adminapi.KindStandard, adminapi.KindAggregate)
	return c
}

func (a *app) updateGroupCommand() *cobra.Command {
	var flags groupFlags
	revision := int64(0)
	c := a.leaf("update", "Change what the flags or the file name, and nothing else", []string{"GROUP"}, func(ctx context.Context, args []string) error {
		var patch adminapi.GroupPatch
		if flags.file != "" {
			seen, err := a.readGroupFile(ctx, flags.file, &patch)
			if err != nil {
				return err
			}
			if revision == 0 {
				revision = seen
			}
		}
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		if err := flags.patch(ctx, a, client, &patch); err != nil {
			return err
		}
		g, err := findGroup(ctx, client, args[0])
		if err != nil {
			return err
		}
		if g, err = client.ChangeGroup(ctx, g.ID, patch, revision); err != nil {
			return err
		}
		return a.showGroup(ctx, client, g)
	})
	c.Example = "  gpt-load groups update openai --setting max_retries=5 --unset blacklist_threshold\n" +
		"  gpt-load groups get openai -o json > openai.json   # edit it, then:\n" +
		"  gpt-load groups update openai --file openai.json"
	flags.add(c, a)
	c.Flags().StringVar(&flags.rename, "name", "", "new `name`")
	c.Flags().StringArrayVar(&flags.unset, "unset", nil, "drop the group's own value of this `setting`, so that the system's holds again; repeatable")
	c.Flags().Int64Var(&revision, "if-revision", 0, "change the group only if this is its `revision`; a file from `groups get` brings its own")
	completeWith(c, "unset", settingNames("", true))
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

func (a *app) deleteGroupCommand() *cobra.Command {
	yes := false
	c := a.leaf("delete", "Delete a group with all its keys", []string{"GROUP"}, func(ctx context.Context, args []string) error {
		client, err := a.client(longWait)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, client, args[0])
		if err != nil {
			return err
		}
		question := "Delete the group " + strconv.Quote(g.Name) + " with its " + keysInWords(total(g.KeyCounts)) + " for good?"
		if g.Kind == adminapi.KindAggregate {
			question = "Delete the aggregate " + strconv.Quote(g.Name) + "? Its members stay."
		}
		if err := a.confirm(ctx, question, yes); err != nil {
			return err
		}
		revision, err := client.DeleteGroup(ctx, g.ID, g.Revision) // only what the question was about
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(adminapi.Deleted{Revision: revision})
		}
		return a.say("deleted the group %s", g.Name)
	})
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

// total is how many keys a group has.
func total(k adminapi.KeyCounts) int { return k.Active + k.Cooling + k.Invalid + k.Disabled }

func keysInWords(n int) string {
	if n == 1 {
		return "1 key"
	}
	return terminal.Count(int64(n)) + " keys"
}

// confirm asks before something that cannot be undone or reaches far.
func (a *app) confirm(ctx context.Context, question string, yes bool) error {
	if yes {
		return nil
	}
	ok, err := a.Confirm(ctx, question)
	if errors.Is(err, terminal.ErrNobodyToAsk) {
		return usage(errors.New("this asks before it acts, and "+err.Error()), "--yes says yes beforehand; the question was: "+question)
	}
	if err != nil {
		return err
	}
	if !ok {
		a.note("nothing was changed")
		return quiet(exitFailed)
	}
	return nil
}
