package adminhttp_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func TestProxyKeysAndTheGroupsThatTheyOpen(t *testing.T) {
	w := newWorld(t)
	const everywhere, two, one = "sk-everywhere-00001111", "sk-of-two-00002222", "sk-of-one-00003333"
	if _, err := w.client.ChangeSettings(t.Context(), adminapi.SettingsPatch{"proxy_keys": everywhere, "app_url": "https://ai.example.com/load/"}); err != nil {
		t.Fatal(err)
	}
	in := openai("chat")
	in.ProxyKeys = []string{two, everywhere}
	chat := w.group(in)
	in = openai("compatible")
	in.Upstreams, in.ProxyKeys = []adminapi.Upstream{{URL: "https://x.example/api/v1", Weight: 1}, {URL: "https://off.example", Weight: 0}}, []string{one}
	compatible := w.group(in)
	claude := w.group(adminapi.GroupInput{Name: "claude", Channel: adminapi.ChannelAnthropic, Upstreams: []adminapi.Upstream{{URL: "https://api.anthropic.com", Weight: 1}}})
	all := w.group(adminapi.GroupInput{
		Name: "all", DisplayName: "All", Kind: adminapi.KindAggregate, Channel: adminapi.ChannelOpenAI, ProxyKeys: []string{two},
		Members: []adminapi.Member{{GroupID: compatible.ID, Weight: 1, Tier: 1}, {GroupID: chat.ID, Weight: 0, Tier: 1}},
	})

	page, err := w.client.ProxyKeys(t.Context(), adminclient.ProxyKeyFilter{})
	if err != nil || page.BaseURL != "https://ai.example.com/load" || page.BaseURLFrom != adminapi.BaseURLFromSetting || page.NextCursor != "" {
		t.Fatalf("%+v, %v", page, err)
	}
	order := []string{all.ID, chat.ID, claude.ID, compatible.ID}
	want := map[string]adminapi.ProxyKey{
		everywhere: {Masked: "****1111", EveryGroup: true, GroupIDs: order},
		two:        {Masked: "****2222", GroupIDs: []string{all.ID, chat.ID}},
		one:        {Masked: "****3333", GroupIDs: []string{compatible.ID}},
	}
	if len(page.ProxyKeys) != len(want) {
		t.Errorf("%d keys", len(page.ProxyKeys))
	}
	for value, k := range want {
		k.Fingerprint = w.store.Fingerprint(secret.New(value))
		i := slices.IndexFunc(page.ProxyKeys, func(got adminapi.ProxyKey) bool { return got.Fingerprint == k.Fingerprint })
		if i < 0 || asJSON(t, page.ProxyKeys[i]) != asJSON(t, k) {
			t.Errorf("%s is not among %s", asJSON(t, k), asJSON(t, page.ProxyKeys))
		}
	}
	var lines []string
	for _, g := range page.Groups {
		lines = append(lines, fmt.Sprintf("%s %s %s", g.Name, g.SDKBaseURL, g.Endpoints[0].Path))
		if g.Endpoints[0].URL != page.BaseURL+g.Endpoints[0].Path || g.ProxyURL != page.BaseURL+"/proxy/"+g.Name {
			t.Errorf("%+v", g)
		}
	}
	if got, want := strings.Join(lines, "\n"), `all https://ai.example.com/load/proxy/all /proxy/all/chat/completions
chat https://ai.example.com/load/proxy/chat/v1 /proxy/chat/v1/chat/completions
claude https://ai.example.com/load/proxy/claude /proxy/claude/v1/messages
compatible https://ai.example.com/load/proxy/compatible /proxy/compatible/chat/completions`; got != want {
		t.Errorf("groups:\n%s\nwant\n%s", got, want)
	}

	page, err = w.client.ProxyKeys(t.Context(), adminclient.ProxyKeyFilter{Fingerprint: w.store.Fingerprint(secret.New(one)), Reveal: true})
	if err != nil || len(page.ProxyKeys) != 1 || page.ProxyKeys[0].Value != one || len(page.Groups) != 1 || page.Groups[0].ID != compatible.ID {
		t.Errorf("by fingerprint: %+v, %v", page, err)
	}
	page, err = w.client.ProxyKeys(t.Context(), adminclient.ProxyKeyFilter{GroupID: chat.ID})
	if err != nil || len(page.ProxyKeys) != 2 || page.ProxyKeys[0].Value != "" {
		t.Errorf("of a group: %+v, %v", page, err)
	}
}

func TestProxyKeysComeInPages(t *testing.T) {
	w := newWorld(t)
	in := openai("a")
	for i := range 25 {
		in.ProxyKeys = append(in.ProxyKeys, fmt.Sprintf("sk-client-%08d", i))
	}
	w.group(in)
	seen := map[string]bool{}
	f := adminclient.ProxyKeyFilter{Limit: 10, Reveal: true}
	pages := 0
	for ; ; pages++ {
		page, err := w.client.ProxyKeys(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if page.BaseURL != w.server.URL || page.BaseURLFrom != adminapi.BaseURLFromRequest {
			t.Errorf("without app_url the address is %s from %s", page.BaseURL, page.BaseURLFrom)
		}
		for _, k := range page.ProxyKeys {
			if seen[k.Value] || k.Fingerprint <= f.Cursor {
				t.Errorf("%s comes again", k.Value)
			}
			seen[k.Value] = true
		}
		if f.Cursor = page.NextCursor; f.Cursor == "" {
			break
		}
	}
	if len(seen) != 25 || pages != 2 {
		t.Errorf("%d keys on %d more pages", len(seen), pages)
	}
	status, _, body := w.raw(http.MethodGet, "/proxy-keys", http.Header{"X-Forwarded-Proto": {"https"}}, "")
	if want := strings.Replace(w.server.URL, "http://", "https://", 1); status != http.StatusOK || !strings.Contains(body, want+`/proxy/a/v1/chat/completions`) {
		t.Errorf("behind TLS it answered %d %s", status, body)
	}
}
