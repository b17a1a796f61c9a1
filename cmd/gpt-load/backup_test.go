package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// TestBackupMovesKeys moves random keys of several groups into an empty second instance, and compares what both export.
func TestBackupMovesKeys(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	from, to := newWorld(t), newWorld(t)
	groups := []string{"a", "b", "empty"}
	for _, name := range groups {
		from.must(t, "", "groups", "create", name, "--channel", "openai", "--upstream", from.provider)
	}
	parts := []string{"sk-canary", " ", ",", ";", `"`, "{", "}", "[", "#", ": ", "- ", "!sealed ", "ключ", "🔑", `\`, "'", "&", "*", "%", "@", "<", "null", "1e3", "\u2028", "\u00a0"}
	client := from.node.Client()
	for _, name := range groups[:2] {
		var keys []string
		for n := range 1500 { // more than one document
			key := fmt.Sprintf("k%d", n)
			for range random.IntN(6) {
				key = parts[random.IntN(len(parts))] + key
			}
			keys = append(keys, strings.TrimSpace(key))
		}
		g, err := client.GroupByName(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		result, err := client.AddKeys(t.Context(), g.ID, adminapi.KeyInput{Keys: keys})
		if err != nil || result.Rejected != 0 {
			t.Fatal(result.Rejections, err)
		}
		var disabled []string
		for _, k := range result.Keys {
			if random.IntN(3) == 0 {
				disabled = append(disabled, k.ID)
			}
		}
		if _, err := client.DisableKeys(t.Context(), g.ID, adminapi.KeySelection{IDs: append(disabled, result.Keys[0].ID)}); err != nil {
			t.Fatal(err)
		}
	}
	from.write(t, "passphrase", "canary of the backups 8f3b1a\n")
	to.write(t, "passphrase", "canary of the backups 8f3b1a\n")
	file := filepath.Join(to.dir, "moved.yaml")
	from.must(t, "", "export", "--keys", "--file", file, "--passphrase-file", "passphrase")
	if content, err := os.ReadFile(file); err != nil || strings.Contains(string(content), "canary") {
		t.Fatal("a secret stands in the file", err)
	}
	to.must(t, "", "import", "moved.yaml", "--passphrase-file", "passphrase", "--yes")
	for _, name := range groups {
		if got, want := exportOf(t, to.node.Client(), name), exportOf(t, client, name); got != want {
			t.Errorf("the keys of %s moved as\n%.2000s\ninstead of\n%.2000s", name, got, want)
		}
	}
	for _, w := range []*world{from, to} {
		if r := w.run(t, "", "import", file, "--passphrase-file", "passphrase", "--plan", "--prune"); r.code != 0 {
			t.Errorf("exit code %d\n%s%s", r.code, r.out, r.err)
		}
	}
}

// exportOf is the server's own export of the keys of a group.
func exportOf(t *testing.T, client *adminclient.Client, group string) string {
	t.Helper()
	g, err := client.GroupByName(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	o, err := client.StartOperation(t.Context(), g.ID, adminapi.OperationInput{Kind: adminapi.OperationExport, Format: adminapi.FormatJSONL, Reveal: true})
	if err != nil {
		t.Fatal(err)
	}
	if o, err = client.WaitOperation(t.Context(), o.ID, nil); err != nil || o.State != adminapi.OperationSucceeded {
		t.Fatal(o, err)
	}
	if o.ResultBytes == 0 {
		return "" // of no keys
	}
	result, err := client.OperationResult(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(result)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Close(); err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestHostileBackups are files that shall not reach the server.
func TestHostileBackups(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nobody.Close() }()
	w := &world{dir: t.TempDir(), env: []string{"GPT_LOAD_URL=http://" + nobody.Addr().String(), "AUTH_KEY=sk-canary-nobody-asks"}}
	temporary := t.TempDir()
	w.env = append(w.env, "TMPDIR="+temporary)
	w.write(t, "large.yaml", "gpt_load_backup: 1\ngroups:\n"+strings.Repeat("  - {name: a, channel: openai}\n", 100<<20/31))
	w.write(t, "binary.yaml", "\x7fELF\x02\x01\x00"+strings.Repeat("\x00", 1<<20))
	laughs := "gpt_load_backup: 1\na0: &a0 [ha]\n"
	for n := range 30 {
		laughs += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", n+1, n+1, strings.Repeat(fmt.Sprintf("*a%d, ", n), 9), n)
	}
	w.write(t, "laughs.yaml", laughs)
	for file, says := range map[string]string{
		"large.yaml": "the document", "binary.yaml": "is not UTF-8 text", "laughs.yaml": "is not known", "missing.yaml": "no such file", ".": "is a directory", "/dev/zero": "larger than 8 MiB",
	} {
		r := w.run(t, "", "import", file, "--yes")
		if r.code != exitUsage && file != "." || r.code == 0 || !strings.Contains(r.err, says) || len(r.err) > 8000 {
			t.Errorf("%s: exit code %d\n%.500s", file, r.code, r.err)
		}
	}
	// Endless input ends at a bound as well, and leaves nothing behind.
	c := w.command(t, "import", "-", "--yes")
	zeros, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = zeros.Close() }()
	c.Stdin = zeros
	if r := finished(t, c); r.code != exitUsage || !strings.Contains(r.err, "larger than 8 MiB") {
		t.Errorf("endless input: exit code %d\n%s", r.code, r.err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
