package proxy_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/fleet"
)

// TestExhaustedPool: when every key rests, the answer is a native 429 that says when to come back.
func TestExhaustedPool(t *testing.T) {
	r := newRig(t, 2, func(r *rig) []fleet.Group { return []fleet.Group{r.group(1, fleet.ChannelAnthropic)} })
	r.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: "429-seconds", RetryAfter: 30 * time.Second}})
	if a := r.ask(fleet.ChannelAnthropic, "m", false); a.status != 429 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	r.provider.ExpectCalls(t, 2)
	a := r.ask(fleet.ChannelAnthropic, "m", false)
	wait, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != 429 || err != nil || wait < 28 || wait > 30 || !strings.Contains(a.body, `"rate_limit_error"`) {
		t.Errorf("status %d, Retry-After %q: %s", a.status, a.header.Get("Retry-After"), a.body)
	}
	r.provider.ExpectCalls(t, 2) // the pool knew
	r.provider.Script()
	if a := r.ask(fleet.ChannelAnthropic, "another-model", false); a.status != 200 {
		t.Errorf("another model: status %d: %s", a.status, a.body)
	}
}

// TestWaitsForTheSoonestKey instead of failing, when it is back in time.
func TestWaitsForTheSoonestKey(t *testing.T) {
	r := newRig(t, 1, func(r *rig) []fleet.Group {
		return []fleet.Group{r.group(1, fleet.ChannelOpenAI, set("cooldown_wait_seconds", "5"))}
	})
	r.provider.Script(fakeprovider.Rule{When: fakeprovider.When{First: 1}, Then: fakeprovider.Then{Fault: "429-ms", RetryAfter: 300 * time.Millisecond}})
	begun := time.Now()
	a := r.ask(fleet.ChannelOpenAI, "m", false)
	if a.status != 200 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if took := time.Since(begun); took < 300*time.Millisecond {
		t.Errorf("the key was used again after %v, within its rest", took)
	}
	r.provider.ExpectCalls(t, 2)
}

// TestEveryKeyDead ends in an error of the gateway: the provider's own 401 would make the client doubt its key and quotes
// the operator's.
func TestEveryKeyDead(t *testing.T) {
	r := newRig(t, 2, func(r *rig) []fleet.Group { return []fleet.Group{r.group(1, fleet.ChannelOpenAI)} })
	r.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: "401-echo"}})
	a := r.ask(fleet.ChannelOpenAI, "m", false)
	if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "no_usable_key") || strings.Contains(a.body, "of-the-provider") {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	r.provider.ExpectCalls(t, 2)
	for _, record := range r.records.wait(t, 1) {
		for _, text := range []string{record.Error, record.Attempts[0].Reason} {
			if strings.Contains(text, "of-the-provider") {
				t.Errorf("a key stands in a record: %s", text)
			}
		}
	}
	if a := r.ask(fleet.ChannelOpenAI, "m", false); a.status != http.StatusServiceUnavailable {
		t.Errorf("with no key left: status %d", a.status)
	}
	r.provider.ExpectCalls(t, 2)
}

