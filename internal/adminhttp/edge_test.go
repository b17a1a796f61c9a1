package adminhttp_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gpt-load/internal/adminhttp"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
)

func TestRequestsThatCannotBe(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	jsonBody := http.Header{"Content-Type": {"application/json"}}
	for name, c := range map[string]struct {
		method, path string
		header       http.Header
		body         string
		status       int
		code, says   string
	}{
		"no such path":      {"GET", "/nothing", nil, "", 404, "not_found", "openapi.json"},
		"no such method":    {"PUT", "/groups", nil, "{}", 405, "invalid", "method"},
		"no such group":     {"GET", "/groups/77", nil, "", 404, "not_found", "group"},
		"no id":             {"GET", "/groups/a%2Fb", nil, "", 404, "not_found", "positive numbers"},
		"no such query":     {"GET", "/groups?reveel=true", nil, "", 422, "invalid", "reveel"},
		"query of a kind":   {"GET", "/groups/" + g.ID + "/keys?limit=ten", nil, "", 422, "invalid", `"field":"limit"`},
		"not JSON":          {"POST", "/groups", jsonBody, "{", 400, "invalid", "body"},
		"nothing":           {"POST", "/groups", jsonBody, "", 400, "invalid", "required"},
		"not an object":     {"POST", "/groups", jsonBody, "[]", 422, "invalid", "expected object"},
		"two objects":       {"POST", "/groups", jsonBody, "{}{}", 400, "invalid", "body"},
		"another format":    {"POST", "/groups", http.Header{"Content-Type": {"application/xml"}}, "<a/>", 415, "invalid", "unknown content type"},
		"unknown member":    {"POST", "/groups", jsonBody, `{"name":"b","chanel":"openai"}`, 422, "invalid", `"field":"chanel"`},
		"other case":        {"PATCH", "/groups/" + g.ID, jsonBody, `{"Description":"x"}`, 422, "invalid", `"field":"Description"`},
		"unknown inside":    {"PATCH", "/groups/" + g.ID, jsonBody, `{"upstreams":[{"url":"https://x","wait":1}]}`, 422, "invalid", `"field":"upstreams[0].wait"`},
		"null":              {"PATCH", "/groups/" + g.ID, jsonBody, `{"description":null}`, 422, "invalid", "leave it out"},
		"null inside":       {"PATCH", "/groups/" + g.ID, jsonBody, `{"validation":{"model":null}}`, 422, "invalid", "leave it out"},
		"number as text":    {"PATCH", "/groups/" + g.ID, jsonBody, `{"sort":"1"}`, 422, "invalid", `"field":"sort"`},
		"huge number":       {"PATCH", "/groups/" + g.ID, jsonBody, `{"sort":1e400}`, 400, "invalid", "body"},
		"revision":          {"PATCH", "/groups/" + g.ID, with(jsonBody, "If-Match", "abc"), `{}`, 422, "invalid", "If-Match"},
		"settings list":     {"PATCH", "/settings", jsonBody, `["max_retries"]`, 422, "invalid", "expected object"},
		"setting of a kind": {"PATCH", "/settings", jsonBody, `{"max_retries":{"a":1}}`, 422, "invalid", "max_retries"},
		"too large":         {"POST", "/groups", jsonBody, `{"name":"` + strings.Repeat("x", 3<<20) + `"}`, 413, "too_large", "2097152"},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := w.raw(c.method, c.path, c.header, c.body)
			if status != c.status || !strings.Contains(body, `"code":"`+c.code+`"`) || !strings.Contains(body, c.says) {
				t.Errorf("answered %d %.500s", status, body)
			}
			if id := header.Get("X-Request-Id"); id == "" || !strings.Contains(body, id) {
				t.Errorf("request id %q in %.300s", id, body)
			}
			if len(body) > 2000 {
				t.Errorf("the answer has %d bytes", len(body))
			}
		})
	}
	for range 2 {
		if _, header, _ := w.raw("PUT", "/groups", nil, ""); !strings.Contains(header.Get("Allow"), "POST") {
			t.Errorf("405 allows %q", header.Get("Allow"))
		}
	}
	if status, header, body := w.raw("GET", "//elsewhere", nil, ""); status != http.StatusNotFound || !strings.Contains(body, header.Get("X-Request-Id")) || header.Get("X-Frame-Options") == "" {
		t.Errorf("a path outside answered %d %v %s", status, header, body)
	}
	if len(w.logs.FilterMessage("admin request panicked").All()) > 0 {
		t.Error("something panicked")
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/groups", "/nothing", "/openapi.json", "/session"} {
		_, header, _ := w.raw(http.MethodGet, path, http.Header{"X-Request-Id": {"mine-1"}, "Origin": {"https://x.example"}}, "")
		for name, want := range map[string]string{
			"X-Request-Id": "mine-1", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", "Cross-Origin-Opener-Policy": "same-origin",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	if _, header, _ := w.raw(http.MethodGet, "/groups", http.Header{"X-Request-Id": {"a b<script>"}}, ""); strings.ContainsAny(header.Get("X-Request-Id"), " <") {
		t.Error("a bad request id came back")
	}
}

