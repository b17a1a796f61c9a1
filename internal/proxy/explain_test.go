package proxy_test

import (
	"net/http"
	"regexp"
	"testing"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/fleet"
)

// TestExplain: whoever asks hears how the request was served, and nobody else; the provider never sees the question.
func TestExplain(t *testing.T) {
	r := newRig(t, 3, func(r *rig) []fleet.Group { return []fleet.Group{r.group(1, fleet.ChannelOpenAI)} })
	r.provider.Script(fakeprovider.Rule{When: fakeprovider.When{First: 1}, Then: fakeprovider.Then{Fault: "429-seconds"}})
	got := r.send(http.MethodPost, "/proxy/g1/v1/chat/completions", chat("m", true), "X-Gpt-Load-Explain", "1")
	if got.status != http.StatusOK || got.err != nil {
		t.Fatal(got.status, got.err)
	}
	for name, form := range map[string]string{
		"Server-Timing":         `^queue;dur=[0-9.]+, body;dur=[0-9.]+, upstream;dur=[0-9.]+, gateway;dur=[0-9.]+$`,
		"X-Gpt-Load-Attempts":   `^429 limited \d+ms, 200 ok \d+ms$`,
		"X-Gpt-Load-Request-Id": `^` + r.records.wait(t, 1)[0].ID.String() + `$`,
	} {
		if value := got.header.Get(name); !regexp.MustCompile(form).MatchString(value) {
			t.Errorf("%s: %q", name, value)
		}
	}
	for _, call := range r.provider.Calls() {
		if call.Header.Get("X-Gpt-Load-Explain") != "" {
			t.Error("the provider sees the question")
		}
	}
	r.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Break: fakeprovider.BreakReset}})
	failed := r.send(http.MethodPost, "/proxy/g1/v1/chat/completions", chat("m", false), "X-Gpt-Load-Explain", "1")
	if trail := failed.header.Get("X-Gpt-Load-Attempts"); failed.status != http.StatusBadGateway || !regexp.MustCompile(`^(- upstream \d+ms(, )?){4}$`).MatchString(trail) {
		t.Errorf("%d, %q", failed.status, trail)
	}
	r.provider.Script()
	for _, value := range []string{"", "0"} {
		quiet := r.send(http.MethodPost, "/proxy/g1/v1/chat/completions", chat("m", false), "X-Gpt-Load-Explain", value)
		for _, name := range []string{"Server-Timing", "X-Gpt-Load-Attempts", "X-Gpt-Load-Request-Id"} {
			if quiet.header.Get(name) != "" {
				t.Errorf("asked with %q: %s is %q", value, name, quiet.header.Get(name))
			}
		}
	}
}
