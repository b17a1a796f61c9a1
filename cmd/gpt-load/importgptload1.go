package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/internal/backup"
	"gpt-load/internal/fleet"
	"gpt-load/internal/gptload1"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminclient"
)

// gptload1Import is one run of import gpt-load.
type gptload1Import struct {
	*app
	from, encryptionKey givenKey
	planOnly, yes       bool

	dsn, key secret.Text
	plan     *gptload1.Plan
}

func (a *app) importGPTLoad1Command() *cobra.Command {
	i := &gptload1Import{
		app: a,
		from: givenKey{name: "from", what: "the DATABASE_DSN of the 1.x installation", variable: "IMPORT_FROM", needed: true, harmless: func(dsn string) bool {
			return !strings.Contains(dsn, "@") && !strings.Contains(dsn, "password=")
		}},
		encryptionKey: givenKey{name: "encryption-key", what: "the ENCRYPTION_KEY of the 1.x installation", variable: "IMPORT_ENCRYPTION_KEY"},
	}
	c := a.leaf("gpt-load", "Bring settings, groups and keys from a database of GPT-Load 1.x", nil, func(ctx context.Context, _ []string) error {
		return i.explain(ctx, a.explainBackup(i.run(ctx)))
	})
	c.Long = `Reads a database of GPT-Load 1.x (SQLite, MySQL or PostgreSQL), which is only read and may be in use, shows what would be made,
changed and left out, asks, and writes it through the admin API of a running node: settings, groups with everything they
have, aggregates with their weights, and the keys with their states and notes. Doing it again changes nothing but what
changed in 1.x meanwhile; broken off, doing it again completes it. Keys that a group has already stay as they are.

The DSN and the encryption key also come from files (--from-file, --encryption-key-file), from the environment (IMPORT_FROM,
IMPORT_FROM_FILE, IMPORT_ENCRYPTION_KEY, IMPORT_ENCRYPTION_KEY_FILE), or are asked for on a terminal (--from -,
--encryption-key -). On the command line itself other users of this machine can see them.`
	c.Example = "  gpt-load import gpt-load --from /srv/gpt-load-1/data/gpt-load.db --plan\n  gpt-load import gpt-load --from-file dsn --encryption-key -"
	i.from.addTo(c.Flags(), "dsn")
	i.encryptionKey.addTo(c.Flags(), "key")
	c.Flags().BoolVar(&i.planOnly, "plan", false, "only show what would be done")
	c.Flags().BoolVarP(&i.yes, "yes", "y", false, "do not ask")
	return c
}

func (i *gptload1Import) run(ctx context.Context) (err error) {
	if err := i.readSecrets(ctx); err != nil {
		return err
	}
	client, err := i.client(longWait)
	if err != nil {
		return err
	}
	running, err := backup.Read(ctx, client)
	if err != nil {
		return err
	}
	source, err := gptload1.Open(ctx, gptload1.Options{DSN: i.dsn, EncryptionKey: i.key})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if i.ShowsProgress {
		i.note("reading the 1.x database")
	}
	if i.plan, err = source.Plan(ctx); err != nil {
		return err
	}
	changes, err := backup.PlanChanges(documentOf(i.plan), running, backup.Options{})
	if err != nil {
		return err
	}
	if err := i.show(changes, running); err != nil {
		return err
	}
	if i.planOnly {
		return nil
	}
	sum := i.plan.Keys()
	keys := sum.Active + sum.Invalid - sum.Duplicates
	if changes.Empty() && keys == 0 {
		return nil
	}
	var parts []string
	if n := len(changes.Changes); n > 0 {
		parts = append(parts, "make "+counted(int64(n), "change"))
	}
	if keys > 0 {
		parts = append(parts, "bring "+keysInWords(keys))
	}
	if err := i.confirm(ctx, asQuestion(parts), i.yes); err != nil {
		return err
	}
	ids, err := i.applyPlan(ctx, client, changes)
	if err != nil {
		return err
	}
	return i.bringKeys(ctx, client, source, ids)
}

func (i *gptload1Import) readSecrets(ctx context.Context) (err error) {
	if len(i.from.ways()) == 0 {
		return usage(errors.New("--from is missing"), "it is the DATABASE_DSN of the 1.x installation: a file path, postgres://..., or user:password@tcp(host:3306)/database")
	}
	if i.dsn, err = i.readSecret(ctx, &i.from); err != nil {
		return err
	}
	i.key, err = i.readSecret(ctx, &i.encryptionKey)
	return err
}

// documentOf is what the groups and settings shall be.
func documentOf(plan *gptload1.Plan) *backup.Document {
	d := &backup.Document{Settings: plan.Settings}
	for _, planned := range plan.Groups {
		g := backup.Group{Group: planned.Group}
		for _, m := range planned.Members {
			g.Members = append(g.Members, backup.Member{Group: m.Name, Weight: m.Weight, Tier: m.Tier})
		}
		d.Groups = append(d.Groups, g)
	}
	return d
}

// bringKeys adds the keys of every group.
func (i *gptload1Import) bringKeys(ctx context.Context, client *adminclient.Client, source *gptload1.Database, ids map[string]string) error {
	sum := i.plan.Keys()
	progress := i.newKeyProgress("bringing keys", int64(sum.Active+sum.Invalid))
	defer progress.finish()
	rejected := 0
	for _, g := range i.plan.Groups {
		if g.Keys.Active+g.Keys.Invalid == 0 {
			continue
		}
		t := &keyTransfer{app: i.app, client: client, groupID: ids[g.Name], progress: progress, result: keysBrought{Group: g.Name}}
		if err := i.bringGroup(ctx, t, source, g); err != nil {
			progress.clear()
			i.note("the keys of %s are not complete; the same command brings the rest", g.Name)
			return err
		}
		rejected += t.result.Rejected
		progress.clear()
		if err := i.tellKeys(t.result); err != nil {
			return err
		}
	}
	if rejected > 0 {
		return quiet(exitFailed)
	}
	return nil
}

func (i *gptload1Import) bringGroup(ctx context.Context, t *keyTransfer, source *gptload1.Database, g gptload1.Group) error {
	defer t.abandon()
	_, err := source.EachKey(ctx, g, func(keys []gptload1.Key) error {
		for _, k := range keys {
			brought := keyfile.Key{Value: k.Value, State: k.State, Notes: k.Notes, Failures: k.Failures}
			if k.State == fleet.KeyInvalid {
				brought.Reason = gptload1.InvalidReason
			}
			if err := t.add(ctx, &brought); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.end(ctx)
}

func (a *app) tellKeys(result keysBrought) error {
	if a.wantsJSON() {
		return a.printJSON(result)
	}
	return a.say("%s", result)
}
