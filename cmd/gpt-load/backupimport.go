package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

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

	text  secret.Text // the passphrase
	file  *os.File    // read twice where it has provider keys
	spool string      // path of file where that is ours
}

func (a *app) importCommand() *cobra.Command {
	i := &backupImport{app: a, passphrase: newPassphrase("the passphrase of the backup", false)}
	c := a.leaf("import", "Make the configuration what a file of `gpt-load export` says, or bring one from GPT-Load 1.x", []string{"FILE"}, func(ctx context.Context, args []string) error {
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
	c.AddCommand(a.importGPTLoad1Command())
	return a.withConnection(c)
}

func (i *backupImport) run(ctx context.Context, path string) error {
	var err error
	if i.text, err = i.readSecret(ctx, &i.passphrase); err != nil {
		return err
	}
	in, err := i.open(ctx, path)
	if err != nil {
		return err
	}
	defer i.close()
	wanted, keys, err := i.read(ctx, in)
	if err != nil {
		return named(path, err)
	}
	client, err := i.client(longWait)
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
	if err := i.compareKeys(ctx, client, keys, running, wanted); err != nil {
		return err
	}
	return i.act(ctx, client, plan, keys)
}

// act shows the plan and, unless that is all, does it.
func (i *backupImport) act(ctx context.Context, client *adminclient.Client, plan *backup.Plan, keys *fileKeys) error {
	if err := i.showPlan(plan); err != nil {
		return err
	}
	if err := i.showKeys(keys); err != nil {
		return err
	}
	switch different := keys.different(i.prune); {
	case plan.Empty() && !different:
		return nil
	case i.plan:
		return quiet(exitDifferent)
	}
	if err := i.confirm(ctx, i.question(plan, keys), i.yes); err != nil {
		return err
	}
	ids, err := i.applyPlan(ctx, client, plan)
	if err != nil {
		return err
	}
	return i.applyKeys(ctx, client, keys, ids)
}

func (i *backupImport) question(plan *backup.Plan, keys *fileKeys) string {
	add, lost := 0, 0
	for _, k := range keys.groups {
		add += k.Add
		if i.prune {
			lost += k.Others
		}
	}
	for _, c := range plan.Changes {
		lost += c.LosesKeys
	}
	var parts []string
	if n := len(plan.Changes); n > 0 {
		parts = append(parts, "make "+counted(int64(n), "change"))
	}
	if add > 0 {
		parts = append(parts, "add "+keysInWords(add))
	}
	if lost > 0 {
		parts = append(parts, "delete "+keysInWords(lost)+" for good")
	}
	return asQuestion(parts)
}

// asQuestion asks whether all of it shall be done.
func asQuestion(parts []string) string {
	question := strings.Join(parts, ", ") + "?"
	return strings.ToUpper(question[:1]) + question[1:]
}

// read reads the file to its end, and asks for its passphrase where that is needed.
func (i *backupImport) read(ctx context.Context, in io.Reader) (*backup.Document, *fileKeys, error) {
	r := backup.NewReader(in, i.text)
	d, err := r.Document()
	if errors.Is(err, backup.ErrNoPassphrase) && i.AsksPeople && in == io.Reader(i.file) {
		i.passphrase.text = secret.New(asked)
		if i.text, err = i.readSecret(ctx, &i.passphrase); err != nil {
			return nil, nil, err
		}
		if r, err = i.fromStart(); err != nil {
			return nil, nil, err
		}
		d, err = r.Document()
	}
	if err != nil {
		return nil, nil, err
	}
	keys, err := readFileKeys(r)
	return d, keys, err
}

// open opens the file. What can be read only once, such as a pipe, is kept in a file of its own while it is read.
func (i *backupImport) open(ctx context.Context, path string) (io.Reader, error) {
	var in io.Reader
	if path == "-" {
		in = i.stdin(ctx)
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, usage(fmt.Errorf("reading a file: %w", err), "")
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			i.file = f
			return f, nil
		}
		in = f // closed with the process
	}
	var err error
	if i.file, err = os.CreateTemp("", "gpt-load-import-*"); err != nil { // with mode 0600
		return nil, fmt.Errorf("keeping the backup while it is read: %w", err)
	}
	i.spool = i.file.Name()
	return io.TeeReader(in, i.file), nil
}

func (i *backupImport) close() {
	_ = i.file.Close() // nothing is read of it any more
	if i.spool != "" {
		_ = os.Remove(i.spool) // the system cleans up, too
	}
}

func (i *backupImport) fromStart() (*backup.Reader, error) {
	if _, err := i.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the backup again: %w", err)
	}
	return backup.NewReader(i.file, i.text), nil
}

// again reads the file once more, up to its keys.
func (i *backupImport) again() (*backup.Reader, error) {
	r, err := i.fromStart()
	if err == nil {
		_, err = r.Document()
	}
	return r, err
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
	if err != nil || plan.Empty() || a.wantsJSON() {
		return ids, err
	}
	return ids, a.say("%s made", counted(int64(made), "change"))
}
