package gptload_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"gpt-load/internal/config"
	"gpt-load/internal/settings"
)

var update = flag.Bool("update", false, "write the generated files instead of comparing them")

// TestGenerated compares what the code generates with what the repository holds.
func TestGenerated(t *testing.T) {
	compare(t, "configs/.env.example", config.ExampleEnv())
	compare(t, "configs/gpt-load.example.yaml", config.ExampleYAML())

	readme := read(t, "README.md")
	for section, text := range map[string]string{
		"configuration": config.Markdown(),
		"settings":      settingsMarkdown(),
		"layout":        layoutMarkdown(goList(t)),
	} {
		readme = between(t, readme, "<!-- begin generated: "+section+" -->\n", "<!-- end generated -->", text)
	}
	compare(t, "README.md", readme)

	linter := between(t, read(t, ".golangci.yml"), "# begin generated: import table of README.md\n", "        # end generated", readImportTable(t).depguardRules())
	compare(t, ".golangci.yml", linter)
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil && !(*update && os.IsNotExist(err)) {
		t.Fatal(err)
	}
	return string(content)
}

func compare(t *testing.T, path, want string) {
	t.Helper()
	got := read(t, path)
	if got == want {
		return
	}
	if !*update {
		t.Errorf("%s is not what the code generates; `./task generate` writes it", path)
		return
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// between replaces what stands between two markers.
func between(t *testing.T, text, begin, end, want string) string {
	t.Helper()
	before, rest, begins := strings.Cut(text, begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		t.Fatalf("no place for generated text between %q and %q", begin, end)
	}
	return before + begin + want + end + after
}

func settingsMarkdown() string {
	var b strings.Builder
	b.WriteString("| Name | Default | Allowed | Group | What it does |\n| --- | --- | --- | --- | --- |\n")
	for _, d := range settings.Table() {
		name, value, allowed, group := "`"+d.Name+"`", "", "text", ""
		if d.Secret {
			name += " (secret)"
		}
		if d.Default != "" {
			value = "`" + d.Default + "`"
		}
		switch d.Kind {
		case settings.KindInt:
			allowed = strings.TrimSpace(fmt.Sprintf("%d to %d %s", d.Min, d.Max, d.Unit))
		case settings.KindBool:
			allowed = "true or false"
		case settings.KindString:
		}
		if d.GroupOverride {
			group = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, value, allowed, group, d.Doc)
	}
	return b.String()
}

// layoutMarkdown lists every package with the first sentence of its documentation.
func layoutMarkdown(packages []listed) string {
	var b strings.Builder
	b.WriteString("| Package | What it does |\n| --- | --- |\n")
	for _, l := range packages {
		name := l.path()[strings.LastIndexByte(l.path(), '/')+1:]
		doc := strings.TrimRight(l.Doc, ".:")
		for _, start := range []string{"Package ", "Command ", name + " "} {
			doc = strings.TrimPrefix(doc, start)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", l.path(), doc)
	}
	return b.String()
}
