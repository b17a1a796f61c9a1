package e2e_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// heldStream begins a stream that the provider holds in its middle, and returns when its first bytes are here.
func (w *world) heldStream(hold string) (body *bufio.Reader, end func()) {
	w.t.Helper()
	w.provider.Script(fakeprovider.Rule{
		Match: fakeprovider.Match{Model: hold}, Then: fakeprovider.Then{Flaw: fakeprovider.FlawStall, FlawAfter: 2, Hold: hold},
	})
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.node.URL+"/proxy/openai/v1/chat/completions",
		strings.NewReader(`{"model":"`+hold+`","stream":true,"messages":[{"role":"user","content":"x"}]}`))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+testenv.AuthKey)
	response, err := client.Do(request) //nolint:bodyclose // the caller does, by end
	if err != nil {
		w.t.Fatal(err)
	}
	reader := bufio.NewReader(response.Body)
	if _, err := reader.Peek(1); err != nil || response.StatusCode != http.StatusOK {
		w.t.Fatal(response.StatusCode, err)
	}
	return reader, func() { _ = response.Body.Close() }
}

func (w *world) awaitLog(text string) {
	w.t.Helper()
	eventually(w.t, "the log says "+text, func() bool { return strings.Contains(w.node.Logs(), text) })
}

func terminate(t *testing.T, n *testenv.Node, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(n.PID(), signal); err != nil {
		t.Fatal(err)
	}
}

// probe asks a node for one of its probes, on a connection of its own.
func probe(t *testing.T, url string) (status int, closes bool, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Transport{DisableKeepAlives: false}).RoundTrip(request)
	if err != nil {
		return 0, false, err
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.Close, answer.Body.Close()
}

// TestDrain: a node of a fleet is not ready at once, takes what still comes until load balancers have noticed, then closes its
// port; a live stream runs on, and ends as if nothing had been.
func TestDrain(t *testing.T) {
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	w := start(t, "REDIS_DSN="+redis.DSN(), "SERVER_SHUTDOWN_DELAY=6", "SERVER_GRACEFUL_SHUTDOWN_TIMEOUT=300")
	w.group("openai", adminapi.ChannelOpenAI, 1)
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/startupz": 200} {
		if status, closes, err := probe(t, w.node.URL+path); status != want || closes || err != nil {
			t.Errorf("before: %s is %d, %v, %v", path, status, closes, err)
		}
	}
	stream, end := w.heldStream("held")
	defer end()
	stopped := make(chan error, 1)
	go func() { stopped <- w.node.Stop() }()
	eventually(t, "the node is not ready", func() bool {
		status, _, err := probe(t, w.node.URL+"/readyz")
		return err == nil && status == http.StatusServiceUnavailable
	})
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/startupz": 200} {
		if status, closes, err := probe(t, w.node.URL+path); status != want || !closes || err != nil {
			t.Errorf("after SIGTERM: %s is %d, closes %v, %v", path, status, closes, err)
		}
	}
	if status, body := w.chat("m"); status != http.StatusOK {
		t.Errorf("a request that came late: %d %s", status, body)
	}
	eventually(t, "the port is closed", func() bool {
		_, _, err := probe(t, w.node.URL+"/livez")
		return err != nil
	})
	select {
	case err := <-stopped:
		t.Fatalf("the node ended before its stream: %v", err)
	default:
	}
	w.awaitLog("requests are ending; no new ones are accepted")
	w.provider.Release("held")
	rest, err := io.ReadAll(stream)
	if err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("the stream was cut: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	for _, line := range []string{"still accepting requests, until load balancers have noticed", "requests are ending; no new ones are accepted"} {
		if !strings.Contains(w.node.Logs(), line) {
			t.Errorf("the log does not say %q", line)
		}
	}
}

