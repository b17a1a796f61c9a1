package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/pkg/adminapi"
)

func (a *app) copyGroupCommand() *cobra.Command {
	in := adminapi.GroupCopyInput{Keys: adminapi.CopyNoKeys}
	displayName, wait := "", true
	c := a.leaf("copy", "Make a group like another one, with or without its keys", []string{"GROUP", "NAME"}, func(ctx context.Context, args []string) error {
		client, err := a.client(longWait)
		if err != nil {
			return err
		}
		from, err := findGroup(ctx, client, args[0])
		if err != nil {
			return err
		}
		in.Name = args[1]
		if displayName != "" {
			in.DisplayName = &displayName
		}
		copied, err := client.CopyGroup(ctx, from.ID, in)
		if err != nil {
			return err
		}
		if copied.Operation != nil && wait {
			o, err := a.ended(ctx, client, *copied.Operation)
			if err != nil {
				return err
			}
			copied.Operation = &o
			if copied.Group, err = client.Group(ctx, copied.Group.ID, false); err != nil {
				return err
			}
		}
		if a.wantsJSON() {
			return a.printJSON(copied)
		}
		if o := copied.Operation; o != nil && !o.Ended() {
			a.note("operation %s copies the keys: gpt-load operations get %s --wait shows how far it is", o.ID, o.ID)
		}
		return a.showGroup(ctx, client, copied.Group)
	})
	c.Long = "Makes a group like another one: everything that is configured comes along at once. Keys follow in an operation, which works\nin batches and goes on when a node ends. A copy of an aggregate has the same members."
	c.Example = "  gpt-load groups copy openai openai-canary --keys valid\n  gpt-load groups copy openai openai-2 --join-aggregates"
	words := []string{adminapi.CopyNoKeys, adminapi.CopyValidKeys, adminapi.CopyAllKeys}
	c.Flags().Var(&choice{value: &in.Keys, of: words}, "keys", "`which` keys to copy: none, valid (active, resting or not) or all, each in its state")
	complete(c, "keys", words...)
	c.Flags().StringVar(&displayName, "display-name", "", "`name` for people, instead of that of the original")
	c.Flags().BoolVar(&in.JoinAggregates, "join-aggregates", false, "make the copy a member of the aggregates that the original is a member of")
	c.Flags().BoolVar(&wait, "wait", true, "wait until the keys are copied")
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

func (a *app) orderGroupsCommand() *cobra.Command {
	c := a.leaf("order", "Put groups first in the order of display", []string{"GROUP", "[GROUP...]"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		all, err := client.Groups(ctx)
		if err != nil {
			return err
		}
		ids := make([]string, 0, len(all.Groups))
		for _, word := range args {
			g, err := findGroup(ctx, client, word)
			if err != nil {
				return err
			}
			ids = append(ids, g.ID)
		}
		for _, g := range all.Groups {
			if !slices.Contains(ids, g.ID) {
				ids = append(ids, g.ID)
			}
		}
		revision, err := client.OrderGroups(ctx, ids...)
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(adminapi.GroupOrdered{GroupIDs: ids, Revision: revision})
		}
		names := groupsByID(all)
		for i, id := range ids {
			ids[i] = nameOf(id, names)
		}
		return a.say("the order is %s", strings.Join(ids, ", "))
	})
	c.Long = "Puts the named groups first, in the order in which they are named; the others follow in the order that they have."
	c.ValidArgsFunction = a.groupNames
	return c
}
