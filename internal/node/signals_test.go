package node

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/config"
	"gpt-load/internal/fleet"
	"gpt-load/internal/metrics"
	"gpt-load/internal/secret"
	"gpt-load/internal/snapshot"
)

// openNode makes the parts of a node, which reads nothing and serves nobody yet.
func openNode(t *testing.T) *node {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("DATA_DIR", dir)
	t.Setenv("AUTH_KEY", "sk-of-the-tests-0123456789")
	cfg, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(Options{Config: cfg, Version: "1.2.3", Log: zap.NewNop()})
	if err := n.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// series counts the lines of a scrape that are series.
func (n *node) series(t *testing.T) (count int, text string) {
	t.Helper()
	answer := httptest.NewRecorder()
	n.metrics.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("%d: %s", answer.Code, answer.Body)
	}
	for line := range strings.Lines(answer.Body.String()) {
		if !strings.HasPrefix(line, "#") {
			count++
		}
	}
	return count, answer.Body.String()
}

// TestScrapeDuringStart: nothing is read yet, and the answer says so.
func TestScrapeDuringStart(t *testing.T) {
	n := openNode(t)
	_, text := n.series(t)
	for _, want := range []string{"gptload_ready 0\n", "gptload_store_up 0\n", "gptload_leader 0\n", "gptload_requests_in_flight 0\n", `gptload_build_info{go="go1`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestSeriesOfAMillionKeys: neither a million keys nor a hundred thousand names of models that clients make up add series.
func TestSeriesOfAMillionKeys(t *testing.T) {
	const keys, models, batch = 1_000_000, 100_000, 10_000
	n := openNode(t)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":{"message":"no such model","code":"model_not_found"}}`)
	}))
	defer provider.Close()
	group := fleet.Group{ID: 1, Name: "g", Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI, Upstreams: []fleet.Upstream{{URL: provider.URL, Weight: 1}}}
	strict := group
	strict.ID, strict.Name, strict.ModelRedirectStrict = 2, "strict", true
	snap, faults := snapshot.Compile(1, map[string]string{"proxy_keys": "sk-client"}, []fleet.Group{group, strict}, func(secret.Text) string { return "fp" })
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if err := n.apply(t.Context(), nil, snap); err != nil {
		t.Fatal(err)
	}
	n.snapshots.Store(snap)
	pool, list := n.pools.Ensure(1), make([]fleet.Key, batch)
	for from := 0; from < keys; from += batch {
		for i := range list {
			id := from + i + 1
			list[i] = fleet.Key{ID: fleet.KeyID(id), GroupID: 1, Value: secret.New(fmt.Sprintf("sk-%09d", id)), State: fleet.KeyActive}
			if id%1000 == 0 {
				list[i].State, list[i].Reason = fleet.KeyInvalid, fmt.Sprint("reason of ", id)
			}
		}
		pool.Put(list...)
	}
	for i := range models {
		// Most are refused here: a name is a name, and the provider's answer costs the test a minute.
		path := "/proxy/strict/v1/chat/completions"
		if i%1000 == 0 {
			path = "/proxy/g/v1/chat/completions"
		}
		request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(fmt.Sprintf(`{"model":"junk-%d"}`, i)))
		request.Header.Set("Authorization", "Bearer sk-client")
		answer := httptest.NewRecorder()
		n.proxy.ServeHTTP(answer, request)
		if answer.Code != http.StatusNotFound {
			t.Fatalf("%d: %s", answer.Code, answer.Body)
		}
	}
	begun := time.Now()
	count, text := n.series(t)
	t.Logf("%d series, scraped in %v", count, time.Since(begun))
	if count > metrics.MaxSeries {
		t.Errorf("%d series; the bound is %d", count, metrics.MaxSeries)
	}
	if strings.Contains(text, "junk") || strings.Contains(text, "reason of") {
		t.Error("a word from outside became a label")
	}
	for _, want := range []string{
		`gptload_keys{group="g",reason="",state="active"} 999000`, `gptload_keys{group="g",reason="(other)",state="invalid"} 1000`,
		`gptload_requests_total{channel="openai",class="client",group="g",status="4xx"} 100`,
		`gptload_requests_total{channel="openai",class="gateway",group="strict",status="4xx"} 99900`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
