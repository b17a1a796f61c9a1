package gptload_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var link = regexp.MustCompile(`\]\(([^)]+)\)`)

// TestTranslation: README_CN.md has the links and the code blocks of README.md, in their order, and a section for each of its
// sections.
func TestTranslation(t *testing.T) {
	const english, chinese = "README.md", "README_CN.md"
	of := func(path, other string) (links, blocks, sections []string) {
		text := read(t, path)
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			if found[1] != other { // each leads to the other
				links = append(links, found[1])
			}
		}
		blocks = codeBlock.FindAllString(text, -1)
		for line := range strings.Lines(codeBlock.ReplaceAllString(text, "")) {
			if marks, _, heading := strings.Cut(line, " "); heading && strings.Trim(marks, "#") == "" && marks != "" {
				sections = append(sections, marks)
			}
		}
		return links, blocks, sections
	}
	links, blocks, sections := of(english, chinese)
	linksThere, blocksThere, sectionsThere := of(chinese, english)
	if len(links) == 0 || len(blocks) == 0 {
		t.Fatalf("%d links and %d code blocks were found", len(links), len(blocks))
	}
	if !slices.Equal(links, linksThere) {
		t.Errorf("links of %s: %q, of %s: %q", english, links, chinese, linksThere)
	}
	if !slices.Equal(sections, sectionsThere) {
		t.Errorf("sections of %s: %q, of %s: %q", english, sections, chinese, sectionsThere)
	}
	if len(blocks) != len(blocksThere) {
		t.Fatalf("%s has %d code blocks, %s %d", english, len(blocks), chinese, len(blocksThere))
	}
	for i := range blocks {
		if blocks[i] != blocksThere[i] {
			t.Errorf("code block %d differs:\n%s\nin %s:\n%s", i+1, blocks[i], chinese, blocksThere[i])
		}
	}
}
