package adminhttp_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// anonymous takes the bearer away from raw.
var anonymous = http.Header{"Authorization": nil}

func with(h http.Header, more ...string) http.Header {
	h = h.Clone()
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

func TestEverythingNeedsALogin(t *testing.T) {
	w := newWorld(t)
	for path, methods := range document(t).Paths {
		for method, op := range methods {
			if op.OperationID == "login" {
				continue
			}
			path := strings.ReplaceAll(path, "{id}", "1")
			status, header, body := w.raw(strings.ToUpper(method), path, with(anonymous, "Content-Type", "application/json"), "{}")
			if status != http.StatusUnauthorized || !strings.Contains(body, `"code":"unauthorized"`) || header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s without a login answered %d %s", method, path, status, body)
			}
		}
	}
}

func TestSessionOfABrowser(t *testing.T) {
	w := newWorld(t)
	browser := w.newClient()
	session, err := browser.Login(t.Context(), authKey)
	if err != nil || session.Method != "session" || session.ExpiresAt.Sub(w.clock()) > 24*time.Hour {
		t.Fatalf("session %+v, %v", session, err)
	}
	if _, err := browser.CreateGroup(t.Context(), openai("a")); err != nil {
		t.Errorf("a write with a session: %v", err)
	}
	if who, err := browser.Session(t.Context()); err != nil || !who.ExpiresAt.Equal(session.ExpiresAt) {
		t.Errorf("who %+v, %v", who, err)
	}
	if err := browser.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = browser.Groups(t.Context())
	refused(t, err, adminapi.CodeUnauthorized)
	if who, err := w.client.Session(t.Context()); err != nil || who.Method != "bearer" || !who.ExpiresAt.IsZero() {
		t.Errorf("who %+v, %v", who, err)
	}
}

func TestSessionCookie(t *testing.T) {
	w := newWorld(t)
	cookie := func(header http.Header) string {
		t.Helper()
		status, answered, body := w.raw(http.MethodPost, "/session", header, `{"auth_key":"`+authKey+`"}`)
		if status != http.StatusOK {
			t.Fatalf("answered %d %s", status, body)
		}
		return answered.Get("Set-Cookie")
	}
	plain, tls := cookie(anonymous), cookie(with(anonymous, "X-Forwarded-Proto", "https"))
	if !strings.Contains(plain, "HttpOnly; SameSite=Strict") || strings.Contains(plain, "Secure") || !strings.Contains(plain, "Path=/") {
		t.Errorf("cookie %q", plain)
	}
	if !strings.Contains(tls, "HttpOnly; Secure; SameSite=Strict") {
		t.Errorf("cookie behind TLS %q", tls)
	}
}

func TestWritesFromOtherSitesAreRefused(t *testing.T) {
	w := newWorld(t)
	_, answered, _ := w.raw(http.MethodPost, "/session", anonymous, `{"auth_key":"`+authKey+`"}`)
	token, _, _ := strings.Cut(answered.Get("Set-Cookie"), ";")
	session := with(anonymous, "Cookie", token)
	for name, c := range map[string]struct {
		method string
		header http.Header
		want   int
	}{
		"same origin":              {http.MethodPatch, with(session, "Sec-Fetch-Site", "same-origin"), http.StatusOK},
		"other site":               {http.MethodPatch, with(session, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"other port of the host":   {http.MethodPatch, with(session, "Sec-Fetch-Site", "same-site"), http.StatusForbidden},
		"old browser, other site":  {http.MethodPatch, with(session, "Origin", "https://evil.example"), http.StatusForbidden},
		"old browser, same origin": {http.MethodPatch, with(session, "Origin", w.server.URL), http.StatusOK},
		"no origin named":          {http.MethodPatch, session, http.StatusForbidden},
		"no origin, but a header":  {http.MethodPatch, with(session, "X-Requested-With", "script"), http.StatusOK},
		"a header does not help":   {http.MethodPatch, with(session, "X-Requested-With", "script", "Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"opaque origin":            {http.MethodPatch, with(session, "Origin", "null"), http.StatusForbidden},
		"host in a longer name":    {http.MethodPatch, with(session, "Origin", w.server.URL+".evil.example"), http.StatusForbidden},
		"reading from anywhere":    {http.MethodGet, with(session, "Sec-Fetch-Site", "cross-site"), http.StatusOK},
		"bearer from anywhere":     {http.MethodPatch, http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusOK},
	} {
		body := ""
		if c.method == http.MethodPatch {
			body = `{"max_retries":2}`
		}
		if status, _, text := w.raw(c.method, "/settings", c.header, body); status != c.want {
			t.Errorf("%s answered %d %s", name, status, text)
		}
	}
	if status, _, _ := w.raw(http.MethodPost, "/session", with(anonymous, "Sec-Fetch-Site", "cross-site"), `{"auth_key":"`+authKey+`"}`); status != http.StatusForbidden {
		t.Errorf("a login from another site answered %d", status)
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	w := newWorld(t)
	guesser := w.newClient(adminclient.WithAuthKey("sk-wrong"))
	for range 5 {
		_, err := guesser.Groups(t.Context())
		refused(t, err, adminapi.CodeUnauthorized)
	}
	_, err := guesser.Groups(t.Context())
	if e := refused(t, err, adminapi.CodeRateLimited); e.RetryAfter != time.Second {
		t.Errorf("retry after %v", e.RetryAfter)
	}
	// The brake holds for the login as well, and for the right key from that address, else it would tell.
	_, err = w.newClient().Login(t.Context(), authKey)
	refused(t, err, adminapi.CodeRateLimited)
	// Another address is another guesser: the last hop that is not a trusted proxy counts.
	elsewhere := http.Header{"X-Forwarded-For": {"198.51.100.7, 203.0.113.9, 127.0.0.2"}}
	if status, _, _ := w.raw(http.MethodGet, "/groups", elsewhere, ""); status != http.StatusOK {
		t.Errorf("from elsewhere: %d", status)
	}
	w.pass(time.Second)
	_, err = guesser.Groups(t.Context())
	refused(t, err, adminapi.CodeUnauthorized)
	_, err = guesser.Groups(t.Context())
	if e := refused(t, err, adminapi.CodeRateLimited); e.RetryAfter != 2*time.Second {
		t.Errorf("retry after %v", e.RetryAfter)
	}
	w.pass(2 * time.Second)
	if _, err := w.client.Groups(t.Context()); err != nil {
		t.Errorf("the right key after the wait: %v", err)
	}
}
