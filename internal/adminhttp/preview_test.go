package adminhttp_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"gpt-load/internal/adminhttp"
	"gpt-load/internal/fleet"
	"gpt-load/internal/proxy"
	"gpt-load/pkg/adminapi"
)

// Preview implements adminhttp.Tester.
func (w *world) Preview(g fleet.Group, system map[string]string, s adminhttp.Sample) (adminhttp.Preview, error) {
	p, err := proxy.PreviewOf(g, system, proxy.Sample(s))
	return adminhttp.Preview(p), err
}

func TestPreview(t *testing.T) {
	w := newWorld(t)
	in := openai("chat")
	in.ModelRedirects, in.ModelRedirectStrict = []adminapi.ModelRedirect{{From: "fast", To: "gpt-4.1-nano"}}, true
	in.ParamOverrides = []adminapi.ParamOverride{{Path: "temperature", Value: json.RawMessage("0.70")}}
	in.HeaderRules = []adminapi.HeaderRule{{Name: "X-Key", Action: "set", Value: "${GROUP_NAME} ${API_KEY} ${CLIENT_IP}"}}
	in.ProxyKeys = []string{"sk-client-canary-12345678"}
	g := w.group(in)

	p, err := w.client.Preview(t.Context(), g.ID, adminapi.PreviewInput{Model: "fast"})
	if err != nil || p.Refusal != nil || p.ModelAsked != "fast" || p.ModelSent != "gpt-4.1-nano" || p.Method != http.MethodPost || p.URL != "https://api.openai.com/v1/chat/completions" {
		t.Fatalf("%+v, %v", p, err)
	}
	if !strings.Contains(p.Body, `"model":"gpt-4.1-nano"`) || !strings.Contains(p.Body, `"temperature":0.70`) {
		t.Errorf("sends %s", p.Body)
	}
	if p.Headers["Authorization"][0] != "Bearer API_KEY" || p.Headers["X-Key"][0] != "chat API_KEY 127.0.0.1" {
		t.Errorf("sends %v", p.Headers)
	}
	body := `{"messages": [],  "model":"fast", "stream": true, "n": 1e3}`
	p, err = w.client.Preview(t.Context(), g.ID, adminapi.PreviewInput{
		Path: "/v1/chat/completions?a=b", Body: json.RawMessage(body), Headers: map[string]string{"api-key": in.ProxyKeys[0], "x-trace": "1"},
		Changes: &adminapi.GroupPatch{ModelRedirects: &[]adminapi.ModelRedirect{{From: "fast", To: "tried"}}, ParamOverrides: &[]adminapi.ParamOverride{}},
	})
	if err != nil || !p.Stream || p.Body != asJSON(t, json.RawMessage(strings.Replace(body, "fast", "tried", 1))) || p.URL != "https://api.openai.com/v1/chat/completions?a=b" {
		t.Errorf("with changes %+v, %v", p, err)
	}
	if p.Headers["Api-Key"][0] != "API_KEY" || p.Headers["X-Trace"][0] != "1" || p.Headers["Authorization"] != nil {
		t.Errorf("in the client's style it sends %v", p.Headers)
	}
	status, _, text := w.raw(http.MethodPost, "/groups/"+g.ID+"/preview", http.Header{"Content-Type": {"application/json"}}, `{"body": `+body+`}`)
	if want := strings.Replace(body, `"n": 1e3`, `"n": 1e3,"temperature":0.70`, 1); status != http.StatusOK || !strings.Contains(text, asJSON(t, strings.Replace(want, "fast", "gpt-4.1-nano", 1))) {
		t.Errorf("to the byte, it answered %d %s", status, text)
	}
	if got, err := w.client.Group(t.Context(), g.ID, false); err != nil || got.Revision != g.Revision {
		t.Errorf("a preview changed the group: %+v, %v", got, err)
	}
	p, err = w.client.Preview(t.Context(), g.ID, adminapi.PreviewInput{Model: "slow"})
	if err != nil || p.Refusal == nil || p.Refusal.Status != http.StatusNotFound || p.Refusal.Code != "model_not_found" {
		t.Errorf("%+v, %v", p.Refusal, err)
	}
	p, err = w.client.Preview(t.Context(), g.ID, adminapi.PreviewInput{Path: "/v1/models"})
	if err != nil || p.Method != http.MethodGet || p.Body != "" || p.Headers["Accept-Encoding"][0] != "identity" {
		t.Errorf("%+v, %v", p, err)
	}

	all := w.group(adminapi.GroupInput{Name: "all", Kind: adminapi.KindAggregate, Channel: adminapi.ChannelOpenAI})
	for name, c := range map[string]struct {
		group string
		in    adminapi.PreviewInput
		field string
	}{
		"aggregate":    {all.ID, adminapi.PreviewInput{}, ""},
		"path":         {g.ID, adminapi.PreviewInput{Path: "v1"}, "path"},
		"host":         {g.ID, adminapi.PreviewInput{Path: "http://elsewhere/v1"}, "path"},
		"header":       {g.ID, adminapi.PreviewInput{Headers: map[string]string{"X": "a\r\nY: b"}}, "headers"},
		"wrong change": {g.ID, adminapi.PreviewInput{Changes: &adminapi.GroupPatch{Channel: new("x")}}, "channel"},
		"masked":       {g.ID, adminapi.PreviewInput{Changes: &adminapi.GroupPatch{ProxyKeys: &[]string{"****1234"}}}, "proxy_keys[0]"},
	} {
		_, err := w.client.Preview(t.Context(), c.group, c.in)
		e := refused(t, err, adminapi.CodeInvalid)
		if got := strings.Join(fieldsOf(e), " "); got != c.field {
			t.Errorf("%s: faults of %q: %v", name, got, e.Message)
		}
	}
}
