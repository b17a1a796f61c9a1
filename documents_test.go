package gptload_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/config"
	"gpt-load/internal/settings"
	"gpt-load/internal/testenv"
)

var (
	codeBlock = regexp.MustCompile("(?m)^ *```[a-z]*\n((?s:.*?))^ *```$")
	codeSpan  = regexp.MustCompile("`([^`]+)`")
	alertName = regexp.MustCompile(`\bGPTLoad[A-Z]\w+`)
	variable  = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
	snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)+$`)
	taskName  = regexp.MustCompile(`\./task ([a-z][a-z0-9:-]*)`)
	flagName  = regexp.MustCompile(`^--[a-z][a-z-]*`)
	plainWord = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	// programs begin a code span of several words that is no line of a log.
	programs = regexp.MustCompile(`^(gpt-load|\./task|sqlite3|openssl|go test) `)
)

// document is one that people read: its code blocks line by line, and its code spans with line breaks as spaces.
type document struct {
	path, text string
	lines      []string
	spans      []string
}

func documents(t *testing.T) []document {
	t.Helper()
	paths, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	paths = append(append(paths, top...), "charts/gpt-load/README.md")
	var all []document
	for _, path := range paths {
		d := document{path: path, text: read(t, path)}
		for _, block := range codeBlock.FindAllStringSubmatch(d.text, -1) {
			d.lines = append(d.lines, strings.Split(block[1], "\n")...)
		}
		for _, span := range codeSpan.FindAllStringSubmatch(codeBlock.ReplaceAllString(d.text, ""), -1) {
			d.spans = append(d.spans, strings.Join(strings.Fields(span[1]), " "))
		}
		all = append(all, d)
	}
	return all
}

// sources is the text of all Go files but tests, and of the compose files.
func sources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, root := range []string{"cmd", "internal", "pkg"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				b.WriteString(read(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	b.WriteString(read(t, "docker-compose.yml") + read(t, "docker-compose.cluster.yml"))
	return b.String()
}

// TestDocumentsNames: what documents call a metric, alert, variable, setting, task or line of the log is one.
func TestDocumentsNames(t *testing.T) {
	known, alerts, tasks, code := definitions(), read(t, "configs/prometheus-alerts.yaml"), read(t, "Taskfile.yml"), sources(t)
	variables := []string{"PROVIDER_KEY"} // of the reader's shell
	foreign := []string{"pg_dump"}
	for _, entry := range config.Table() {
		variables = append(variables, entry.Name)
		if entry.Secret {
			variables = append(variables, entry.Name+"_FILE")
		}
	}
	inCode := func(name string) bool {
		return strings.Contains(code, `"`+name+`"`) || strings.Contains(code, name+":") || strings.Contains(code, "${"+name)
	}
	for _, d := range documents(t) {
		for _, name := range metricName.FindAllString(d.text, -1) {
			_, whole := known[name]
			if _, ok := definitionOf(known, name); !ok && !whole && strings.HasPrefix(name, "gptload_") {
				t.Errorf("%s: there is no metric %s", d.path, name)
			}
		}
		for _, name := range alertName.FindAllString(d.text, -1) {
			if !strings.Contains(alerts, "- alert: "+name+"\n") {
				t.Errorf("%s: there is no alert %s", d.path, name)
			}
		}
		for _, found := range taskName.FindAllStringSubmatch(d.text, -1) {
			if !strings.Contains(tasks, "\n  "+found[1]+":\n") {
				t.Errorf("%s: there is no task %s", d.path, found[1])
			}
		}
		for _, span := range d.spans {
			name, _, _ := strings.Cut(span, "=")
			_, setting := settings.Find(name)
			switch {
			case variable.MatchString(name):
				if !slices.Contains(variables, name) && !inCode(strings.TrimSuffix(name, "_FILE")) {
					t.Errorf("%s: there is no variable %s", d.path, name)
				}
			case snakeCase.MatchString(name):
				if !setting && !strings.HasPrefix(name, "gptload_") && !inCode(name) && !slices.Contains(foreign, name) {
					t.Errorf("%s: there is no setting %s", d.path, name)
				}
			case d.path == "docs/operations.md" && strings.Contains(span, " ") && !programs.MatchString(span):
				if !strings.Contains(code, `"`+span+`"`) {
					t.Errorf("%s: the log has no line %q", d.path, span)
				}
			}
		}
	}
}

// TestDocumentsCommands asks the program, as a shell does that completes a line, for every command and flag in a document.
func TestDocumentsCommands(t *testing.T) {
	binary, err := testenv.Build(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	completer := completer{binary: binary, known: map[string][]string{}}
	for _, d := range documents(t) {
		for _, text := range append(d.spans, d.lines...) {
			text = strings.TrimPrefix(strings.TrimSpace(text), "$ ")
			if at := strings.Index(text, " #"); at >= 0 {
				text = text[:at]
			}
			text, _, _ = strings.Cut(text, "|")
			if words := strings.Fields(text); len(words) > 1 && words[0] == "gpt-load" {
				completer.check(t, d.path, words[1:])
			}
		}
	}
	if len(completer.known) < 20 {
		t.Errorf("only %d commands were asked for", len(completer.known))
	}
}

// completer remembers what may follow which words.
type completer struct {
	binary string
	known  map[string][]string
}

// check walks from command to command, and then looks at the flags.
func (c completer) check(t *testing.T, path string, words []string) {
	t.Helper()
	at := 0
	for at < len(words) && plainWord.MatchString(words[at]) {
		candidates := c.candidates(t, append(slices.Clone(words[:at]), ""))
		if !slices.Contains(candidates, words[at]) {
			if len(candidates) > 0 {
				t.Errorf("%s: gpt-load %s has no command %s, but %q", path, strings.Join(words[:at], " "), words[at], candidates)
				return
			}
			break // an argument
		}
		at++
	}
	for _, word := range words[at:] {
		if flag := flagName.FindString(word); flag != "" && flag != "--help" && !slices.Contains(c.candidates(t, append(slices.Clone(words[:at]), "--")), flag) {
			t.Errorf("%s: gpt-load %s has no flag %s", path, strings.Join(words[:at], " "), flag)
		}
	}
}

func (c completer) candidates(t *testing.T, words []string) []string {
	t.Helper()
	line := strings.Join(words, " ")
	if known, ok := c.known[line]; ok {
		return known
	}
	command := exec.CommandContext(context.WithoutCancel(t.Context()), c.binary, append([]string{"__complete"}, words...)...)
	command.Dir = t.TempDir()
	// Nobody listens there: names of groups are no candidates.
	command.Env = append(os.Environ(), "GPT_LOAD_URL=http://127.0.0.1:1", "AUTH_KEY=none")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("__complete %q: %v\n%s", line, err, stderrOf(err))
	}
	candidates := []string{}
	for text := range strings.Lines(string(out)) {
		word, _, _ := strings.Cut(strings.TrimSpace(text), "\t")
		if word != "" && !strings.HasPrefix(word, ":") {
			candidates = append(candidates, word)
		}
	}
	c.known[line] = candidates
	return candidates
}
