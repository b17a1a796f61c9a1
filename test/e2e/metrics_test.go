package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// scrape asks for metrics and returns status and text.
func scrape(t *testing.T, url, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// TestMetrics: the main port serves them to the token only, the other one to everybody who reaches it.
func TestMetrics(t *testing.T) {
	const token = "a-token-for-prometheus-0123456789"
	port := testenv.FreePort(t)
	w := start(t, fmt.Sprint("METRICS_PORT=", port), "METRICS_TOKEN="+token)
	w.group("openai", adminapi.ChannelOpenAI, 2)
	if status, body := w.chat("m"); status != http.StatusOK {
		t.Fatal(status, body)
	}
	if status, _ := w.chat("m"); status != http.StatusOK {
		t.Fatal(status)
	}
	for name, c := range map[string]struct {
		url, token string
		status     int
	}{
		"own port":          {fmt.Sprintf("http://127.0.0.1:%d/metrics", port), "", 200},
		"other path":        {fmt.Sprintf("http://127.0.0.1:%d/api/v1/keys", port), "", 404},
		"main port":         {w.node.URL + "/metrics", token, 200},
		"without a token":   {w.node.URL + "/metrics", "", 401},
		"with another key":  {w.node.URL + "/metrics", testenv.AuthKey, 401},
		"with a part of it": {w.node.URL + "/metrics", token[:10], 401},
	} {
		status, text := scrape(t, c.url, c.token)
		if status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, status, c.status, text)
		}
		if c.status != http.StatusOK {
			if strings.Contains(text, "gptload_ready") {
				t.Errorf("%s: metrics in a refusal", name)
			}
			continue
		}
		for _, want := range []string{
			`gptload_requests_total{channel="openai",class="ok",group="openai",status="2xx"} 2`,
			`gptload_attempts_total{channel="openai",class="ok",group="openai"} 2`,
			`gptload_overhead_seconds_count{channel="openai"} 2`,
			`gptload_keys{group="openai",reason="",state="active"} 2`,
			"gptload_ready 1", "gptload_leader 1", "gptload_store_up 1", "gptload_requests_in_flight 0", "gptload_configuration_lag 0",
			`gptload_node_role{role="single"} 1`,
		} {
			if !strings.Contains(text, want+"\n") {
				t.Errorf("%s: no %q in\n%s", name, want, text)
			}
		}
		for _, secret := range []string{testenv.AuthKey, token, providerKey(1)} {
			if strings.Contains(text, secret) {
				t.Errorf("%s: a secret stands in the metrics", name)
			}
		}
	}
}

// TestStreamMetrics: a stream has a first token and gaps; a retry and a rest are counted.
func TestStreamMetrics(t *testing.T) {
	const token = "a-token-for-prometheus-0123456789"
	w := start(t, "METRICS_TOKEN="+token)
	w.group("openai", adminapi.ChannelOpenAI, 2)
	w.provider.Script(fakeprovider.Rule{When: fakeprovider.When{Nth: 1}, Then: fakeprovider.Then{Fault: "429-seconds", RetryAfter: 10 * time.Minute}})
	for range 2 {
		if status, body, err := w.do(http.MethodPost, "/proxy/openai/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}`); status != 200 || err != nil {
			t.Fatal(status, body, err)
		}
	}
	_, text := scrape(t, w.node.URL+"/metrics", token)
	for _, want := range []string{
		`gptload_time_to_first_token_seconds_count{channel="openai",group="openai"} 2`,
		`gptload_retries_total{channel="openai",reason="rate_limited"} 1`,
		`gptload_attempts_total{channel="openai",class="limited",group="openai"} 1`,
		`gptload_key_cooldowns_total{class="limited",group="openai"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, `gptload_stream_gap_seconds_count{channel="openai"} 0`) {
		t.Error("no gap between the chunks of two streams")
	}
}

// TestRefusedMetricsPorts name what to change.
func TestRefusedMetricsPorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for name, c := range map[string]struct{ env, says string }{
		"a taken port": {fmt.Sprint("METRICS_PORT=", taken.Addr().(*net.TCPAddr).Port), "HOST, METRICS_PORT"},

		"no port": {"METRICS_PORT=65536", "METRICS_PORT"},
		"a token": {"METRICS_TOKEN=with a space", "METRICS_TOKEN"},
	} {
		node, err := testenv.StartNode(t.Context(), binary, t.TempDir(), c.env)
		if err == nil {
			_ = node.Kill()
			t.Errorf("%s: it started", name)
		} else if !strings.Contains(node.Logs(), c.says) {
			t.Errorf("%s: no word of %s in\n%s", name, c.says, node.Logs())
		}
	}
}
