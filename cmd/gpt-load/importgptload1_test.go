package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

const passphrase1 = "canary battery staple"

// product1 is one of the databases that 1.x runs on. Package gptload1 has registered their drivers.
type product1 struct {
	name, driver string
	empty        func(t *testing.T) string
	admin        func(dsn string) string
}

var products1 = []product1{
	{
		"sqlite", "sqlite",
		func(t *testing.T) string { return filepath.Join(t.TempDir(), "gpt-load.db") },
		func(dsn string) string { return dsn },
	},
	{
		"postgres", "pgx",
		func(t *testing.T) string { return testenv.Postgres(t).NewDatabase(t) },
		func(dsn string) string { return dsn + "&default_query_exec_mode=simple_protocol" },
	},
	{
		"mysql", "mysql",
		func(t *testing.T) string { return testenv.MariaDB(t).NewDatabase(t) },
		func(dsn string) string {
			return dsn + "?multiStatements=true&charset=utf8mb4&sql_mode=%27NO_BACKSLASH_ESCAPES%27"
		},
	},
}

// key1 is a row of api_keys.
type key1 struct {
	group         int
	value, status string
	notes         string
	failures      int
}

// jsonKey is one that a text of keys could not carry.
const jsonKey = `{"type":"service_account","private_key":"canary, with \"everything\""}`

var keys1 = []key1{
	{1, "sk-canary-first-0001", "active", "of Ada", 2},
	{1, "sk-canary-second-002", "invalid", "", 3},
	{1, "sk-canary-first-0001", "invalid", "", 0},
	{1, "", "active", "", 0},
	{2, jsonKey, "active", "", 0},
	{5, "sk-canary-third-0003", "active", "", 0},
}

// installation1 is a database of 1.x that a test may change.
type installation1 struct {
	product1
	db   *sql.DB
	seal cipher.AEAD
	mac  []byte
}

