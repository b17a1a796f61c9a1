package gptload1_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/gptload1"
)

// planOfGroup plans one standard group whose columns are set as said, beside ids, name, channel and address.
func planOfGroup(t *testing.T, columns map[string]string) (*gptload1.Plan, []string) {
	t.Helper()
	f := newFixture(t, sqliteProduct, "1.4")
	all := map[string]string{
		"id": "1", "name": "'openai'", "channel_type": "'openai'", "upstreams": `'[{"url":"https://a.example","weight":1}]'`, "test_model": "'m'",
	}
	for name, value := range columns {
		all[name] = value
	}
	var names, values []string
	for name, value := range all {
		names, values = append(names, "`"+name+"`"), append(values, value)
	}
	f.exec(t, "INSERT INTO `groups` ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(values, ", ")+")")
	f.addKeys(t, sealer{}, keyRow{group: 1, value: "sk-1", status: "active"})
	plan := planOf(t, open(t, f.dsn, ""))
	if len(plan.Groups) > 0 {
		checkValid(t, plan)
	}
	return plan, lines(plan.Notices)
}

func many(n int, entry func(i int) string) string {
	entries := make([]string, n)
	for i := range entries {
		entries[i] = entry(i)
	}
	return strings.Join(entries, ",")
}

func TestBrokenColumns(t *testing.T) {
	rule := func(key, value, action string) string {
		return fmt.Sprintf(`{"key":%q,"value":%q,"action":%q}`, key, value, action)
	}
	for name, c := range map[string]struct {
		columns map[string]string
		says    string // one notice begins so; empty: there is none
		check   func(g fleet.Group) any
		want    any
	}{
		"header rules: no JSON":       {map[string]string{"header_rules": `'[{"key'`}, "openai/header_rules left_out: the column is not a JSON list", headerCount, 0},
		"header rules: an object":     {map[string]string{"header_rules": `'{}'`}, "openai/header_rules left_out: the column is not a JSON list", headerCount, 0},
		"header rules: null":          {map[string]string{"header_rules": `'null'`}, "", headerCount, 0},
		"header rules: more behind":   {map[string]string{"header_rules": `'[] []'`}, "openai/header_rules left_out: the column is not a JSON list", headerCount, 0},
		"header rules: strange":       {map[string]string{"header_rules": `'[1, {"key":"X-A","value":7,"action":"set"}]'`}, "openai/header_rules left_out: rule 1 needs a key", headerCount, 1},
		"header rules: action":        {map[string]string{"header_rules": "'[" + rule("X-A", "1", "append") + "]'"}, "openai/header_rules left_out: rule 1 needs a key and the action", headerCount, 0},
		"header rules: twice":         {map[string]string{"header_rules": "'[" + rule("X-A", "1", "set") + "," + rule("x-a", "2", "set") + "]'"}, "openai/header_rules changed: there are several rules for x-a", firstHeader, "2"},
		"header rules: variable":      {map[string]string{"header_rules": "'[" + rule("X-A", "${NOPE}", "set") + "]'"}, `openai/header_rules left_out: the rule for "X-A": ${NOPE} is not a variable`, headerCount, 0},
		"header rules: line break":    {map[string]string{"header_rules": "'[" + rule("X-A", "a\nb", "set") + "]'"}, `openai/header_rules left_out: the rule for "X-A": holds a line break`, headerCount, 0},
		"header rules: too many":      {map[string]string{"header_rules": "'[" + many(150, func(i int) string { return rule(fmt.Sprintf("X-%d", i), "1", "set") }) + "]'"}, "openai/header_rules changed: has 150 entries; the limit is 100", headerCount, 100},
		"overrides: a list":           {map[string]string{"param_overrides": `'[]'`}, "openai/param_overrides left_out: the column is not a JSON object", overrideCount, 0},
		"overrides: cut":              {map[string]string{"param_overrides": `'{"a":'`}, "openai/param_overrides left_out: the column is not a JSON object", overrideCount, 0},
		"overrides: a number":         {map[string]string{"param_overrides": `5`}, "openai/param_overrides left_out: the column is not a JSON object", overrideCount, 0},
		"overrides: no name":          {map[string]string{"param_overrides": `'{"":1,"b":2}'`}, `openai/param_overrides left_out: the override of ""`, overrideCount, 1},
		"overrides: twice":            {map[string]string{"param_overrides": `'{"a":1,"b":2,"a":3}'`}, "", firstOverride, "3"},
		"overrides: back-slash":       {map[string]string{"param_overrides": `'{"a\\b.c":{"x":[1]}}'`}, "", firstPath, `a\\b\.c`},
		"overrides: large":            {map[string]string{"param_overrides": `'{"a":"` + strings.Repeat("x", 70_000) + `"}'`}, `openai/param_overrides left_out: the override of "a": has 70002 bytes`, overrideCount, 0},
		"overrides: huge":             {map[string]string{"param_overrides": `'{"a":"` + strings.Repeat("x", 1<<20) + `"}'`}, `openai/param_overrides left_out: the column has more than 1048576 bytes`, overrideCount, 0},
		"overrides: model, redirects": {map[string]string{"param_overrides": `'{"model":"a"}'`, "model_redirect_rules": `'{"a":"b"}'`}, "openai/param_overrides noted: sets model", overrideCount, 1},
		"redirects: a list":           {map[string]string{"model_redirect_rules": `'["a"]'`}, "openai/model_redirect_rules left_out: the column is not a JSON object", redirectCount, 0},
		"redirects: to a number":      {map[string]string{"model_redirect_rules": `'{"a":1,"b":null,"c":"d"}'`}, `openai/model_redirect_rules left_out: the redirect of "a" does not lead to a name`, redirectCount, 1},
		"redirects: spaces":           {map[string]string{"model_redirect_rules": `'{"a ":"b","c":"d"}'`}, `openai/model_redirect_rules left_out: the redirect of "a ": begins or ends with a space`, redirectCount, 1},
		"redirects: empty target":     {map[string]string{"model_redirect_rules": `'{"a":""}'`}, `openai/model_redirect_rules left_out: the redirect of "a": is needed`, redirectCount, 0},
		"strict without redirects":    {map[string]string{"model_redirect_strict": "1"}, "openai/model_redirect_strict changed: is on without any redirect", isStrict, false},
		"strict, redirects refused":   {map[string]string{"model_redirect_strict": "'true'", "model_redirect_rules": `'{"a":""}'`}, "openai/model_redirect_strict changed: would refuse every model", isStrict, false},
		"config: a string":            {map[string]string{"config": `'"x"'`}, "openai/config left_out: the column is not a JSON object", settingOf("max_retries"), ""},
		"config: a list":              {map[string]string{"config": `'{"max_retries":[1]}'`}, "openai/config.max_retries left_out: is a list or an object", settingOf("max_retries"), ""},
		"config: a float":             {map[string]string{"config": `'{"max_retries":4.0}'`}, "", settingOf("max_retries"), "4"},
		"config: half":                {map[string]string{"config": `'{"max_retries":4.5}'`}, "openai/config.max_retries left_out: must be a whole number", settingOf("max_retries"), ""},
		"config: text number":         {map[string]string{"config": `'{"max_retries":"7"}'`}, "", settingOf("max_retries"), "7"},
		"config: below":               {map[string]string{"config": `'{"request_timeout":-5}'`}, "openai/config.request_timeout changed: must be", settingOf("request_timeout"), "1"},
		"config: flag":                {map[string]string{"config": `'{"enable_request_body_logging":true}'`}, "", settingOf("enable_request_body_logging"), "true"},
		"config: system's own":        {map[string]string{"config": `'{"app_url":"https://x.example"}'`}, "openai/config.app_url left_out: cannot be overridden", settingOf("app_url"), ""},
		"config: codes, text":         {map[string]string{"config": `'{"failover_status_codes":"5xx"}'`}, `openai/config.failover_status_codes left_out: "5xx"`, settingOf("failover_status_codes"), ""},
		"config: codes, lines":        {map[string]string{"config": `'{"failover_status_codes":"429,\n 500 - 503 ,,600-700"}'`}, "openai/config.failover_status_codes changed: codes above 599", settingOf("failover_status_codes"), "429,500 - 503"},
		"config: no codes":            {map[string]string{"config": `'{"failover_status_codes":""}'`}, "openai/config.failover_status_codes noted: is empty", settingOf("failover_status_codes"), ""},
		"config: proxy":               {map[string]string{"config": `'{"proxy_url":"hunter2"}'`}, "openai/config.proxy_url left_out: must be a URL", settingOf("proxy_url"), ""},
		"proxy keys: odd":             {map[string]string{"proxy_keys": "'a b, ok ,,ok'"}, "openai/proxy_keys left_out: key 1: holds a space", func(g fleet.Group) any { return len(g.ProxyKeys) }, 1},
		"kind":                        {map[string]string{"group_type": "'other'"}, `openai/group_type changed: "other" is not known`, func(g fleet.Group) any { return g.Kind }, fleet.KindStandard},
		"sort":                        {map[string]string{"sort": "99999999999"}, "openai/sort changed: must be from", func(g fleet.Group) any { return g.Sort }, 0},
		"sort: text":                  {map[string]string{"sort": "'x'"}, "", func(g fleet.Group) any { return g.Sort }, 0},
		"display name":                {map[string]string{"display_name": "'" + strings.Repeat("ü", 200) + "'"}, "openai/display_name changed: has 200 characters", func(g fleet.Group) any { return g.DisplayName }, strings.Repeat("ü", 128)},
		"description":                 {map[string]string{"description": "'a'||char(7)||'b'"}, "openai/description changed: must be UTF-8", func(g fleet.Group) any { return g.Description }, "ab"},
		"test model":                  {map[string]string{"test_model": "'a'||char(10)||'b'"}, "openai/test_model left_out: must be UTF-8", func(g fleet.Group) any { return g.Validation.Model }, ""},
		"validation endpoint":         {map[string]string{"validation_endpoint": "'v1/models'"}, "openai/validation_endpoint left_out: must start with one /", func(g fleet.Group) any { return g.Validation.Path }, ""},
		"upper case":                  {map[string]string{"name": "'OpenAI'"}, `OpenAI/name changed: is not allowed here as it stands; the group becomes "openai"`, func(g fleet.Group) any { return g.Name }, "openai"},
		"upstream: no scheme":         {map[string]string{"upstreams": `'[{"weight":1},{"url":"a.example","weight":1},{"url":"https://b.example","weight":2}]'`}, "openai/upstreams left_out: address 2: is not a URL", addresses, []fleet.Upstream{{URL: "https://b.example", Weight: 2}}},
		"upstream: the same":          {map[string]string{"upstreams": `'[{"url":"https://b.example","weight":1},{"url":" https://b.example/ ","weight":2}]'`}, "openai/upstreams changed: address 2 stands there already", addresses, []fleet.Upstream{{URL: "https://b.example", Weight: 3}}},
		"upstream: weights":           {map[string]string{"upstreams": `'[{"url":"https://b.example","weight":-5},{"URL":"https://c.example","Weight":"7"},{"weight":1},{"url":"https://d.example","weight":1e300}]'`}, "openai/upstreams left_out: address 3 has no url", addresses, []fleet.Upstream{{URL: "https://b.example"}, {URL: "https://c.example", Weight: 1}, {URL: "https://d.example", Weight: 1000}}},
	} {
		t.Run(name, func(t *testing.T) {
			plan, said := planOfGroup(t, c.columns)
			if len(plan.Groups) != 1 {
				t.Fatalf("%d groups; notices %q", len(plan.Groups), said)
			}
			if got := c.check(plan.Groups[0].Group); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			if c.says == "" && len(said) > 0 || c.says != "" && !slices.ContainsFunc(said, func(line string) bool { return strings.HasPrefix(line, c.says) }) {
				t.Errorf("notices %q, want %q", said, c.says)
			}
			if strings.Contains(fmt.Sprint(said), "hunter2") {
				t.Errorf("a secret stands in %q", said)
			}
		})
	}
}

