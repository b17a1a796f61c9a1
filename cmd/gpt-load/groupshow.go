package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// sheet is a list of fields, one or more lines each; fields without a value are left out.
type sheet struct{ list *listing }

func (a *app) newSheet() sheet {
	return sheet{a.newListing(terminal.Column{}, terminal.Column{})}
}

func (s sheet) field(name string, values ...string) {
	for i, value := range values {
		if value == "" {
			continue
		}
		if i > 0 {
			name = ""
		}
		_ = s.list.add(nil, terminal.Cell{Text: name, Style: terminal.Strong}, text(value)) // writes nothing yet
	}
}

// showGroup prints a group. Names of members take one more question to the server.
func (a *app) showGroup(ctx context.Context, client *adminclient.Client, g adminapi.Group) error {
	if a.wantsJSON() {
		return a.printJSON(g)
	}
	names := map[string]string{}
	if len(g.Members) > 0 {
		all, err := client.Groups(ctx)
		if err != nil {
			return err
		}
		names = groupsByID(all)
	}
	s := a.newSheet()
	s.field("id", g.ID)
	s.field("name", g.Name)
	s.field("display name", g.DisplayName)
	s.field("description", g.Description)
	s.field("kind", g.Kind)
	s.field("channel", g.Channel)
	s.field("proxy path", g.ProxyPath)
	s.field("upstreams", mapped(g.Upstreams, func(u adminapi.Upstream) string { return fmt.Sprintf("%s  weight %d", u.URL, u.Weight) })...)
	s.field("members", mapped(g.Members, func(m adminapi.Member) string {
		return fmt.Sprintf("%s  weight %d, tier %d", nameOf(m.GroupID, names), m.Weight, m.Tier)
	})...)
	s.field("keys", keysByState(g.KeyCounts))
	s.field("proxy keys", g.ProxyKeys...)
	s.field("param overrides", mapped(g.ParamOverrides, func(o adminapi.ParamOverride) string {
		if o.Remove {
			return "remove " + o.Path
		}
		return o.Path + " = " + string(o.Value)
	})...)
	s.field("header rules", mapped(g.HeaderRules, func(r adminapi.HeaderRule) string {
		return strings.TrimSuffix(r.Action+" "+r.Name+": "+r.Value, ": ")
	})...)
	s.field("model redirects", mapped(g.ModelRedirects, func(r adminapi.ModelRedirect) string { return r.From + " -> " + r.To })...)
	if g.ModelRedirectStrict {
		s.field("", "every other model is refused")
	}
	s.field("validation", validationInWords(g.Validation))
	s.field("settings", settingsInWords(g.Settings)...)
	s.field("revision", strconv.FormatInt(g.Revision, 10))
	s.field("created", localTime(g.CreatedAt))
	s.field("updated", localTime(g.UpdatedAt))
	return s.list.flush()
}

func validationInWords(v adminapi.Validation) string {
	if v.Off {
		return "off"
	}
	var parts []string
	for _, part := range []struct{ name, value string }{{"model", v.Model}, {"path", v.Path}, {"payload", v.Payload}} {
		if part.value != "" {
			parts = append(parts, part.name+" "+part.value)
		}
	}
	return strings.Join(parts, ", ")
}

func settingsInWords(settings map[string]any) []string {
	lines := make([]string, 0, len(settings))
	for name, value := range settings {
		lines = append(lines, name+" = "+plain(value))
	}
	slices.Sort(lines)
	return lines
}

// plain writes a value of JSON as people do: numbers without an exponent, texts without quotes.
func plain(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

// localTime writes a time in the zone of whoever reads it; empty for none.
func localTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

func mapped[T any](list []T, word func(T) string) []string {
	words := make([]string, len(list))
	for i, item := range list {
		words[i] = word(item)
	}
	return words
}
