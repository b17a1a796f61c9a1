package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func (a *app) operationsCommand() *cobra.Command {
	return a.withConnection(a.branch("operations", "List, watch and cancel imports and other long work on keys", "",
		a.listOperationsCommand(), a.getOperationCommand(), a.cancelOperationCommand(), a.resultCommand()))
}

func (a *app) listOperationsCommand() *cobra.Command {
	group, kind, state, limit := "", "", "", uint(0)
	c := a.leaf("list", "List operations of every node, newest first", nil, func(ctx context.Context, _ []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		filter := adminclient.OperationFilter{Kind: kind, State: state, Limit: pageSize}
		if group != "" {
			g, err := findGroup(ctx, client, group)
			if err != nil {
				return err
			}
			filter.GroupID = g.ID
		}
		list := a.newOperationListing()
		for left := int(limit); ; {
			if limit > 0 {
				filter.Limit = min(left, pageSize)
			}
			page, err := client.Operations(ctx, filter)
			if err != nil {
				return err
			}
			for _, o := range page.Operations {
				if err := list.addOperation(o); err != nil {
					return err
				}
			}
			left -= len(page.Operations)
			if filter.Cursor = page.NextCursor; filter.Cursor == "" || limit > 0 && left <= 0 {
				return list.end("operations")
			}
		}
	})
	c.Flags().StringVar(&group, "group", "", "only operations of this `group`")
	kinds := []string{adminapi.OperationImport, adminapi.OperationValidation, adminapi.OperationDeletion, adminapi.OperationExport, adminapi.OperationCopy, adminapi.OperationChange}
	c.Flags().Var(&choice{value: &kind, of: kinds}, "kind", "only operations of this `kind`: "+strings.Join(kinds, ", "))
	complete(c, "kind", kinds...)
	states := []string{
		adminapi.OperationUploading, adminapi.OperationWaiting, adminapi.OperationRunning, adminapi.OperationSucceeded, adminapi.OperationFailed, adminapi.OperationCanceled,
	}
	c.Flags().Var(&choice{value: &state, of: states}, "state", "only operations of this `state`: "+strings.Join(states, ", "))
	complete(c, "state", states...)
	c.Flags().UintVar(&limit, "limit", 0, "`number` of operations at most; 0 lists all")
	return c
}

// operationListing is a list of operations.
type operationListing struct{ *listing }

func (a *app) newOperationListing() operationListing {
	return operationListing{a.newListing(
		terminal.Column{Title: "ID", Right: true}, terminal.Column{Title: "KIND"}, terminal.Column{Title: "GROUP"}, terminal.Column{Title: "STATE"},
		terminal.Column{Title: "DONE", Right: true}, terminal.Column{Title: "BEGUN"}, terminal.Column{Title: "RESULT", Flexible: true},
	)}
}

var operationStyles = map[string]terminal.Style{
	adminapi.OperationSucceeded: terminal.Good, adminapi.OperationFailed: terminal.Bad, adminapi.OperationCanceled: terminal.Faint,
	adminapi.OperationUploading: terminal.Warning, adminapi.OperationWaiting: terminal.Warning, adminapi.OperationRunning: terminal.Warning,
}

func (l operationListing) addOperation(o adminapi.Operation) error {
	done := terminal.Count(o.Done)
	if !o.Ended() && o.Total > 0 {
		done = fmt.Sprintf("%d%%", 100*o.Done/o.Total)
	}
	return l.add(o, text(o.ID), text(o.Kind), text(o.GroupName), terminal.Cell{Text: o.State, Style: operationStyles[o.State]}, text(done),
		text(localTime(o.CreatedAt)), text(outcomeOf(o)))
}

// outcomeOf says what an operation has come to.
func outcomeOf(o adminapi.Operation) string {
	parts := []string{}
	for _, word := range slices.Sorted(maps.Keys(o.Counts)) {
		parts = append(parts, terminal.Count(o.Counts[word])+" "+word)
	}
	if o.Error != "" {
		parts = append(parts, o.Error)
	}
	return strings.Join(parts, ", ")
}

func (a *app) getOperationCommand() *cobra.Command {
	wait := false
	c := a.leaf("get", "Show an operation, or wait for its end", []string{"ID"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		o, err := client.Operation(ctx, args[0])
		if err == nil && wait {
			o, err = a.follow(ctx, client, o)
		}
		if err != nil {
			return err
		}
		return a.showOperation(o)
	})
	c.Flags().BoolVar(&wait, "wait", false, "wait for its end; the exit code is 1 when it did not succeed")
	return c
}

func (a *app) showOperation(o adminapi.Operation) error {
	list := a.newOperationListing()
	if err := list.addOperation(o); err != nil {
		return err
	}
	if err := list.flush(); err != nil {
		return err
	}
	if o.State == adminapi.OperationFailed || o.State == adminapi.OperationCanceled {
		return quiet(exitFailed)
	}
	return nil
}

// follow waits for the end of an operation and draws how far it has come.
func (a *app) follow(ctx context.Context, client *adminclient.Client, o adminapi.Operation) (adminapi.Operation, error) {
	progress := a.NewProgress(o.Kind+" of "+o.GroupName, o.Total, terminal.Count)
	defer progress.Finish()
	drawn := int64(0)
	return client.WaitOperation(ctx, o.ID, func(o adminapi.Operation) {
		progress.Add(o.Done - drawn)
		drawn = o.Done
	})
}

// ended waits for the end of an operation and fails with what the operation failed with.
func (a *app) ended(ctx context.Context, client *adminclient.Client, o adminapi.Operation) (adminapi.Operation, error) {
	done, err := a.follow(ctx, client, o)
	switch {
	case ctx.Err() != nil:
		a.note("operation %s goes on without this command: gpt-load operations cancel %s ends it", o.ID, o.ID)
		return done, err
	case err != nil:
		return done, err
	case done.State == adminapi.OperationCanceled:
		return done, failed("operation "+o.ID+" was canceled: "+outcomeOf(done), "what it did stays")
	case done.State == adminapi.OperationFailed:
		return done, failed("operation "+o.ID+" failed: "+outcomeOf(done), "what it did stays; `gpt-load operations result "+o.ID+"` tells what that is")
	}
	return done, nil
}

func (a *app) cancelOperationCommand() *cobra.Command {
	return a.leaf("cancel", "Cancel an operation; what it did stays", []string{"ID"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		o, err := client.CancelOperation(ctx, args[0])
		if err == nil && !o.Ended() {
			o, err = client.WaitOperation(ctx, o.ID, nil)
		}
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(o)
		}
		return a.say("operation %s is %s: %s", o.ID, o.State, outcomeOf(o))
	})
}

func (a *app) resultCommand() *cobra.Command {
	path := ""
	c := a.leaf("result", "Download what became of each key, or the file of an export", []string{"ID"}, func(ctx context.Context, args []string) error {
		client, err := a.client(longWait)
		if err != nil {
			return err
		}
		if path == "" {
			return a.copyResult(ctx, client, args[0], a.Out)
		}
		return toNewFile(path, func(to io.Writer) error { return a.copyResult(ctx, client, args[0], to) })
	})
	c.Flags().StringVar(&path, "file", "", "write to this `file`, with mode 0600, whole or not at all; it must not exist")
	return c
}

func (a *app) copyResult(ctx context.Context, client *adminclient.Client, id string, to io.Writer) (err error) {
	result, err := client.OperationResult(ctx, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	if _, err := io.Copy(to, result); err != nil {
		return fmt.Errorf("downloading the result: %w", err)
	}
	return nil
}
