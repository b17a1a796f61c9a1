package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// groupFlags are what groups are made of, as flags; the rest comes from a file.
type groupFlags struct {
	set *pflag.FlagSet

	file, kind, rename                               string
	channel, displayName, description, proxyKeysFile string
	validationModel                                  string
	sort                                             int
	strict                                           bool
	upstreams, members, redirects, settings, unset   []string
}

func (f *groupFlags) add(c *cobra.Command, a *app) {
	f.set = c.Flags()
	f.set.StringVarP(&f.file, "file", "f", "", "YAML or JSON `file` with the members that the admin API takes; - is the standard input, and flags go before it")
	f.set.StringVar(&f.channel, "channel", "", "API `format` that the upstreams speak: openai, openai-response, gemini or anthropic")
	f.set.StringVar(&f.displayName, "display-name", "", "`name` for people")
	f.set.StringVar(&f.description, "description", "", "`text` for people")
	f.set.IntVar(&f.sort, "sort", 0, "`place` in the order of display, ascending")
	f.set.StringArrayVar(&f.upstreams, "upstream", nil, "base `URL[=WEIGHT]` of the provider; repeatable, replaces the whole list")
	f.set.StringArrayVar(&f.members, "member", nil, "`GROUP[,weight=N][,tier=N]` inside an aggregate; repeatable, replaces the whole list")
	f.set.StringArrayVar(&f.redirects, "redirect", nil, "`FROM=TO`: requests for model FROM go out as TO; repeatable, replaces the whole list")
	f.set.BoolVar(&f.strict, "redirect-strict", false, "refuse every model that no redirect names")
	f.set.StringVar(&f.proxyKeysFile, "proxy-keys-file", "", "`file` with the keys that clients may use for this group, one a line; - is the standard input")
	f.set.StringVar(&f.validationModel, "validation-model", "", "`model` that tests of keys ask for")
	f.set.StringArrayVar(&f.settings, "setting", nil, "the group's own value of a setting, as `NAME=VALUE` or NAME=@FILE; repeatable")
	complete(c, "channel", adminapi.ChannelOpenAI, adminapi.ChannelOpenAIResponse, adminapi.ChannelGemini, adminapi.ChannelAnthropic)
	completeWith(c, "member", a.groupNames)
	completeWith(c, "setting", settingNames("=", true))
}

// fill puts what the flags say into a new group.
func (f *groupFlags) fill(ctx context.Context, a *app, client *adminclient.Client, in *adminapi.GroupInput) error {
	var patch adminapi.GroupPatch
	if err := f.patch(ctx, a, client, &patch); err != nil {
		return err
	}
	assign(&in.Channel, patch.Channel)
	assign(&in.DisplayName, patch.DisplayName)
	assign(&in.Description, patch.Description)
	if patch.Sort != nil {
		in.Sort = patch.Sort
	}
	assign(&in.Upstreams, patch.Upstreams)
	assign(&in.Members, patch.Members)
	assign(&in.ModelRedirects, patch.ModelRedirects)
	assign(&in.ModelRedirectStrict, patch.ModelRedirectStrict)
	assign(&in.ProxyKeys, patch.ProxyKeys)
	if patch.Validation != nil {
		assign(&in.Validation.Model, patch.Validation.Model)
	}
	if len(patch.Settings) > 0 && in.Settings == nil {
		in.Settings = map[string]any{}
	}
	for name, value := range patch.Settings {
		in.Settings[name] = value
	}
	switch {
	case f.kind != "":
		in.Kind = f.kind
	case in.Kind == "" && len(f.members) > 0:
		in.Kind = adminapi.KindAggregate
	}
	return nil
}

