package main

import (
	"bufio"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// withGroup makes the group openai in a world, with keys of its own besides the two good ones.
func (w *world) withGroup(t *testing.T, keys int) {
	t.Helper()
	w.must(t, "", "groups", "create", "openai", "--channel", "openai", "--upstream", w.provider)
	var text strings.Builder
	fmt.Fprintln(&text, goodKey+"\n"+alsoKey)
	for i := range keys {
		fmt.Fprintf(&text, "sk-canary-number-%08d\n", i)
	}
	w.must(t, text.String(), "keys", "import", "openai")
}

// TestNoSecretUnasked runs every command that shows something in both forms.
func TestNoSecretUnasked(t *testing.T) {
	w := newWorld(t)
	w.withGroup(t, 3)
	w.must(t, "sk-canary-proxy-7d6c5b4a3f", "groups", "update", "openai", "--proxy-keys-file", "-", "--setting", "proxy_url=@"+w.write(t, "proxy", "http://me:canary-password@127.0.0.1:1"))
	w.must(t, "", "groups", "update", "openai", "--setting", "proxy_url=")
	for _, output := range []string{outputTable, outputJSON} {
		for _, command := range []string{
			"groups list", "groups get openai", "groups update openai --sort 2", "keys list openai", "keys find", "keys import openai", "keys test openai 1 2 3",
			"keys disable openai 4", "keys enable openai 4", "settings list", "settings list --group openai", "settings get proxy_keys", "settings set max_retries=4",
			"records list", "stats", "config check", "version", "groups get nothing", "keys list nothing", "keys delete openai 4",
		} {
			r := w.run(t, goodKey, append(strings.Fields(command), "--output", output)...)
			for _, secret := range []string{"canary", testenv.AuthKey} {
				if strings.Contains(r.out+r.err, secret) {
					t.Errorf("gpt-load %s --output %s shows %q:\n%s%s", command, output, secret, r.out, r.err)
				}
			}
		}
	}
	for command, secret := range map[string]string{
		"groups get openai --reveal": "sk-canary-proxy-7d6c5b4a3f", "settings get proxy_keys --reveal": testenv.AuthKey,
		"settings list --reveal": testenv.AuthKey, "keys export openai --reveal": goodKey,
	} {
		if out := w.must(t, "", strings.Fields(command)...); !strings.Contains(out, secret) {
			t.Errorf("gpt-load %s shows\n%s", command, out)
		}
	}
}

// TestForeignServer gives the auth key to a server that repeats it.
func TestForeignServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/page/") {
			_, _ = io.WriteString(rw, "<html>")
			return
		}
		rw.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(rw, "\x1b[2Jno:\n"+r.Header.Get("Authorization"))
	}))
	defer server.Close()
	w := &world{dir: t.TempDir(), env: []string{"AUTH_KEY=" + testenv.AuthKey, "GPT_LOAD_URL=" + server.URL}}
	r := w.run(t, "", "groups", "list")
	if r.code != 1 || !strings.Contains(r.err, `\u001b[2Jno: Bearer [redacted]`) || strings.Contains(r.err, testenv.AuthKey) || !strings.Contains(r.err, "--url") {
		t.Errorf("exit code %d\n%s", r.code, r.err)
	}
	w.fails(t, 1, "is this the address of GPT-Load?", "", "groups", "list", "--url", server.URL+"/page")
}

