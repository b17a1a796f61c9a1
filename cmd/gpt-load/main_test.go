package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gpt-load-cli-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if binary, err = testenv.Build(context.Background(), dir, false); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := testenv.WithServers(m).Run()
	if err := errors.Join(os.RemoveAll(dir), goleak.Find(goleak.IgnoreAnyFunction(testenv.ServerGoroutine))); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// world is a node of its own, a provider behind it, and a folder in which commands run.
type world struct {
	node     *testenv.Node
	provider string // URL
	dir      string
	env      []string // of commands
}

// The provider knows these keys and no others.
const (
	goodKey = "sk-canary-good-6f1d2c9e8b"
	alsoKey = "sk-canary-also-0a4b7d3c5e"
)

func newWorld(t *testing.T, env ...string) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	provider := fakeprovider.New(fakeprovider.Options{Keys: []string{goodKey, alsoKey}})
	t.Cleanup(provider.Close)
	var err error
	if w.provider, err = provider.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	w.node, err = testenv.StartNode(context.WithoutCancel(t.Context()), binary, t.TempDir(), env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.node.Stop(); err != nil {
			t.Error(err)
		}
	})
	w.env = []string{
		"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "HOME=" + w.dir, "TZ=UTC", "TERM=xterm",
		"GPT_LOAD_URL=" + w.node.URL, "AUTH_KEY=" + testenv.AuthKey,
	}
	return w
}

// command is a command of the program in the world.
func (w *world) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), binary, args...)
	c.Dir, c.Env = w.dir, w.env
	return c
}

// result is what a command did.
type result struct {
	out, err string
	code     int
}

func finished(t *testing.T, c *exec.Cmd) result {
	t.Helper()
	var out, stderr bytes.Buffer
	c.Stdout, c.Stderr = &out, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), stderr.String(), c.ProcessState.ExitCode()}
}

// run runs a command with a text as its standard input.
func (w *world) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	c := w.command(t, args...)
	c.Stdin = strings.NewReader(stdin)
	return finished(t, c)
}

// must runs a command that has to work, and returns its output.
func (w *world) must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	r := w.run(t, stdin, args...)
	if r.code != 0 {
		t.Fatalf("gpt-load %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

// fails runs a command that has to end with this exit code and say this, and nothing on its output.
func (w *world) fails(t *testing.T, code int, says, stdin string, args ...string) {
	t.Helper()
	r := w.run(t, stdin, args...)
	if r.code != code || !strings.Contains(r.err, says) || r.out != "" {
		t.Errorf("gpt-load %s: exit code %d, not %d; it should say %q\nout: %s\nerr: %s", strings.Join(args, " "), r.code, code, says, r.out, r.err)
	}
}

// write makes a file in the folder of the world.
func (w *world) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
