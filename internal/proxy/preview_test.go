package proxy_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/proxy"
)

// TestPreviewIsWhatTheUpstreamGets sends each request and compares what arrives with what was foretold.
func TestPreviewIsWhatTheUpstreamGets(t *testing.T) {
	var got *http.Request
	var body string
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		got, body = r, string(content)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"x"}]}`)
	}))
	defer provider.Close()
	var groups []fleet.Group
	r := newRig(t, 1, func(r *rig) []fleet.Group {
		busy := func(g *fleet.Group) {
			g.Upstreams = []fleet.Upstream{{URL: provider.URL + "/base", Weight: 1}, {URL: "http://127.0.0.1:1", Weight: 0}}
			g.ModelRedirects = []fleet.ModelRedirect{{From: "fast", To: "gpt-4.1-nano"}}
			g.ParamOverrides = []fleet.ParamOverride{{Path: "temperature", Value: json.RawMessage("0.70")}, {Path: "user"}}
			g.HeaderRules = []fleet.HeaderRule{
				{Name: "X-Who", Action: fleet.HeaderSet, Value: "${GROUP_NAME} from ${CLIENT_IP} by ${API_KEY}"}, {Name: "X-Private", Action: fleet.HeaderRemove},
			}
		}
		bare := func(g *fleet.Group) { g.Upstreams = []fleet.Upstream{{URL: provider.URL, Weight: 1}} }
		groups = []fleet.Group{
			r.group(1, fleet.ChannelOpenAI, busy), r.group(2, fleet.ChannelGemini, busy), r.group(3, fleet.ChannelAnthropic, bare), r.group(4, fleet.ChannelOpenAI, bare),
		}
		return groups
	})
	for name, c := range map[string]struct {
		group              int
		method, path, body string
		header             []string
	}{
		"redirect, override, rules": {group: 1, path: "/v1/chat/completions?b=2&a=1", body: `{"model": "fast",  "user":"me", "messages":[]}`, header: []string{"X-Private", "yes", "X-Other", "kept", "Cookie", proxy.SessionCookie + "=s; a=b"}},
		"model in the path":         {group: 2, path: "/v1beta/models/fast:streamGenerateContent?alt=sse", body: `{"contents":[]}`, header: []string{"Authorization", "", "X-Goog-Api-Key", proxyKey}},
		"key in the query":          {group: 2, path: "/v1beta/models/other:generateContent?key=" + proxyKey + "&x=y", body: `{"contents":[]}`, header: []string{"Authorization", ""}},
		"anthropic by bearer":       {group: 3, path: "/v1/messages", body: chat("claude", false), header: []string{"Anthropic-Version", "2023-06-01"}},
		"anthropic by x-api-key":    {group: 3, path: "/v1/messages", body: chat("claude", true), header: []string{"Authorization", "", "X-Api-Key", proxyKey}},
		"a list of models":          {group: 1, method: http.MethodGet, path: "/v1/models"},
		"slashes stay":              {group: 4, path: "//v1/x%2Fy", body: `[1]`},
		"odd body":                  {group: 4, path: "/v1/audio", body: "no json", header: []string{"Content-Type", "text/plain"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.method == "" {
				c.method = http.MethodPost
			}
			g := groups[c.group-1]
			if a := r.send(c.method, "/proxy/"+g.Name+c.path, c.body, c.header...); a.status != http.StatusOK || got == nil {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			sent := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + proxyKey}, "User-Agent": {"Go-http-client/1.1"}}
			for i := 0; i+1 < len(c.header); i += 2 {
				sent.Del(c.header[i])
				if c.header[i+1] != "" {
					sent.Set(c.header[i], c.header[i+1])
				}
			}
			path, query, _ := strings.Cut(c.path, "?")
			p, err := proxy.PreviewOf(g, nil, proxy.Sample{Method: c.method, Path: path, Query: query, Header: sent, Body: []byte(c.body), ClientIP: "127.0.0.1"})
			if err != nil || p.Refusal != nil {
				t.Fatalf("%+v, %v", p.Refusal, err)
			}
			key := keyValue(g.ID, 1)
			shown := strings.NewReplacer(key, proxy.PreviewKey)
			if want := provider.URL + shown.Replace(strings.TrimPrefix(got.RequestURI, provider.URL)); p.URL != want || p.Method != got.Method {
				t.Errorf("foretold %s %s\ngot %s %s", p.Method, p.URL, got.Method, want)
			}
			if string(p.Body) != body {
				t.Errorf("foretold %s\ngot %s", p.Body, body)
			}
			want := maps.Clone(got.Header)
			delete(want, "Content-Length")
			delete(want, "Accept-Encoding") // of the test's client, or of a list that is edited
			foretold := maps.Clone(p.Header)
			delete(foretold, "Accept-Encoding")
			for name, values := range want {
				values = slices.Clone(values)
				for i := range values {
					values[i] = shown.Replace(values[i])
				}
				if name == "Cookie" {
					values = []string{"****"}
				}
				want[name] = values
			}
			if !reflect.DeepEqual(foretold, want) {
				t.Errorf("foretold %v\ngot %v", foretold, want)
			}
		})
	}
	if keys := r.states(1, 1); len(keys) != 0 {
		t.Errorf("keys changed: %v", keys)
	}
}

func TestPreviewTellsRefusals(t *testing.T) {
	g := fleet.Group{
		ID: 7, Name: "g", Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI, Upstreams: []fleet.Upstream{{URL: "https://api.example.com", Weight: 1}},
		ModelRedirects: []fleet.ModelRedirect{{From: "a", To: "b"}}, ModelRedirectStrict: true,
		HeaderRules: []fleet.HeaderRule{{Name: "Api-Key", Action: fleet.HeaderSet, Value: "sk-second-secret"}, {Name: "Proxy-Authorization", Action: fleet.HeaderSet, Value: "Basic c2VjcmV0"}},
	}
	sample := proxy.Sample{Method: http.MethodPost, Path: "/v1/chat/completions", Body: []byte(chat("c", true))}
	p, err := proxy.PreviewOf(g, nil, sample)
	if err != nil || p.Refusal == nil || p.Refusal.Status != http.StatusNotFound || p.ModelAsked != "c" || p.URL != "" {
		t.Errorf("%+v, %v", p, err)
	}
	sample.Body = []byte(chat("a", true))
	p, err = proxy.PreviewOf(g, nil, sample)
	if err != nil || p.Refusal != nil || p.ModelSent != "b" || !p.Stream || p.URL != "https://api.example.com/v1/chat/completions" {
		t.Errorf("%+v, %v", p, err)
	}
	if p.Header.Get("Api-Key") != "****" || p.Header.Get("Proxy-Authorization") != "Basic ****" || p.Header.Get("Authorization") != "Bearer "+proxy.PreviewKey {
		t.Errorf("shows %v", p.Header)
	}
	sample.Path = "/v1/../x"
	if p, err = proxy.PreviewOf(g, nil, sample); err != nil || p.Refusal == nil || p.Refusal.Code != "bad_path" {
		t.Errorf("%+v, %v", p, err)
	}
	g.Kind = fleet.KindAggregate
	if _, err = proxy.PreviewOf(g, nil, sample); fleet.CodeOf(err) != fleet.CodeInvalid {
		t.Error(err)
	}
}
