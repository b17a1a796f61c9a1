package snapshot_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/snapshot"
)

func fingerprint(key secret.Text) string { return "print-of-" + key.Tail() }

func standard(id fleet.GroupID, name string, change ...func(*fleet.Group)) fleet.Group {
	g := fleet.Group{ID: id, Name: name, Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI, Upstreams: []fleet.Upstream{{URL: "https://api.example.com", Weight: 1}}}
	for _, c := range change {
		c(&g)
	}
	return g
}

func compile(t *testing.T, system map[string]string, groups ...fleet.Group) *snapshot.Snapshot {
	t.Helper()
	s, faults := snapshot.Compile(7, system, groups, fingerprint)
	if len(faults) > 0 {
		t.Fatalf("faults: %+v", faults)
	}
	return s
}

func TestGroupsAreFoundWithoutRegardToCase(t *testing.T) {
	s := compile(t, nil, standard(1, "openai"), standard(2, "other"))
	for name, want := range map[string]fleet.GroupID{"openai": 1, "OpenAI": 1, "OTHER": 2} {
		if g, ok := s.Group(name); !ok || g.ID != want {
			t.Errorf("%s: %v", name, ok)
		}
	}
	if _, ok := s.Group("gone"); ok {
		t.Error("a group that is not there was found")
	}
	if g, ok := s.ByID(2); !ok || g.Name != "other" || len(s.Groups()) != 2 || s.Revision != 7 {
		t.Error("by id")
	}
}

func TestWhichKeyOpensWhichGroup(t *testing.T) {
	own := standard(2, "own", func(g *fleet.Group) { g.ProxyKeys = []secret.Text{secret.New("sk-of-the-group")} })
	s := compile(t, map[string]string{"proxy_keys": "sk-system-1, sk-system-2"}, standard(1, "open"), own)
	open, _ := s.ByID(1)
	withKeys, _ := s.ByID(2)
	for _, c := range []struct {
		key   string
		group *snapshot.Group
		want  bool
	}{
		{"sk-system-1", open, true},
		{"sk-system-2", withKeys, true},
		{"sk-system-2", nil, true},
		{"sk-of-the-group", withKeys, true},
		{"sk-of-the-group", open, false},
		{"sk-of-the-group", nil, false},
		{"sk-system", open, false},
		{"sk-system-1, sk-system-2", open, false},
		{" sk-system-1", open, false},
		{"", open, false},
	} {
		print, ok := s.Admits(c.group, c.key)
		if ok != c.want || ok && !strings.HasPrefix(print, "print-of-") {
			t.Errorf("%q admitted: %v with %q, want %v", c.key, ok, print, c.want)
		}
	}
}

func TestRedirects(t *testing.T) {
	lenient := standard(1, "lenient", func(g *fleet.Group) { g.ModelRedirects = []fleet.ModelRedirect{{From: "a", To: "b"}} })
	strict := standard(2, "strict", func(g *fleet.Group) { g.ModelRedirects, g.ModelRedirectStrict = lenient.ModelRedirects, true })
	s := compile(t, nil, lenient, strict, standard(3, "plain"))
	for _, c := range []struct {
		group   fleet.GroupID
		asked   string
		send    string
		allowed bool
		reads   bool
	}{
		{1, "a", "b", true, true},
		{1, "A", "A", true, true},
		{1, "other", "other", true, true},
		{2, "a", "b", true, true},
		{2, "b", "b", false, true}, // the target is not to be asked for by its own name
		{3, "a", "a", true, false},
	} {
		g, _ := s.ByID(c.group)
		if send, allowed := g.Redirect(c.asked); send != c.send || allowed != c.allowed || g.ReadsModels() != c.reads {
			t.Errorf("group %d asked for %s sends %s, allowed %v, reads models %v", c.group, c.asked, send, allowed, g.ReadsModels())
		}
	}
}

// What is wrong with one value or one group is told and costs nothing else.
func TestFaultsStayWhereTheyAre(t *testing.T) {
	groups := []fleet.Group{
		standard(1, "good", func(g *fleet.Group) { g.Settings = map[string]string{"max_retries": "5"} }),
		standard(2, "odd setting", func(g *fleet.Group) { g.Settings = map[string]string{"max_retries": "many"} }),
		standard(3, "bad override", func(g *fleet.Group) {
			g.ParamOverrides = []fleet.ParamOverride{{Path: "a.b", Value: json.RawMessage("1")}, {Path: "a..b", Value: json.RawMessage("1")}}
		}),
	}
	s, faults := snapshot.Compile(1, map[string]string{"max_retries": "2", "connect_timeout": "soon"}, groups, fingerprint)
	var fields []string
	for _, f := range faults {
		fields = append(fields, f.Field)
	}
	want := []string{"connect_timeout", "group odd setting: max_retries", "group bad override: param_overrides[1]"}
	for _, field := range want {
		if !slices.Contains(fields, field) {
			t.Errorf("no fault of %s among %q", field, fields)
		}
	}
	if good, _ := s.Group("good"); good.Settings.MaxRetries != 5 {
		t.Errorf("the group's own value: %d", good.Settings.MaxRetries)
	}
	if odd, ok := s.Group("odd setting"); !ok || odd.Settings.MaxRetries != 2 || odd.Settings.ConnectTimeout <= 0 {
		t.Errorf("falls back one level: %+v", odd)
	}
	// Without the override that the operator relies on, it would do something else than he wants.
	if _, ok := s.Group("bad override"); ok {
		t.Error("a group serves without one of its overrides")
	}
}

func TestHeaderRules(t *testing.T) {
	g := standard(1, "rules", func(g *fleet.Group) {
		g.HeaderRules = []fleet.HeaderRule{
			{Name: "x-all", Action: fleet.HeaderSet, Value: "ip=${CLIENT_IP} group=${GROUP_NAME} key=${API_KEY} ms=${TIMESTAMP_MS} s=${TIMESTAMP_S}."},
			{Name: "x-plain", Action: fleet.HeaderSet, Value: "no $variable {here} ${"},
			{Name: "X-Empty", Action: fleet.HeaderSet, Value: ""},
			{Name: "user-agent", Action: fleet.HeaderRemove},
		}
	})
	compiled, _ := compile(t, nil, g).ByID(1)
	h := http.Header{"User-Agent": {"curl"}, "X-Plain": {"one", "two"}}
	now := time.UnixMilli(1_700_000_000_123)
	for _, rule := range compiled.Rules {
		rule.Apply(h, snapshot.Variables{ClientIP: "203.0.113.9", GroupName: "rules", APIKey: "sk-1", Now: now})
	}
	want := http.Header{
		"X-All":   {"ip=203.0.113.9 group=rules key=sk-1 ms=1700000000123 s=1700000000."},
		"X-Plain": {"no $variable {here} ${"},
		"X-Empty": {""},
	}
	if len(h) != len(want) {
		t.Errorf("%v", h)
	}
	for name, values := range want {
		if !slices.Equal(h[name], values) {
			t.Errorf("%s: %q, want %q", name, h[name], values)
		}
	}
}
