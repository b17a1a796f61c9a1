package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// revealConcurrency is how many keys are asked for at once: the API reveals them one by one.
const revealConcurrency = 8

// exportedKey is one line of an export as JSON.
type exportedKey struct {
	ID       string `json:"id"`
	Key      string `json:"key"`
	State    string `json:"state"`
	Reason   string `json:"reason,omitempty"`
	Failures int    `json:"failures,omitempty"`
}

func (a *app) exportKeysCommand() *cobra.Command {
	state, path, reveal := "", "", false
	c := a.leaf("export", "Write the keys of a group in clear, one a line", []string{"GROUP"}, func(ctx context.Context, args []string) error {
		if !reveal {
			return usage(errors.New("an export holds the keys in clear"), "--reveal says that this is meant; `gpt-load keys list` shows them masked")
		}
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		g, err := findGroup(ctx, client, args[0])
		if err != nil {
			return err
		}
		if path == "" {
			_, err := a.exportKeys(ctx, client, g, state, a.Out)
			return err
		}
		n, err := a.exportToFile(ctx, client, g, state, path)
		if err != nil {
			return err
		}
		a.note("%s of %s in %s", keysInWords(n), g.Name, path)
		return nil
	})
	c.Long = "Writes the values of a group's keys, one a line, as `gpt-load keys import` reads them; with --output json one object a\nline, with the state of each key. Whoever reads the output owns the keys: --file makes a file that only its owner reads."
	stateFlag(c, &state, "only keys of this `state`: active (resting or not), invalid or disabled")
	c.Flags().BoolVar(&reveal, "reveal", false, "yes, write the keys in clear")
	c.Flags().StringVar(&path, "file", "", "write to this `file`, with mode 0600, whole or not at all; it must not exist")
	c.ValidArgsFunction = firstWord(a.groupNames, cobra.ShellCompDirectiveNoFileComp)
	return c
}

// exportToFile leaves no file behind when it fails.
func (a *app) exportToFile(ctx context.Context, client *adminclient.Client, g adminapi.Group, state, path string) (int, error) {
	if _, err := os.Lstat(path); err == nil {
		return 0, usage(errors.New(path+" exists already"), "an export replaces no file: remove it, or name another")
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // CreateTemp gives mode 0600
	if err != nil {
		return 0, fmt.Errorf("making the file of the export: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already, or not wanted
	n, err := a.exportKeys(ctx, client, g, state, f)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	// Unlike a rename, a link never replaces what is there.
	if err := os.Link(f.Name(), path); err != nil {
		return 0, fmt.Errorf("putting the export in place: %w", err)
	}
	return n, nil
}

func (a *app) exportKeys(ctx context.Context, client *adminclient.Client, g adminapi.Group, state string, to io.Writer) (n int, err error) {
	out := bufio.NewWriter(to)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	progress := a.NewProgress("exporting", int64(total(g.KeyCounts)), terminal.Count)
	if state != "" {
		progress = a.NewProgress("exporting", 0, terminal.Count)
	}
	defer progress.Finish()
	err = eachKeyPage(ctx, client, g.ID, state, 0, func(keys []adminapi.Key) error {
		values, err := revealAll(ctx, client, keys)
		if err != nil {
			return err
		}
		for i, k := range keys {
			if values[i] == "" {
				continue // deleted meanwhile
			}
			n++
			if a.wantsJSON() {
				err = encoder.Encode(exportedKey{ID: k.ID, Key: values[i], State: k.State, Reason: k.Reason, Failures: k.Failures})
			} else if err = fitsText(k, values[i]); err == nil {
				_, err = out.WriteString(values[i] + "\n")
			}
			if err != nil {
				return fmt.Errorf("writing the export: %w", err)
			}
		}
		progress.Add(int64(len(keys)))
		return nil
	})
	if err == nil {
		if err = out.Flush(); err != nil {
			err = fmt.Errorf("writing the export: %w", err)
		}
	}
	return n, err
}

// fitsText refuses a key that a text of keys would be read as several.
func fitsText(k adminapi.Key, value string) error {
	if strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || r == ',' || r == ';' }) || strings.HasPrefix(value, "[") {
		return failed("the key "+k.ID+" holds a separator, so that a text cannot give it back as one key", "--output json writes any key")
	}
	return nil
}

// revealAll gets the values of a page of keys, in its order; that of a key deleted meanwhile is empty.
func revealAll(ctx context.Context, client *adminclient.Client, keys []adminapi.Key) ([]string, error) {
	values := make([]string, len(keys))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(revealConcurrency)
	for i, k := range keys {
		work.Go(func() error {
			var err error
			values[i], err = client.RevealKey(ctx, k.ID)
			if adminclient.CodeOf(err) == adminapi.CodeNotFound {
				return nil
			}
			return err
		})
	}
	return values, work.Wait()
}
