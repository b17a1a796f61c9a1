package gptload1_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/gptload1"
	"gpt-load/internal/jsonbody"
	"gpt-load/internal/secret"
)

// oddKeys are values that 1.x takes from a JSON list, and each must come back byte for byte.
var oddKeys = []string{
	`{"type":"service_account","private_key":"-----BEGIN, it's \"quoted\""}`, "with space,comma;semicolon", "ключ-🔑", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
}

// fullInstallation is the 1.4 data with keys in every state.
func fullInstallation(tb testing.TB, p product, passphrase string) *fixture {
	f := newFixture(tb, p, "1.4")
	f.exec(tb, readFile(tb, "data-1.4.sql"))
	rows := []keyRow{
		{group: 1, value: "sk-first", status: "active", notes: "Ann's, paid", failures: 2, lastUsed: "2025-09-05 12:00:00"},
		{group: 1, value: "sk-second", status: "invalid", failures: 3},
		{group: 1, value: "sk-first", status: "invalid"},
		{group: 1, value: strings.Repeat("k", 4097), status: "active"},
		{group: 1, value: strings.Repeat("k", 9000), status: "active"},
		{group: 1, value: "sk-tab\tinside", status: "active"},
		{group: 1, value: "sk-paused", status: "paused", notes: "a\nb"},
		{group: 1, value: "", status: "active"},
		{group: 4, value: "sk-of-aggregate", status: "active"},
		{group: 6, value: "sk-azure-1", status: "active"},
		{group: 6, value: "sk-azure-2", status: "active"},
		{group: 99, value: "sk-orphan", status: "active"},
	}
	for _, value := range oddKeys {
		rows = append(rows, keyRow{group: 2, value: value, status: "active"})
	}
	f.addKeys(tb, newSealer(tb, passphrase), rows...)
	return f
}

func TestPlanOnEveryDatabase(t *testing.T) {
	for _, p := range products {
		for _, passphrase := range []string{"", passphrase} {
			t.Run(fmt.Sprintf("%s, encrypted %v", p.name, passphrase != ""), func(t *testing.T) {
				f := fullInstallation(t, p, passphrase)
				d := open(t, f.dsn, passphrase)
				plan := planOf(t, d)
				if plan.Source.Encrypted != (passphrase != "") || plan.Source.Generation != "1.4 or later" {
					t.Errorf("source: %v", plan.Source)
				}
				checkSettings(t, plan)
				checkGroups(t, plan)
				checkNotices(t, plan)
				checkKeys(t, d, plan)
				checkValid(t, plan)
				if again := planOf(t, d); !reflect.DeepEqual(again, plan) {
					t.Error("a second plan of the same database is another one")
				}
			})
		}
	}
}

func checkSettings(t *testing.T, plan *gptload1.Plan) {
	t.Helper()
	want := map[string]string{
		"proxy_keys": "sk-one,sk-two", "request_log_retention_days": "30", "blacklist_threshold": "1000",
		"enable_request_body_logging": "true", "proxy_url": "http://user:hunter2@10.0.0.1:8080",
	}
	if !reflect.DeepEqual(plan.Settings, want) {
		t.Errorf("settings %v, want %v", plan.Settings, want)
	}
}

