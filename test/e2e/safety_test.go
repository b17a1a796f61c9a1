package e2e_test

import (
	"net/http"
	"net/http/cookiejar"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// TestSessionsOfAFleet: what one node lets in, every node does, over restarts; what one throws out, none lets in a second later.
func TestSessionsOfAFleet(t *testing.T) {
	server := testenv.NewPostgres(t)
	if err := server.CreateDatabase(t.Context(), "safety"); err != nil {
		t.Fatal(err)
	}
	env := []string{"DATABASE_DSN=" + server.DSN("safety"), "ENCRYPTION_KEY=correct horse"}
	provider := fakeprovider.Serve(t, fakeprovider.Options{})
	one, two := startIn(t, t.TempDir(), provider, env...), startIn(t, t.TempDir(), provider, env...)
	jar, err := cookiejar.New(nil) // cookies do not tell ports apart
	if err != nil {
		t.Fatal(err)
	}
	browser := func(w *world) *adminclient.Client {
		t.Helper()
		c, err := adminclient.New(w.node.URL, adminclient.WithHTTPClient(&http.Client{Jar: jar}))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if _, err := browser(one).Login(t.Context(), testenv.AuthKey); err != nil {
		t.Fatal(err)
	}
	if _, err := browser(two).Groups(t.Context()); err != nil {
		t.Errorf("another node: %v", err)
	}
	late := startIn(t, t.TempDir(), provider, env...)
	if _, err := browser(late).Groups(t.Context()); err != nil {
		t.Errorf("a node that was not there at the login: %v", err)
	}
	if ended, err := two.admin.EndSessions(t.Context()); err != nil || ended.Ended != 1 {
		t.Fatalf("ended %+v, %v", ended, err)
	}
	begun := time.Now()
	for _, w := range []*world{one, two, late} {
		eventually(t, "the session is over on every node", func() bool {
			_, err := browser(w).Groups(t.Context())
			return adminclient.CodeOf(err) == adminapi.CodeUnauthorized
		})
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	other := startIn(t, t.TempDir(), provider, append(env, "AUTH_KEY=sk-another-key-0123456789abcdef")...)
	if _, err := browser(one).Login(t.Context(), testenv.AuthKey); err != nil {
		t.Fatal(err)
	}
	if _, err := browser(other).Groups(t.Context()); adminclient.CodeOf(err) != adminapi.CodeUnauthorized {
		t.Errorf("a node with another AUTH_KEY: %v", err)
	}
}

// TestVerdictsAreAudited: what real traffic makes of a key is told with its reason, and a person can undo it.
func TestVerdictsAreAudited(t *testing.T) {
	w := start(t)
	group := w.group("openai", adminapi.ChannelOpenAI, 2)
	w.provider.Script(fakeprovider.Rule{Match: fakeprovider.Match{Key: providerKey(1)}, Then: fakeprovider.Then{Fault: "401"}})
	for range 2 {
		if status, body := w.chat("m"); status != 200 {
			t.Fatal(status, body)
		}
	}
	found := func(kind string) adminapi.AuditEvent {
		t.Helper()
		var page adminapi.AuditPage
		eventually(t, "the event is there", func() bool {
			var err error
			page, err = w.admin.Audit(t.Context(), adminapi.AuditFilter{Kind: kind, GroupID: group})
			return err == nil && len(page.Events) == 1
		})
		return page.Events[0]
	}
	dead := found("key.invalidated")
	if dead.Who.Kind != "system" || dead.Class != "key_dead" || dead.Reason != "invalid_api_key" || dead.Name != "****efgh" || dead.Node == "" || !dead.Undoable {
		t.Errorf("event %+v", dead)
	}
	if undone, err := w.admin.UndoAuditEvent(t.Context(), dead.ID); err != nil || undone.Changed != 1 {
		t.Errorf("undone %+v, %v", undone, err)
	}
	if got := w.counts(group); got.Active != 2 {
		t.Errorf("after the undo: %+v", got)
	}
	// Proxied answers are the provider's own: nothing of the admin API's headers is added to them.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.node.URL+"/proxy/openai/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testenv.AuthKey)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	for _, name := range []string{"Content-Security-Policy", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy", "Cross-Origin-Opener-Policy", "X-Content-Type-Options", "Cache-Control"} {
		if got := answer.Header.Get(name); got != "" {
			t.Errorf("a proxied answer has %s: %s", name, got)
		}
	}
}
