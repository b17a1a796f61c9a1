// Package e2e_test talks to the real binary over HTTP, as clients and operators do, with a scripted provider behind it.
package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "gpt-load-e2e-")
		if err == nil {
			defer func() { _ = os.RemoveAll(dir) }()
			binary, err = testenv.Build(context.Background(), dir, true)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// world is a node, a provider and an operator.
type world struct {
	t        *testing.T
	node     *testenv.Node
	provider *fakeprovider.Provider
	admin    *adminclient.Client
}

func start(t *testing.T, env ...string) *world {
	t.Helper()
	return startIn(t, t.TempDir(), fakeprovider.Serve(t, fakeprovider.Options{}), env...)
}

func startIn(t *testing.T, dir string, provider *fakeprovider.Provider, env ...string) *world {
	t.Helper()
	// The test's own context ends before its clean-up, which must find the node running.
	node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, dir, env...)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, node: node, provider: provider, admin: node.Client()}
	t.Cleanup(func() {
		if err := w.node.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// group makes a standard group with keys named key-1-..., and returns its id.
func (w *world) group(name, channel string, keys int, change ...func(*adminapi.GroupInput)) string {
	w.t.Helper()
	in := adminapi.GroupInput{Name: name, Channel: channel, Upstreams: []adminapi.Upstream{{URL: w.provider.BaseURL(), Weight: 1}}}
	for _, c := range change {
		c(&in)
	}
	group, err := w.admin.CreateGroup(w.t.Context(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	var values []string
	for i := range keys {
		values = append(values, providerKey(i+1))
	}
	if keys > 0 {
		if _, err := w.admin.AddKeys(w.t.Context(), group.ID, adminapi.KeyInput{Keys: values}); err != nil {
			w.t.Fatal(err)
		}
	}
	return group.ID
}

func providerKey(n int) string { return fmt.Sprintf("sk-provider-key-%04d-abcdefgh", n) }

func (w *world) counts(group string) adminapi.KeyCounts {
	w.t.Helper()
	g, err := w.admin.Group(w.t.Context(), group, false)
	if err != nil {
		w.t.Fatal(err)
	}
	return g.KeyCounts
}

// settings changes system settings.
func (w *world) settings(patch adminapi.SettingsPatch) {
	w.t.Helper()
	if _, err := w.admin.ChangeSettings(w.t.Context(), patch); err != nil {
		w.t.Fatal(err)
	}
}

var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// do sends a request below /proxy/ with the proxy key and returns status and body.
func (w *world) do(method, path, body string, header ...string) (int, string, error) {
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.node.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+testenv.AuthKey)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}

func (w *world) chat(model string) (int, string) {
	w.t.Helper()
	status, body, err := w.do(http.MethodPost, "/proxy/openai/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"hello"}]}`)
	if err != nil {
		w.t.Fatal(err)
	}
	return status, body
}

// eventually waits for a state that the node reaches by itself, asking ten times a second.
func eventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(60 * time.Second)
	defer limit.Stop()
	for !reached() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
