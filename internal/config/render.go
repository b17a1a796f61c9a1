package config

import (
	"fmt"
	"strings"
)

// Markdown gives the table of every entry for the README.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| Name | Default | Allowed | What it does |\n| --- | --- | --- | --- |\n")
	for _, e := range table {
		name := "`" + e.Name + "`"
		if e.Secret {
			name += " (secret)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, code(e.Default), e.Allowed, e.Doc)
	}
	return b.String()
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// ExampleEnv gives a `.env` file that lists every entry, switched off, with its default.
func ExampleEnv() string {
	var b strings.Builder
	b.WriteString("# Copy to .env in the working directory and take the # off the lines you need.\n" +
		"# Variables of the environment go before this file, this file before a YAML file.\n" +
		"# Put values that hold # or $ into single quotes.\n" +
		"# A secret may also come from a file: NAME_FILE=/run/secrets/name instead of NAME.\n")
	for _, e := range table {
		writeDoc(&b, e)
		fmt.Fprintf(&b, "#%s=%s\n", e.Name, e.Default)
	}
	return b.String()
}

// ExampleYAML gives a YAML file that lists every entry, switched off, with its default.
func ExampleYAML() string {
	var b strings.Builder
	b.WriteString("# Start with: gpt-load --config gpt-load.yaml, or name the file in " + FileVariable + ".\n" +
		"# Variables of the environment and of .env go before this file. Unknown keys are errors.\n" +
		"# A secret may also come from a file: name_file: /run/secrets/name instead of name.\n")
	for _, e := range table {
		writeDoc(&b, e)
		fmt.Fprintf(&b, "#%s: %s\n", strings.ToLower(e.Name), yamlDefault(e))
	}
	return b.String()
}

func writeDoc(b *strings.Builder, e Entry) {
	fmt.Fprintf(b, "\n# %s\n# Allowed: %s.\n", e.Doc, e.Allowed)
}

func yamlDefault(e Entry) string {
	switch e.Kind {
	case KindList:
		parts := splitList(e.Default)
		for i, part := range parts {
			parts[i] = fmt.Sprintf("%q", part)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case KindString:
		return fmt.Sprintf("%q", e.Default)
	case KindInt, KindBool:
	}
	return e.Default
}
