package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/fleet"
)

// TestNoFailoverKeepsTheKeySecret: with a list of statuses that leaves a dead key's out, the request ends at once, but
// still not with the provider's answer, which quotes the operator's key.
func TestNoFailoverKeepsTheKeySecret(t *testing.T) {
	for _, kind := range []string{"401-echo", "402", "403-suspended"} {
		r := newRig(t, 3, func(r *rig) []fleet.Group {
			return []fleet.Group{r.group(1, fleet.ChannelOpenAI, set("failover_status_codes", "500-599"))}
		})
		r.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: kind}})
		a := r.ask(fleet.ChannelOpenAI, "m", false)
		if a.status != http.StatusServiceUnavailable || strings.Contains(a.body, "of-the-provider") ||
			!strings.Contains(a.body, "no_usable_key") || !strings.Contains(a.body, "failover_status_codes") {
			t.Errorf("%s: status %d: %s", kind, a.status, a.body)
		}
		r.provider.ExpectCalls(t, 1)
		if record := r.records.wait(t, 1)[0]; record.Class == fleet.ClassOK || record.Status != http.StatusServiceUnavailable {
			t.Errorf("%s: recorded as %d %s", kind, record.Status, record.Class)
		}
	}
}

// TestStrictModelsElsewhere: what some servers take for the model, beside the member model, is no way past a strict list.
func TestStrictModelsElsewhere(t *testing.T) {
	r := newRig(t, 1, func(r *rig) []fleet.Group {
		return []fleet.Group{r.group(1, fleet.ChannelOpenAI, func(g *fleet.Group) {
			g.ModelRedirects, g.ModelRedirectStrict = []fleet.ModelRedirect{{From: "allowed", To: "real-model"}}, true
		}), r.group(2, fleet.ChannelOpenAI)}
	})
	for _, c := range [][2]string{
		{"/v1/chat/completions", `{"Model":"forbidden"}`},
		{"/v1/chat/completions", `{"model":"allowed","MODEL":"forbidden"}`},
		{"/v1/chat/completions", `{"model":"allowed","m\u004fdel":"forbidden"}`},
		{"/openai/deployments/forbidden/chat/completions?api-version=1", `{"messages":[]}`},
		{"/openai/deployments/forbidden/chat/completions", `{"model":"allowed"}`},
		{"/openai/%64eployments/forbidden/chat/completions", `{}`},
		{"/v1/engines/forbidden/completions", `{}`},
	} {
		if a := r.send(http.MethodPost, "/proxy/g1"+c[0], c[1]); a.status != http.StatusBadRequest || !strings.Contains(a.body, "model_unknown") {
			t.Errorf("%s %s: status %d: %s", c[0], c[1], a.status, a.body)
		}
		if a := r.send(http.MethodPost, "/proxy/g2/echo"+c[0], c[1]); a.status != http.StatusOK {
			t.Errorf("%s %s, without a list: status %d: %s", c[0], c[1], a.status, a.body)
		}
	}
	r.provider.ExpectCalls(t, 7)
}

// TestEmptyAggregate says what is missing where: an aggregate takes no keys itself.
func TestEmptyAggregate(t *testing.T) {
	r := newRig(t, 0, func(r *rig) []fleet.Group {
		return []fleet.Group{r.group(1, fleet.ChannelOpenAI), {ID: 2, Name: "all", Kind: fleet.KindAggregate, Channel: fleet.ChannelOpenAI, Members: []fleet.Member{{GroupID: 1, Weight: 1, Tier: 1}}}}
	})
	for path, says := range map[string]string{"/proxy/g1/v1/chat/completions": "the group has no usable key", "/proxy/all/v1/chat/completions": "no member of the aggregate"} {
		if a := r.send(http.MethodPost, path, chat("m", false)); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, says) {
			t.Errorf("%s: status %d: %s", path, a.status, a.body)
		}
	}
}

// TestAnswersThatRepeatTheKey stay here whatever they are about, and blame whom they blame.
func TestAnswersThatRepeatTheKey(t *testing.T) {
	const body = `{"error":{"message":"cannot parse the request of %s","type":"invalid_request_error"}}`
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, key string)
		status int
	}{
		"in a body": {func(w http.ResponseWriter, key string) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, body, key)
		}, 400},
		"in a header": {func(w http.ResponseWriter, key string) {
			w.Header().Set("X-Echo", key)
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprintf(w, body, "yours")
		}, 404},
		"of the provider's own fault": {func(w http.ResponseWriter, key string) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, body, key)
		}, 500},
		"inside a 200": {func(w http.ResponseWriter, key string) { _, _ = fmt.Fprintf(w, body, key) }, 400},
	} {
		r := newRig(t, 1, func(r *rig) []fleet.Group {
			return []fleet.Group{r.group(1, fleet.ChannelOpenAI, set("max_retries", "0"))}
		})
		r.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Handler: http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			c.answer(w, strings.TrimPrefix(in.Header.Get("Authorization"), "Bearer "))
		})}})
		a := r.ask(fleet.ChannelOpenAI, "m", false)
		if a.status != c.status || strings.Contains(a.body, "of-the-provider") || a.header.Get("X-Echo") != "" || !strings.Contains(a.body, "answer_withheld") {
			t.Errorf("%s: status %d, %v: %s", name, a.status, a.header, a.body)
		}
		if record := r.records.wait(t, 1)[0]; strings.Contains(record.Error, "of-the-provider") || record.Class == fleet.ClassGateway {
			t.Errorf("%s: recorded as %s: %s", name, record.Class, record.Error)
		}
		if changed := r.states(1, 1); len(changed) > 0 {
			t.Errorf("%s: keys changed: %v", name, changed)
		}
	}
}
