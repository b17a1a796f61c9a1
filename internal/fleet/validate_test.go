package fleet_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

func rules(groups ...fleet.Group) fleet.GroupRules {
	return fleet.GroupRules{Groups: groups, CheckParamPath: func(path string) error {
		if path == "" {
			return errors.New("is empty")
		}
		return nil
	}}
}

func standard() fleet.Group {
	return fleet.Group{
		Name: "openai", Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI,
		Upstreams: []fleet.Upstream{{URL: "https://api.openai.com", Weight: 1}},
	}
}

func TestValidateGroupAcceptsWhatIsFine(t *testing.T) {
	g := standard()
	g.Name, g.DisplayName, g.Description = "a-b_c.9", "Öffentlich", "line\nline\ttab"
	g.Upstreams = append(g.Upstreams, fleet.Upstream{URL: "http://[::1]:8080/prefix/v1"}, fleet.Upstream{URL: "http://10.0.0.1"})
	g.ProxyKeys = []secret.Text{secret.New("sk-1"), secret.New("sk-2")}
	g.ParamOverrides = []fleet.ParamOverride{{Path: "temperature", Value: []byte("0.70")}, {Path: "user"}}
	g.HeaderRules = []fleet.HeaderRule{
		{Name: "X-Who", Action: fleet.HeaderSet, Value: "${CLIENT_IP} $5 {x} ${TIMESTAMP_S}"}, {Name: "User-Agent", Action: fleet.HeaderRemove},
	}
	g.ModelRedirects, g.ModelRedirectStrict = []fleet.ModelRedirect{{From: "gpt-4o", To: "models/gpt 4o"}}, true
	g.Validation = fleet.Validation{Model: "m", Path: "/v1/models?limit=1", Payload: `{"a":1}`}
	if faults := fleet.ValidateGroup(g, rules()); len(faults) > 0 {
		t.Errorf("faults: %v", faults)
	}
}

func TestValidateGroupNamesEveryFaultAtOnce(t *testing.T) {
	g := fleet.Group{
		Name: "Bad", Kind: fleet.KindStandard, Channel: "smtp", Sort: 2_000_000,
		DisplayName: strings.Repeat("x", 129), Description: "nul\x00",
		ProxyKeys:      []secret.Text{secret.New("a b")},
		ParamOverrides: []fleet.ParamOverride{{Path: ""}, {Path: "x", Value: []byte("{")}},
		HeaderRules:    []fleet.HeaderRule{{Name: "Host", Action: "change"}},
		ModelRedirects: []fleet.ModelRedirect{{From: " x", To: ""}},
		Validation:     fleet.Validation{Path: "models", Payload: "{", Model: "a\x00"},
		Members:        []fleet.Member{{GroupID: 1}},
	}
	var fields []string
	for _, f := range fleet.ValidateGroup(g, rules()) {
		fields = append(fields, f.Field)
		if f.Message == "" {
			t.Errorf("%s has no message", f.Field)
		}
	}
	want := []string{
		"name", "display_name", "description", "channel", "sort", "upstreams", "proxy_keys[0]", "param_overrides[0].path", "param_overrides[1].value",
		"header_rules[0].name", "header_rules[0].action", "model_redirects[0].from", "model_redirects[0].to",
		"validation.model", "validation.path", "validation.payload", "members",
	}
	if !slices.Equal(fields, want) {
		t.Errorf("faults of\n%q, want\n%q", fields, want)
	}
}