func TestAuthKeySources(t *testing.T) {
	server := newWorld(t)
	for name, c := range map[string]struct {
		files map[string]string
		env   []string
		args  []string
		code  int
	}{
		"environment":      {env: []string{"AUTH_KEY=" + testenv.AuthKey}},
		"file":             {env: []string{"AUTH_KEY_FILE=key"}, files: map[string]string{"key": testenv.AuthKey + "\n"}},
		".env":             {files: map[string]string{".env": "AUTH_KEY=" + testenv.AuthKey + "\n"}},
		"yaml":             {files: map[string]string{"node.yaml": "auth_key: " + testenv.AuthKey + "\n"}, args: []string{"--config", "node.yaml"}},
		"data folder":      {files: map[string]string{"data/auth-key": testenv.AuthKey + "\n"}},
		"DATA_DIR":         {files: map[string]string{"there/auth-key": testenv.AuthKey + "\n"}, env: []string{"DATA_DIR=there"}},
		"flag goes first":  {env: []string{"AUTH_KEY=sk-another"}, files: map[string]string{"key": testenv.AuthKey}, args: []string{"--auth-key-file", "key"}},
		"nothing else":     {env: []string{"AUTH_KEY=" + testenv.AuthKey, "LOG_LEVEL=loud", "DATABASE_DSN=oracle://x"}},
		"none":             {code: 2},
		"wrong":            {env: []string{"AUTH_KEY=sk-canary-wrong"}, code: 1},
		"two of them":      {env: []string{"AUTH_KEY=sk-canary-one", "AUTH_KEY_FILE=key"}, files: map[string]string{"key": "sk-canary-two"}, code: 2},
		"no key in a file": {files: map[string]string{"key": "two words"}, args: []string{"--auth-key-file", "key"}, code: 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{dir: t.TempDir(), env: append(c.env, "GPT_LOAD_URL="+server.node.URL)}
			for path, content := range c.files {
				if err := os.MkdirAll(filepath.Join(w.dir, filepath.Dir(path)), 0o700); err != nil {
					t.Fatal(err)
				}
				w.write(t, path, content)
			}
			r := w.run(t, "", append(c.args, "groups", "list")...)
			if r.code != c.code || strings.Contains(r.err, "canary") || (r.code == 0) != (r.err == "no groups\n") {
				t.Errorf("exit code %d, not %d\n%s%s", r.code, c.code, r.out, r.err)
			}
		})
	}
	// What listens by HOST and PORT on this machine is the node of this machine.
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(server.node.URL, "http://"))
	w := &world{dir: t.TempDir(), env: []string{"HOST=" + host, "PORT=" + port, "AUTH_KEY=" + testenv.AuthKey}}
	w.must(t, "", "groups", "list")
	w.env = []string{"PORT=0", "AUTH_KEY=" + testenv.AuthKey}
	w.fails(t, 2, "--url", "", "groups", "list")
}

// TestReaderGoesAway reads one line of a long list and closes the pipe.
func TestReaderGoesAway(t *testing.T) {
	w := newWorld(t)
	w.withGroup(t, 5000)
	for _, output := range []string{outputTable, outputJSON} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := w.command(t, "keys", "list", "openai", "--output", output)
		var stderr strings.Builder
		c.Stdout, c.Stderr = writer, &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		_ = writer.Close()
		if _, err := bufio.NewReader(reader).ReadString('\n'); err != nil {
			t.Error(err)
		}
		_ = reader.Close()
		_ = c.Wait() // as any program whose reader went away, by SIGPIPE
		if status := c.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGPIPE || stderr.String() != "" {
			t.Errorf("it ended with %v and said %q", c.ProcessState, stderr.String())
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	for _, command := range []string{"keys list openai", "keys list openai -o json", "groups get openai", "keys export openai --reveal", "settings get max_retries", "config defaults", "version"} {
		c := w.command(t, strings.Fields(command)...)
		var stderr strings.Builder
		c.Stdout, c.Stderr = full, &stderr
		if err := c.Run(); c.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("gpt-load %s on a full disk: %v, %s", command, err, stderr.String())
		}
	}
}

