package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/internal/config"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
	"gpt-load/internal/terminal"
)

// keyMigration is one run of migrate-keys.
type keyMigration struct {
	*app
	from, to       givenKey
	online, dryRun bool

	cfg      config.Config
	store    *sqlstore.Store
	oldKey   secret.Text
	newKey   secret.Text
	changing bool // something was changed
}

func (a *app) migrateKeysCommand() *cobra.Command {
	m := &keyMigration{
		app:  a,
		from: givenKey{name: "from", what: "the key in use", variable: "MIGRATE_FROM"},
		to:   givenKey{name: "to", what: "the new key", variable: "MIGRATE_TO", twice: true},
	}
	c := a.leaf("migrate-keys", "Change, set or remove ENCRYPTION_KEY: seal everything anew that is stored sealed", nil, func(ctx context.Context, _ []string) error {
		return m.explain(ctx, m.run(ctx))
	})
	c.Long = `Seals the stored provider keys and other secrets anew: --to alone encrypts what is stored in clear, --from alone stores it
in clear again, and both change the key. Everything is checked before the first change, and opened again after the last.
A run that was interrupted or killed is completed by the same command; with the keys of --from and --to exchanged it is
turned back. Nodes do not start in between.

A key also comes from a file (--from-file, --to-file), from the environment (MIGRATE_FROM, MIGRATE_FROM_FILE, MIGRATE_TO,
MIGRATE_TO_FILE), or is asked for on a terminal (--from -, --to -, or no key at all). On the command line itself other
users of this machine can see it.

Stop all nodes first, or restart them one by one with the new key in ENCRYPTION_KEY and the old one in
ENCRYPTION_KEY_OLD, and then run this with --online while they serve.`
	c.Example = "  openssl rand -hex 32 > new-key && gpt-load migrate-keys --to-file new-key\n  gpt-load migrate-keys --from - --to -"
	flags := c.Flags()
	for _, key := range []*givenKey{&m.from, &m.to} {
		key.addTo(flags, "key")
	}
	flags.BoolVar(&m.online, "online", false, "while nodes serve, which all have both keys")
	flags.BoolVar(&m.dryRun, "dry-run", false, "only check")
	return c
}

// run does everything; explain says what went wrong.
func (m *keyMigration) run(ctx context.Context) (err error) {
	if m.cfg, err = config.LoadOnly(config.Sources{File: m.configFile}, "DATA_DIR", "DATABASE_DSN", "REDIS_DSN", "REDIS_KEY_PREFIX"); err != nil {
		return usage(err, "")
	}
	if err := m.readKeys(ctx); err != nil {
		return err
	}
	m.store, err = sqlstore.Open(ctx, m.cfg.DatabaseDSN.Reveal(), sqlstore.Options{Existing: true, Alone: !m.online})
	if err != nil {
		return m.inUse(err)
	}
	defer func() { err = errors.Join(err, m.store.Close()) }()
	if err := m.prepare(ctx); err != nil {
		return err
	}
	install, err := m.store.Install(ctx)
	if err != nil {
		return err
	}
	change := sqlstore.Rekeying{Gentle: m.online, CheckOnly: m.dryRun}
	if change.From, err = secret.NewBox(m.oldKey, install.Salt); err != nil {
		return err
	}
	if change.To, err = secret.NewBox(m.newKey, install.Salt); err != nil {
		return err
	}
	change.Begin = func(ctx context.Context) error {
		if err := m.checkNodes(ctx, change); err != nil {
			return err
		}
		m.changing = true
		return nil
	}
	progress := &rekeyProgress{app: m.app}
	change.Progress = progress.show
	done, err := m.store.Rekey(ctx, change)
	progress.finish()
	if err != nil {
		return err
	}
	return m.tell(done, change)
}

