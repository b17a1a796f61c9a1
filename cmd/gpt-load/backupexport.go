package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"gpt-load/internal/backup"
	"gpt-load/internal/config"
	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminclient"
)

// backupExport is one run of export.
type backupExport struct {
	*app
	passphrase givenKey
	omit, keys bool
	path       string
}

func newPassphrase(what string, twice bool) givenKey {
	return givenKey{name: "passphrase", what: what, variable: "BACKUP_PASSPHRASE", twice: twice, needed: true}
}

func (a *app) exportCommand() *cobra.Command {
	e := &backupExport{app: a, passphrase: newPassphrase("the passphrase of the backup", true)}
	c := a.leaf("export", "Write the whole configuration as YAML, for a backup or a repository", nil, func(ctx context.Context, _ []string) error {
		return a.explainBackup(e.run(ctx))
	})
	c.Long = `Writes the settings that are not at their defaults and all groups as YAML, always in the same order and form, so that a
repository shows what changed. Proxy keys, secret settings and header values that look like credentials are sealed with a
passphrase, or left out with --omit-secrets. Written over an earlier export with the same passphrase, what did not
change keeps its sealed form.

The passphrase comes from a file (--passphrase-file), from the environment (BACKUP_PASSPHRASE, BACKUP_PASSPHRASE_FILE), or is
asked for on a terminal. Without it nobody can open the secrets of the file again.`
	c.Example = "  gpt-load export --file gpt-load.yaml --passphrase-file passphrase\n  gpt-load export --omit-secrets"
	e.passphrase.addTo(c.Flags(), "text")
	c.Flags().BoolVar(&e.omit, "omit-secrets", false, "leave the secrets out; an import then keeps what the installation has")
	c.Flags().StringVar(&e.path, "file", "", "write to this `file`, with mode 0600, whole or not at all; an earlier export is replaced, nothing else")
	c.Flags().BoolVar(&e.keys, "keys", false, "with the provider keys, sealed")
	return a.withServer(c)
}

func (e *backupExport) run(ctx context.Context) error {
	passphrase, err := e.readPassphrase(ctx)
	if err != nil {
		return err
	}
	sealer, err := e.sealer(passphrase)
	if err != nil {
		return err
	}
	client, err := e.client(longWait)
	if err != nil {
		return err
	}
	configuration, err := backup.Read(ctx, client)
	if err != nil {
		return err
	}
	keys := 0
	write := func(w io.Writer) error {
		err := backup.Write(w, &configuration.Document, sealer)
		if err == nil && e.keys {
			keys, err = e.writeKeys(ctx, client, configuration, sealer, w)
		}
		return err
	}
	if e.path == "" {
		return write(e.Out)
	}
	if err := replaceFile(e.path, write); err != nil {
		return err
	}
	what := counted(int64(len(configuration.Groups)), "group") + " and " + counted(int64(len(configuration.Settings)), "setting")
	if e.keys {
		what += " with " + keysInWords(keys)
	}
	e.note("%s in %s", what, e.path)
	return nil
}