func TestInterrupt(t *testing.T) {
	w := newWorld(t)
	w.withGroup(t, 0)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()

	t.Run("an import that waits for its input", func(t *testing.T) {
		c := w.command(t, "keys", "import", "openai")
		stdin, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr strings.Builder
		c.Stderr = &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// The pipe holds less than this: when it is written, the command reads, and so listens to signals.
		if _, err := io.WriteString(stdin, strings.Repeat("sk-canary-early\n", 10_000)); err != nil {
			t.Fatal(err)
		}
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		if c.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "gpt-load: interrupted\n") || !strings.Contains(stderr.String(), "nothing was changed") {
			t.Errorf("%v\n%s", c.ProcessState, stderr.String())
		}
	})
	t.Run("a file that comes by the standard input", func(t *testing.T) {
		c := w.command(t, "groups", "create", "--file", "-")
		stdin, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(stdin, strings.Repeat("# more than a pipe holds\n", 10_000)); err != nil {
			t.Fatal(err)
		}
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if _ = c.Wait(); c.ProcessState.ExitCode() != 1 {
			t.Error(c.ProcessState)
		}
	})
	t.Run("a server that never answers", func(t *testing.T) {
		c := w.command(t, "groups", "list", "--url", "http://"+silent.Addr().String())
		var stderr strings.Builder
		c.Stderr = &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		connection, err := silent.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.Close() }()
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		if c.ProcessState.ExitCode() != 1 || stderr.String() != "gpt-load: interrupted\n" {
			t.Errorf("%v\n%s", c.ProcessState, stderr.String())
		}
	})
}

func TestImportOfTooMuch(t *testing.T) {
	w := newWorld(t)
	w.withGroup(t, 0)
	large := w.write(t, "large.txt", strings.Repeat("\n", 257<<20))
	w.fails(t, 1, "larger than 256 MiB", "", "keys", "import", "openai", large)
	r := w.run(t, "sk-canary-fine\nsk-canary-\x01-not-fine\n", "keys", "import", "openai", "--disabled")
	if r.code != 1 || !strings.Contains(r.out, "1 added, 0 there already or repeated, 1 rejected") || !strings.Contains(r.err, "line 2: ") || strings.Contains(r.err, "canary") {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if out := w.must(t, "", "keys", "list", "openai", "--state", adminapi.KeyDisabled, "-o", "json"); strings.Count(out, "\n") != 1 {
		t.Errorf("disabled keys:\n%s", out)
	}
	w.fails(t, 1, "holds no id", "", "keys", "delete", "openai", "-")
	// A key that only quotation marks keep together in a text.
	w.must(t, `["sk-canary with spaces"]`, "keys", "import", "openai")
	if out := w.must(t, "", "keys", "export", "openai", "--reveal", "--state", adminapi.KeyActive); !strings.HasSuffix(out, "\n\"sk-canary with spaces\"\n") {
		t.Errorf("exported %q", out)
	}
	w.fails(t, 1, "nothing was changed", "[\"sk-canary-half", "keys", "import", "openai")
	if left, err := filepath.Glob(filepath.Join(w.dir, "*out.txt*")); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

// TestServe is about the exit codes of a node.
func TestServe(t *testing.T) {
	w := &world{dir: t.TempDir(), env: []string{"HOST=127.0.0.1", "PORT=0", "TZ=UTC"}}
	w.write(t, "wrong.yaml", "prot: 1\n")
	for _, args := range []string{"serve --config wrong.yaml", "--config wrong.yaml", "-config wrong.yaml", "-config=wrong.yaml", "serve --config=missing.yaml"} {
		w.fails(t, 2, ".yaml", "", strings.Fields(args)...)
	}
	w.write(t, "file", "")
	w.env = append(w.env, "DATA_DIR="+filepath.Join(w.dir, "file"))
	if r := w.run(t, ""); r.code != 1 {
		t.Errorf("without a data folder: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	for _, args := range []string{"", "help", "--help", "-help", "-h", "serve --help", "help keys import", "--version"} {
		if args != "" {
			w.must(t, "", strings.Fields(args)...)
		}
	}
	node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Stop(); err != nil {
		t.Errorf("SIGTERM is how a node ends: %v", err)
	}
}

// TestHealthNeedsNothing runs the static program as an image without anything else would.
func TestHealthNeedsNothing(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	static := filepath.Join(dir, "gpt-load")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", static, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := elf.Open(static)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program needs a dynamic loader, which an empty image does not have")
		}
	}
	for _, args := range [][]string{{"health", "--url", w.node.URL}, {"health", "--live", "--url", w.node.URL}} {
		c := exec.CommandContext(t.Context(), static, args...)
		c.Dir, c.Env = dir, []string{}
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}