func TestCORSIsAsConfigured(t *testing.T) {
	preflight := http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"PUT"}, "Access-Control-Request-Headers": {"authorization,x-y"}}
	for name, c := range map[string]struct {
		cors   adminhttp.CORS
		origin string
		want   map[string]string // of the preflight
	}{
		"off": {adminhttp.CORS{AllowedOrigins: []string{"*"}}, "https://a.example", map[string]string{"Access-Control-Allow-Origin": ""}},
		"any": {
			adminhttp.CORS{Enabled: true, AllowedOrigins: []string{"*"}, AllowedMethods: []string{"GET", "PUT"}, AllowedHeaders: []string{"*"}},
			"https://a.example",
			map[string]string{
				"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET, PUT", "Access-Control-Allow-Headers": "authorization,x-y",
				"Access-Control-Allow-Credentials": "",
			},
		},
		"named": {
			adminhttp.CORS{Enabled: true, AllowedOrigins: []string{"https://a.example"}, AllowedMethods: []string{"GET"}, AllowedHeaders: []string{"X-Y"}, AllowCredentials: true},
			"https://a.example",
			map[string]string{
				"Access-Control-Allow-Origin": "https://a.example", "Access-Control-Allow-Headers": "X-Y", "Access-Control-Allow-Credentials": "true",
			},
		},
		"other": {
			adminhttp.CORS{Enabled: true, AllowedOrigins: []string{"https://b.example"}, AllowedMethods: []string{"GET"}},
			"https://a.example",
			map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *adminhttp.Options) { o.CORS = c.cors })
			status, header, _ := w.raw(http.MethodOptions, "/groups", with(preflight, "Origin", c.origin), "")
			if (status == http.StatusNoContent) != c.cors.Enabled {
				t.Errorf("the preflight answered %d", status)
			}
			for name, want := range c.want {
				if got := header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			status, header, _ = w.raw(http.MethodGet, "/groups", http.Header{"Origin": {c.origin}}, "")
			if status != http.StatusOK || header.Get("Access-Control-Allow-Origin") != c.want["Access-Control-Allow-Origin"] {
				t.Errorf("the request answered %d, origin %q", status, header.Get("Access-Control-Allow-Origin"))
			}
		})
	}
	_, err := adminhttp.New(adminhttp.Options{})
	if err == nil {
		t.Error("options without anything made an API")
	}
}

func TestAnyOriginWithCredentialsIsRefused(t *testing.T) {
	w := newWorld(t)
	options := adminhttp.Options{
		AuthKey: secret.New(authKey), Logger: zap.NewNop(), Store: w.store, Pools: w, Tester: w, Reloader: w, Nodes: w, Operations: w.operations,
		Ready: func() []adminhttp.Check { return nil }, CheckParamPath: func(string) error { return nil },
		Secrets: adminhttp.Secrets{Weakness: weakness},
		CORS:    adminhttp.CORS{Enabled: true, AllowedOrigins: []string{"*"}, AllowCredentials: true},
	}
	if _, err := adminhttp.New(options); err == nil || !strings.Contains(err.Error(), "ALLOWED_ORIGINS") {
		t.Errorf("got %v", err)
	}
	options.CORS.AllowedOrigins = []string{"a.example/path"}
	if _, err := adminhttp.New(options); err == nil || !strings.Contains(err.Error(), "ALLOWED_ORIGINS") {
		t.Errorf("got %v", err)
	}
}

// brokenStore fails as a test says.
type brokenStore struct {
	adminhttp.Store
	fail func() error
}

// Groups implements adminhttp.Store.
func (b brokenStore) Groups(context.Context) ([]fleet.Group, error) { return nil, b.fail() }

