package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// selectedAtOnce is how many ids the API takes in one action.
const selectedAtOnce = 10_000

// keyAction is one of the changes that keys take.
type keyAction struct {
	name, done, short string
	question          string // what is asked before it; the number of keys and the group follow
	would             string // what a dry run says
	always            bool   // asks also when the keys are named one by one: it cannot be undone
	example           string // a state to choose by
	// flags adds what belongs to the action; it may be nil.
	flags func(c *cobra.Command)
	do    func(ctx context.Context, client *adminclient.Client, group string, which adminapi.KeySelection) (adminapi.KeysChanged, error)
}

// simpleAction is one that needs no more words.
func simpleAction(action keyAction) keyAction {
	action.would = action.name
	action.do = func(ctx context.Context, client *adminclient.Client, group string, which adminapi.KeySelection) (adminapi.KeysChanged, error) {
		return client.ChangeKeys(ctx, group, action.name, which)
	}
	return action
}

// keyActions lists the changes.
func keyActions() []keyAction {
	return []keyAction{
		simpleAction(keyAction{
			name: adminapi.ActionEnable, done: "enabled", question: "Enable", short: "Make disabled keys active again", example: adminapi.KeyDisabled,
		}),
		simpleAction(keyAction{
			name: adminapi.ActionDisable, done: "disabled", question: "Disable", short: "Take keys out until they are enabled", example: adminapi.KeyActive,
		}),
		simpleAction(keyAction{
			name: adminapi.ActionRestore, done: "restored", question: "Restore", short: "Make invalid keys active again and end the rests of active ones", example: adminapi.KeyInvalid,
		}),
		simpleAction(keyAction{
			name: adminapi.ActionDelete, done: "deleted", question: "Delete for good", always: true, short: "Delete keys for good", example: adminapi.KeyInvalid,
		}),
		resetAction(), setAction(),
	}
}

func setAction() keyAction {
	var values adminapi.KeyValues
	var weight uint
	var notes string
	var set *pflag.FlagSet
	return keyAction{
		name: adminapi.ActionSet, done: "changed", question: "Change", would: "change", short: "Set weight, notes and tags of keys", example: adminapi.KeyActive,
		flags: func(c *cobra.Command) {
			set = c.Flags()
			set.UintVar(&weight, "set-weight", 1, "`weight` from 1 to 100, the share of the requests relative to the other keys")
			set.StringVar(&notes, "set-notes", "", "new `notes`; empty removes them")
			set.StringSliceVar(&values.AddTags, "add-tag", nil, "`tag` to add; repeatable")
			set.StringSliceVar(&values.RemoveTags, "remove-tag", nil, "`tag` to remove; repeatable")
		},
		do: func(ctx context.Context, client *adminclient.Client, group string, which adminapi.KeySelection) (adminapi.KeysChanged, error) {
			values.KeySelection = which
			if set.Changed("set-weight") {
				values.Weight = new(int(weight)) // #nosec G115 -- the server refuses what is above 100
			}
			if set.Changed("set-notes") {
				values.Notes = &notes
			}
			return client.SetKeys(ctx, group, values)
		},
	}
}

