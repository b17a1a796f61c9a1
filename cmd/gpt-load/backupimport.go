package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gpt-load/internal/backup"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminclient"
)

// exitDifferent is the exit code of --plan where something differs.
const exitDifferent = 3

// backupImport is one run of import.
type backupImport struct {
	*app
	passphrase       givenKey
	plan, prune, yes bool
}

func (a *app) importCommand() *cobra.Command {
	i := &backupImport{app: a, passphrase: newPassphrase("the passphrase of the backup", false)}
	c := a.leaf("import", "Make the configuration what a file of `gpt-load export` says", []string{"FILE"}, func(ctx context.Context, args []string) error {
		return a.explainBackup(i.run(ctx, args[0]))
	})
	c.Long = `Shows what differs between the file and the running configuration, asks, and changes what differs; doing it again changes
nothing. A group is its name, and becomes what the file says; groups and settings that the file does not have stay,
unless --prune deletes the groups, with their keys, and resets the settings. Everything is checked before the first change.

With --plan nothing is changed, and the exit code is 0 where nothing differs and 3 where something does. - reads the
standard input. The passphrase of sealed secrets comes from a file (--passphrase-file), from the environment
(BACKUP_PASSPHRASE, BACKUP_PASSPHRASE_FILE), or is asked for on a terminal.`
	c.Example = "  gpt-load import gpt-load.yaml --plan --passphrase-file passphrase\n  gpt-load import gpt-load.yaml --prune --yes"
	i.passphrase.addTo(c.Flags(), "text")
	c.Flags().BoolVar(&i.plan, "plan", false, "only show what differs, and tell by the exit code")
	c.Flags().BoolVar(&i.prune, "prune", false, "delete groups and reset settings that the file does not have")
	c.Flags().BoolVarP(&i.yes, "yes", "y", false, "do not ask")
	c.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	return a.withConnection(c)
}

func (i *backupImport) run(ctx context.Context, path string) error {
	wanted, err := i.read(ctx, path)
	if err != nil {
		return err
	}
	client, err := i.client(usualWait)
	if err != nil {
		return err
	}
	running, err := backup.Read(ctx, client)
	if err != nil {
		return err
	}
	plan, err := backup.PlanChanges(wanted, running, backup.Options{Prune: i.prune})
	if err != nil {
		return named(path, err)
	}
	if err := i.showPlan(plan); err != nil {
		return err
	}
	switch {
	case plan.Empty():
		return nil
	case i.plan:
		return quiet(exitDifferent)
	}
	if err := i.confirm(ctx, applyQuestion(plan), i.yes); err != nil {
		return err
	}
	_, err = i.applyPlan(ctx, client, plan)
	return err
}

// read reads the file whole and asks for its passphrase where that is needed.
func (i *backupImport) read(ctx context.Context, path string) (*backup.Document, error) {
	passphrase, err := i.readSecret(ctx, &i.passphrase)
	if err != nil {
		return nil, err
	}
	in, err := i.open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // nothing was written
	d, err := backup.NewReader(in, passphrase).Document()
	seeker, again := in.(io.Seeker)
	if !errors.Is(err, backup.ErrNoPassphrase) || !i.AsksPeople || !again {
		return d, named(path, err)
	}
	i.passphrase.text = secret.New(asked)
	if passphrase, err = i.readSecret(ctx, &i.passphrase); err != nil {
		return nil, err
	}
	if _, err := seeker.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the file again: %w", err)
	}
	d, err = backup.NewReader(in, passphrase).Document()
	return d, named(path, err)
}

func (i *backupImport) open(ctx context.Context, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(i.stdin(ctx)), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, usage(fmt.Errorf("reading a file: %w", err), "")
	}
	return f, nil
}

// named says which file is wrong, on a line of its own before everything that is wrong with it.
func named(path string, err error) error {
	var broken *backup.FileError
	if errors.As(err, &broken) {
		return fmt.Errorf("%s is not valid:\n%w", nameOfInput(path), err)
	}
	return err
}

// applyPlan makes the changes and says each. It returns the ids of all groups by name.
func (a *app) applyPlan(ctx context.Context, client *adminclient.Client, plan *backup.Plan) (map[string]string, error) {
	made := 0
	ids, err := plan.Apply(ctx, client, func(backup.Change) { made++ })
	var broken *backup.ApplyError
	if errors.As(err, &broken) {
		a.note("%s of %s made; then, %s:", counted(int64(made), "change"), fmt.Sprint(len(plan.Changes)), broken.Doing)
		if made > 0 {
			a.note("what was made stays; the same command completes it")
		}
		return nil, broken.Err
	}
	if err != nil || a.wantsJSON() {
		return ids, err
	}
	return ids, a.say("%s made", counted(int64(made), "change"))
}
