package adminhttp_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/adminhttp"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
)

// loginToken logs in and returns the cookie as a browser sends it.
func (w *world) loginToken() string {
	w.t.Helper()
	status, answered, body := w.raw(http.MethodPost, "/session", anonymous, `{"auth_key":"`+authKey+`"}`)
	if status != http.StatusOK {
		w.t.Fatalf("the login answered %d %s", status, body)
	}
	token, _, _ := strings.Cut(answered.Get("Set-Cookie"), ";")
	return token
}

// use asks something with a cookie and returns the status.
func (w *world) use(cookies string) int {
	w.t.Helper()
	status, _, _ := w.raw(http.MethodGet, "/session", with(anonymous, "Cookie", cookies), "")
	return status
}

// another is a second node of the same fleet: the same database, its own memory.
func (w *world) another(change ...func(*adminhttp.Options)) *world {
	return newWorld(w.t, append([]func(*adminhttp.Options){func(o *adminhttp.Options) { o.Store, o.Clock = w.store, w.clock }}, change...)...)
}

func TestForgedSessions(t *testing.T) {
	w := newWorld(t)
	token := w.loginToken()
	if got := w.use(token); got != http.StatusOK {
		t.Fatalf("a good token: %d", got)
	}
	parts := strings.Split(token, ".") // name=v2, id, MAC
	last := "A"
	if strings.HasSuffix(token, last) {
		last = "B"
	}
	for name, bad := range map[string]string{
		"cut":             token[:len(token)-4],
		"no MAC":          strings.Join(parts[:2], "."),
		"empty MAC":       parts[0] + "." + parts[1] + ".",
		"another id":      parts[0] + "." + strings.Repeat("A", len(parts[1])) + "." + parts[2],
		"another MAC":     token[:len(token)-1] + last,
		"another version": strings.Replace(token, "v2.", "v1.", 1),
		"no version":      adminapi.SessionCookie + "=" + parts[1] + "." + parts[2],
		"lower case":      parts[0] + "." + strings.ToLower(parts[1]) + "." + parts[2],
		"nothing":         adminapi.SessionCookie + "=",
		"dots":            adminapi.SessionCookie + "=....",
		"huge":            adminapi.SessionCookie + "=" + strings.Repeat("v2.", 10_000),
		"AUTH_KEY":        adminapi.SessionCookie + "=" + authKey,
	} {
		if got := w.use(bad); got != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got)
		}
	}
	// A neighbour's site that sets cookies for the whole domain locks nobody out.
	if got := w.use(adminapi.SessionCookie + "=junk; " + token); got != http.StatusOK {
		t.Errorf("behind a junk cookie: %d", got)
	}
	// Whoever brought a cookie gets another one by logging in.
	_, answered, _ := w.raw(http.MethodPost, "/session", with(anonymous, "Cookie", token), `{"auth_key":"`+authKey+`"}`)
	if strings.HasPrefix(answered.Get("Set-Cookie"), token) {
		t.Error("a login kept the session that was there")
	}
}

func TestSessionsExpire(t *testing.T) {
	w := newWorld(t)
	used, idle := w.loginToken(), w.loginToken()
	for range 23 {
		w.pass(time.Hour)
		if got := w.use(used); got != http.StatusOK {
			t.Fatalf("a session in use answered %d", got)
		}
	}
	if got := w.use(idle); got != http.StatusUnauthorized {
		t.Errorf("an idle session answered %d", got)
	}
	w.pass(time.Hour)
	if got := w.use(used); got != http.StatusUnauthorized {
		t.Errorf("a session of a day answered %d", got)
	}

	edge := w.loginToken()
	w.pass(2*time.Hour - 2*time.Second)
	if got := w.use(edge); got != http.StatusOK {
		t.Errorf("just before the idle end: %d", got)
	}
	w.pass(2*time.Hour - 2*time.Second)
	if got := w.use(edge); got != http.StatusOK {
		t.Errorf("renewed by its use: %d", got)
	}
	w.pass(2 * time.Hour)
	if got := w.use(edge); got != http.StatusUnauthorized {
		t.Errorf("at the idle end: %d", got)
	}
	if list, err := w.client.Sessions(t.Context()); err != nil || len(list.Sessions) != 0 {
		t.Errorf("sessions %+v, %v", list, err)
	}
}

func TestSessionsHoldOnEveryNodeAndOverRestarts(t *testing.T) {
	w := newWorld(t)
	token := w.loginToken()
	for name, c := range map[string]struct {
		node *world
		want int
	}{
		"another node, or this one after a restart": {w.another(), http.StatusOK},
		"another AUTH_KEY":                          {w.another(func(o *adminhttp.Options) { o.AuthKey = secret.New("sk-another-key-0123456789") }), http.StatusUnauthorized},
		"another fleet":                             {newWorld(t, func(o *adminhttp.Options) { o.Clock = w.clock }), http.StatusUnauthorized},
	} {
		if got := c.node.use(token); got != c.want {
			t.Errorf("%s answered %d, want %d", name, got, c.want)
		}
	}
}