func headerCount(g fleet.Group) any   { return len(g.HeaderRules) }
func firstHeader(g fleet.Group) any   { return g.HeaderRules[0].Value }
func overrideCount(g fleet.Group) any { return len(g.ParamOverrides) }
func firstOverride(g fleet.Group) any { return string(g.ParamOverrides[0].Value) }
func firstPath(g fleet.Group) any     { return g.ParamOverrides[0].Path }
func redirectCount(g fleet.Group) any { return len(g.ModelRedirects) }
func isStrict(g fleet.Group) any      { return g.ModelRedirectStrict }
func addresses(g fleet.Group) any     { return g.Upstreams }

func settingOf(name string) func(fleet.Group) any {
	return func(g fleet.Group) any { return g.Settings[name] }
}

func TestGroupsThatCannotComeAlong(t *testing.T) {
	for name, c := range map[string]struct {
		columns map[string]string
		says    string
	}{
		"no JSON":         {map[string]string{"upstreams": "'https://a.example'"}, "openai/upstreams left_out: the column is not a JSON list"},
		"no address":      {map[string]string{"upstreams": "'[]'"}, "openai/upstreams left_out: needs at least one address"},
		"no good address": {map[string]string{"upstreams": `'[{"url":"ftp://u:hunter2@x","weight":1}]'`}, "openai/upstreams left_out: address 1: must have the scheme"},
		"channel":         {map[string]string{"channel_type": "''"}, "openai/channel_type left_out: must be one of"},
		"channel: case":   {map[string]string{"channel_type": "'OpenAI'"}, "openai/channel_type left_out: must be one of"},
	} {
		t.Run(name, func(t *testing.T) {
			plan, said := planOfGroup(t, c.columns)
			if len(plan.Groups) != 0 {
				t.Fatalf("groups: %+v", plan.Groups)
			}
			for _, want := range []string{c.says, "openai/api_keys left_out: 1 key of this group: not imported"} {
				if !slices.ContainsFunc(said, func(line string) bool { return strings.HasPrefix(line, want) }) {
					t.Errorf("notices %q, want %q", said, want)
				}
			}
			if strings.Contains(fmt.Sprint(said), "hunter2") {
				t.Errorf("a secret stands in %q", said)
			}
		})
	}
}

