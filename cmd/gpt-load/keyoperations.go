package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"gpt-load/pkg/adminapi"
)

func (a *app) validateKeysCommand() *cobra.Command {
	in, rate := adminapi.OperationInput{Kind: adminapi.OperationValidation}, uint16(0)
	var flags keyFilter
	c := a.leaf("validate", "Test all keys of a group, or some, and keep what became of each", []string{"GROUP"}, func(ctx context.Context, args []string) error {
		in.PerSecond = int(rate)
		return a.operate(ctx, args[0], in, &flags)
	})
	c.Long = "Tests the keys of a group as an operation, as many at a time as the group's key_validation_concurrency says. Keys that pass\ncome back, keys that fail get the verdict of a client's request. `gpt-load keys test` tests a few at once and shows each."
	flags.add(c)
	c.Flags().Uint16Var(&rate, "per-second", 0, "`number` of tests to begin in a second, at most; 0 leaves that to the concurrency")
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

func (a *app) copyKeysCommand() *cobra.Command {
	in, from := adminapi.OperationInput{Kind: adminapi.OperationCopy}, ""
	var flags keyFilter
	c := a.leaf("copy", "Add the keys of another group to a group, with all that is said of them", []string{"GROUP"}, func(ctx context.Context, args []string) error {
		if from == "" {
			return usage(errors.New("no group to copy from"), "--from names it")
		}
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, client, from)
		if err != nil {
			return err
		}
		in.FromGroupID = g.ID
		return a.operate(ctx, args[0], in, &flags)
	})
	c.Flags().StringVar(&from, "from", "", "the `group` whose keys are copied")
	complete(c, "from")
	flags.add(c)
	c.Flags().BoolVar(&in.Disabled, "disabled", false, "add them switched off")
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

// operate begins an operation on a group, waits for its end and shows it.
func (a *app) operate(ctx context.Context, group string, in adminapi.OperationInput, flags *keyFilter) (err error) {
	if in.Filter, err = flags.optional(); err != nil {
		return err
	}
	client, err := a.client(usualWait)
	if err != nil {
		return err
	}
	g, err := findGroup(ctx, client, group)
	if err != nil {
		return err
	}
	o, err := client.StartOperation(ctx, g.ID, in)
	if err == nil {
		o, err = a.ended(ctx, client, o)
	}
	if err != nil {
		return err
	}
	return a.showOperation(o)
}
