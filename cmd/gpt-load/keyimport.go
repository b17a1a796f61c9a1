package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// listedRejections is how many rejected entries of an import are listed.
const listedRejections = 100

func (a *app) importKeysCommand() *cobra.Command {
	options, wait := adminclient.ImportOptions{}, true
	c := a.leaf("import", "Add the keys of a file or of the standard input to a group", []string{"GROUP", "[FILE]"}, func(ctx context.Context, args []string) error {
		path := "-"
		if len(args) > 1 {
			path = args[1]
		}
		return a.importKeys(ctx, args[0], path, options, wait)
	})
	c.Long = "Adds keys to a group. A file is text with newlines, spaces, tabs, commas or semicolons between the keys, CSV whose first line\nnames the columns (key, weight, notes, tags, state and so on), a JSON array or JSON lines of strings and objects; each may be\ncompressed with gzip; at most 256 MiB. A key with spaces or commas stands between quotation marks, or in a file of --format\nlines. Without FILE, or with -, the keys come from the standard input.\n\nThe server reads the whole file before it changes anything, and then works on it as an operation, which goes on without this\ncommand. Keys that the group already has count as duplicates and are no error. The exit code is 1 when any key was rejected."
	c.Example = "  gpt-load keys import openai keys.txt\n  gpt-load keys import openai export.csv.gz\n  grep ^sk- notes.txt | gpt-load keys import openai"
	c.Flags().BoolVar(&options.Disabled, "disabled", false, "add them switched off")
	c.Flags().BoolVar(&wait, "wait", true, "wait for the end; without, print the operation")
	formats := []string{adminapi.FormatText, adminapi.FormatLines, adminapi.FormatCSV, adminapi.FormatJSON, adminapi.FormatJSONL}
	c.Flags().Var(&choice{value: &options.Format, of: formats}, "format", "`format` of the file, if it is not to be found out: "+strings.Join(formats, ", "))
	complete(c, "format", formats...)
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveDefault)
	return c
}

func (a *app) importKeys(ctx context.Context, group, path string, options adminclient.ImportOptions, wait bool) error {
	in, size, err := a.openImport(ctx, path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // nothing was written
	client, err := a.client(longWait)
	if err != nil {
		return err
	}
	g, err := findGroup(ctx, client, group)
	if err != nil {
		return err
	}
	progress := a.NewProgress("sending", size, terminal.Bytes)
	o, err := client.ImportKeys(ctx, g.ID, progress.Reader(in), options)
	progress.Finish()
	if err != nil {
		if ctx.Err() != nil {
			a.note("the upload was interrupted; nothing was changed")
		}
		return err
	}
	if !wait {
		return a.showOperation(o)
	}
	if o, err = a.ended(ctx, client, o); err != nil {
		return err
	}
	return a.showImport(ctx, client, o)
}

// openImport opens what is to be imported and says how large it is; 0 when that is not known.
func (a *app) openImport(ctx context.Context, path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		if a.AsksPeople {
			a.note("reading keys from the terminal; Ctrl-D on a line of its own ends them")
		}
		return io.NopCloser(a.stdin(ctx)), 0, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, usage(fmt.Errorf("reading the keys: %w", err), "")
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New(path + " is a folder")
	}
	if err != nil {
		_ = f.Close() // the error before says more
		return nil, 0, usage(fmt.Errorf("reading the keys: %w", err), "")
	}
	if !info.Mode().IsRegular() {
		return f, 0, nil
	}
	return f, info.Size(), nil
}

func (a *app) showImport(ctx context.Context, client *adminclient.Client, o adminapi.Operation) error {
	rejected := o.Counts["rejected"]
	if a.wantsJSON() {
		if err := a.printJSON(o); err != nil {
			return err
		}
	} else {
		err := a.say("%s to %s: %s added, %s there already or repeated, %s rejected", keysInWords(int(o.Done)), o.GroupName,
			terminal.Count(o.Counts["added"]), terminal.Count(o.Counts["duplicate"]), terminal.Count(rejected))
		if err != nil {
			return err
		}
	}
	if rejected == 0 {
		return nil
	}
	if !a.wantsJSON() {
		err := eachRejection(ctx, client, o.ID, listedRejections, func(r adminapi.OperationOutcome) { a.note("line %d: %s", r.Line, r.Reason) })
		if err != nil {
			return err
		}
		if more := rejected - listedRejections; more > 0 {
			a.note("and %s more; `gpt-load operations result %s` has all", terminal.Count(more), o.ID)
		}
	}
	return quiet(exitFailed)
}