// TestSecondSignal ends the process at once, whatever it waits for, with the code of the signal.
func TestSecondSignal(t *testing.T) {
	for signal, code := range map[syscall.Signal]string{syscall.SIGTERM: "exit status 143", syscall.SIGINT: "exit status 130"} {
		node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, node: node, provider: fakeprovider.Serve(t, fakeprovider.Options{}), admin: node.Client()}
		w.group("openai", adminapi.ChannelOpenAI, 1)
		_, end := w.heldStream("held")
		terminate(t, node, signal)
		w.awaitLog("shutting down")
		terminate(t, node, signal)
		select {
		case <-node.Ended():
		case <-time.After(time.Minute):
			t.Fatalf("%s twice did not end it", signal)
		}
		end()
		if state := node.ExitState(); state != code {
			t.Errorf("%s twice: %s, want %s", signal, state, code)
		}
		w.provider.Release("held")
		_ = node.Kill()
	}
}

// TestSignalDuringStart: a node that still waits for its database shows what it waits for, and ends in good order.
func TestSignalDuringStart(t *testing.T) {
	port := testenv.FreePort(t)
	var log strings.Builder
	node := exec.Command(binary)
	node.Dir, node.Stderr = t.TempDir(), &log
	node.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOST=127.0.0.1", "PORT=0", "AUTH_KEY=" + testenv.AuthKey, "LOG_FORMAT=json",
		fmt.Sprintf("DATABASE_DSN=postgres://nobody:x@127.0.0.1:%d/none", testenv.FreePort(t)), fmt.Sprint("METRICS_PORT=", port),
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = node.Process.Kill() }()
	eventually(t, "metrics are served while the node waits", func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", port), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		return err == nil && strings.Contains(string(text), "gptload_ready 0\n") && strings.Contains(string(text), "gptload_store_up 0\n")
	})
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
}

// TestSignalWhileImporting: another node goes on with the import where the first one stopped, and no key is missing or there twice.
func TestSignalWhileImporting(t *testing.T) {
	const keys = 120_000
	postgres, redis := testenv.NewPostgres(t), testenv.NewRedis(t, testenv.RedisOptions{})
	if err := postgres.CreateDatabase(t.Context(), "gptload"); err != nil {
		t.Fatal(err)
	}
	env := []string{"DATABASE_DSN=" + postgres.DSN("gptload"), "REDIS_DSN=" + redis.DSN(), "ENCRYPTION_KEY=" + rand.Text()}
	one, provider := start(t, env...), fakeprovider.Serve(t, fakeprovider.Options{})
	other := startIn(t, t.TempDir(), provider, env...)
	group := one.group("openai", adminapi.ChannelOpenAI, 0)
	var file strings.Builder
	for i := range keys {
		fmt.Fprintf(&file, "sk-import-%09d-abcdefghijkl\n", i)
	}
	began, err := one.admin.ImportKeys(t.Context(), group, strings.NewReader(file.String()), adminclient.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	look := func(w *world) adminapi.Operation {
		o, err := w.admin.Operation(t.Context(), began.ID)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	var ran string
	eventually(t, "the import runs", func() bool {
		o := look(one)
		ran = o.Node
		return o.Ended() || o.State == adminapi.OperationRunning && o.Done > 0
	})
	stays, goes := one, other
	if fleet, err := one.admin.Nodes(t.Context()); err != nil {
		t.Fatal(err)
	} else {
		for _, n := range fleet.Nodes {
			if n.Self && n.ID == ran {
				stays, goes = other, one
			}
		}
	}
	if err := goes.node.Stop(); err != nil {
		t.Fatal(err)
	}
	left := look(stays)
	if left.Ended() && left.Done == keys && strings.Contains(goes.node.Logs(), "an operation is done") {
		t.Fatal("the import was done before the signal; it needs more keys")
	}
	eventually(t, "the import is done", func() bool { return look(stays).Ended() })
	done := look(stays)
	if done.State != adminapi.OperationSucceeded || done.Counts["added"] != keys || done.Node == ran {
		t.Errorf("%+v", done)
	}
	eventually(t, "the keys are in use", func() bool { return stays.counts(group).Active == keys })
	if !strings.Contains(goes.node.Logs(), "left to another node") {
		t.Errorf("the node that ended does not say so:\n%s", goes.node.Logs())
	}
}