// prepare checks that the database is one that can be worked with.
func (m *keyMigration) prepare(ctx context.Context) error {
	has, needs, err := m.store.SchemaVersions(ctx)
	switch {
	case err != nil:
		return err
	case has == 0:
		return usage(errors.New("there is nothing of GPT-Load in the database that DATABASE_DSN names"), "a new installation needs no migration: set ENCRYPTION_KEY before its first start")
	case has == needs:
		return m.checkNodes(ctx, sqlstore.Rekeying{})
	case m.online:
		return usage(fmt.Errorf("the database has schema version %d, and this GPT-Load needs %d", has, needs), "run this version on all nodes first")
	case m.dryRun:
		return usage(fmt.Errorf("the database has schema version %d, and this GPT-Load needs %d", has, needs), "without --dry-run it is brought up to date first")
	}
	if err := m.checkMembers(ctx, nil); err != nil {
		return err
	}
	return m.store.Migrate(ctx)
}

// tell says what was done, and what is to be done next.
func (m *keyMigration) tell(done sqlstore.Rekeyed, change sqlstore.Rekeying) error {
	what := fmt.Sprintf("%s, the secrets of %s and %s", keysInWords(int(done.Keys)), counted(done.Groups, "group"), counted(done.Settings, "setting"))
	stands := "are stored in clear"
	if change.To.Encrypted() {
		stands = "are sealed with the key of id " + change.To.KeyID()
	}
	switch {
	case done.Already:
		return m.say("Nothing to do: %s %s already, and all of them can be opened.", what, stands)
	case m.dryRun:
		return m.say("Nothing was changed: %s can be opened and may be changed.", what)
	}
	if err := m.say("Done: %s %s now. Each was opened again.", what, stands); err != nil {
		return err
	}
	for _, line := range m.next(change, done.Traces) {
		if err := m.say("%s", line); err != nil {
			return err
		}
	}
	return nil
}

// next is what the operator does now.
func (m *keyMigration) next(change sqlstore.Rekeying, traces bool) []string {
	var lines []string
	switch {
	case m.online:
		lines = append(lines, "Next: take ENCRYPTION_KEY_OLD out of the configuration of the nodes, and restart them one by one.")
	case change.To.Encrypted():
		lines = append(lines, "Next: set ENCRYPTION_KEY (or ENCRYPTION_KEY_FILE) of every node to the new key, and start the nodes. Keep the key: without it nothing can be opened.")
	default:
		lines = append(lines, "Next: take ENCRYPTION_KEY (or ENCRYPTION_KEY_FILE) out of the configuration of every node, and start the nodes.")
	}
	if change.From.Encrypted() {
		return append(lines, "Backups from before need the old key.")
	}
	lines = append(lines, "Backups from before hold the secrets in clear: delete them when you do not need them any more.")
	switch {
	case !traces:
	case m.store.Shared():
		lines = append(lines, "So do the logs of the database server, and its tables until it has cleaned up behind old rows: VACUUM FULL provider_keys on PostgreSQL, OPTIMIZE TABLE provider_keys on MySQL.")
	default:
		lines = append(lines, "So may the file itself, where rows stood before: while the node is stopped, `sqlite3 FILE VACUUM` makes it anew.")
	}
	return lines
}

func counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return terminal.Count(n) + " " + noun + "s"
}

// explain gives an error its exit code and says where things stand.
func (m *keyMigration) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var known *fault
	if errors.As(err, &known) {
		return err
	}
	remedy := ""
	if m.changing {
		remedy = "the change is not finished, and nodes do not start: the same command completes it, exchanging --from and --to turns it back"
		if m.online {
			remedy = "the change is not finished; nodes with both keys serve on: the same command completes it, exchanging --from and --to turns it back"
		}
	}
	if ctx.Err() != nil {
		return failed("interrupted", remedy)
	}
	var stored *fleet.Error
	if errors.As(err, &stored) && stored.Code == fleet.CodeInternal && stored.Cause != nil {
		remedy = strings.TrimPrefix(remedy+"; the cause: "+stored.Cause.Error(), "; ")
	}
	fault := &fault{error: errors.New(m.redact(err.Error())), remedy: m.redact(remedy), code: exitFailed}
	if fleet.CodeOf(err) == fleet.CodeInvalid {
		fault.code = exitUsage
	}
	return fault
}

func (m *keyMigration) redact(text string) string {
	return secret.RedactLine(text, append(m.cfg.Secrets(), m.oldKey, m.newKey, m.cfg.DatabaseDSN)...)
}
