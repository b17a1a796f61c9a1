package e2e_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// TestFirstStart: without AUTH_KEY a strong one is made, stored with mode 0600, and only its place is told.
func TestFirstStart(t *testing.T) {
	dir := t.TempDir()
	node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, dir, "AUTH_KEY=")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "data", "auth-key")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key's file: %v, %v", info, err)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(bytes.TrimSpace(key)) < 32 {
		t.Errorf("a key of %d bytes is not strong", len(key))
	}
	if logs := node.Logs(); !strings.Contains(logs, "auth-key") || strings.Contains(logs, strings.TrimSpace(string(key))) {
		t.Errorf("the log does not tell the place, or tells the key:\n%s", logs)
	}
	if err := node.Stop(); err != nil {
		t.Error(err)
	}
	weak, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, t.TempDir(), "AUTH_KEY=123456")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(weak.Logs(), "AUTH_KEY is weak") {
		t.Errorf("no warning of a weak key:\n%s", weak.Logs())
	}
	if err := weak.Stop(); err != nil {
		t.Error(err)
	}
}

// TestRefusedStarts end at once, with every fault named and no secret shown.
func TestRefusedStarts(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		says []string
	}{
		"several faults":     {[]string{"PORT=99999", "LOG_LEVEL=loud", "MAX_CONCURRENT_REQUESTS=0", "TZ=Mars/Olympus"}, []string{"PORT", "LOG_LEVEL", "MAX_CONCURRENT_REQUESTS", "TZ"}},
		"a follower alone":   {[]string{"IS_SLAVE=true"}, []string{"IS_SLAVE", "REDIS_DSN"}},
		"a wrong database":   {[]string{"DATABASE_DSN=mongodb://root:hunter22@db/x"}, []string{"DATABASE_DSN"}},
		"a missing file":     {[]string{"AUTH_KEY=", "AUTH_KEY_FILE=/no/such/file"}, []string{"AUTH_KEY_FILE"}},
		"a folder read-only": {[]string{"DATABASE_DSN=/proc/gpt-load/x.db"}, []string{"DATABASE_DSN"}},
	} {
		node, err := testenv.StartNode(t.Context(), binary, t.TempDir(), c.env...)
		if err == nil {
			t.Errorf("%s: it started", name)
			_ = node.Kill()
			continue
		}
		for _, word := range c.says {
			if !strings.Contains(node.Logs(), word) {
				t.Errorf("%s: no word of %s in\n%s", name, word, node.Logs())
			}
		}
		if strings.Contains(node.Logs(), "hunter22") {
			t.Errorf("%s: a password stands in the output", name)
		}
	}
}

// TestEncryption: with ENCRYPTION_KEY no key stands in any file, and no other ENCRYPTION_KEY starts.
func TestEncryption(t *testing.T) {
	dir := t.TempDir()
	provider := fakeprovider.Serve(t, fakeprovider.Options{Keys: []string{providerKey(1)}})
	const passphrase = "ENCRYPTION_KEY=correct horse battery staple 42"
	node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, dir, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, node: node, provider: provider, admin: node.Client()}
	w.group("openai", adminapi.ChannelOpenAI, 1, func(g *adminapi.GroupInput) { g.ProxyKeys = []string{"sk-of-a-tenant-0001"} })
	if status, body := w.chat("gpt-4o-mini"); status != 200 {
		t.Fatal(status, body)
	}
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, hidden := range []string{providerKey(1), "sk-of-a-tenant-0001", testenv.AuthKey} {
		if where := grep(t, dir, hidden); where != "" {
			t.Errorf("a secret stands in %s", where)
		}
	}
	for name, wrong := range map[string]string{"another key": "ENCRYPTION_KEY=another horse battery staple 42", "no key": "ENCRYPTION_KEY="} {
		node, err := testenv.StartNode(t.Context(), binary, dir, wrong)
		if err == nil {
			_ = node.Kill()
			t.Fatalf("%s: it started", name)
		}
		if !strings.Contains(node.Logs(), "ENCRYPTION_KEY") || strings.Contains(node.Logs(), "horse battery") {
			t.Errorf("%s: %s", name, node.Logs())
		}
	}
	again := startIn(t, dir, provider, passphrase)
	if status, body := again.chat("gpt-4o-mini"); status != 200 {
		t.Error(status, body)
	}
}