// TestNullsEverywhere has tables without a single constraint and rows without a value.
func TestNullsEverywhere(t *testing.T) {
	f := emptyFixture(t, sqliteProduct)
	schema := strings.NewReplacer(" NOT NULL", "", " UNIQUE", "").Replace(readFile(t, "schema-1.4.sqlite.sql"))
	f.exec(t, schema)
	f.exec(t, "INSERT INTO `system_settings` (`id`) VALUES (1); INSERT INTO `groups` (`id`) VALUES (1), (2); INSERT INTO `group_sub_groups` (`id`) VALUES (1);"+
		"INSERT INTO `api_keys` (`id`, `group_id`) VALUES (1, 1), (2, NULL), (3, 2);"+
		"UPDATE `groups` SET `group_type` = 'aggregate', `channel_type` = 'openai' WHERE `id` = 2; UPDATE `api_keys` SET `status` = NULL")
	plan := planOf(t, open(t, f.dsn, ""))
	if len(plan.Groups) != 1 || plan.Groups[0].Kind != fleet.KindAggregate || len(plan.Settings) != 0 {
		t.Errorf("plan: %+v", plan)
	}
	checkValid(t, plan)
}

// TestNamesStayApart has names that would become one.
func TestNamesStayApart(t *testing.T) {
	f := emptyFixture(t, sqliteProduct)
	f.exec(t, strings.ReplaceAll(readFile(t, "schema-1.4.sqlite.sql"), " UNIQUE", ""))
	for i, name := range []string{"OPENAI", "openai", "OpenAI", "OpenAI", "", "..", "ü/ö", strings.Repeat("n", 90), strings.Repeat("n", 91), "a.b"} {
		f.exec(t, fmt.Sprintf("INSERT INTO `groups` (`id`, `name`, `channel_type`, `upstreams`, `test_model`) VALUES (%d, '%s', 'gemini', '[{\"url\":\"https://a.example\",\"weight\":1}]', 'm')", i+1, name))
	}
	plan := planOf(t, open(t, f.dsn, ""))
	names := make(map[string]bool)
	for _, g := range plan.Groups {
		names[g.Name] = true
		if g.SourceName == "openai" && g.Name != "openai" || g.SourceName == "a.b" && g.Name != "a.b" {
			t.Errorf("a good name became %s", g.Name)
		}
	}
	if len(names) != 10 {
		t.Errorf("names %v", names)
	}
	checkValid(t, plan)
}