func TestValidateGroupOneFault(t *testing.T) {
	others := []fleet.Group{
		{ID: 1, Name: "openai-a", Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI},
		{ID: 2, Name: "gemini-a", Kind: fleet.KindStandard, Channel: fleet.ChannelGemini},
		{ID: 3, Name: "all", Kind: fleet.KindAggregate, Channel: fleet.ChannelOpenAI, Members: []fleet.Member{{GroupID: 1, Weight: 1, Tier: 1}}},
	}
	aggregate := func(members ...fleet.Member) func(*fleet.Group) {
		return func(g *fleet.Group) { g.Kind, g.Upstreams, g.Members = fleet.KindAggregate, nil, members }
	}
	url := func(text string) func(*fleet.Group) { return func(g *fleet.Group) { g.Upstreams[0].URL = text } }
	header := func(name, value string) func(*fleet.Group) {
		return func(g *fleet.Group) {
			g.HeaderRules = []fleet.HeaderRule{{Name: name, Action: fleet.HeaderSet, Value: value}}
		}
	}
	for name, c := range map[string]struct {
		change func(*fleet.Group)
		field  string
		says   string
	}{
		"no name":              {func(g *fleet.Group) { g.Name = "" }, "name", "is needed"},
		"upper case":           {func(g *fleet.Group) { g.Name = "OpenAI" }, "name", `use "openai"`},
		"slash in name":        {func(g *fleet.Group) { g.Name = "a/b" }, "name", "may hold only"},
		"dots":                 {func(g *fleet.Group) { g.Name = ".." }, "name", "path segment"},
		"long name":            {func(g *fleet.Group) { g.Name = strings.Repeat("a", 65) }, "name", "the limit is 64"},
		"name taken":           {func(g *fleet.Group) { g.Name = "gemini-a" }, "name", "another group"},
		"kind":                 {func(g *fleet.Group) { g.Kind = "other" }, "kind", "standard or aggregate"},
		"kind changes":         {func(g *fleet.Group) { g.ID, g.Name = 3, "all" }, "kind", "cannot be changed"},
		"channel of a member":  {func(g *fleet.Group) { g.ID, g.Name, g.Channel = 1, "openai-a", fleet.ChannelGemini }, "channel", `"all"`},
		"url: scheme":          {url("ftp://x"), "upstreams[0].url", "http or https"},
		"url: no host":         {url("https://"), "upstreams[0].url", "not a URL"},
		"url: password":        {url("https://u:hunter2@x"), "upstreams[0].url", "user or password"},
		"url: query":           {url("https://x/?a=1"), "upstreams[0].url", "query"},
		"url: empty query":     {url("https://x/?"), "upstreams[0].url", "query"},
		"url: fragment":        {url("https://x/#"), "upstreams[0].url", "fragment"},
		"url: port":            {url("https://x:70000"), "upstreams[0].url", "65535"},
		"url: dots":            {url("https://x/a/%2e%2e/b"), "upstreams[0].url", ".."},
		"url: control":         {url("https://x/\n"), "upstreams[0].url", "not a URL"},
		"url: space":           {url("https://x/a b"), "upstreams[0].url", "not a URL"},
		"weight":               {func(g *fleet.Group) { g.Upstreams[0].Weight = 1001 }, "upstreams[0].weight", "0 to 1000"},
		"all off":              {func(g *fleet.Group) { g.Upstreams[0].Weight = 0 }, "upstreams", "above 0"},
		"same address twice":   {func(g *fleet.Group) { g.Upstreams = append(g.Upstreams, g.Upstreams[0]) }, "upstreams[1].url", "twice"},
		"too many":             {func(g *fleet.Group) { g.Upstreams = make([]fleet.Upstream, 101) }, "upstreams", "the limit is 100"},
		"proxy key twice":      {func(g *fleet.Group) { g.ProxyKeys = []secret.Text{secret.New("a"), secret.New("a")} }, "proxy_keys[1]", "twice"},
		"proxy key comma":      {func(g *fleet.Group) { g.ProxyKeys = []secret.Text{secret.New("a,b")} }, "proxy_keys[0]", "comma"},
		"header name":          {header("X Y", "1"), "header_rules[0].name", "not a header name"},
		"hop by hop":           {header("Transfer-Encoding", "1"), "header_rules[0].name", "cannot be changed"},
		"content length":       {header("content-length", "1"), "header_rules[0].name", "cannot be changed"},
		"line break":           {header("X-A", "1\r\nX-B: 2"), "header_rules[0].value", "line break"},
		"unknown variable":     {header("X-A", "${API_KEY}${NOPE}"), "header_rules[0].value", "${NOPE} is not"},
		"open variable":        {header("X-A", "${API_KEY"), "header_rules[0].value", "not a variable"},
		"redirect twice":       {func(g *fleet.Group) { g.ModelRedirects = []fleet.ModelRedirect{{"a", "b"}, {"a", "c"}} }, "model_redirects[1].from", "one target"},
		"long model":           {func(g *fleet.Group) { g.ModelRedirects = []fleet.ModelRedirect{{strings.Repeat("m", 257), "b"}} }, "model_redirects[0].from", "256"},
		"strict without any":   {func(g *fleet.Group) { g.ModelRedirectStrict = true }, "model_redirect_strict", "every model"},
		"probe path elsewhere": {func(g *fleet.Group) { g.Validation.Path = "//evil.example/x" }, "validation.path", "one /"},
		"member unknown":       {aggregate(fleet.Member{GroupID: 9, Weight: 1, Tier: 1}), "members[0].group_id", "no group 9"},
		"member aggregate":     {aggregate(fleet.Member{GroupID: 3, Weight: 1, Tier: 1}), "members[0].group_id", "aggregate itself"},
		"member channel":       {aggregate(fleet.Member{GroupID: 2, Weight: 1, Tier: 1}), "members[0].group_id", "share the channel"},
		"member twice":         {aggregate(fleet.Member{GroupID: 1, Weight: 1, Tier: 1}, fleet.Member{GroupID: 1, Weight: 1, Tier: 2}), "members[1].group_id", "twice"},
		"member weight":        {aggregate(fleet.Member{GroupID: 1, Weight: -1, Tier: 1}), "members[0].weight", "0 to 1000"},
		"member tier":          {aggregate(fleet.Member{GroupID: 1, Weight: 1, Tier: 11}), "members[0].tier", "1 to 10"},
		"aggregate's address":  {func(g *fleet.Group) { g.Kind = fleet.KindAggregate }, "upstreams", "has none"},
	} {
		t.Run(name, func(t *testing.T) {
			g := standard()
			c.change(&g)
			faults := fleet.ValidateGroup(g, rules(others...))
			if len(faults) != 1 || faults[0].Field != c.field || !strings.Contains(faults[0].Message, c.says) {
				t.Errorf("got %v, want one fault of %s with %q", faults, c.field, c.says)
			}
			for _, f := range faults {
				if strings.Contains(f.Message, "hunter2") {
					t.Error("a password stands in the message")
				}
			}
		})
	}
}
