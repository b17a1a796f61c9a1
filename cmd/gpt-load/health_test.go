package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gpt-load/internal/config"
	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminclient"
)

func TestAskReady(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string // part of the error; empty for none
	}{
		"ready":       {200, `{"status":"ready","checks":[]}`, ""},
		"not ready":   {503, `{"status":"not_ready","checks":[{"name":"configuration","ready":true},{"name":"accepting","ready":false,"message":"the node is shutting down"},{"name":"schema","ready":false}]}`, "accepting: the node is shutting down; schema"},
		"no reason":   {503, `{"status":"not_ready"}`, `"not_ready"`},
		"not a node":  {404, `<html>`, "asking the node at http://"},
		"nothing new": {200, `{}`, "asking the node at http://"},
	} {
		t.Run(name, func(t *testing.T) {
			node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/readyz" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer node.Close()
			err := askReady(t.Context(), clientOf(t, node.URL), node.URL)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	node := httptest.NewServer(http.NotFoundHandler())
	node.Close()
	if err := askReady(t.Context(), clientOf(t, node.URL), node.URL); err == nil || !strings.Contains(err.Error(), node.URL) {
		t.Errorf("a node that is not there: %v", err)
	}
}

func clientOf(t *testing.T, url string) *adminclient.Client {
	t.Helper()
	client, err := healthClient(url)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestLocalURL(t *testing.T) {
	for host, want := range map[string]string{
		"0.0.0.0": "http://localhost:3001", "::": "http://localhost:3001", "": "http://localhost:3001",
		"127.0.0.1": "http://127.0.0.1:3001", "::1": "http://[::1]:3001", "10.1.2.3": "http://10.1.2.3:3001", "node-1": "http://node-1:3001",
	} {
		if got := localURL(config.Config{Host: host, Port: 3001}); got != want {
			t.Errorf("a node that listens on %q is asked at %s, not %s", host, got, want)
		}
	}
}

// quietly runs a command in this process and returns its exit code.
func quietly(t *testing.T, args ...string) int {
	t.Helper()
	return newApp(&terminal.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}).run(t.Context(), args)
}

func TestHealthCommandLine(t *testing.T) {
	t.Chdir(t.TempDir())
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status":"ready","checks":[]}`))
	}))
	defer node.Close()
	host, port, _ := strings.Cut(strings.TrimPrefix(node.URL, "http://"), ":")
	t.Setenv("HOST", host)
	t.Setenv("PORT", port)
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"health"}, 0},
		{[]string{"health", "now"}, 2},
		{[]string{"health", "--config", "no-such-file.yaml"}, 2},
	} {
		if got := quietly(t, c.args...); got != c.want {
			t.Errorf("gpt-load %s returned %d, not %d", strings.Join(c.args, " "), got, c.want)
		}
	}
	node.Close()
	if got := quietly(t, "health"); got != 1 {
		t.Errorf("without a node it returned %d, not 1", got)
	}
}
