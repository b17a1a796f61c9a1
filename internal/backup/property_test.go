package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"gpt-load/internal/backup"
	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/secret"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gpt-load-backup-*")
	if err == nil {
		binary, err = testenv.Build(context.Background(), dir, false)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func newInstance(t *testing.T) *adminclient.Client {
	t.Helper()
	node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Stop(); err != nil {
			t.Error(err)
		}
	})
	return node.Client()
}

var passphrase = secret.New("canary of the backups 8f3b1a")

// TestRandomConfigurations moves random configurations out of one instance and into another, and compares.
func TestRandomConfigurations(t *testing.T) {
	const rounds = 12
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := generator{rand.New(rand.NewPCG(seed, 1))}
	from, to := newInstance(t), newInstance(t)
	var file []byte
	for round := range rounds {
		if round == rounds/2 {
			to = newInstance(t) // an empty one again
		}
		made := random.document()
		apply(t, from, made, backup.Options{Prune: true})
		file = export(t, from, file)
		if again := export(t, from, file); !bytes.Equal(file, again) {
			t.Fatalf("round %d: a second export differs:\n%s\nand\n%s", round, file, again)
		}
		if bytes.Contains(file, []byte("canary")) {
			t.Fatalf("round %d: a secret stands in the file:\n%s", round, file)
		}
		read, _ := readFile(t, file)
		apply(t, to, read, backup.Options{Prune: true})
		if have, want := runningOf(t, to), runningOf(t, from); !reflect.DeepEqual(have.Document, want.Document) {
			t.Fatalf("round %d: moved\n%s\nbut there is\n%+v\ninstead of\n%+v", round, file, have.Document, want.Document)
		}
		for _, client := range []*adminclient.Client{from, to} {
			plan, err := backup.PlanChanges(read, runningOf(t, client), backup.Options{Prune: true})
			if err != nil || !plan.Empty() {
				t.Fatalf("round %d: after it was applied the plan is %+v, %v", round, plan, err)
			}
		}
	}
}

