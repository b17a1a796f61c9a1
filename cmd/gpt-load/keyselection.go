package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// selection is which keys of a group a command is about.
type selection struct {
	ids    []string
	flags  keyFilter
	filter adminapi.KeyFilter
	all    bool
}

func (s *selection) add(c *cobra.Command) {
	s.flags.add(c)
	c.Flags().BoolVar(&s.all, "all", false, "every key of the group")
}

// take takes the ids of the command line, those of the standard input for a single -, or the filter.
func (s *selection) take(ctx context.Context, a *app, words []string) (err error) {
	if slices.Equal(words, []string{"-"}) {
		content, err := a.readInput(ctx, "-")
		if err != nil {
			return err
		}
		if words = splitWords(content); len(words) == 0 {
			return failed("the standard input holds no id", "")
		}
	}
	s.ids = words
	if s.filter, err = s.flags.parse(); err != nil {
		return err
	}
	ways := 0
	for _, given := range []bool{len(words) > 0, s.filtered(), s.all} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return usage(errors.New("name the keys in one way"), "ids behind the group, a single - for ids from the standard input, flags that choose keys such as --state, or --all")
	}
	return nil
}

// filtered reports whether flags choose the keys.
func (s *selection) filtered() bool { return s.filter != adminapi.KeyFilter{} }

// wire is the selection as the API takes it, for so many ids at most.
func (s *selection) wire(ids []string) adminapi.KeySelection {
	switch {
	case s.all:
		return adminapi.KeySelection{All: true}
	case s.filtered():
		return adminapi.KeySelection{Filter: &s.filter}
	}
	return adminapi.KeySelection{IDs: ids}
}

// each hands over the ids in portions. Those of a filter are listed before the first portion of their page is handed over, and
// pages follow ids, so that keys whose state changes on the way are neither left out nor taken twice.
func (s *selection) each(ctx context.Context, client *adminclient.Client, group string, portion int, do func([]string) error) error {
	portions := func(ids []string) error {
		for part := range slices.Chunk(ids, portion) {
			if err := do(part); err != nil {
				return err
			}
		}
		return nil
	}
	if len(s.ids) > 0 {
		return portions(s.ids)
	}
	return eachKeyPage(ctx, client, group, adminclient.KeyFilter{KeyFilter: s.filter}, 0, func(keys []adminapi.Key) error {
		return portions(mapped(keys, func(k adminapi.Key) string { return k.ID }))
	})
}

// splitWords splits at white space and commas.
func splitWords(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) })
}