func resetAction() keyAction {
	model := ""
	return keyAction{
		name: "reset-cooldown", done: "reset the cool-downs of", question: "Reset the cool-downs of", would: "reset the cool-downs of",
		short: "End the rests of active keys, for one model or all", example: adminapi.KeyCooling,
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&model, "model", "", "only rests for this `model`; all rests when left out")
		},
		do: func(ctx context.Context, client *adminclient.Client, group string, which adminapi.KeySelection) (adminapi.KeysChanged, error) {
			return client.ResetCooldowns(ctx, group, adminapi.CooldownReset{KeySelection: which, Model: model})
		},
	}
}

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
		change := keyChange{app: a, client: client, group: g, action: action, which: &which}
		if dryRun {
			return change.tellDryRun(ctx)
		}
		if err := change.ask(ctx, yes); err != nil {
			return err
		}
		return change.do(ctx)
	})
	c.Long = action.short + ". Keys are named by their ids, by a single - for ids from the standard input, by\nflags that choose them, or by --all; a change of keys that are not named by ids, and every deletion, is asked about before\nit is made. Many keys are changed by an operation, which goes on when this command is interrupted."
	c.Example = fmt.Sprintf("  gpt-load keys %[1]s openai 17 18\n  gpt-load keys %[1]s openai --state %[2]s --dry-run", action.name, action.example)
	which.add(c)
	if action.flags != nil {
		action.flags(c)
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say how many keys it is about, show some of them, and change nothing")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

// keyChange is an action on its way.
type keyChange struct {
	*app
	client *adminclient.Client
	group  adminapi.Group
	action keyAction
	which  *selection
}

// dryRun asks the server what the change would be about.
func (k *keyChange) dryRun(ctx context.Context) (sum adminapi.KeysChanged, err error) {
	portions := [][]string{nil}
	if len(k.which.ids) > 0 {
		portions = slices.Collect(slices.Chunk(k.which.ids, selectedAtOnce))
	}
	for _, ids := range portions {
		which := k.which.wire(ids)
		which.DryRun = true
		part, err := k.action.do(ctx, k.client, k.group.ID, which)
		if err != nil {
			return sum, err
		}
		sum.Matching, sum.More = sum.Matching+part.Matching, sum.More || part.More
		if len(sum.Examples) == 0 {
			sum.Examples = part.Examples
		}
	}
	return sum, nil
}

// keysMatching is the answer of --dry-run as JSON.
type keysMatching struct {
	Matching int            `json:"matching"`
	More     bool           `json:"more"` // than matching says
	Examples []adminapi.Key `json:"examples"`
}

func (k *keyChange) tellDryRun(ctx context.Context) error {
	found, err := k.dryRun(ctx)
	if err != nil {
		return err
	}
	if k.wantsJSON() {
		return k.printJSON(keysMatching{Matching: found.Matching, More: found.More, Examples: append([]adminapi.Key{}, found.Examples...)})
	}
	if err := k.say("would %s %s of %s", k.action.would, k.inWords(found), k.group.Name); err != nil || len(found.Examples) == 0 {
		return err
	}
	list := k.newKeyListing()
	for _, key := range found.Examples {
		if err := list.addKey(key); err != nil {
			return err
		}
	}
	return list.flush()
}

// inWords says how many keys are meant, such as 1,234 invalid keys.
func (k *keyChange) inWords(found adminapi.KeysChanged) string {
	state := ""
	if k.which.filter.State != "" {
		state = k.which.filter.State + " "
	}
	noun := state + "keys"
	if found.Matching == 1 {
		noun = state + "key"
	}
	count := terminal.Count(int64(found.Matching))
	if found.More {
		count = "more than " + count
	}
	return count + " " + noun
}

// ask asks before what touches keys that nobody named, and before what cannot be undone.
func (k *keyChange) ask(ctx context.Context, yes bool) error {
	if yes || len(k.which.ids) > 0 && !k.action.always {
		return nil
	}
	found := adminapi.KeysChanged{Matching: len(k.which.ids)}
	if len(k.which.ids) == 0 {
		var err error
		if found, err = k.dryRun(ctx); err != nil {
			return err
		}
	}
	return k.confirm(ctx, fmt.Sprintf("%s %s of %s?", k.action.question, k.inWords(found), strconv.Quote(k.group.Name)), yes)
}

func (k *keyChange) do(ctx context.Context) error {
	changed, err := k.apply(ctx)
	if err != nil {
		if changed > 0 {
			k.note("%s %s before this error", k.action.done, keysInWords(changed))
		}
		return err
	}
	if k.wantsJSON() {
		return k.printJSON(adminapi.KeysChanged{Changed: changed})
	}
	return k.say("%s %s", k.action.done, keysInWords(changed))
}

// apply returns how many keys were changed, also when an error ended it.
func (k *keyChange) apply(ctx context.Context) (changed int, err error) {
	if len(k.which.ids) > 0 {
		for ids := range slices.Chunk(k.which.ids, selectedAtOnce) {
			done, err := k.action.do(ctx, k.client, k.group.ID, adminapi.KeySelection{IDs: ids})
			changed += done.Changed
			if err != nil {
				return changed, err
			}
		}
		return changed, nil
	}
	done, err := k.action.do(ctx, k.client, k.group.ID, k.which.wire(nil))
	if err != nil || done.Operation == nil {
		return done.Changed, err
	}
	o, err := k.ended(ctx, k.client, *done.Operation)
	return int(o.Done), err
}
