package fakeprovider_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
)

// statuses makes n chat calls and returns the numbers, from 1, of those that failed.
func failing(c *client, n int, model, key string) []int {
	var out []int
	for i := range n {
		if r := c.chat(model, "Authorization: Bearer "+key); r.StatusCode != 200 {
			out = append(out, i+1)
		}
	}
	return out
}

func TestWhen(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	tests := map[string]struct {
		when fakeprovider.When
		want []int
	}{
		"always":          {fakeprovider.When{}, []int{1, 2, 3, 4, 5, 6}},
		"nth":             {fakeprovider.When{Nth: 3}, []int{3}},
		"every":           {fakeprovider.When{Every: 2}, []int{2, 4, 6}},
		"first":           {fakeprovider.When{First: 2}, []int{1, 2}},
		"after":           {fakeprovider.When{After: 4}, []int{5, 6}},
		"after and first": {fakeprovider.When{After: 1, First: 3}, []int{2, 3}},
	}
	for name, tt := range tests {
		p.Script(fakeprovider.Rule{When: tt.when, Then: fakeprovider.Then{Fault: "500"}})
		if got := failing(c, 6, "m", "k"); !slices.Equal(got, tt.want) {
			t.Errorf("%s fires for %v, want %v", name, got, tt.want)
		}
	}
}

func TestWhenProbabilityRepeats(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	rule := fakeprovider.Rule{When: fakeprovider.When{Probability: 0.3, Seed: 42}, Then: fakeprovider.Then{Fault: "500"}}
	p.Script(rule)
	first := failing(c, 100, "m", "k")
	p.Script(rule)
	if again := failing(c, 100, "m", "k"); !slices.Equal(first, again) || len(first) < 15 || len(first) > 45 {
		t.Errorf("30 of 100, repeatable, were wanted: %v, then %v", first, again)
	}
}

func TestWhenWindow(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	p := fakeprovider.Serve(t, fakeprovider.Options{Now: func() time.Time { return now }})
	c := newClient(t, p)
	p.Script(fakeprovider.Rule{When: fakeprovider.When{From: time.Minute, For: time.Minute}, Then: fakeprovider.Then{Fault: "503"}})
	for _, step := range []struct {
		after  time.Duration
		status int
	}{{0, 200}, {59 * time.Second, 200}, {time.Second, 503}, {59 * time.Second, 503}, {time.Second, 200}} {
		now = now.Add(step.after)
		if r := c.chat("m"); r.StatusCode != step.status {
			t.Errorf("at %s: status %d, want %d", now, r.StatusCode, step.status)
		}
	}
}

func TestWhenPer(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	calls := []struct{ key, model string }{{"a", "x"}, {"b", "x"}, {"a", "y"}, {"b", "x"}, {"a", "x"}}
	tests := map[fakeprovider.Scope]string{
		fakeprovider.PerRule:     "F....",
		fakeprovider.PerKey:      "FF...",
		fakeprovider.PerModel:    "F.F..",
		fakeprovider.PerKeyModel: "FFF..",
	}
	for per, want := range tests {
		p.Script(fakeprovider.Rule{When: fakeprovider.When{First: 1, Per: per}, Then: fakeprovider.Then{Fault: "500"}})
		got := ""
		for _, call := range calls {
			if failing(c, 1, call.model, call.key) != nil {
				got += "F"
			} else {
				got += "."
			}
		}
		if got != want {
			t.Errorf("per %q: %s, want %s", per, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	yes := true
	tests := map[string]struct {
		match fakeprovider.Match
		want  bool
	}{
		"key":            {fakeprovider.Match{Key: "k"}, true},
		"other key":      {fakeprovider.Match{Key: "K"}, false},
		"model glob":     {fakeprovider.Match{Model: "gpt-*"}, true},
		"other model":    {fakeprovider.Match{Model: "gpt"}, false},
		"method":         {fakeprovider.Match{Method: "POST"}, true},
		"other method":   {fakeprovider.Match{Method: "GET"}, false},
		"path":           {fakeprovider.Match{Path: "/v1/*"}, true},
		"upstream":       {fakeprovider.Match{Upstream: "east"}, true},
		"other upstream": {fakeprovider.Match{Upstream: "west"}, false},
		"stream":         {fakeprovider.Match{Stream: &yes}, false},
		"if":             {fakeprovider.Match{If: func(c fakeprovider.Call) bool { return c.Header.Get("X-Mine") == "1" }}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := fakeprovider.Serve(t, fakeprovider.Options{})
			p.Script(fakeprovider.Rule{Match: tt.match, Then: fakeprovider.Then{Status: 418}})
			r := newClient(t, p).post("/at/east/v1/chat/completions", chatBody("gpt-x", false), "Authorization: bearer k", "X-Mine: 1")
			if got := r.StatusCode == 418; got != tt.want {
				t.Errorf("matches: %t, want %t (%s)", got, tt.want, p.Dump())
			}
		})
	}
}

func TestRulesCountBehindEarlierOnes(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	p.Script(
		fakeprovider.Rule{When: fakeprovider.When{First: 2}, Then: fakeprovider.Then{Fault: "429"}},
		fakeprovider.Rule{When: fakeprovider.When{Nth: 3}, Then: fakeprovider.Then{Fault: "500"}},
	)
	p.Append(fakeprovider.Rule{Name: "last", When: fakeprovider.When{Nth: 1}, Then: fakeprovider.Then{Fault: "503"}})
	var got []int
	for range 4 {
		got = append(got, c.chat("m").StatusCode)
	}
	if want := []int{429, 429, 500, 200}; !slices.Equal(got, want) {
		t.Errorf("statuses %v, want %v: a rule counts what earlier rules answer", got, want)
	}
	if rules := p.Rules(); len(rules) != 3 || rules[0].Name != "rule 1" || rules[2].Name != "last" {
		t.Errorf("rules %v", rules)
	}
}

// TestThen covers answers written by hand and rules that leave the answer healthy.
func TestThen(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{Keys: []string{"good"}})
	c := newClient(t, p)
	script := func(then fakeprovider.Then) { p.Script(fakeprovider.Rule{Then: then}) }

	script(fakeprovider.Then{Status: 451, Body: "no", Header: http.Header{"Content-Type": {"text/plain"}, "X-Twice": {"a", "b"}}})
	if r := c.chat("m"); r.StatusCode != 451 || r.body != "no" || len(r.Header["X-Twice"]) != 2 {
		t.Errorf("by hand: %d %q %v", r.StatusCode, r.body, r.Header)
	}
	script(fakeprovider.Then{Fault: "429", Status: 430})
	if r := c.chat("m"); r.StatusCode != 430 || !strings.Contains(r.body, "rate_limit_exceeded") {
		t.Errorf("another status: %d %s", r.StatusCode, r.body)
	}
	script(fakeprovider.Then{Shape: fakeprovider.Shape{Text: "said by the script"}})
	if r := c.chat("m"); r.StatusCode != 401 {
		t.Errorf("a healthy rule still asks for credentials: %d", r.StatusCode)
	}
	if r := c.chat("m", "Authorization: Bearer good"); !strings.Contains(r.body, "said by the script") {
		t.Errorf("the rule's text: %s", r.body)
	}
	script(fakeprovider.Then{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		buffer := make([]byte, 8)
		n, _ := r.Body.Read(buffer)
		_, _ = w.Write(buffer[:n])
	})})
	if r := c.chat("m"); r.StatusCode != 418 || r.body != `{"model"` || p.Calls()[4].Status != 418 {
		t.Errorf("a handler: %d %q, recorded %d", r.StatusCode, r.body, p.Calls()[4].Status)
	}
}

