package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func (a *app) exportKeysCommand() *cobra.Command {
	var flags keyFilter
	path, format, reveal := "", "", false
	c := a.leaf("export", "Write the keys of a group in clear", []string{"GROUP"}, func(ctx context.Context, args []string) error {
		if !reveal {
			return usage(errors.New("an export holds the keys in clear"), "--reveal says that this is meant; `gpt-load keys list` shows them masked")
		}
		if path != "" {
			if err := mustNotExist(path); err != nil {
				return err
			}
		}
		client, err := a.client(longWait)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, client, args[0])
		if err != nil {
			return err
		}
		filter, err := flags.optional()
		if err != nil {
			return err
		}
		o, err := client.StartOperation(ctx, g.ID, adminapi.OperationInput{Kind: adminapi.OperationExport, Filter: filter, Format: a.exportFormat(format), Reveal: true})
		if err == nil {
			o, err = a.ended(ctx, client, o)
		}
		if err != nil {
			return err
		}
		if path == "" {
			return a.copyResult(ctx, client, o.ID, a.Out)
		}
		if err := toNewFile(path, func(to io.Writer) error { return a.copyResult(ctx, client, o.ID, to) }); err != nil {
			return err
		}
		a.note("%s of %s in %s", keysInWords(int(o.Done)), g.Name, path)
		return nil
	})
	c.Long = "Writes the keys of a group, as `gpt-load keys import` reads them: as text the values only, one a line; as csv, json or jsonl\nwith all that is said of them, states and cool-downs included. Whoever reads the output owns the keys: --file makes a file\nthat only its owner reads. The export stays on the server, sealed, for a day: `gpt-load operations result` gives it again."
	flags.add(c)
	formats := []string{adminapi.FormatText, adminapi.FormatCSV, adminapi.FormatJSON, adminapi.FormatJSONL}
	c.Flags().Var(&choice{value: &format, of: formats}, "format", "`format` of the file: text, csv, json or jsonl; text when left out, jsonl with --output json")
	complete(c, "format", formats...)
	c.Flags().BoolVar(&reveal, "reveal", false, "yes, write the keys in clear")
	c.Flags().StringVar(&path, "file", "", "write to this `file`, with mode 0600, whole or not at all; it must not exist")
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

func (a *app) exportFormat(told string) string {
	switch {
	case told != "":
		return told
	case a.wantsJSON():
		return adminapi.FormatJSONL
	}
	return adminapi.FormatText
}

func mustNotExist(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return usage(errors.New(path+" exists already"), "no file is replaced: remove it, or name another")
	}
	return nil
}

// toNewFile writes a file that was not there, and leaves none behind when it fails.
func toNewFile(path string, write func(io.Writer) error) error {
	if err := mustNotExist(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // CreateTemp gives mode 0600
	if err != nil {
		return fmt.Errorf("making the file: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already, or not wanted
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link never replaces what is there.
	if err := os.Link(f.Name(), path); err != nil {
		return fmt.Errorf("putting the file in place: %w", err)
	}
	return nil
}

// eachRejection hands over the rejected entries of an import, at most so many.
func eachRejection(ctx context.Context, client *adminclient.Client, id string, most int, each func(adminapi.OperationOutcome)) error {
	enough := errors.New("enough")
	err := client.EachOutcome(ctx, id, func(o adminapi.OperationOutcome) error {
		if o.Outcome != "rejected" {
			return nil
		}
		if most == 0 {
			return enough
		}
		most--
		each(o)
		return nil
	})
	if errors.Is(err, enough) {
		return nil
	}
	return err
}
