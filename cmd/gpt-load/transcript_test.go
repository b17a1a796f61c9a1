package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gpt-load/internal/testenv"
)

var update = flag.Bool("update", false, "write what commands print into the transcripts instead of comparing it")

// TestTranscripts runs the commands of testdata/*.txt and of README.md, in order, against a fresh node for each file, and
// compares everything they print with what stands below them. Lines behind "$ " are commands of a shell, those behind "## "
// are for readers; what ends with another exit code than 0 is followed by a line that names it.
func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := play(t, string(text)); got != string(text) {
				replace(t, path, string(text), got)
			}
		})
	}
	t.Run("README.md", func(t *testing.T) {
		const begin, end = "<!-- begin command line -->\n```console\n", "```\n<!-- end command line -->"
		text, err := os.ReadFile("../../README.md")
		if err != nil {
			t.Fatal(err)
		}
		before, rest, begins := strings.Cut(string(text), begin)
		lines, after, ends := strings.Cut(rest, end)
		if !begins || !ends {
			t.Fatal("README.md has no transcript between its markers")
		}
		if got := play(t, lines); got != lines {
			replace(t, "../../README.md", lines, got)
			if *update {
				if err := os.WriteFile("../../README.md", []byte(before+begin+got+end+after), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func replace(t *testing.T, path, old, got string) {
	t.Helper()
	if !*update {
		wanted := strings.Split(old, "\n")
		for i, line := range strings.Split(got, "\n") {
			if i >= len(wanted) || wanted[i] != line {
				t.Errorf("%s is not what the commands print (`go test -update` writes it); first, in line %d:\n%s\ninstead of\n%s", path, i+1, line, strings.Join(wanted[min(i, len(wanted)):min(i+1, len(wanted))], ""))
				return
			}
		}
		t.Errorf("%s has more than the commands print", path)
		return
	}
	if filepath.Ext(path) == ".txt" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// play runs the commands of a transcript and returns it with what they print.
func play(t *testing.T, text string) string {
	t.Helper()
	w := newWorld(t, "KEY_VALIDATION_INTERVAL_MINUTES=60")
	w.write(t, "keys.txt", goodKey+"\n"+alsoKey+", "+goodKey+"\n")
	w.write(t, "auth-key", testenv.AuthKey+"\n")
	if strings.Contains(text, "old.db") {
		w.newInstallation1(t, products1[0], filepath.Join(w.dir, "old.db"))
	}
	client := w.node.Client()
	if _, err := client.ChangeSettings(t.Context(), map[string]any{"request_log_write_interval_minutes": 0}); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		if !isCommand {
			if strings.HasPrefix(line, "## ") {
				b.WriteString(line) // for readers
			}
			continue
		}
		b.WriteString(line)
		shell := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(command, "https://api.openai.com", w.provider))
		shell.Dir, shell.Env = w.dir, w.env
		out, err := shell.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		b.WriteString(w.timeless(string(out)))
		if exit != nil {
			b.WriteString("[exit code " + strconv.Itoa(exit.ExitCode()) + "]\n")
		}
	}
	return b.String()
}

var (
	anyTime     = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	anyWireTime = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+Z"`)
	anyRequest  = regexp.MustCompile(`request id adm_\w+`)
	anyDuration = regexp.MustCompile(` +(\d+ ms|\d+\.\d\d s)`)
	anyMillis   = regexp.MustCompile(`_ms":\d+`)
	anyRecord   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

// timeless takes out of an output what differs from run to run, and keeps its width where columns follow.
func (w *world) timeless(out string) string {
	out = strings.ReplaceAll(out, w.provider, "https://api.openai.com")
	out = strings.ReplaceAll(out, strings.TrimPrefix(w.provider, "http://"), "api.openai.com:443")
	out = strings.ReplaceAll(out, w.node.URL, "http://localhost:3001")
	out = anyTime.ReplaceAllString(out, "2026-03-14 15:09:26")
	out = anyWireTime.ReplaceAllString(out, `"2026-03-14T15:09:26Z"`)
	out = anyRequest.ReplaceAllString(out, "request id adm_7kq2x5wz")
	out = anyMillis.ReplaceAllString(out, `_ms":9`)
	out = anyRecord.ReplaceAllString(out, "019cecb1-5c3e-7a10-8f2b-3d94c1e7a650")
	return anyDuration.ReplaceAllStringFunc(out, func(found string) string {
		const short = " 9 ms"
		return strings.Repeat(" ", max(0, len(found)-len(short))) + short
	})
}