func assign[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// patch puts what the flags say into a change.
func (f *groupFlags) patch(ctx context.Context, a *app, client *adminclient.Client, p *adminapi.GroupPatch) error {
	given := func(flag string) bool { return f.set.Changed(flag) }
	for flag, text := range map[string]struct {
		to    **string
		value *string
	}{
		"name": {&p.Name, &f.rename}, "channel": {&p.Channel, &f.channel},
		"display-name": {&p.DisplayName, &f.displayName}, "description": {&p.Description, &f.description},
	} {
		if given(flag) {
			*text.to = text.value
		}
	}
	if given("sort") {
		p.Sort = &f.sort
	}
	if given("redirect-strict") {
		p.ModelRedirectStrict = &f.strict
	}
	if given("validation-model") {
		if p.Validation == nil {
			p.Validation = &adminapi.ValidationPatch{}
		}
		p.Validation.Model = &f.validationModel
	}
	if err := f.patchLists(ctx, client, p); err != nil {
		return err
	}
	if given("proxy-keys-file") {
		content, err := a.readInput(ctx, f.proxyKeysFile)
		if err != nil {
			return err
		}
		keys := strings.Fields(content)
		p.ProxyKeys = &keys
	}
	return f.patchSettings(ctx, a, client, p)
}

func (f *groupFlags) patchLists(ctx context.Context, client *adminclient.Client, p *adminapi.GroupPatch) error {
	if len(f.upstreams) > 0 {
		list := make([]adminapi.Upstream, len(f.upstreams))
		for i, word := range f.upstreams {
			var err error
			if list[i], err = parseUpstream(word); err != nil {
				return err
			}
		}
		p.Upstreams = &list
	}
	if len(f.redirects) > 0 {
		list := make([]adminapi.ModelRedirect, len(f.redirects))
		for i, word := range f.redirects {
			from, to, found := strings.Cut(word, "=")
			if !found {
				return usage(fmt.Errorf("--redirect %q must be FROM=TO", word), "")
			}
			list[i] = adminapi.ModelRedirect{From: from, To: to}
		}
		p.ModelRedirects = &list
	}
	if len(f.members) > 0 {
		list := make([]adminapi.Member, len(f.members))
		for i, word := range f.members {
			var err error
			if list[i], err = parseMember(ctx, client, word); err != nil {
				return err
			}
		}
		p.Members = &list
	}
	return nil
}

// parseUpstream reads URL[=WEIGHT]. A URL may hold = itself, so only a number behind the last one is a weight.
func parseUpstream(word string) (adminapi.Upstream, error) {
	if i := strings.LastIndexByte(word, '='); i >= 0 {
		if weight, err := strconv.Atoi(word[i+1:]); err == nil {
			return adminapi.Upstream{URL: word[:i], Weight: weight}, nil
		}
	}
	return adminapi.Upstream{URL: word, Weight: 1}, nil
}

// parseMember reads GROUP[,weight=N][,tier=N].
func parseMember(ctx context.Context, client *adminclient.Client, word string) (adminapi.Member, error) {
	name, rest, more := strings.Cut(word, ",")
	m := adminapi.Member{Weight: 1, Tier: 1}
	for more {
		var part string
		part, rest, more = strings.Cut(rest, ",")
		what, value, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(value)
		switch {
		case err == nil && what == "weight":
			m.Weight = n
		case err == nil && what == "tier":
			m.Tier = n
		default:
			return m, usage(fmt.Errorf("--member %q must be GROUP[,weight=N][,tier=N]", word), "")
		}
	}
	g, err := findGroup(ctx, client, name)
	m.GroupID = g.ID
	return m, err
}

func (f *groupFlags) patchSettings(ctx context.Context, a *app, client *adminclient.Client, p *adminapi.GroupPatch) error {
	values, err := a.settingValues(ctx, client, f.settings)
	if err != nil {
		return err
	}
	for _, name := range f.unset {
		if _, twice := values[name]; twice {
			return usage(errors.New("--setting and --unset both name "+name), "")
		}
		values[name] = nil
	}
	if p.Settings == nil {
		p.Settings = values
		return nil
	}
	for name, value := range values {
		p.Settings[name] = value
	}
	return nil
}