// newInstallation1 makes an encrypted 1.x installation with a bit of everything.
func (w *world) newInstallation1(t *testing.T, p product1, dsn string) *installation1 {
	t.Helper()
	db, err := sql.Open(p.driver, p.admin(dsn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	key, err := pbkdf2.Key(sha256.New, passphrase1, []byte("gpt-load-encryption-v1"), 100000, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	i := &installation1{product1: p, db: db, mac: key}
	if i.seal, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"schema-1.4." + p.name + ".sql", "data-1.4.sql"} {
		script, err := os.ReadFile(filepath.Join("../../internal/gptload1/testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		i.exec(t, string(script))
	}
	i.addKeys(t, keys1...)
	w.write(t, "dsn", dsn+"\n")
	w.write(t, "old-key", passphrase1+"\n")
	return i
}

// exec runs a script; backquotes become what the database wants.
func (i *installation1) exec(t *testing.T, script string) {
	t.Helper()
	if i.name == "postgres" {
		script = strings.ReplaceAll(script, "`", `"`)
	}
	if _, err := i.db.ExecContext(t.Context(), script); err != nil {
		t.Fatalf("%s: %v", i.name, err)
	}
}

func (i *installation1) addKeys(t *testing.T, keys ...key1) {
	t.Helper()
	quoted := func(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
	var rows []string
	for _, k := range keys {
		value, digest := "", ""
		if k.value != "" {
			nonce := make([]byte, 12)
			_, _ = rand.Read(nonce) // never fails
			mac := hmac.New(sha256.New, i.mac)
			mac.Write([]byte(k.value))
			value, digest = hex.EncodeToString(i.seal.Seal(nonce, nonce, []byte(k.value), nil)), hex.EncodeToString(mac.Sum(nil))
		}
		rows = append(rows, fmt.Sprintf("(%s, %s, %d, %s, %s, %d)", quoted(value), quoted(digest), k.group, quoted(k.status), quoted(k.notes), k.failures))
	}
	i.exec(t, "INSERT INTO `api_keys` (`key_value`, `key_hash`, `group_id`, `status`, `notes`, `failure_count`) VALUES "+strings.Join(rows, ", "))
}

var import1 = []string{"import", "gpt-load", "--from-file", "dsn", "--encryption-key-file", "old-key"}

func TestImportFromGPTLoad1(t *testing.T) {
	for _, p := range products1 {
		t.Run(p.name, func(t *testing.T) {
			w := newWorld(t)
			old := w.newInstallation1(t, p, p.empty(t))
			r := w.run(t, "", append(import1, "--plan")...)
			if r.code != 0 || !strings.Contains(r.out, "+ group openai-b\n") || !strings.Contains(r.out, "left out: openai, config.nonsense: has no counterpart") {
				t.Errorf("exit code %d\n%s%s", r.code, r.out, r.err)
			}
			for _, secret := range []string{"canary", "hunter2", "sk-team", passphrase1} {
				if strings.Contains(r.out+r.err, secret) {
					t.Errorf("the plan shows %q:\n%s", secret, r.out)
				}
			}
			if r := w.run(t, "", append(import1, "-o", "json")...); r.code != 2 || !strings.Contains(r.err, "--yes") {
				t.Errorf("nobody said yes: exit code %d\n%s", r.code, r.err)
			}
			if groups := w.must(t, "", "groups", "list", "-o", "json"); groups != "" {
				t.Fatalf("a plan made groups:\n%s", groups)
			}
			w.must(t, "", append(import1, "--yes")...)
			w.checkImported(t)

			revision := w.revision(t)
			if out := w.must(t, "", append(import1, "--yes")...); !strings.Contains(out, "no group differs") || !strings.Contains(out, "openai: 0 keys added, 3 there already") {
				t.Errorf("doing it again:\n%s", out)
			}
			if again := w.revision(t); again != revision {
				t.Errorf("doing it again changed the configuration from revision %d to %d", revision, again)
			}
			// What changes in 1.x afterwards comes along the next time.
			old.exec(t, "UPDATE `groups` SET `description` = 'changed there' WHERE `id` = 3")
			old.addKeys(t, key1{group: 1, value: "sk-canary-fourth-004", status: "active"})
			if out := w.must(t, "", append(import1, "--yes")...); !strings.Contains(out, "1 change made") || !strings.Contains(out, "openai: 1 key added, 3 there already") {
				t.Errorf("the second time:\n%s", out)
			}
		})
	}
}

func (w *world) revision(t *testing.T) int64 {
	t.Helper()
	list, err := w.node.Client().Groups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list.Revision
}

// checkImported looks at what internal/gptload1 does not: that the plan is what the API has in the end.
func (w *world) checkImported(t *testing.T) {
	t.Helper()
	client := w.node.Client()
	list, err := client.GroupsInClear(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]adminapi.Group{}
	for _, g := range list.Groups {
		byName[g.Name] = g
	}
	g, all := byName["openai"], byName["all"]
	if len(byName) != 6 || len(all.Members) != 2 || all.Members[0] != (adminapi.Member{GroupID: g.ID, Weight: 30, Tier: 1}) || all.Members[1].Weight != 1000 {
		t.Fatalf("groups: %+v", list.Groups)
	}
	overrides, _ := json.Marshal(g.ParamOverrides)
	if want := `[{"path":"temperature","value":0.70},{"path":"a\\.b","value":null},{"path":"big","value":12345678901234567890}]`; string(overrides) != want {
		t.Errorf("overrides %s, want %s", overrides, want)
	}
	if !slices.Equal(g.ProxyKeys, []string{"sk-team-a", "sk-team-b"}) || !g.ModelRedirectStrict || len(g.ModelRedirects) != 2 || len(g.HeaderRules) != 2 ||
		g.Validation.Path != "/v1/models?limit=1" || g.Settings["proxy_url"] != "socks5://u:hunter2@10.0.0.2:1080" || g.Upstreams[0].Weight != 1000 {
		t.Errorf("group openai: %+v", g)
	}
	if counts := g.KeyCounts; counts != (adminapi.KeyCounts{Active: 1, Invalid: 1}) {
		t.Errorf("keys of openai: %+v", counts)
	}
	page, err := client.Keys(t.Context(), g.ID, adminclient.KeyFilter{})
	if err != nil || len(page.Keys) != 2 {
		t.Fatal(page, err)
	}
	if k := page.Keys[0]; k.State != adminapi.KeyActive || k.Failures != 2 || k.Notes != "of Ada" || k.Weight != 1 {
		t.Errorf("the first key: %+v", k)
	}
	if k := page.Keys[1]; k.State != adminapi.KeyInvalid || k.Reason != "invalid_in_1x" || k.Failures != 3 {
		t.Errorf("the second key: %+v", k)
	}
	if found, err := client.SearchKey(t.Context(), byName["gemini"].ID, jsonKey); err != nil || len(found.Keys) != 1 {
		t.Errorf("the key that is JSON: %+v, %v", found, err)
	}
	settings, err := client.Settings(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(settings.Settings, func(s adminapi.Setting) bool { return s.Name == "proxy_keys" })
	if settings.Settings[at].Value != "sk-one,sk-two" {
		t.Errorf("proxy keys: %v", settings.Settings[at].Value)
	}
}

func TestImportFromGPTLoad1Refuses(t *testing.T) {
	w := newWorld(t)
	w.newInstallation1(t, products1[0], filepath.Join(w.dir, "old.db"))
	w.write(t, "wrong", "canary of another installation")
	w.write(t, "broken.dsn", "postgres://me:canary-password@127.0.0.1:1/x?sslmode=disable")
	w.write(t, "text.db", "canary")
	for _, c := range []struct {
		says string
		code int
		args string
	}{
		{"--from is missing", 2, ""},
		{"no encryption key is given", 2, "--from old.db"},
		{"the encryption key is wrong", 2, "--from old.db --encryption-key-file wrong"},
		{`nothing.db"; name its file`, 2, "--from nothing.db"},
		{"is not an SQLite database", 2, "--from text.db"},
		{"names a kind of database that is not known", 2, "--from oracle://canary"},
		{"cannot be reached", 1, "--from-file broken.dsn"},
		{"keep one of them", 2, "--from old.db --from-file dsn"},
		{"no such file", 2, "--from-file missing"},
		{"cannot be asked for", 2, "--from old.db --encryption-key -"},
		{"of this version of GPT-Load", 2, "--from " + filepath.Join(w.node.Dir, "data", "gpt-load.db")},
	} {
		r := w.run(t, "", append([]string{"import", "gpt-load", "--yes"}, strings.Fields(c.args)...)...)
		if r.code != c.code || !strings.Contains(r.err, c.says) || strings.Contains(r.err, "canary") || r.out != "" {
			t.Errorf("%s: exit code %d, not %d; it should say %q\n%s%s", c.args, r.code, c.code, c.says, r.out, r.err)
		}
	}
	if out := w.must(t, "", "groups", "list", "-o", "json"); out != "" {
		t.Errorf("groups were made:\n%s", out)
	}
}

// TestImportFromGPTLoad1Interrupted ends imports in the middle of their keys, politely and not, and completes them.
func TestImportFromGPTLoad1Interrupted(t *testing.T) {
	const many = 30_000
	w := newWorld(t)
	old := w.newInstallation1(t, products1[0], filepath.Join(w.dir, "old.db"))
	rows := make([]key1, 0, 500)
	for n := range many {
		if rows = append(rows, key1{group: 5, value: fmt.Sprintf("sk-canary-many-%08d", n), status: []string{"active", "invalid"}[n%2]}); len(rows) == cap(rows) {
			old.addKeys(t, rows...)
			rows = rows[:0]
		}
	}
	client := w.node.Client()
	for _, signal := range []os.Signal{os.Interrupt, os.Kill} {
		c := w.command(t, append(import1, "--yes")...)
		var out, stderr strings.Builder
		c.Stdout, c.Stderr = &out, &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		awaitImport(t, client, "openai-b", ended)
		if err := c.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil {
			t.Errorf("after %v it ended well", signal)
		}
		if signal == os.Interrupt && (c.ProcessState.ExitCode() != exitFailed || !strings.Contains(stderr.String(), "interrupted\n") || !strings.Contains(stderr.String(), "the same command brings the rest")) {
			t.Errorf("%v\n%s%s", c.ProcessState, out.String(), stderr.String())
		}
	}
	w.must(t, "", append(import1, "--yes")...)
	g, err := client.GroupByName(t.Context(), "openai-b")
	if want := (adminapi.KeyCounts{Active: many/2 + 1, Invalid: many / 2}); err != nil || g.KeyCounts != want {
		t.Errorf("in the end there are %+v keys, not %+v, %v", g.KeyCounts, want, err)
	}
	if out := w.must(t, "", append(import1, "--yes")...); !strings.Contains(out, "openai-b: 0 keys added, 30,001 there already") {
		t.Errorf("once more:\n%s", out)
	}
}

// awaitImport waits until keys are being added to a group.
func awaitImport(t *testing.T, client *adminclient.Client, group string, ended chan error) {
	t.Helper()
	for {
		select {
		case err := <-ended:
			t.Fatalf("it ended before it added keys to %s: %v", group, err)
		default:
		}
		page, err := client.Operations(t.Context(), adminclient.OperationFilter{Kind: adminapi.OperationImport})
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(page.Operations, func(o adminapi.Operation) bool { return o.GroupName == group && !o.Ended() && o.Done > 0 }) {
			return
		}
	}
}