func runningOf(t *testing.T, client *adminclient.Client) *backup.Running {
	t.Helper()
	r, err := backup.Read(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func apply(t *testing.T, client *adminclient.Client, d *backup.Document, o backup.Options) {
	t.Helper()
	plan, err := backup.PlanChanges(d, runningOf(t, client), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range plan.Changes {
		if strings.Contains(strings.Join(c.Lines, "\n"), "canary") {
			t.Fatalf("a plan shows a secret:\n%s", strings.Join(c.Lines, "\n"))
		}
	}
	made := 0
	if _, err := plan.Apply(t.Context(), client, func(backup.Change) { made++ }); err != nil || made != len(plan.Changes) {
		t.Fatalf("%d of %d changes: %v", made, len(plan.Changes), err)
	}
}

// export writes a file over an earlier one, if there is one.
func export(t *testing.T, client *adminclient.Client, earlier []byte) []byte {
	t.Helper()
	var sealer *backup.Sealer
	if earlier != nil {
		_, sealer = readFile(t, earlier)
	} else {
		var err error
		if sealer, err = backup.NewSealer(passphrase); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := backup.Write(&b, &runningOf(t, client).Document, sealer); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readFile(t *testing.T, file []byte) (*backup.Document, *backup.Sealer) {
	t.Helper()
	r := backup.NewReader(bytes.NewReader(file), passphrase)
	r.Remember()
	d, err := r.Document()
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	return d, r.Sealer()
}

// generator makes valid configurations.
type generator struct{ *rand.Rand }

func (g generator) chance() bool { return g.IntN(2) == 0 }

func some[T any](g generator, most int, make func(i int) T) []T {
	var items []T
	for i := range g.IntN(most + 1) {
		items = append(items, make(i))
	}
	return items
}

func (g generator) secret() string { return fmt.Sprintf("sk-canary-%016x", g.Uint64()) }

// oddTexts are what YAML could take for something else, or lose.
var oddTexts = []string{
	"plain", "true", "null", "~", "0x1f", "1e3", "2026-01-02", "- a", "a: b", "# no comment", "'", `"`, `\`, "{a}", "[a]", "*a", "&a", "!a", "%a", "@a", "`a`", "|", ">", "<<",
	"two\nlines", "two\n\n  lines\n", " around ", "tab\tinside", "\ttab", "cr\r\nlf", "trailing \nspace", "日本語 🎉", "line\u2028separator", "nel\u0085", "bom\ufeff", "---\nx", "...", "é", "a\u00a0b", "=",
	"a: |\n  b", "\n", "x\n", "-", "?", "? a", "yes", "No", ".inf", "0o17", "1_000", "12:30:45", "\u200b", "!sealed x",
}

func (g generator) odd(most int) string {
	for {
		// Control characters but tabs and line breaks are refused in texts for people.
		text := oddTexts[g.IntN(len(oddTexts))] + strings.Repeat(oddTexts[g.IntN(len(oddTexts))], g.IntN(3))
		if len(text) <= most && !strings.ContainsRune(text, '\u0085') {
			return text
		}
	}
}

func (g generator) word() string { return fmt.Sprintf("w%d", g.IntN(1000)) }

func (g generator) json(depth int) json.RawMessage {
	switch g.IntN(8) {
	case 0:
		return json.RawMessage("null")
	case 1:
		return json.RawMessage([]string{"true", "false"}[g.IntN(2)])
	case 2:
		return json.RawMessage([]string{"0", "-0", "0.70", "1e300", "12345678901234567890123", "1E+2", "-1.5e-3"}[g.IntN(7)])
	case 3, 4:
		raw, _ := json.Marshal(g.odd(1000))
		return raw
	case 5:
		return json.RawMessage(`{"a":1,"a":{"b":"\u00e9\ud800"}}`)
	}
	if depth > 3 {
		return json.RawMessage("{}")
	}
	var parts []string
	for i := range g.IntN(4) {
		part := string(g.json(depth + 1))
		if g.IntN(2) == 0 {
			name, _ := json.Marshal(g.odd(100) + fmt.Sprint(i))
			part = string(name) + ": " + part
		} else {
			part = fmt.Sprintf("%q:%s", fmt.Sprint(i), part)
		}
		parts = append(parts, part)
	}
	return json.RawMessage("{" + strings.Join(parts, " , ") + "}")
}

func (g generator) settings(group bool) map[string]string {
	values := map[string]string{}
	if g.chance() {
		values["max_retries"] = fmt.Sprint(g.IntN(21))
	}
	if g.chance() {
		values["enable_request_body_logging"] = fmt.Sprint(g.chance())
	}
	if g.chance() {
		values["failover_status_codes"] = "429,500-599"
	}
	if g.chance() {
		values["proxy_url"] = "http://me:canary-" + g.word() + "@127.0.0.1:1"
	}
	if !group && g.chance() {
		values["proxy_keys"] = g.secret() + "," + g.secret()
	}
	if len(values) == 0 {
		return nil
	}
	return values
}

func (g generator) document() *backup.Document {
	d := &backup.Document{Settings: g.settings(false)}
	channels := map[string]fleet.Channel{}
	for i := range g.IntN(6) {
		group := g.group(fmt.Sprintf("group-%d", i))
		channels[group.Name] = group.Channel
		d.Groups = append(d.Groups, group)
	}
	for i := range g.IntN(3) {
		a := backup.Group{Group: fleet.Group{
			Name: fmt.Sprintf("a%d.all", i), Kind: fleet.KindAggregate, Channel: fleet.Channels[g.IntN(len(fleet.Channels))], Description: g.odd(1000),
			Settings: g.settings(true),
		}}
		for _, name := range slices.Sorted(func(yield func(string) bool) {
			for name, channel := range channels {
				if channel == a.Channel && g.chance() && !yield(name) {
					return
				}
			}
		}) {
			a.Members = append(a.Members, backup.Member{Group: name, Weight: g.IntN(1001), Tier: 1 + g.IntN(10)})
		}
		d.Groups = append(d.Groups, a)
	}
	g.Shuffle(len(d.Groups), func(i, j int) { d.Groups[i], d.Groups[j] = d.Groups[j], d.Groups[i] })
	return d
}

func (g generator) group(name string) backup.Group {
	out := backup.Group{Group: fleet.Group{
		Name: name, Kind: fleet.KindStandard, Channel: fleet.Channels[g.IntN(len(fleet.Channels))], Sort: g.IntN(2001) - 1000,
		DisplayName: g.odd(100), Description: g.odd(1000), Settings: g.settings(true),
		Upstreams: []fleet.Upstream{{URL: "https://a.example/" + g.word(), Weight: 1 + g.IntN(1000)}},
		ProxyKeys: some(g, 3, func(int) secret.Text { return secret.New(g.secret()) }),
		ParamOverrides: some(g, 4, func(i int) fleet.ParamOverride {
			return fleet.ParamOverride{Path: fmt.Sprintf(`p%d.a\.b`, i), Value: g.json(0)}
		}),
		HeaderRules: some(g, 4, func(i int) fleet.HeaderRule {
			return fleet.HeaderRule{Name: fmt.Sprintf("X-Auth-%d", i), Action: fleet.HeaderSet, Value: []string{"${API_KEY}", g.secret(), "", " spaces\t", "Bearer ${API_KEY}"}[g.IntN(5)]}
		}),
		ModelRedirects: some(g, 4, func(i int) fleet.ModelRedirect {
			return fleet.ModelRedirect{From: fmt.Sprintf("модель: %d", i), To: "# " + g.word()}
		}),
	}}
	if g.chance() {
		out.Upstreams = append(out.Upstreams, fleet.Upstream{URL: "http://127.0.0.1:1", Weight: 0})
		out.ParamOverrides = append(out.ParamOverrides, fleet.ParamOverride{Path: "gone"})
		out.HeaderRules = append(out.HeaderRules, fleet.HeaderRule{Name: "User-Agent", Action: fleet.HeaderRemove})
	}
	out.ModelRedirectStrict = len(out.ModelRedirects) > 0 && g.chance()
	if g.chance() {
		out.Validation = fleet.Validation{Off: g.chance(), Model: g.word(), Path: "/v1/models?limit=1", Payload: "{\"a\":\n  [1, 2]}\n"}
	}
	return out
}

// TestEverythingIsInTheFile fails when a group, a setting or a key gains something that a backup would lose.
func TestEverythingIsInTheFile(t *testing.T) {
	for kind, members := range map[reflect.Type][]string{
		reflect.TypeFor[adminapi.GroupInput](): {
			"name", "display_name", "description", "kind", "channel", "sort", "upstreams", "proxy_keys", "param_overrides", "header_rules", "model_redirects",
			"model_redirect_strict", "validation", "members", "settings",
		},
		reflect.TypeFor[adminapi.Upstream]():      {"url", "weight"},
		reflect.TypeFor[adminapi.ParamOverride](): {"path", "value", "remove"},
		reflect.TypeFor[adminapi.HeaderRule]():    {"name", "action", "value"},
		reflect.TypeFor[adminapi.ModelRedirect](): {"from", "to"},
		reflect.TypeFor[adminapi.Validation]():    {"off", "model", "path", "payload"},
		reflect.TypeFor[adminapi.Member]():        {"group_id", "weight", "tier"},
		// Evidence and cool-downs are of the moment, and stay out.
		reflect.TypeFor[keyfile.Key](): {"Value", "Weight", "Notes", "Tags", "State", "Reason", "Evidence", "Failures", "Cooldowns"},
	} {
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if name == "" {
				name = kind.Field(i).Name
			}
			if !slices.Contains(members, name) {
				t.Errorf("%s of %v is not in a backup: write, read and compare it, and list it here", name, kind)
			}
		}
	}
}