func TestAggregates(t *testing.T) {
	f := newFixture(t, sqliteProduct, "1.4")
	insert := func(id int, kind, config string) {
		f.exec(t, fmt.Sprintf("INSERT INTO `groups` (`id`, `name`, `group_type`, `channel_type`, `upstreams`, `test_model`, `config`, `sort`) VALUES (%d, 'g%d', '%s', 'openai', "+
			"'[{\"url\":\"https://a.example\",\"weight\":1}]', '-', '%s', %d)", id, id, kind, config, -id))
	}
	insert(1, "standard", `{"max_retries":1,"request_timeout":60}`)
	insert(2, "standard", `{"max_retries":2,"request_timeout":60}`)
	insert(3, "standard", `{"max_retries":9}`)
	insert(4, "aggregate", "")
	insert(5, "aggregate", "")
	insert(6, "aggregate", "")
	f.exec(t, "INSERT INTO `group_sub_groups` (`group_id`, `sub_group_id`, `weight`) VALUES (4, 1, 1), (4, 2, 1), (4, 3, 0), (4, 1, 5), (5, 4, 1), (5, 5, 1), (1, 2, 1)")
	plan := planOf(t, open(t, f.dsn, ""))
	checkValid(t, plan)
	for i, g := range plan.Groups { // standard groups first, each kind in its order
		if want := []string{"g3", "g2", "g1", "g6", "g5", "g4"}[i]; g.Name != want {
			t.Errorf("place %d has %s, want %s", i, g.Name, want)
		}
	}
	g4 := plan.Groups[5]
	if want := []gptload1.Member{{Name: "g1", Weight: 1, Tier: 1}, {Name: "g2", Weight: 1, Tier: 1}, {Name: "g3", Weight: 0, Tier: 1}}; !slices.Equal(g4.Members, want) {
		t.Errorf("members %v", g4.Members)
	}
	if want := map[string]string{"request_timeout": "60"}; !reflect.DeepEqual(g4.Settings, want) {
		t.Errorf("settings %v, want %v", g4.Settings, want)
	}
	for _, want := range []string{
		"g1/group_sub_groups left_out: 1 member of a group that is no aggregate",
		`g4/group_sub_groups left_out: the member with id 1: "g1" stands there twice`,
		"g4/config.max_retries noted: differs among the members",
		`g5/group_sub_groups left_out: the member with id 4: "g4" is an aggregate itself`,
		"g5/group_sub_groups left_out: the member with id 5: there is no group 5",
		"g5/group_sub_groups noted: the aggregate has no members",
		"g6/group_sub_groups noted: the aggregate has no members",
		"g6/upstreams left_out: has no effect for an aggregate",
	} {
		if !slices.ContainsFunc(lines(plan.Notices), func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("no notice begins with %q", want)
		}
	}
}