func TestDefectsStayInside(t *testing.T) {
	const canary = "sk-canary-9f8e7d6c5b4a39281706"
	for name, c := range map[string]struct {
		fail func() error
		code adminapi.Code
	}{
		"panic":         {func() error { panic("the key is " + canary) }, adminapi.CodeInternal},
		"panic of ours": {func() error { return []error{}[len(canary)-len("sk-canary-9f8e7d6c5b4a39281706")] }, adminapi.CodeInternal},
		"error":         {func() error { return errors.New("bad row with " + canary) }, adminapi.CodeInternal},
		"internal":      {func() error { return fleet.NewError(fleet.CodeInternal, "value "+canary, nil) }, adminapi.CodeInternal},
		"away": {func() error {
			return fleet.NewError(fleet.CodeUnavailable, "the database is away", errors.New("dial with "+canary))
		}, adminapi.CodeUnavailable},
		"too slow": {func() error { return context.DeadlineExceeded }, adminapi.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *adminhttp.Options) { o.Store = brokenStore{o.Store, c.fail} })
			_, err := w.client.Groups(t.Context())
			e := refused(t, err, c.code)
			said := e.Error()
			for _, line := range w.logs.All() {
				said += line.Message
				for _, f := range line.Context {
					said += f.String + string(bytesOf(f.Interface))
				}
			}
			if strings.Contains(said, canary) {
				t.Errorf("the secret left: %s", said)
			}
			found := slices.ContainsFunc(w.logs.All(), func(l observer.LoggedEntry) bool {
				return l.Level >= zap.WarnLevel && l.ContextMap()["request_id"] == e.RequestID
			})
			if !found {
				t.Error("the log says nothing under the request id")
			}
			if (e.RetryAfter > 0) != (c.code == adminapi.CodeUnavailable) {
				t.Errorf("retry after %v", e.RetryAfter)
			}
		})
	}
}

func bytesOf(value any) []byte {
	b, _ := value.([]byte)
	return b
}

func TestHealth(t *testing.T) {
	w := newWorld(t)
	c := w.newClient()
	health, err := c.Health(t.Context())
	if err != nil || health.Status != "healthy" || health.Version != "2.0.0-test" || health.Uptime != "0s" || health.Timestamp.IsZero() {
		t.Errorf("health %+v, %v", health, err)
	}
	if ready, err := c.Ready(t.Context()); err != nil || ready.Status != "ready" || len(ready.Checks) != 1 {
		t.Errorf("ready %+v, %v", ready, err)
	}
	w.checks = append(w.checks, adminhttp.Check{Name: "pools", Message: "still loading"})
	ready, err := c.Ready(t.Context())
	if err != nil || ready.Status != "not_ready" || ready.Checks[1] != (adminapi.Check{Name: "pools", Message: "still loading"}) {
		t.Errorf("ready %+v, %v", ready, err)
	}
	if started, err := c.Started(t.Context()); err != nil || started.Status != "not_ready" {
		t.Errorf("started %+v, %v", started, err)
	}
	w.checks = []adminhttp.Check{{Name: adminhttp.CheckAccepting, Message: "shutting down"}, {Name: "configuration", Ready: true}}
	if ready, err := c.Ready(t.Context()); err != nil || ready.Status != "not_ready" || len(ready.Checks) != 2 {
		t.Errorf("ready while it shuts down: %+v, %v", ready, err)
	}
	if started, err := c.Started(t.Context()); err != nil || started.Status != "ready" || len(started.Checks) != 1 || len(w.checks) != 2 || !w.checks[1].Ready {
		t.Errorf("started while it shuts down: %+v, %v", started, err)
	}
	if status, _, body := w.raw(http.MethodHead, "/health", anonymous, ""); status != http.StatusOK || body != "" {
		t.Errorf("HEAD /health answered %d %q", status, body)
	}
}

// What looks like a configured origin is another one.
func TestCORSTakesNoOtherOrigin(t *testing.T) {
	w := newWorld(t, func(o *adminhttp.Options) {
		o.CORS = adminhttp.CORS{
			Enabled: true, AllowedOrigins: []string{"https://a.example"}, AllowedMethods: []string{"GET"}, AllowedHeaders: []string{"X-Y"}, AllowCredentials: true,
		}
	})
	for _, origin := range []string{
		"null", "https://a.example.evil.example", "https://evil.example/https://a.example", "http://a.example", "https://a.example:8443",
		"https://sub.a.example", "https://xa.example", "HTTPS://A.EXAMPLE", "https://a.example, https://evil.example", "https://a.example/", "*", "",
	} {
		for _, method := range []string{http.MethodOptions, http.MethodGet} {
			header := http.Header{"Access-Control-Request-Method": {"GET"}, "Origin": {origin}}
			_, answered, _ := w.raw(method, "/groups", header, "")
			for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers"} {
				if got := answered.Get(name); got != "" {
					t.Errorf("%s from %q: %s is %q", method, origin, name, got)
				}
			}
			// Caches must keep the answers apart also when there is nothing to allow.
			if !slices.Contains(answered.Values("Vary"), "Origin") {
				t.Errorf("%s from %q: Vary is %q", method, origin, answered.Values("Vary"))
			}
		}
	}
	// With credentials allowed, the named origin may write with a session, and no other one.
	token := w.loginToken()
	for origin, want := range map[string]int{"https://a.example": http.StatusOK, "https://sub.a.example": http.StatusForbidden, "null": http.StatusForbidden} {
		header := with(anonymous, "Cookie", token, "Origin", origin, "Sec-Fetch-Site", "cross-site")
		if status, _, body := w.raw(http.MethodPatch, "/settings", header, `{"max_retries":2}`); status != want {
			t.Errorf("a write from %s answered %d %s", origin, status, body)
		}
	}
}
