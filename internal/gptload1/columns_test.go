package gptload1

import (
	"encoding/json"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
)

// FuzzColumns puts anything into the JSON columns: what comes out is a valid group or none, and an entry that 1.x could have
// used is in the group or in a notice.
func FuzzColumns(f *testing.F) {
	for _, seed := range []string{
		"", "null", "[]", "{}", `[{"url":"https://a.example","weight":1}]`, `[{"url":"http://u:p@[::1]:8/x/../y?q#f","weight":1e9},{"url":5},[]]`,
		`[{"key":"X-A","value":"${API_KEY}","action":"set"},{"key":"x-a","action":"remove"}]`, `{"a.b\\c":null,"":1,"a":[[[]]],"a":"\ud800"}`,
		`{"max_retries":5.0,"failover_status_codes":"1-999,\n5xx","proxy_url":true,"connect_timeout":1e400}`, `{"gpt-4":"gpt-4o","x":null}`, `[1,2`, `{"a":1}{"b":2}`,
		strings.Repeat("[", 20000), "\xff\xfe", `{"\u0000":"\u0000"}`,
	} {
		f.Add(seed, seed)
	}
	const address = `[{"url":"https://a.example","weight":1}]`
	f.Fuzz(func(t *testing.T, column, upstreams string) {
		source := sourceGroup{
			id: 1, name: column, channel: "openai", upstreams: upstreams, overrides: column, config: column, headerRules: column, redirects: column,
			proxyKeys: column, testModel: column, endpoint: column, displayName: column, description: column, strict: true,
		}
		bare := sourceGroup{id: 2, name: "bare", channel: "openai", upstreams: address}
		aggregate := sourceGroup{id: 3, name: "all", kind: "aggregate", channel: "openai", config: column}
		members := map[int64][]sourceMember{3: {{group: 1, weight: 1}, {group: 2, weight: 1}}}
		var groups []fleet.Group
		for _, c := range convertGroups([]sourceGroup{source, bare, aggregate}, members) {
			if c.leftOut {
				if len(c.notices) == 0 {
					t.Errorf("group %q is left out without a word", c.source.name)
				}
				continue
			}
			if faults := fleet.ValidateGroup(c.group, fleet.GroupRules{Groups: groups, CheckParamPath: checkParamPath}); len(faults) > 0 {
				t.Errorf("not valid: %v", faults)
			}
			if _, faults := settings.Resolve(nil, c.group.Settings); len(faults) > 0 {
				t.Errorf("settings not valid: %v", faults)
			}
		}
		nothingLost(t, column)
		nothingLost(t, upstreams)
	})
}

// nothingLost counts what went into each parser and what came out of it.
func nothingLost(t *testing.T, column string) {
	t.Helper()
	var list []json.RawMessage
	if json.Unmarshal([]byte(column), &list) == nil && len(column) <= maxColumnBytes && len(list) <= maxEntries {
		upstreams, _, said := parseUpstreams(column)
		if len(upstreams)+len(said) < len(list) {
			t.Errorf("%d upstreams became %d with %d notices", len(list), len(upstreams), len(said))
		}
		rules, said := parseHeaderRules(column)
		if len(rules)+len(said) < len(list) {
			t.Errorf("%d header rules became %d with %d notices", len(list), len(rules), len(said))
		}
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(column), &object) == nil && len(column) <= maxColumnBytes && len(object) <= maxEntries {
		overrides, _ := parseParamOverrides(column)
		if len(overrides) != len(object) {
			t.Errorf("%d overrides became %d", len(object), len(overrides))
		}
		redirects, said := parseRedirects(column)
		if len(redirects)+len(said) != len(object) {
			t.Errorf("%d redirects became %d with %d notices", len(object), len(redirects), len(said))
		}
	}
}

// TestColumnsFullOfRubbish are as long as they may be: they cost little and say little.
func TestColumnsFullOfRubbish(t *testing.T) {
	for _, entry := range []string{"1,", `{"url":1},`, `"x":0,`, "[],", "sk-1,"} {
		column := strings.Repeat(entry, maxColumnBytes/len(entry))
		for _, text := range []string{"[" + column[:len(column)-3] + "]", "{" + column[:len(column)-3] + "}", column} {
			source := sourceGroup{
				name: "openai", channel: "openai", upstreams: text, overrides: text, config: text, headerRules: text, redirects: text, proxyKeys: text,
			}
			for _, c := range convertGroups([]sourceGroup{source}, nil) {
				if len(c.notices) > 5*maxEntries {
					t.Errorf("%d notices for a column of %q", len(c.notices), entry)
				}
			}
		}
	}
}

func FuzzOpenValue(f *testing.F) {
	o, err := newOpener(secret.New("fuzz"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("sk-1", "")
	f.Add(strings.Repeat("ab", 60), "x")
	f.Fuzz(func(t *testing.T, stored, hash string) {
		if plain, how := o.open(stored, hash); how == opened || plain != stored {
			t.Errorf("%q opened", stored)
		}
	})
}
