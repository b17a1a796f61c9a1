package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/pkg/adminapi"
)

// keyFilter is the flags that choose keys of a group.
type keyFilter struct {
	filter                                   adminapi.KeyFilter
	createdFrom, createdTo, usedFrom, usedTo string
}

// keyStates are the states that keys are shown in.
var keyStates = []string{adminapi.KeyActive, adminapi.KeyCooling, adminapi.KeyInvalid, adminapi.KeyDisabled}

func (f *keyFilter) add(c *cobra.Command) {
	flags := c.Flags()
	flags.Var(&choices{value: &f.filter.State, of: keyStates}, "state", "keys of this `state`, or of several with commas between: active, cooling (active, and resting for every model for 30 seconds or more), invalid, disabled")
	flags.StringVar(&f.filter.Reason, "reason", "", "keys with this `reason`, of the state or of a rest")
	flags.StringVar(&f.filter.Notes, "notes", "", "keys with this `text` in their notes, in upper or lower case")
	flags.StringVar(&f.filter.Tag, "tag", "", "keys with this `tag`")
	flags.StringVar(&f.createdFrom, "created-from", "", "keys added at this `time` or later: 2006-01-02, 2006-01-02 15:04, or RFC 3339")
	flags.StringVar(&f.createdTo, "created-to", "", "keys added before this `time`")
	flags.StringVar(&f.usedFrom, "used-from", "", "keys last used at this `time` or later")
	flags.StringVar(&f.usedTo, "used-to", "", "keys last used before this `time`; not those that were never used")
	flags.BoolVar(&f.filter.NeverUsed, "never-used", false, "keys that no request record names")
	complete(c, "state", keyStates...)
}

// parse reads the times.
func (f *keyFilter) parse() (filter adminapi.KeyFilter, err error) {
	filter = f.filter
	if filter.CreatedFrom, err = parseTime("--created-from", f.createdFrom); err != nil {
		return filter, err
	}
	if filter.CreatedTo, err = parseTime("--created-to", f.createdTo); err != nil {
		return filter, err
	}
	if filter.UsedFrom, err = parseTime("--used-from", f.usedFrom); err != nil {
		return filter, err
	}
	filter.UsedTo, err = parseTime("--used-to", f.usedTo)
	return filter, err
}

// optional is a filter as an operation takes it: nil for one that every key fits.
func (f *keyFilter) optional() (*adminapi.KeyFilter, error) {
	filter, err := f.parse()
	if err != nil || filter == (adminapi.KeyFilter{}) {
		return nil, err
	}
	return &filter, nil
}

// choices is a flag that takes some words with commas between.
type choices struct {
	value *string
	of    []string
}

// String implements pflag.Value.
func (c *choices) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Set implements pflag.Value.
func (c *choices) Set(words string) error {
	for word := range strings.SplitSeq(words, ",") {
		if !slices.Contains(c.of, word) {
			return fmt.Errorf("must be %s, or several of them with commas between", strings.Join(c.of, " or "))
		}
	}
	*c.value = words
	return nil
}

// Type implements pflag.Value.
func (c *choices) Type() string { return "words" }
