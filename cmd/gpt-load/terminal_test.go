package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// person sits at a terminal in which a command runs.
type person struct {
	t       *testing.T
	console *os.File // the person's side
	tty     *os.File // the command's side
	command *exec.Cmd
	seen    strings.Builder
}

// sitDown runs a command in a terminal of this width, as its controlling terminal.
func (w *world) sitDown(t *testing.T, width uint16, args ...string) *person {
	t.Helper()
	console, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = console.Close() })
	n, err := unix.IoctlGetInt(int(console.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(console.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width}); err != nil {
		t.Fatal(err)
	}
	c := w.command(t, args...)
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return &person{t: t, console: console, tty: tty, command: c}
}

// sees reads until a text is on the terminal.
func (p *person) sees(text string) {
	p.t.Helper()
	block := make([]byte, 4096)
	for !strings.Contains(p.seen.String(), text) {
		n, err := p.console.Read(block)
		p.seen.Write(block[:n])
		if err != nil {
			p.t.Fatalf("%v; it shows %q, and not %q", err, p.seen.String(), text)
		}
	}
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := p.console.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

// leaves waits for the end of the command and returns its exit code and everything that was seen.
func (p *person) leaves() (code int, seen string) {
	p.t.Helper()
	_ = p.tty.Close()
	block := make([]byte, 4096)
	for {
		n, err := p.console.Read(block)
		p.seen.Write(block[:n])
		if errors.Is(err, syscall.EIO) { // nobody has the other side open any more
			break
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	_ = p.command.Wait()
	return p.command.ProcessState.ExitCode(), p.seen.String()
}

func TestQuestions(t *testing.T) {
	w := newWorld(t)
	w.withGroup(t, 4)
	const question = `Delete for good 6 active keys of "openai"? [y/N] `

	p := w.sitDown(t, 80, "keys", "delete", "openai", "--state", "active")
	p.sees(question)
	p.types("\n")
	if code, seen := p.leaves(); code != 1 || !strings.Contains(seen, "nothing was changed") {
		t.Errorf("exit code %d\n%s", code, seen)
	}
	p = w.sitDown(t, 80, "keys", "delete", "openai", "--state", "active")
	p.sees(question)
	p.types("\x03")
	if code, seen := p.leaves(); code != 1 || !strings.Contains(seen, "gpt-load: interrupted") {
		t.Errorf("Ctrl-C: exit code %d\n%s", code, seen)
	}
	p = w.sitDown(t, 80, "keys", "delete", "openai", "--state", "active")
	p.sees(question)
	p.types("y\n")
	if code, seen := p.leaves(); code != 0 || !strings.Contains(seen, "deleted 6 keys") {
		t.Errorf("exit code %d\n%s", code, seen)
	}
}

func TestHiddenKey(t *testing.T) {
	w := newWorld(t)
	w.withGroup(t, 0)
	p := w.sitDown(t, 80, "keys", "find")
	p.sees("Key: ")
	p.types(goodKey + "\n")
	if code, seen := p.leaves(); code != 0 || !strings.Contains(seen, "****9e8b") || strings.Contains(seen, goodKey) {
		t.Errorf("exit code %d\n%s", code, seen)
	}
	p = w.sitDown(t, 80, "keys", "find")
	p.sees("Key: ")
	p.types("\x03")
	p.sees("interrupted")
	state, err := unix.IoctlGetTermios(int(p.tty.Fd()), unix.TCGETS)
	if err != nil || state.Lflag&unix.ECHO == 0 {
		t.Errorf("the terminal still hides what is typed: %v, %v", state, err)
	}
	if code, seen := p.leaves(); code != 1 {
		t.Errorf("exit code %d\n%s", code, seen)
	}
}

func TestWindow(t *testing.T) {
	w := newWorld(t)
	w.must(t, "", "groups", "create", "openai", "--channel", "openai", "--upstream", "https://a-long-name-of-a-server.example.com/and/a/path")
	code, seen := w.sitDown(t, 90, "groups", "list").leaves()
	lines := strings.Split(strings.TrimSuffix(seen, "\r\n"), "\r\n")
	if code != 0 || len(lines) != 2 || !strings.HasPrefix(lines[0], "\x1b[1mID\x1b[0m") || len([]rune(lines[1])) != 90 || !strings.HasSuffix(lines[1], "…") {
		t.Errorf("exit code %d, %q", code, lines)
	}
	w.env = append(w.env, "NO_COLOR=1")
	if _, seen := w.sitDown(t, 200, "groups", "list").leaves(); strings.Contains(seen, "\x1b") || !strings.Contains(seen, "/and/a/path") {
		t.Errorf("without colours, in a wide window: %q", seen)
	}
}

func TestProgressBar(t *testing.T) {
	w := newWorld(t)
	w.withGroup(t, 0)
	path := w.write(t, "keys.txt", strings.Repeat("sk-canary-number-00000000\n", 5000))
	if code, seen := w.sitDown(t, 80, "keys", "import", "openai", path).leaves(); code != 0 || !strings.Contains(seen, "\rimport of openai [") || !strings.Contains(seen, "1 added") {
		t.Errorf("exit code %d, %q", code, seen)
	}
	if code, seen := w.sitDown(t, 80, "keys", "export", "openai", "--reveal", "--file", "out.txt").leaves(); code != 0 || !strings.Contains(seen, "\rexport of openai [") || !strings.Contains(seen, "3 keys of openai in out.txt") {
		t.Errorf("exit code %d, %q", code, seen)
	}
	w.env = append(w.env, "TERM=dumb")
	if code, seen := w.sitDown(t, 80, "keys", "import", "openai", path).leaves(); code != 0 || strings.Contains(seen, "\x1b") {
		t.Errorf("exit code %d, %q", code, seen)
	}
	// Typed at the terminal, ended by Ctrl-D.
	p := w.sitDown(t, 80, "keys", "import", "openai")
	p.sees("Ctrl-D")
	p.types("sk-canary-typed-in-by-hand\n\x04")
	if code, seen := p.leaves(); code != 0 || !strings.Contains(seen, "1 added") {
		t.Errorf("exit code %d, %q", code, seen)
	}
}