func TestScriptRefusesNonsense(t *testing.T) {
	p := fakeprovider.New(fakeprovider.Options{})
	defer func() {
		if recover() == nil {
			t.Error("an unknown fault must not go unnoticed")
		}
	}()
	p.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: "428-seconds"}})
}

func TestParseScript(t *testing.T) {
	text := `{"rules":[{"name":"a","match":{"key":"sk-1","model":"gpt-*","stream":true},"when":{"every":3,"for":"1m30s","per":"key"},
	  "then":{"fault":"429-seconds","retry_after":"7s","headers":[["X-A","1"],["X-A","2"]],"gap":"5ms","chunks":4}}]}`
	rules, err := fakeprovider.ParseScript([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r := rules[0]
	if r.Name != "a" || r.Match.Key != "sk-1" || !*r.Match.Stream || r.When.Every != 3 || r.When.For != 90*time.Second || r.When.Per != fakeprovider.PerKey ||
		r.Then.RetryAfter != 7*time.Second || len(r.Then.Header["X-A"]) != 2 || r.Then.Gap != 5*time.Millisecond || r.Then.Chunks != 4 {
		t.Errorf("read %+v", r)
	}
	if rules, err = fakeprovider.ParseScript([]byte(`[{"then":{"break":"hang"}}]`)); err != nil || rules[0].Then.Break != fakeprovider.BreakHang {
		t.Errorf("an array: %v %v", rules, err)
	}
	for _, wrong := range []string{
		``, `{`, `{"rules":[{"thenn":{}}]}`, `[{"then":{"fault":"nope"}}]`, `[{"then":{"inner":"hang"}}]`, `[{"then":{"break":"x"}}]`,
		`[{"then":{"flaw":"x"}}]`, `[{"when":{"per":"x"}}]`, `[{"when":{"probability":2}}]`, `[{"then":{"status":99}}]`,
		`[{"then":{"size":-1}}]`, `[{"then":{"chunks":-1}}]`, `[{"then":{"encoding":"lzma"}}]`, `[{"then":{"delay":"soon"}}]`,
	} {
		if _, err := fakeprovider.ParseScript([]byte(wrong)); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
}

func FuzzParseScript(f *testing.F) {
	f.Add(`[{"match":{"key":"a"},"when":{"nth":1,"per":"key+model"},"then":{"fault":"401","delay":"1s"}}]`)
	f.Add(`{"rules":[{"then":{"headers":[["A","b"]],"flaw":"stall","flaw_after":-1}}]}`)
	f.Add(`{"rules":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := fakeprovider.ParseScript([]byte(text))
		if err != nil {
			return
		}
		for _, r := range rules {
			if err := r.Check(); err != nil {
				t.Errorf("ParseScript took what Check refuses: %v", err)
			}
		}
	})
}

func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"*", "", true},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"a*c", "abc", true},
		{"a*b*c", "a/b/c", true},
		{"a*a", "a", false},
		{"*b*", "abc", true},
		{"a*b*c", "acb", false},
		{"", "a", false},
	} {
		if got := fakeprovider.Glob(tt.pattern, tt.text); got != tt.want {
			t.Errorf("Glob(%q, %q) is %t", tt.pattern, tt.text, got)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, seed := range []string{"1", "1k", "100KB", "1MiB", "-1", "k", "", "1g", "999999999999m", "1b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := fakeprovider.ParseSize(text); err == nil && (n < 0 || n > 256<<20) {
			t.Errorf("%q is %d bytes", text, n)
		}
	})
}
