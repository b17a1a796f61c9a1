package main

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"gpt-load/internal/config"
	"gpt-load/internal/terminal"
)

func (a *app) configCommand() *cobra.Command {
	check := a.withOutput(a.leaf("check", "Check the configuration that a node would use, and list it with the source of each entry", nil, a.checkConfig))
	check.Long = "Reads the configuration as `gpt-load serve` would, without starting anything, and lists every entry with where it comes\nfrom; secrets are not shown. What is wrong is reported all at once, with exit code 2; what is unwise is said on the\nstandard error."
	print := func(name, short string, content func() string) *cobra.Command {
		return a.leaf(name, short, nil, func(context.Context, []string) error {
			_, err := io.WriteString(a.Out, content())
			return err
		})
	}
	return a.branch("config", "Check the configuration of a node; print examples of its files", "", check,
		print("defaults", "Print a YAML file that lists every entry, switched off, with its default", config.ExampleYAML),
		print("env", "Print a .env file that lists every entry, switched off, with its default", config.ExampleEnv))
}

// checkedEntry is one line of `config check` as JSON.
type checkedEntry struct {
	Name   string `json:"name"`
	Value  string `json:"value"` // [redacted] for a secret that is set
	Source string `json:"source"`
}

func (a *app) checkConfig(context.Context, []string) error {
	cfg, err := config.Load(config.Sources{File: a.configFile})
	if err != nil {
		return usage(err, "")
	}
	list := a.newListing(terminal.Column{Title: "NAME"}, terminal.Column{Title: "VALUE", Flexible: true}, terminal.Column{Title: "SOURCE"})
	for _, s := range cfg.Settings() {
		source := terminal.Cell{Text: s.Source, Style: terminal.Good}
		if s.Source == "default" {
			source.Style = terminal.Faint
		}
		if err := list.add(checkedEntry{Name: s.Name, Value: s.Text, Source: s.Source}, text(s.Name), text(s.Text), source); err != nil {
			return err
		}
	}
	if err := list.flush(); err != nil {
		return err
	}
	if cfg.AuthKey.IsEmpty() {
		key, path, err := config.StoredAuthKey(cfg.DataDir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			a.note("note: AUTH_KEY is not set: the first start makes a strong one and stores it in %s", path)
		case err != nil:
			return usage(err, "")
		default:
			a.note("note: AUTH_KEY is not set: the one of %s is used", path)
			cfg.AuthKey = key
		}
	}
	for _, warning := range cfg.Warnings() {
		a.note("warning: %s", warning)
	}
	return nil
}