func TestLoggingOut(t *testing.T) {
	w := newWorld(t)
	other := w.another()
	token, stays := w.loginToken(), w.loginToken()
	for _, node := range []*world{w, other} {
		if got := node.use(token); got != http.StatusOK {
			t.Fatalf("before: %d", got)
		}
	}
	status, header, _ := w.raw(http.MethodDelete, "/session", with(anonymous, "Cookie", token, "Sec-Fetch-Site", "same-origin"), "")
	if status != http.StatusNoContent || !strings.Contains(header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("logging out answered %d, cookie %q", status, header.Get("Set-Cookie"))
	}
	if got := w.use(token); got != http.StatusUnauthorized {
		t.Errorf("a cookie that somebody kept, here: %d", got)
	}
	w.pass(time.Second)
	if got := other.use(token); got != http.StatusUnauthorized {
		t.Errorf("a cookie that somebody kept, on another node: %d", got)
	}
	if got := other.use(stays); got != http.StatusOK {
		t.Errorf("another login: %d", got)
	}
}

func TestLoggingOutEverywhere(t *testing.T) {
	w := newWorld(t)
	other := w.another()
	tokens := []string{w.loginToken(), other.loginToken(), w.loginToken()}
	browser := w.newClient()
	if _, err := browser.Login(t.Context(), authKey); err != nil {
		t.Fatal(err)
	}
	list, err := browser.Sessions(t.Context())
	current := 0
	for _, s := range list.Sessions {
		if s.Current {
			current++
		}
		if s.ClientIP != "127.0.0.1" || s.UserAgent == "" || s.IdleExpiresAt.After(s.ExpiresAt) {
			t.Errorf("session %+v", s)
		}
	}
	if err != nil || len(list.Sessions) != 4 || current != 1 {
		t.Fatalf("%d sessions, %d of them this one, %v", len(list.Sessions), current, err)
	}
	for _, token := range tokens {
		if w.use(token) != http.StatusOK || other.use(token) != http.StatusOK {
			t.Fatal("a session does not hold before")
		}
	}
	ended, err := browser.EndSessions(t.Context())
	if err != nil || ended.Ended != 4 {
		t.Errorf("ended %+v, %v", ended, err)
	}
	_, err = browser.Groups(t.Context())
	refused(t, err, adminapi.CodeUnauthorized)
	w.pass(time.Second)
	for _, token := range tokens {
		if here, there := w.use(token), other.use(token); here != http.StatusUnauthorized || there != http.StatusUnauthorized {
			t.Errorf("afterwards a session answers %d here and %d there", here, there)
		}
	}
	if _, err := w.client.Groups(t.Context()); err != nil {
		t.Errorf("bearer: %v", err)
	}

	// One alone, by its id.
	token := w.loginToken()
	list, err = w.client.Sessions(t.Context())
	if err != nil || len(list.Sessions) != 1 {
		t.Fatalf("sessions %+v, %v", list, err)
	}
	if _, err := w.client.EndSession(t.Context(), list.Sessions[0].ID); err != nil || w.use(token) != http.StatusUnauthorized {
		t.Errorf("ending one: %v", err)
	}
	_, err = w.client.EndSession(t.Context(), list.Sessions[0].ID)
	refused(t, err, adminapi.CodeNotFound)
}

// lostStore cannot be asked for sessions.
type lostStore struct{ adminhttp.Store }

// Session implements adminhttp.Store.
func (lostStore) Session(context.Context, string) (fleet.AdminSession, error) {
	return fleet.AdminSession{}, fleet.NewError(fleet.CodeUnavailable, "the database is away", nil)
}

// A database that is away must neither let a session in that may have ended nor send people to the login.
func TestSessionsWhileTheDatabaseIsAway(t *testing.T) {
	w := newWorld(t)
	token := w.loginToken()
	node := w.another(func(o *adminhttp.Options) { o.Store = lostStore{o.Store} })
	if got := node.use(token); got != http.StatusServiceUnavailable {
		t.Errorf("a session answered %d", got)
	}
	if got := node.use(adminapi.SessionCookie + "=v2.forged.AAAA"); got != http.StatusUnauthorized {
		t.Errorf("a forged one answered %d", got)
	}
	if status, _, _ := node.raw(http.MethodGet, "/session", nil, ""); status != http.StatusOK {
		t.Errorf("bearer answered %d", status)
	}
}
