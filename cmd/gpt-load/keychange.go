package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// selectedAtOnce is how many ids the API takes in one action.
const selectedAtOnce = 10_000

// keyAction is one of the changes that keys take.
type keyAction struct {
	name, done, short string
	question          string // what is asked before it; the number and kind of keys and the group follow
	always            bool   // asks also when the keys are named one by one: it cannot be undone
	do                func(c *adminclient.Client, ctx context.Context, group string, which adminapi.KeySelection) (int, error)
}

var (
	actionEnable = keyAction{
		name: "enable", done: "enabled", question: "Enable", short: "Make disabled keys active again", do: (*adminclient.Client).EnableKeys,
	}
	actionDisable = keyAction{
		name: "disable", done: "disabled", question: "Disable", short: "Take keys out until they are enabled", do: (*adminclient.Client).DisableKeys,
	}
	actionRestore = keyAction{
		name: "restore", done: "restored", question: "Restore", short: "Make invalid keys active again and end the rests of active ones", do: (*adminclient.Client).RestoreKeys,
	}
	actionDelete = keyAction{
		name: "delete", done: "deleted", question: "Delete for good", always: true, short: "Delete keys for good", do: (*adminclient.Client).DeleteKeys,
	}
)

func (a *app) changeKeysCommand(action keyAction) *cobra.Command {
	var which selection
	dryRun, yes := false, false
	c := a.leaf(action.name, action.short, []string{"GROUP", "[ID...]"}, func(ctx context.Context, args []string) error {
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
		if dryRun {
			return a.showDryRun(action, which, g)
		}
		if which.state != "" || action.always {
			question := fmt.Sprintf("%s %s of %s?", action.question, which.inWords(g), strconv.Quote(g.Name))
			if err := a.confirm(ctx, question, yes); err != nil {
				return err
			}
		}
		changed, err := applyAction(ctx, client, g.ID, action, which)
		if err != nil {
			if changed > 0 {
				a.note("%s were %s before this error", keysInWords(changed), action.done)
			}
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(adminapi.KeysChanged{Changed: changed})
		}
		return a.say("%s %s", action.done, keysInWords(changed))
	})
	c.Long = action.short + ". Keys are named by their ids, by a single - for ids from the standard input, or by\n--state; a change of all keys of a state, and every deletion, is asked about before it is made."
	c.Example = fmt.Sprintf("  gpt-load keys %[1]s openai 17 18\n  gpt-load keys %[1]s openai --state %[2]s --dry-run", action.name, exampleState(action))
	which.add(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say how many keys it is about, and change nothing")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

func exampleState(action keyAction) string {
	switch action.name {
	case "enable":
		return adminapi.KeyDisabled
	case "disable":
		return adminapi.KeyActive
	}
	return adminapi.KeyInvalid
}

// dryRunResult is the answer of --dry-run as JSON.
type dryRunResult struct {
	Matching int `json:"matching"` // by the live counts of the node that was asked
}

func (a *app) showDryRun(action keyAction, which selection, g adminapi.Group) error {
	if a.wantsJSON() {
		return a.printJSON(dryRunResult{Matching: which.size(g)})
	}
	return a.say("would %s %s of %s", action.name, which.inWords(g), g.Name)
}

// inWords says which keys are meant, such as 1,234 invalid keys.
func (s *selection) inWords(g adminapi.Group) string {
	words := keysInWords(s.size(g))
	if s.state == "" {
		return words
	}
	n, noun, _ := strings.Cut(words, " ")
	return n + " " + s.state + " " + noun
}

// applyAction returns how many keys were changed, also when an error ended it.
func applyAction(ctx context.Context, client *adminclient.Client, group string, action keyAction, which selection) (int, error) {
	if which.state != "" {
		return action.do(client, ctx, group, adminapi.KeySelection{State: which.state})
	}
	changed := 0
	for ids := range slices.Chunk(which.ids, selectedAtOnce) {
		n, err := action.do(client, ctx, group, adminapi.KeySelection{IDs: ids})
		changed += n
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// splitWords splits at white space and commas.
func splitWords(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) })
}