// grep names a file below dir that holds text.
func grep(t *testing.T, dir, text string) string {
	t.Helper()
	found := ""
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			found = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestChangesApplyAtOnce: settings, groups and keys count for the next request, and survive a restart.
func TestChangesApplyAtOnce(t *testing.T) {
	dir := t.TempDir()
	provider := fakeprovider.Serve(t, fakeprovider.Options{})
	node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, node: node, provider: provider, admin: node.Client()}
	group := w.group("openai", adminapi.ChannelOpenAI, 2)
	provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: "503"}})
	for _, retries := range []int{0, 2, 1} {
		w.settings(adminapi.SettingsPatch{"max_retries": retries})
		provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: "503"}})
		before := provider.Stats().Calls
		if status, _ := w.chat("m"); status != 503 {
			t.Errorf("status %d", status)
		}
		if calls := provider.Stats().Calls - before; calls != retries+1 {
			t.Errorf("max_retries %d: %d calls", retries, calls)
		}
	}
	provider.Script()
	w.settings(adminapi.SettingsPatch{"proxy_keys": "sk-another-proxy-key-1"})
	if status, _ := w.chat("m"); status != 401 {
		t.Errorf("a revoked proxy key got %d", status)
	}
	w.settings(adminapi.SettingsPatch{"proxy_keys": testenv.AuthKey})
	page, err := w.admin.Keys(t.Context(), group, adminclient.KeyFilter{})
	if err != nil || len(page.Keys) != 2 {
		t.Fatal(len(page.Keys), err)
	}
	if _, err := w.admin.DisableKeys(t.Context(), group, adminapi.KeySelection{IDs: []string{page.Keys[0].ID, page.Keys[1].ID}}); err != nil {
		t.Fatal(err)
	}
	if status, body := w.chat("m"); status != 503 || !strings.Contains(body, "no_usable_key") {
		t.Errorf("with every key disabled: %d %s", status, body)
	}
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	again := startIn(t, dir, provider)
	if got := again.counts(group); got.Disabled != 2 {
		t.Errorf("after a restart: %+v", got)
	}
	if _, err := again.admin.EnableKeys(t.Context(), group, adminapi.KeySelection{IDs: []string{page.Keys[0].ID}}); err != nil {
		t.Fatal(err)
	}
	if status, body := again.chat("m"); status != 200 {
		t.Errorf("after enabling: %d %s", status, body)
	}
}