func checkGroups(t *testing.T, plan *gptload1.Plan) {
	t.Helper()
	const long = "responses-with-a-name-that-is-longer-than-the-sixty-fou-dd2d3e46"
	var names []string
	for _, g := range plan.Groups {
		names = append(names, g.Name)
	}
	if want := []string{"gemini", "claude", "openai", "openai-b", long, "all"}; !slices.Equal(names, want) {
		t.Fatalf("groups %q, want %q", names, want)
	}
	want := fleet.Group{
		Name: "openai", DisplayName: "Öffentlich", Description: "two addresses", Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI, Sort: 20,
		Upstreams: []fleet.Upstream{{URL: "https://api.openai.com", Weight: 1000}, {URL: "https://mirror.example/v1", Weight: 1}},
		ProxyKeys: []secret.Text{secret.New("sk-team-a"), secret.New("sk-team-b")},
		ParamOverrides: []fleet.ParamOverride{
			{Path: "temperature", Value: json.RawMessage("0.70")}, {Path: `a\.b`, Value: json.RawMessage("null")}, {Path: "big", Value: json.RawMessage("12345678901234567890")},
		},
		HeaderRules: []fleet.HeaderRule{
			{Name: "X-Team", Action: fleet.HeaderSet, Value: "${GROUP_NAME} ${CLIENT_IP}"}, {Name: "User-Agent", Action: fleet.HeaderRemove},
		},
		ModelRedirects:      []fleet.ModelRedirect{{From: "gpt-4", To: "gpt-4o"}, {From: "gpt-3.5-turbo", To: "gpt-4o-mini"}},
		ModelRedirectStrict: true,
		Validation:          fleet.Validation{Model: "gpt-4o-mini", Path: "/v1/models?limit=1"},
		Settings: map[string]string{
			"max_retries": "5", "connect_timeout": "300", "failover_status_codes": "429,500-599", "proxy_url": "socks5://u:hunter2@10.0.0.2:1080",
		},
	}
	if got := plan.Groups[2].Group; !reflect.DeepEqual(got, want) {
		t.Errorf("group openai:\n%+v, want\n%+v", got, want)
	}
	gemini := fleet.Group{
		Name: "gemini", Kind: fleet.KindStandard, Channel: fleet.ChannelGemini, Validation: fleet.Validation{Model: "gemini-2.0-flash"},
		Upstreams: []fleet.Upstream{{URL: "https://generativelanguage.googleapis.com", Weight: 1}},
	}
	if got := plan.Groups[0].Group; !reflect.DeepEqual(got, gemini) {
		t.Errorf("group gemini:\n%+v, want\n%+v", got, gemini)
	}
	all := plan.Groups[5]
	if want := []gptload1.Member{{Name: "openai", Weight: 30, Tier: 1}, {Name: "openai-b", Weight: 1000, Tier: 1}}; !slices.Equal(all.Members, want) {
		t.Errorf("members %v, want %v", all.Members, want)
	}
	if all.Settings["max_retries"] != "5" || len(all.ProxyKeys) != 1 || all.Upstreams != nil || all.Validation.Model != "" {
		t.Errorf("aggregate: %+v", all.Group)
	}
}

// wantNotices are the beginnings of what the plan of the full installation must say.
var wantNotices = []string{
	"/app_url left_out: http://localhost:3001 is what 1.x starts with",
	"/proxy_keys left_out: key 3: a key holds a space",
	"/blacklist_threshold changed: must be a whole number from 0 to 1000",
	"/failover_status_codes left_out: 400-403,405-999 is what 1.x starts with",
	`/request_timeout left_out: must be a whole number`,
	"/server_read_timeout left_out: has no counterpart: it is the environment variable SERVER_READ_TIMEOUT",
	"/made_up left_out: has no counterpart: neither",
	"openai/upstreams changed: address 2 held a user or password",
	"openai/upstreams changed: address 2 had a query",
	"openai/upstreams changed: a weight of 2000 is over the limit of 1000",
	"openai/config.connect_timeout changed: must be a whole number from 1 to 300 seconds",
	"openai/config.failover_status_codes changed: codes above 599",
	"openai/config.nonsense left_out: has no counterpart",
	`openai/header_rules left_out: the rule for "Host": Host follows`,
	"openai/api_keys left_out: 1 row without a value (id 8)",
	"openai/api_keys left_out: 2 rows longer than 4096 bytes (id 4, 5)",
	"openai/api_keys left_out: 1 row with a control character, which no HTTP header can carry (id 6)",
	"openai/api_keys changed: 1 row with a status other than active and invalid",
	"openai/api_keys changed: 1 row with notes that are too long",
	"openai/api_keys left_out: 1 row with a value that stands in the group already",
	"openai-b/upstreams changed: no address has a weight above 0",
	`azure/channel_type left_out: must be one of openai`,
	"azure/api_keys left_out: 2 keys of this group: not imported",
	"responses-with-a-name-that-is-longer-than-the-sixty-four-bytes-allowed-here/name changed: is not allowed here",
	"all/config left_out: has no effect for an aggregate in 1.x",
	"all/group_sub_groups changed: the weight 5000 of the group with id 5 is out of bounds; it becomes 1000",
	`all/group_sub_groups left_out: the member with id 3: "claude" speaks anthropic`,
	"all/group_sub_groups left_out: the member with id 6: there is no group 6",
	"all/group_sub_groups left_out: the member with id 77: there is no group 77",
	"all/config.max_retries changed: is 5 in every member",
	"all/api_keys left_out: 1 key in an aggregate",
	"/api_keys left_out: 1 key of the group with id 99, which is not there",
}

func checkNotices(t *testing.T, plan *gptload1.Plan) {
	t.Helper()
	got := lines(plan.Notices)
	for _, want := range wantNotices {
		if !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("no notice begins with %q", want)
		}
	}
	if len(got) != len(wantNotices) {
		t.Errorf("%d notices, want %d:\n%s", len(got), len(wantNotices), strings.Join(got, "\n"))
	}
	if all := fmt.Sprintf("%v", plan.Notices); strings.Contains(all, "hunter2") || strings.Contains(all, "sk-") || strings.Contains(all, "bad key") {
		t.Errorf("a secret stands in a notice:\n%s", strings.Join(got, "\n"))
	}
}