// writeKeys writes the keys of every standard group; one without keys gets a document, too, which says so.
func (e *backupExport) writeKeys(ctx context.Context, client *adminclient.Client, configuration *backup.Running, sealer *backup.Sealer, w io.Writer) (n int, err error) {
	sum := 0
	for _, g := range configuration.Groups {
		if there, _ := configuration.Group(g.Name); g.Kind == fleet.KindStandard {
			sum += total(there.KeyCounts)
		}
	}
	progress := e.newKeyProgress("exporting keys", int64(sum))
	defer progress.finish()
	for _, g := range configuration.Groups {
		if g.Kind != fleet.KindStandard {
			continue
		}
		there, _ := configuration.Group(g.Name)
		page, written := make([]keyfile.Key, 0, backup.KeysPerDocument), 0
		flush := func() error {
			n, written = n+len(page), written+1
			progress.add(int64(len(page)))
			err := backup.WriteKeys(w, sealer, g.Name, page)
			page = page[:0]
			return err
		}
		err := e.eachGroupKey(ctx, client, there.ID, func(k keyfile.Key) error {
			if page = append(page, k); len(page) < backup.KeysPerDocument {
				return nil
			}
			return flush()
		})
		if err == nil && (len(page) > 0 || written == 0) {
			err = flush()
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readPassphrase gives none where secrets are left out.
func (e *backupExport) readPassphrase(ctx context.Context) (secret.Text, error) {
	given := len(e.passphrase.ways()) > 0
	switch {
	case e.omit && e.keys:
		return secret.Text{}, usage(errors.New("provider keys are secrets, and --omit-secrets leaves those out"), "keep one of --keys and --omit-secrets")
	case e.omit && given:
		return secret.Text{}, usage(errors.New("a passphrase is given, and --omit-secrets leaves nothing to seal"), "keep one of them")
	case e.omit:
		return secret.Text{}, nil
	case !given && !e.AsksPeople:
		return secret.Text{}, usage(errors.New("no passphrase is given to seal the secrets with"), "--passphrase-file or BACKUP_PASSPHRASE_FILE names a file with it; --omit-secrets leaves the secrets out")
	case !given:
		e.passphrase.text = secret.New(asked)
	}
	passphrase, err := e.readSecret(ctx, &e.passphrase)
	if err == nil && passphrase.IsEmpty() {
		err = usage(errors.New("the passphrase is empty"), "--omit-secrets leaves the secrets out")
	}
	if why := config.Weakness(passphrase); err == nil && why != "" {
		e.note("warning: the passphrase is weak: %s. Whoever guesses it can read the secrets of the file; `openssl rand -hex 32` makes a strong one.", why)
	}
	return passphrase, err
}

// sealer is that of the earlier export where there is one, so that only what changed differs in the new one.
func (e *backupExport) sealer(passphrase secret.Text) (*backup.Sealer, error) {
	fresh := func() (*backup.Sealer, error) {
		if e.omit {
			return nil, nil
		}
		return backup.NewSealer(passphrase)
	}
	if e.path == "" {
		return fresh()
	}
	f, err := os.Open(e.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh()
	}
	if err != nil {
		return nil, usage(fmt.Errorf("reading the earlier export: %w", err), "")
	}
	defer func() { _ = f.Close() }() // nothing was written
	earlier := backup.NewReader(f, passphrase)
	earlier.Remember()
	_, err = earlier.Document()
	if err == nil && e.keys {
		err = earlier.EachKeys(func(string, []keyfile.Key) error { return nil }) // their sealed forms are remembered
	}
	var broken *backup.FileError
	switch {
	case errors.As(err, &broken):
		return nil, usage(fmt.Errorf("%s exists and is no export that can be read, so it is not replaced: %w", e.path, err), "remove it, or name another file")
	case errors.Is(err, backup.ErrNoPassphrase) && e.omit:
		return nil, nil
	case errors.Is(err, backup.ErrWrongPassphrase):
		return nil, usage(fmt.Errorf("%s is an export that is sealed with another passphrase, so it is not replaced", e.path), "give that passphrase; to change it, name another file, or remove this one")
	case err != nil:
		return nil, err
	case e.omit || earlier.Sealer() == nil:
		return fresh()
	}
	return earlier.Sealer(), nil
}

// replaceFile writes a file with mode 0600, whole or not at all.
func replaceFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // CreateTemp gives mode 0600
	if err != nil {
		return fmt.Errorf("making the file of the export: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already, or not wanted
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("putting the export in place: %w", err)
	}
	return nil
}

// explainBackup gives what is wrong with a file or a passphrase the exit code of a wrong command line.
func (a *app) explainBackup(err error) error {
	var known *fault
	var broken *backup.FileError
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.As(err, &broken):
		return usage(err, "")
	case errors.Is(err, backup.ErrNoPassphrase):
		return usage(err, "--passphrase-file or BACKUP_PASSPHRASE_FILE names a file with it")
	case errors.Is(err, backup.ErrWrongPassphrase):
		return usage(err, "nothing was changed")
	}
	return err
}