// TestShutdownLetsStreamsEnd within the budget.
func TestShutdownLetsStreamsEnd(t *testing.T) {
	dir := t.TempDir()
	provider := fakeprovider.Serve(t, fakeprovider.Options{})
	node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, dir, "SERVER_GRACEFUL_SHUTDOWN_TIMEOUT=30")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, node: node, provider: provider, admin: node.Client()}
	w.group("openai", adminapi.ChannelOpenAI, 1)
	provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Flaw: fakeprovider.FlawStall, FlawAfter: 2, Hold: "rest"}})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node.URL+"/proxy/openai/v1/chat/completions", strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+testenv.AuthKey)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	stopped := make(chan error, 1)
	go func() { stopped <- node.Stop() }()
	eventually(t, "the node is shutting down", func() bool { return strings.Contains(node.Logs(), "shutting down") })
	provider.Release("rest")
	body, err := io.ReadAll(response.Body)
	if err != nil || !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
		t.Errorf("the stream was cut: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestValidationRestoresKeys: an invalid key that works again comes back by itself, tested like real traffic.
func TestKeyTestRestores(t *testing.T) {
	w := start(t)
	group := w.group("openai", adminapi.ChannelOpenAI, 2, func(g *adminapi.GroupInput) {
		g.HeaderRules = []adminapi.HeaderRule{{Name: "X-Tenant", Action: "set", Value: "blue"}}
	})
	w.provider.Script(fakeprovider.Rule{Match: fakeprovider.Match{Key: providerKey(1)}, Then: fakeprovider.Then{Fault: "401"}})
	for range 2 {
		if status, body := w.chat("m"); status != 200 {
			t.Fatal(status, body)
		}
	}
	if got := w.counts(group); got.Invalid != 1 || got.Active != 1 {
		t.Fatalf("after a 401: %+v", got)
	}
	page, err := w.admin.SearchKey(t.Context(), group, providerKey(1))
	if err != nil || len(page.Keys) != 1 || page.Keys[0].Reason != "invalid_api_key" {
		t.Fatalf("%+v, %v", page, err)
	}
	tests, err := w.admin.TestKeys(t.Context(), group, page.Keys[0].ID)
	if err != nil || tests.Results[0].OK || tests.Results[0].Status != 401 {
		t.Fatalf("%+v, %v", tests, err)
	}
	w.provider.Script()
	tests, err = w.admin.TestKeys(t.Context(), group, page.Keys[0].ID)
	if err != nil || !tests.Results[0].OK {
		t.Fatalf("%+v, %v", tests, err)
	}
	if got := w.counts(group); got.Active != 2 {
		t.Errorf("after a test that passed: %+v", got)
	}
	calls := w.provider.CallsFor(providerKey(1))
	if last := calls[len(calls)-1]; last.Header.Get("X-Tenant") != "blue" {
		t.Error("the test went without the group's header rules")
	}
	eventually(t, "the state is stored", func() bool {
		key, err := w.admin.Key(t.Context(), page.Keys[0].ID)
		return err == nil && key.State == adminapi.KeyActive
	})
}

// TestPrivateUpstreams are refused at the dial when BLOCK_PRIVATE_UPSTREAMS says so, and no key is blamed.
func TestPrivateUpstreams(t *testing.T) {
	w := start(t, "BLOCK_PRIVATE_UPSTREAMS=true")
	group := w.group("openai", adminapi.ChannelOpenAI, 2)
	status, body := w.chat("m")
	if status != 502 || !strings.Contains(body, "blocked_address") {
		t.Errorf("%d %s", status, body)
	}
	w.provider.ExpectCalls(t, 0)
	if got := w.counts(group); got.Active != 2 {
		t.Errorf("%+v", got)
	}
}

// TestOutageOfAMinute changes no key, and neither do a thousand clients that hang up meanwhile.
func TestOutageOfAMinute(t *testing.T) {
	t.Parallel()
	const keys, hangUps = 3, 1000
	w := start(t, "MAX_CONCURRENT_REQUESTS=1000")
	group := w.group("openai", adminapi.ChannelOpenAI, keys, func(g *adminapi.GroupInput) {
		g.Settings = map[string]any{"blacklist_threshold": 1}
	})
	if status, body := w.chat("m"); status != 200 {
		t.Fatal(status, body)
	}
	w.provider.Refuse(0)
	outage := time.NewTimer(time.Minute)
	defer outage.Stop()
	for over := false; !over; {
		select {
		case <-outage.C:
			over = true
		default:
			if status, _ := w.chat("m"); status != http.StatusBadGateway {
				t.Fatalf("status %d within the outage", status)
			}
		}
	}
	if err := w.provider.Accept(); err != nil {
		t.Fatal(err)
	}
	if status, body := w.chat("m"); status != 200 {
		t.Errorf("after the outage: %d %s", status, body)
	}
	w.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: "hang"}})
	w.provider.Reset()
	w.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: "hang"}})
	slots := make(chan struct{}, 50)
	for range hangUps {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			ctx, leave := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer leave()
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.node.URL+"/proxy/openai/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[]}`))
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Authorization", "Bearer "+testenv.AuthKey)
			if response, err := client.Do(request); err == nil {
				_ = response.Body.Close()
				t.Errorf("an answer with status %d", response.StatusCode)
			}
		}()
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
	if err := w.provider.AwaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.counts(group); got.Active != keys {
		t.Errorf("keys changed: %+v", got)
	}
}