func checkKeys(t *testing.T, d *gptload1.Database, plan *gptload1.Plan) {
	t.Helper()
	keys, tally := keysOf(t, d, plan.Groups[2])
	if want := (gptload1.KeyTally{Active: 1, Invalid: 3, LeftOut: 4}); tally != want {
		t.Errorf("tally %+v, want %+v", tally, want)
	}
	if want := (gptload1.KeyTally{Active: 1, Invalid: 3, Duplicates: 1, LeftOut: 4}); plan.Groups[2].Keys != want {
		t.Errorf("planned tally %+v, want %+v", plan.Groups[2].Keys, want)
	}
	want := gptload1.Key{
		Value: keys[0].Value, State: fleet.KeyActive, Notes: "Ann's, paid", Failures: 2, Requests: 20, LastUsedAt: time.Date(2025, 9, 5, 12, 0, 0, 0, time.UTC),
	}
	if got := keys[0]; got.Value.Reveal() != "sk-first" || !reflect.DeepEqual(got, want) {
		t.Errorf("first key %+v, want %+v", got, want)
	}
	if got := keys[3]; got.Value.Reveal() != "sk-paused" || got.State != fleet.KeyInvalid || got.Notes != "a b" {
		t.Errorf("key with an unknown status: %+v", got)
	}
	keys, _ = keysOf(t, d, plan.Groups[0])
	if len(keys) != len(oddKeys) {
		t.Fatalf("%d odd keys, want %d", len(keys), len(oddKeys))
	}
	for i, want := range oddKeys {
		if got := keys[i].Value.Reveal(); got != want {
			t.Errorf("key %q, want %q", got, want)
		}
	}
	sum := plan.Keys()
	if sum.Active != 5 || sum.Invalid != 3 || sum.Total() != 12 {
		t.Errorf("sum %+v", sum)
	}
}

// checkValid applies the plan in its order to nothing, by the rules of the admin API.
func checkValid(t *testing.T, plan *gptload1.Plan) {
	t.Helper()
	rules := fleet.GroupRules{CheckParamPath: func(path string) error { _, err := jsonbody.ParsePath(path); return err }}
	ids := make(map[string]fleet.GroupID)
	for i, planned := range plan.Groups {
		g, err := planned.WithMembers(ids)
		if err != nil {
			t.Fatal(err)
		}
		if faults := fleet.ValidateGroup(g, rules); len(faults) > 0 {
			t.Errorf("group %s is not valid: %v", g.Name, faults)
		}
		g.ID = fleet.GroupID(1000 + i)
		ids[g.Name] = g.ID
		rules.Groups = append(rules.Groups, g)
	}
	last := plan.Groups[len(plan.Groups)-1]
	if len(last.Members) == 0 {
		return
	}
	if _, err := last.WithMembers(nil); fleet.CodeOf(err) != fleet.CodeNotFound {
		t.Errorf("an aggregate without its members created: %v", err)
	}
}

func TestPlanOfTheFirstBetas(t *testing.T) {
	for _, p := range products {
		t.Run(p.name, func(t *testing.T) {
			f := newFixture(t, p, "1.0")
			f.exec(t, readFile(t, "data-1.0.sql"))
			f.exec(t, "INSERT INTO `api_keys` (`key_value`, `group_id`, `status`, `failure_count`) VALUES ('sk-old', 1, 'active', 1), ('"+strings.Repeat("ab", 40)+"', 1, 'invalid', 0)")
			d := open(t, f.dsn, "")
			plan := planOf(t, d)
			if plan.Source.Generation != "1.0" || plan.Settings["response_header_timeout"] != "15" || len(plan.Groups) != 1 {
				t.Fatalf("plan: %+v", plan)
			}
			g := plan.Groups[0]
			want := fleet.Group{
				Name: "openai_old", DisplayName: "Old", Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI, Sort: 1,
				Upstreams:      []fleet.Upstream{{URL: "https://api.openai.com", Weight: 1}},
				ParamOverrides: []fleet.ParamOverride{{Path: "stream", Value: json.RawMessage("false")}},
				Validation:     fleet.Validation{Model: "gpt-4.1-nano"}, Settings: map[string]string{"request_timeout": "30"},
			}
			if !reflect.DeepEqual(g.Group, want) {
				t.Errorf("group:\n%+v, want\n%+v", g.Group, want)
			}
			if keys, tally := keysOf(t, d, g); tally != (gptload1.KeyTally{Active: 1, Invalid: 1}) || keys[0].Value.Reveal() != "sk-old" || keys[0].Failures != 1 {
				t.Errorf("tally %+v", tally)
			}
		})
	}
}
