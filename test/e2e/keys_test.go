package e2e_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// TestRestsSurviveARestart: a key that rests for long is not asked again by a node that starts within its rest, and an
// invalid key stays invalid.
func TestRestsSurviveARestart(t *testing.T) {
	dir, provider := t.TempDir(), fakeprovider.Serve(t, fakeprovider.Options{})
	node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, node: node, provider: provider, admin: node.Client()}
	group := w.group("openai", adminapi.ChannelOpenAI, 2)
	provider.Script(
		fakeprovider.Rule{Match: fakeprovider.Match{Key: providerKey(1)}, Then: fakeprovider.Then{Fault: "429-seconds", RetryAfter: 10 * time.Minute}},
		fakeprovider.Rule{Match: fakeprovider.Match{Key: providerKey(2)}, Then: fakeprovider.Then{Fault: "401"}},
	)
	for range 2 {
		w.chat("m")
	}
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	provider.Reset()
	again := startIn(t, dir, provider)
	status, body := again.chat("m")
	if status != 429 || !strings.Contains(body, "keys_cooling") {
		t.Errorf("%d %s", status, body)
	}
	provider.ExpectCalls(t, 0)
	if status, body := again.chat("another"); status != 200 {
		t.Errorf("another model: %d %s", status, body)
	}
	if got := again.counts(group); got.Invalid != 1 {
		t.Errorf("%+v", got)
	}
}

// TestValidationInTheBackground brings back a key that works again, without anybody asking.
func TestValidationInTheBackground(t *testing.T) {
	t.Parallel()
	w := start(t)
	group := w.group("openai", adminapi.ChannelOpenAI, 1, func(g *adminapi.GroupInput) {
		g.Settings = map[string]any{"key_validation_interval_minutes": 1}
	})
	off := w.group("never", adminapi.ChannelOpenAI, 1, func(g *adminapi.GroupInput) { g.Validation.Off = true })
	w.provider.Script(fakeprovider.Rule{When: fakeprovider.When{First: 2}, Then: fakeprovider.Then{Fault: "401"}})
	w.chat("m")
	if status, _, err := w.do("POST", "/proxy/never/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"x"}]}`); status != 503 || err != nil {
		t.Fatal(status, err)
	}
	if got := w.counts(group); got.Invalid != 1 {
		t.Fatalf("%+v", got)
	}
	limit, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := w.provider.AwaitCalls(limit, 3); err != nil {
		t.Fatal("no test within three minutes")
	}
	eventually(t, "the key is back", func() bool { return w.counts(group).Active == 1 })
	if got := w.counts(off); got.Invalid != 1 {
		t.Errorf("a group without validation: %+v", got)
	}
	w.provider.ExpectCalls(t, 3)
}

// TestImport takes keys by text and file, refuses what cannot be one, and says why.
func TestImport(t *testing.T) {
	w := start(t)
	group := w.group("openai", adminapi.ChannelOpenAI, 0)
	imported, err := w.admin.ImportKeys(t.Context(), group, strings.NewReader("sk-a-0001\nsk-a-0002, sk-a-0003;sk-a-0001\n\n"+strings.Repeat("x", 5000)+"\n"), adminclient.ImportOptions{})
	if err == nil {
		imported, err = w.admin.WaitOperation(t.Context(), imported.ID, nil)
	}
	if err != nil || imported.Counts["added"] != 3 || imported.Counts["duplicate"] != 1 || imported.Counts["rejected"] != 1 {
		t.Fatalf("%+v, %v", imported, err)
	}
	again, err := w.admin.AddKeys(t.Context(), group, adminapi.KeyInput{Text: "sk-a-0002 sk-a-0004"})
	if err != nil || again.Added != 1 || again.Duplicates != 1 {
		t.Fatalf("%+v, %v", again, err)
	}
	strange := `{"type":"service_account","private_key":"-----BEGIN, KEY-----"}`
	if one, err := w.admin.AddKeys(t.Context(), group, adminapi.KeyInput{Keys: []string{strange}}); err != nil || one.Added != 1 {
		t.Fatalf("%+v, %v", one, err)
	}
	found, err := w.admin.SearchKey(t.Context(), group, strange)
	if err != nil || len(found.Keys) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	if value, err := w.admin.RevealKey(t.Context(), found.Keys[0].ID); err != nil || value != strange {
		t.Errorf("revealed %q, %v", value, err)
	}
	if _, err := w.admin.DeleteKeys(t.Context(), group, adminapi.KeySelection{State: adminapi.KeyActive}); err != nil {
		t.Fatal(err)
	}
	if page, err := w.admin.Keys(t.Context(), group, adminclient.KeyFilter{}); err != nil || len(page.Keys) != 0 {
		t.Errorf("%d keys left, %v", len(page.Keys), err)
	}
}
