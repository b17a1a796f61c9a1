package e2e_test

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

const migrations = 50 // that are killed

// migration changes the encryption key of one database back and forth with the real command.
type migration struct {
	t      *testing.T
	binary string
	dir    string
	keys   [2]string // encryption keys, which also stand in files named from and to by turns
	at     int       // the key that everything is sealed with, or that a command under way turns back to
}

// TestMigrateKeysKilled kills migrate-keys at random moments, turns some of the changes back, and looks at what a node makes of
// the database when the same command is run to its end.
func TestMigrateKeysKilled(t *testing.T) {
	m := &migration{t: t, dir: t.TempDir(), keys: [2]string{"correct horse battery staple", "another horse and its battery"}}
	var err error
	// Without the race detector, under which the derivation of keys takes most of the time and few kills would meet a change.
	if m.binary, err = testenv.Build(t.Context(), t.TempDir(), false); err != nil {
		t.Fatal(err)
	}
	var group string
	m.serve(func(admin *adminclient.Client) {
		g, err := admin.CreateGroup(t.Context(), adminapi.GroupInput{Name: "g", Channel: adminapi.ChannelOpenAI, Upstreams: []adminapi.Upstream{{URL: "http://127.0.0.1:9", Weight: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		var lines strings.Builder
		for i := range 5000 {
			lines.WriteString(providerKey(i) + "\n")
		}
		o, err := admin.ImportKeys(t.Context(), g.ID, strings.NewReader(lines.String()), adminclient.ImportOptions{})
		if err == nil {
			o, err = admin.WaitOperation(t.Context(), o.ID, nil)
		}
		if err != nil || o.State != adminapi.OperationSucceeded {
			t.Fatal(o.State, err)
		}
		group = g.ID
	})
	before := m.export(group)
	if n := strings.Count(before, "\n"); n != 5000 {
		t.Fatalf("%d keys", n)
	}
	begun := time.Now()
	if !m.run(0) {
		t.Fatal("an undisturbed migration did not end")
	}
	whole := time.Since(begun)
	ended := 0
	for kill := range migrations {
		if rand.N(4) == 0 { // with the keys exchanged the command turns back what was begun
			m.at = 1 - m.at
		}
		if m.run(1 + rand.N(whole)) {
			ended++
		}
		if kill%10 == 9 {
			if !m.run(0) {
				t.Fatalf("after kill %d the command does not complete the change", kill+1)
			}
			if m.export(group) != before {
				t.Fatalf("after kill %d a node has other keys", kill+1)
			}
		}
	}
	t.Logf("a whole migration takes %v; %d of %d ended before their kill", whole.Round(time.Millisecond), ended, migrations)
}

// run changes to the other key, and kills the command after some time unless that is 0. It reports whether it succeeded.
func (m *migration) run(after time.Duration) bool {
	m.t.Helper()
	for i, name := range []string{"from", "to"} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(m.keys[(m.at+i)%2]), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	cmd := exec.Command(m.binary, "migrate-keys", "--from-file", "from", "--to-file", "to")
	cmd.Dir, cmd.Env = m.dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TZ=UTC"}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	if after > 0 {
		kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
	}
	err := cmd.Wait()
	switch {
	case err == nil:
		m.at = 1 - m.at
	case after == 0 || cmd.ProcessState.ExitCode() >= 0:
		m.t.Fatalf("migrate-keys: %v: %s", err, said.String())
	}
	return err == nil
}

// serve runs a node with the key that everything is sealed with.
func (m *migration) serve(use func(*adminclient.Client)) {
	m.t.Helper()
	node, err := testenv.StartNode(context.WithoutCancel(m.t.Context()), m.binary, m.dir, "ENCRYPTION_KEY="+m.keys[m.at])
	if err != nil {
		m.t.Fatalf("%v: %s", err, node.Logs())
	}
	use(node.Client())
	if err := node.Stop(); err != nil {
		m.t.Error(err)
	}
}

// export is what a node knows of the keys of a group.
func (m *migration) export(group string) (text string) {
	m.t.Helper()
	m.serve(func(admin *adminclient.Client) {
		o, err := admin.StartOperation(m.t.Context(), group, adminapi.OperationInput{Kind: adminapi.OperationExport, Format: "text", Reveal: true})
		if err == nil {
			o, err = admin.WaitOperation(m.t.Context(), o.ID, nil)
		}
		if err != nil {
			m.t.Fatal(err)
		}
		file, err := admin.OperationResult(m.t.Context(), o.ID)
		if err != nil {
			m.t.Fatal(err)
		}
		all, err := io.ReadAll(file)
		if err != nil {
			m.t.Fatal(err)
		}
		text = string(all)
	})
	return text
}
