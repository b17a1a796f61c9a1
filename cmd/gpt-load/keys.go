package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// pageSize is the longest page that the API gives.
const pageSize = 1000

func (a *app) keysCommand() *cobra.Command {
	c := a.branch("keys", "List, import, export, test, copy and change the provider keys of a group", "",
		a.listKeysCommand(), a.findKeyCommand(), a.importKeysCommand(), a.exportKeysCommand(), a.testKeysCommand(), a.validateKeysCommand(), a.copyKeysCommand(),
	)
	for _, action := range keyActions() {
		c.AddCommand(a.changeKeysCommand(action))
	}
	return a.withConnection(c)
}

func (a *app) listKeysCommand() *cobra.Command {
	var flags keyFilter
	sort, limit := "", uint(0)
	c := a.leaf("list", "List the keys of a group, masked", []string{"GROUP"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, client, args[0])
		if err != nil {
			return err
		}
		filter, err := flags.parse()
		if err != nil {
			return err
		}
		list := a.newKeyListing()
		err = eachKeyPage(ctx, client, g.ID, adminclient.KeyFilter{KeyFilter: filter, Sort: sort}, int(limit), func(keys []adminapi.Key) error {
			for _, k := range keys {
				if err := list.addKey(k); err != nil {
					return err
				}
			}
			return list.flush()
		})
		if err != nil {
			return err
		}
		return list.end("keys")
	})
	flags.add(c)
	sorts := []string{adminapi.KeysOldest, adminapi.KeysNewest, adminapi.KeysLastUsed, adminapi.KeysFailures, adminapi.KeysWeight}
	c.Flags().Var(&choice{value: &sort, of: sorts}, "sort", "what comes first: `oldest`, newest, last_used, failures (the most) or weight (the greatest)")
	complete(c, "sort", sorts...)
	c.Flags().UintVar(&limit, "limit", 0, "`number` of keys at most; 0 lists all")
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

// eachKeyPage hands over the keys of a group page by page, at most limit of them unless that is 0.
func eachKeyPage(ctx context.Context, client *adminclient.Client, group string, filter adminclient.KeyFilter, limit int, take func([]adminapi.Key) error) error {
	filter.Limit = pageSize
	for left := limit; ; {
		if limit > 0 {
			filter.Limit = min(left, pageSize)
		}
		page, err := client.Keys(ctx, group, filter)
		if err != nil {
			return err
		}
		if err := take(page.Keys); err != nil {
			return err
		}
		left -= len(page.Keys)
		if filter.Cursor = page.NextCursor; filter.Cursor == "" || limit > 0 && left <= 0 {
			return nil
		}
	}
}

// keyListing is a list of keys.
type keyListing struct{ *listing }

func (a *app) newKeyListing() keyListing {
	return keyListing{a.newListing(
		terminal.Column{Title: "ID", Right: true}, terminal.Column{Title: "KEY"}, terminal.Column{Title: "STATE"},
		terminal.Column{Title: "FAILURES", Right: true}, terminal.Column{Title: "SINCE"}, terminal.Column{Title: "LAST USED"}, terminal.Column{Title: "WHY", Flexible: true},
	)}
}

var stateStyles = map[string]terminal.Style{
	adminapi.KeyActive: terminal.Good, adminapi.KeyCooling: terminal.Warning, adminapi.KeyInvalid: terminal.Bad, adminapi.KeyDisabled: terminal.Faint,
}

func (l keyListing) addKey(k adminapi.Key) error {
	return l.add(k, text(k.ID), text(k.Masked), terminal.Cell{Text: k.State, Style: stateStyles[k.State]},
		styled(k.Failures, terminal.Warning), text(localTime(k.UpdatedAt)), text(lastUse(k)), text(whyOf(k)))
}

// lastUse is when a key was last used, as far as it is recorded.
func lastUse(k adminapi.Key) string {
	if k.LastUsedAt == nil {
		return "never"
	}
	return localTime(*k.LastUsedAt)
}

// whyOf says why a key is as it is: the reason, until when it rests, and the provider's own words.
func whyOf(k adminapi.Key) string {
	var parts []string
	if k.Reason != "" && k.State != adminapi.KeyCooling {
		parts = append(parts, k.Reason)
	}
	for _, c := range k.Cooldowns {
		model := ""
		if c.Model != "" {
			model = " for " + c.Model
		}
		parts = append(parts, c.Reason+" until "+localTime(c.Until)+model)
	}
	if k.Evidence != "" {
		parts = append(parts, k.Evidence)
	}
	return strings.Join(parts, "; ")
}

func (a *app) findKeyCommand() *cobra.Command {
	c := a.leaf("find", "Find one exact key, in one group or in all; the key comes from the standard input", []string{"[GROUP]"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		group := ""
		if len(args) > 0 {
			g, err := findGroup(ctx, client, args[0])
			if err != nil {
				return err
			}
			group = g.ID
		}
		value, err := a.readKey(ctx)
		if err != nil {
			return err
		}
		page, err := client.SearchKey(ctx, group, value)
		if err != nil {
			return err
		}
		if len(page.Keys) == 0 {
			return failed("no group has this key", "")
		}
		return a.printFound(ctx, client, page.Keys)
	})
	c.Example = "  gpt-load keys find openai <key.txt\n  gpt-load keys find   # asks for the key and does not show it"
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

// printFound lists keys that may be in different groups.
func (a *app) printFound(ctx context.Context, client *adminclient.Client, keys []adminapi.Key) error {
	groups, err := client.Groups(ctx)
	if err != nil {
		return err
	}
	names := groupsByID(groups)
	list := a.newListing(
		terminal.Column{Title: "GROUP"}, terminal.Column{Title: "ID", Right: true}, terminal.Column{Title: "KEY"}, terminal.Column{Title: "STATE"},
		terminal.Column{Title: "SINCE"}, terminal.Column{Title: "WHY", Flexible: true},
	)
	for _, k := range keys {
		err := list.add(k, text(nameOf(k.GroupID, names)), text(k.ID), text(k.Masked), terminal.Cell{Text: k.State, Style: stateStyles[k.State]},
			text(localTime(k.UpdatedAt)), text(whyOf(k)))
		if err != nil {
			return err
		}
	}
	return list.flush()
}

// readKey takes a key from a terminal, without showing it, or else from the standard input.
func (a *app) readKey(ctx context.Context) (string, error) {
	if a.AsksPeople {
		return a.ReadSecret(ctx, "Key:")
	}
	const longest = 64 << 10 // bytes; more than any key that the API takes
	content, err := io.ReadAll(io.LimitReader(a.stdin(ctx), longest))
	return strings.TrimSpace(string(content)), err
}
