package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gpt-load/internal/settings"
	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
)

// completionWait is how long somebody who pressed the tabulator key may have to wait for a server.
const completionWait = 2 * time.Second

// complete offers words for a flag.
func complete(c *cobra.Command, flag string, words ...string) {
	completeWith(c, flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	})
}

func completeWith(c *cobra.Command, flag string, find cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, find); err != nil {
		panic(err) // a flag that the command does not have: a mistake of ours
	}
}

// groupNames asks the server for the names of its groups. What goes wrong offers nothing: a shell has no place for errors.
func (a *app) groupNames(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), completionWait)
	defer cancel()
	client, err := a.client(completionWait)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := client.Groups(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, g := range list.Groups {
		if strings.HasPrefix(g.Name, typed) {
			names = append(names, cobra.CompletionWithDesc(g.Name, terminal.Clean(describeGroup(g))))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func describeGroup(g adminapi.Group) string {
	if g.DisplayName != "" {
		return g.DisplayName
	}
	return g.Kind + " group, " + g.Channel
}

// firstWord completes the first word of a command with find, and the others with files or nothing.
func firstWord(find cobra.CompletionFunc, others cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, others
		}
		return find(c, args, typed)
	}
}

// settingNames completes names of settings, each with suffix behind it.
func settingNames(suffix string, groupsOnly bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		directive := cobra.ShellCompDirectiveNoFileComp
		if suffix != "" {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		var names []string
		for _, d := range settings.Table() {
			if strings.HasPrefix(d.Name, typed) && (d.GroupOverride || !groupsOnly) {
				names = append(names, cobra.CompletionWithDesc(d.Name+suffix, d.Doc))
			}
		}
		return names, directive
	}
}
