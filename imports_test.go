// Package gptload_test holds what is true of the repository as a whole: that imports go the way README.md says,
// and that generated files are what the code generates.
package gptload_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "gpt-load"

// ring is one row of the import table: packages, and the rings that they may import from.
type ring struct {
	name     string
	packages []string // relative to the module; a final /... takes everything below
	imports  []string
}

// library is a third-party module that only some packages may import.
type library struct {
	path     string
	packages []string
}

type importTable struct {
	rings     []ring
	libraries []library
	// plain packages import the standard library only.
	plain []string
}

// readImportTable reads the table between the markers of README.md.
func readImportTable(t *testing.T) importTable {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(readme), "<!-- begin imports -->\n")
	text, _, ends := strings.Cut(rest, "<!-- end imports -->")
	if !begins || !ends {
		t.Fatal("README.md has no import table between its markers")
	}
	var table importTable
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		switch {
		case len(cells) == 3 && cells[0] != "Ring" && cells[0] != "---":
			r := ring{name: cells[0], packages: quoted(cells[1])}
			if cells[2] != "nothing" {
				r.imports = strings.Split(cells[2], ", ")
			}
			table.rings = append(table.rings, r)
		case len(cells) == 2 && strings.HasPrefix(cells[0], "`"):
			table.libraries = append(table.libraries, library{path: quoted(cells[0])[0], packages: quoted(cells[1])})
		case len(cells) == 2 && cells[0] == "any at all":
			table.plain = quoted(cells[1])
		}
	}
	if len(table.rings) == 0 || len(table.libraries) == 0 || len(table.plain) == 0 {
		t.Fatalf("the import table of README.md is not understood: %+v", table)
	}
	return table
}

// quoted returns what stands in backquotes.
func quoted(cell string) []string {
	var words []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			words = append(words, part)
		}
	}
	return words
}

// covers reports whether one of the patterns names the package.
func covers(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		folder, below := strings.CutSuffix(pattern, "/...")
		return pkg == folder || below && strings.HasPrefix(pkg, folder+"/")
	})
}

func (t importTable) ringOf(pkg string) (ring, bool) {
	i := slices.IndexFunc(t.rings, func(r ring) bool { return covers(r.packages, pkg) })
	if i < 0 {
		return ring{}, false
	}
	return t.rings[i], true
}

// listed is what `go list` says of a package; Imports leaves tests out.
type listed struct {
	ImportPath string
	Doc        string
	GoFiles    []string
	Imports    []string
}

// path is the package's path below the module.
func (l listed) path() string { return strings.TrimPrefix(l.ImportPath, module+"/") }

// goList lists the packages of the module that have more than tests, those that do not compile included.
func goList(t *testing.T) []listed {
	t.Helper()
	// `go test` caches a result by what the test itself looked at, and does not see what `go list` reads.
	for _, folder := range []string{"cmd", "internal", "pkg", "test"} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Doc,GoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var l listed
		if err := decoder.Decode(&l); err != nil {
			t.Fatal(err)
		}
		if len(l.GoFiles) > 0 {
			packages = append(packages, l)
		}
	}
	return packages
}

func TestImportsGoOneWay(t *testing.T) {
	table := readImportTable(t)
	packages := goList(t)
	for _, l := range packages {
		pkg := l.path()
		from, known := table.ringOf(pkg)
		if !known {
			t.Errorf("%s has no row in the import table of README.md", pkg)
			continue
		}
		for _, imported := range l.Imports {
			if fault := table.judge(pkg, from, imported); fault != "" {
				t.Errorf("%s imports %s: %s", pkg, imported, fault)
			}
		}
	}
	for _, r := range table.rings {
		for _, pattern := range r.packages {
			if !slices.ContainsFunc(packages, func(l listed) bool { return covers([]string{pattern}, l.path()) }) {
				t.Errorf("README.md names %s, which does not exist", pattern)
			}
		}
	}
}

// judge says what is wrong with one import, or nothing.
func (t importTable) judge(pkg string, from ring, imported string) string {
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		to, _ := t.ringOf(own)
		if !slices.Contains(from.imports, to.name) {
			return fmt.Sprintf("the ring %s may import only from %v", from.name, from.imports)
		}
		return ""
	}
	if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") && covers(t.plain, pkg) {
		return "it may import only the standard library"
	}
	for _, l := range t.libraries {
		if (imported == l.path || strings.HasPrefix(imported, l.path+"/")) && !covers(l.packages, pkg) {
			return fmt.Sprintf("only %v may", l.packages)
		}
	}
	return ""
}

// depguardRules states the table in the words of the linter, which also sees imports that other systems build.
func (t importTable) depguardRules() string {
	var b strings.Builder
	for _, r := range t.rings {
		fmt.Fprintf(&b, "        %s:\n          list-mode: lax\n          files:\n            - \"!$test\"\n", r.name)
		for _, pkg := range r.packages {
			fmt.Fprintf(&b, "            - \"%s\"\n", fileGlob(pkg))
		}
		var allowed []string
		for _, to := range t.rings {
			if slices.Contains(r.imports, to.name) {
				allowed = append(allowed, to.packages...)
			}
		}
		if len(allowed) > 0 {
			b.WriteString("          allow:\n")
		}
		for _, pkg := range allowed {
			fmt.Fprintf(&b, "            - %s/%s\n", module, strings.TrimSuffix(pkg, "/..."))
		}
		fmt.Fprintf(&b, "          deny:\n            - pkg: %s\n              desc: the import table of README.md does not allow it\n", module)
	}
	for _, l := range t.libraries {
		name := l.path[strings.LastIndexByte(l.path, '/')+1:]
		fmt.Fprintf(&b, "        only-%s:\n          list-mode: lax\n          files:\n            - \"**/*.go\"\n", strings.ReplaceAll(strings.TrimSuffix(name, ".v2"), ".", "-"))
		for _, pkg := range l.packages {
			fmt.Fprintf(&b, "            - \"!%s\"\n", fileGlob(pkg))
		}
		fmt.Fprintf(&b, "          deny:\n            - pkg: %s\n              desc: the import table of README.md names the only packages that may\n", l.path)
	}
	b.WriteString("        plain:\n          list-mode: strict\n          files:\n            - \"!$test\"\n")
	for _, pkg := range t.plain {
		fmt.Fprintf(&b, "            - \"%s\"\n", fileGlob(pkg))
	}
	fmt.Fprintf(&b, "          allow:\n            - $gostd\n            - %s\n", module)
	return b.String()
}

// fileGlob matches the Go files of a package pattern wherever the repository lies.
func fileGlob(pattern string) string {
	if folder, below := strings.CutSuffix(pattern, "/..."); below {
		return "**/" + folder + "/**/*.go"
	}
	return "**/" + pattern + "/*.go"
}
