package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
)

func (a *app) importKeysCommand() *cobra.Command {
	disabled := false
	c := a.leaf("import", "Add the keys of a file or of the standard input to a group", []string{"GROUP", "[FILE]"}, func(ctx context.Context, args []string) error {
		path := "-"
		if len(args) > 1 {
			path = args[1]
		}
		return a.importKeys(ctx, args[0], path, disabled)
	})
	c.Long = "Adds keys to a group: a text with newlines, spaces, tabs, commas or semicolons between the keys, or a JSON list of\nstrings, at most 64 MiB. Without FILE, or with -, they come from the standard input. Keys that the group already has count\nas duplicates and are no error, so that an import that broke off can simply be done again. The exit code is 1 when any\nkey was rejected."
	c.Example = "  gpt-load keys import openai keys.txt\n  grep ^sk- notes.txt | gpt-load keys import openai"
	c.Flags().BoolVar(&disabled, "disabled", false, "add them switched off")
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveDefault)
	return c
}

func (a *app) importKeys(ctx context.Context, group, path string, disabled bool) error {
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
	progress := a.NewProgress("importing", size, terminal.Bytes)
	result, err := client.ImportKeys(ctx, g.ID, progress.Reader(in), disabled)
	progress.Finish()
	if err != nil {
		if ctx.Err() != nil {
			a.note("the import was interrupted; keys that were added stay, and doing it again counts them as duplicates")
		}
		return err
	}
	return a.showImport(g, result)
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

func (a *app) showImport(g adminapi.Group, result adminapi.KeyImport) error {
	if a.wantsJSON() {
		if err := a.printJSON(result); err != nil {
			return err
		}
	} else {
		err := a.say("%s to %s: %s added, %s there already or repeated, %s rejected", keysInWords(result.Added+result.Duplicates+result.Rejected), g.Name,
			terminal.Count(int64(result.Added)), terminal.Count(int64(result.Duplicates)), terminal.Count(int64(result.Rejected)))
		if err != nil {
			return err
		}
		for _, r := range result.Rejections {
			a.note("line %d: %s", r.Line, r.Reason)
		}
		if more := result.Rejected - len(result.Rejections); more > 0 {
			a.note("and %s more", terminal.Count(int64(more)))
		}
	}
	if result.Rejected > 0 {
		return quiet(exitFailed)
	}
	return nil
}