// TestModelDenied marks (key, model) only when another key served that model lately.
func TestModelDenied(t *testing.T) {
	r := newRig(t, 2, func(r *rig) []fleet.Group { return []fleet.Group{r.group(1, fleet.ChannelOpenAI)} })
	if a := r.ask(fleet.ChannelOpenAI, "m", false); a.status != 200 {
		t.Fatal(a.status)
	}
	served := r.records.wait(t, 1)[0].Attempts[0].KeyID % 1000
	other := 3 - served
	r.provider.Script(fakeprovider.Rule{Match: fakeprovider.Match{Key: keyValue(1, int(other))}, Then: fakeprovider.Then{Fault: "403-model"}})
	for range 4 {
		if a := r.ask(fleet.ChannelOpenAI, "m", false); a.status != 200 {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	}
	r.provider.ExpectCallsFor(t, keyValue(1, int(other)), 1)
}

// TestAggregate spreads by weight within a tier, goes on to the next tier within one request, and comes back.
func TestAggregate(t *testing.T) {
	aggregate := func(r *rig) []fleet.Group {
		at := func(name string) func(*fleet.Group) {
			return func(g *fleet.Group) {
				g.Upstreams = []fleet.Upstream{{URL: r.provider.BaseURL() + "/at/" + name, Weight: 1}}
			}
		}
		return []fleet.Group{
			r.group(1, fleet.ChannelOpenAI, at("one")), r.group(2, fleet.ChannelOpenAI, at("two")), r.group(3, fleet.ChannelOpenAI, at("three")),
			{
				ID: 9, Name: "all", Kind: fleet.KindAggregate, Channel: fleet.ChannelOpenAI, Settings: map[string]string{},
				Members: []fleet.Member{{GroupID: 1, Weight: 3, Tier: 1}, {GroupID: 2, Weight: 1, Tier: 1}, {GroupID: 3, Weight: 1, Tier: 2}},
			},
		}
	}
	askAll := func(r *rig) answer {
		return r.send(http.MethodPost, "/proxy/all/v1/chat/completions", chat("m", false))
	}
	served := func(r *rig) map[string]int {
		count := map[string]int{}
		for _, c := range r.provider.Calls() {
			count[c.Upstream]++
		}
		return count
	}
	t.Run("weights", func(t *testing.T) {
		r := newRig(t, 2, aggregate)
		for range 40 {
			if a := askAll(r); a.status != 200 {
				t.Fatal(a.status, a.body)
			}
		}
		if got := served(r); got["one"] != 30 || got["two"] != 10 || got["three"] != 0 {
			t.Errorf("served %v, want 30, 10 and none of the second tier", got)
		}
		record := r.records.wait(t, 1)[0]
		if record.ParentName != "all" || record.GroupName == "all" {
			t.Errorf("recorded as group %q of %q", record.GroupName, record.ParentName)
		}
	})
	t.Run("a failing member is left within the request", func(t *testing.T) {
		r := newRig(t, 2, aggregate)
		r.provider.Script(fakeprovider.Rule{Match: fakeprovider.Match{Upstream: "one"}, Then: fakeprovider.Then{Fault: "503"}})
		for range 20 {
			if a := askAll(r); a.status != 200 {
				t.Fatal(a.status, a.body)
			}
		}
		got := served(r)
		if got["two"] != 20 || got["three"] != 0 {
			t.Errorf("served %v, want all by the second member", got)
		}
		if got["one"] > 8 {
			t.Errorf("the failing member was asked %d times in 20 requests: it should rest", got["one"])
		}
	})
	t.Run("the second tier serves only when the first cannot", func(t *testing.T) {
		r := newRig(t, 2, aggregate)
		r.provider.Script(
			fakeprovider.Rule{Match: fakeprovider.Match{Upstream: "one"}, Then: fakeprovider.Then{Fault: "429-seconds", RetryAfter: time.Hour}},
			fakeprovider.Rule{Match: fakeprovider.Match{Upstream: "two"}, Then: fakeprovider.Then{Fault: "429-seconds", RetryAfter: time.Hour}},
		)
		for range 5 {
			if a := askAll(r); a.status != 200 && a.status != 429 {
				t.Fatal(a.status, a.body)
			}
		}
		r.provider.Reset()
		for range 5 {
			if a := askAll(r); a.status != 200 {
				t.Fatal(a.status, a.body)
			}
		}
		if got := served(r); got["three"] != 5 || len(got) != 1 {
			t.Errorf("served %v, want all by the second tier: no key of the first is usable", got)
		}
	})
}

// TestStrictModels cannot be passed by any spelling of the body.
func TestStrictModels(t *testing.T) {
	strict := func(g *fleet.Group) {
		g.ModelRedirects, g.ModelRedirectStrict = []fleet.ModelRedirect{{From: "allowed", To: "real-model"}}, true
	}
	r := newRig(t, 1, func(r *rig) []fleet.Group {
		return []fleet.Group{r.group(1, fleet.ChannelOpenAI, strict), r.group(2, fleet.ChannelGemini, strict)}
	})
	const path = "/proxy/g1/v1/chat/completions"
	for name, body := range map[string]string{
		"another model":   `{"model":"forbidden"}`,
		"twice, last":     `{"model":"allowed","model":"forbidden"}`,
		"escaped":         `{"model":"allowed","mod\u0065l":"forbidden"}`,
		"a number":        `{"model":7}`,
		"truncated":       `{"model":"allowed","messages":[`,
		"byte order mark": "\xef\xbb\xbf" + `{"model":"forbidden"}`,
		"utf-16":          "{\x00\"\x00m\x00o\x00d\x00e\x00l\x00\"\x00:\x00\"\x00x\x00\"\x00}\x00",
		"an array":        `[{"model":"forbidden"}]`,
		"trailing":        `{"model":"allowed"}{"model":"forbidden"}`,
		"long":            `{"model":"` + strings.Repeat("x", 300) + `"}`,
		"nul":             `{"model":"allowed\u0000"}`,
	} {
		if a := r.send(http.MethodPost, path, body); a.status != 400 && a.status != 404 || !json.Valid([]byte(a.body)) {
			t.Errorf("%s: status %d: %s", name, a.status, a.body)
		}
	}
	if a := r.send(http.MethodPost, path, `{"model":"allowed"}`, "Content-Encoding", "gzip"); a.status != 400 {
		t.Errorf("compressed: status %d", a.status)
	}
	form := "--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nforbidden\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nbytes\r\n--B--\r\n"
	if a := r.send(http.MethodPost, "/proxy/g1/v1/audio/transcriptions", form, "Content-Type", "multipart/form-data; boundary=B"); a.status != 404 {
		t.Errorf("form: status %d: %s", a.status, a.body)
	}
	if a := r.send(http.MethodPost, "/proxy/g2/v1beta/models/forbidden:generateContent", `{}`); a.status != 404 || !strings.Contains(a.body, `"NOT_FOUND"`) {
		t.Errorf("Gemini path: status %d: %s", a.status, a.body)
	}
	r.provider.ExpectCalls(t, 0)

	if a := r.send(http.MethodPost, path, `{"model":"x","messages":[{"role":"user","content":"x"}],"mod\u0065l":"allowed" }`); a.status != 200 {
		t.Errorf("allowed: status %d: %s", a.status, a.body)
	}
	if body := string(r.provider.Calls()[0].Body); body != `{"model":"real-model","messages":[{"role":"user","content":"x"}],"mod\u0065l":"real-model" }` {
		t.Errorf("sent %s", body)
	}
	if a := r.send(http.MethodPost, "/proxy/g1/v1/audio/transcriptions", strings.Replace(form, "forbidden", "allowed", 1), "Content-Type", "multipart/form-data; boundary=B"); a.status != 200 {
		t.Errorf("form: status %d: %s", a.status, a.body)
	}
	if call := r.provider.Calls()[1]; !strings.Contains(string(call.Body), "\r\n\r\nreal-model\r\n--B") {
		t.Errorf("form sent %q", call.Body)
	}
	if a := r.send(http.MethodPost, "/proxy/g2/v1beta/models/allowed:generateContent", `{"contents":[{"role":"user","parts":[{"text":"hello"}]}]}`); a.status != 200 {
		t.Errorf("Gemini path: status %d: %s", a.status, a.body)
	}
	if a := r.send(http.MethodGet, "/proxy/g1/v1/models", ""); a.status != 200 || !strings.Contains(a.body, `"allowed"`) || strings.Contains(a.body, `"gpt-4`) {
		t.Errorf("strict model list: %d %s", a.status, a.body)
	}
	if changed := r.states(1, 1); len(changed) > 0 {
		t.Errorf("keys changed: %v", changed)
	}
}

// TestOverridesAndHeaderRules change what they name and nothing else.
func TestOverridesAndHeaderRules(t *testing.T) {
	r := newRig(t, 1, func(r *rig) []fleet.Group {
		return []fleet.Group{r.group(1, fleet.ChannelOpenAI, func(g *fleet.Group) {
			g.ParamOverrides = []fleet.ParamOverride{{Path: "temperature", Value: json.RawMessage("0.5")}, {Path: "metadata.user"}}
			g.HeaderRules = []fleet.HeaderRule{
				{Name: "X-Team", Action: fleet.HeaderSet, Value: "${GROUP_NAME}/${CLIENT_IP}"},
				{Name: "X-Drop", Action: fleet.HeaderRemove},
				{Name: "X-Key", Action: fleet.HeaderSet, Value: "k ${API_KEY}"},
			}
		})}
	})
	a := r.send(http.MethodPost, "/proxy/g1/v1/chat/completions", `{ "model":"m", "temperature": 1e0, "metadata":{"user":"u","keep":1.50} ,"messages":[]}`, "X-Drop", "me")
	if a.status != 200 {
		t.Fatal(a.status, a.body)
	}
	call := r.provider.Calls()[0]
	if want := `{ "model":"m", "temperature": 0.5, "metadata":{"keep":1.50} ,"messages":[]}`; string(call.Body) != want {
		t.Errorf("sent %s", call.Body)
	}
	if call.Header.Get("X-Team") != "g1/127.0.0.1" || call.Header.Get("X-Drop") != "" || call.Header.Get("X-Key") != "k "+keyValue(1, 1) {
		t.Errorf("headers %v", call.Header)
	}
}

// TestCredentialSpots: the proxy key admits from each place, goes nowhere, and the provider key goes where it belongs.
func TestCredentialSpots(t *testing.T) {
	r := newRig(t, 1, func(r *rig) []fleet.Group {
		return []fleet.Group{r.group(1, fleet.ChannelOpenAI), r.group(2, fleet.ChannelAnthropic), r.group(3, fleet.ChannelGemini)}
	})
	for _, group := range []string{"g1", "g2", "g3"} {
		for _, spot := range [][]string{{"Authorization", "bearer " + proxyKey}, {"X-Api-Key", proxyKey}, {"X-Goog-Api-Key", proxyKey}, {"Api-Key", proxyKey}, {"", ""}} {
			path := "/proxy/" + group + "/echo/v1/x?a=1&b=%20"
			header := []string{"Authorization", ""}
			if spot[0] == "" {
				path += "&key=" + proxyKey + "&c=2"
			} else {
				header = append(header, spot...)
			}
			r.provider.Reset()
			a := r.send(http.MethodGet, path, "", header...)
			if a.status != 200 {
				t.Errorf("%s %v: status %d: %s", group, spot[0], a.status, a.body)
				continue
			}
			call := r.provider.Calls()[0]
			if len(call.Credentials) != 1 || !strings.HasPrefix(call.Credentials[0].Value, "key-") {
				t.Errorf("%s %v: the provider saw %d credentials", group, spot[0], len(call.Credentials))
			}
			if strings.Contains(call.URI, proxyKey) || strings.Contains(a.body, proxyKey) || !strings.Contains(call.URI, "?a=1&b=%20") {
				t.Errorf("%s %v: sent %s", group, spot[0], call.URI)
			}
		}
		for _, wrong := range [][]string{{"Authorization", "Bearer wrong"}, {"Authorization", ""}} {
			if a := r.send(http.MethodGet, "/proxy/"+group+"/v1/models", "", wrong...); a.status != 401 {
				t.Errorf("%s: a wrong key got %d", group, a.status)
			}
			unknown := r.send(http.MethodGet, "/proxy/nobody/v1/models", "", wrong...)
			if unknown.status != 401 {
				t.Errorf("an unknown group with a wrong key got %d", unknown.status)
			}
		}
	}
}
