package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// chunkedUpload sends a chunked body of so many MiB, and its end if it has one, and reads the answer.
func (w *world) chunkedUpload(megabytes int, end string) (rawAnswer, error) {
	w.t.Helper()
	conn := dial(w.t, w.node.URL)
	defer func() { _ = conn.Close() }()
	go func() { // an answer may come before everything was taken
		_, _ = io.WriteString(conn, "POST /proxy/openai/echo/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+testenv.AuthKey+"\r\nTransfer-Encoding: chunked\r\n\r\n")
		chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20))
		for range megabytes {
			_, _ = io.WriteString(conn, chunk)
		}
		_, _ = io.WriteString(conn, end)
	}()
	return readRaw(bufio.NewReader(conn), "POST")
}

// TestChunkedUploads arrive whole, also beyond what is kept for another attempt (32 MiB).
func TestChunkedUploads(t *testing.T) {
	w := badWorld(t)
	for _, megabytes := range []int{31, 32, 33, 48} {
		answer, err := w.chunkedUpload(megabytes, "0\r\n\r\n")
		if err != nil || answer.status() != 200 || !strings.Contains(string(answer.body), `"body_bytes": `+strconv.Itoa(megabytes<<20)) {
			t.Errorf("%d MiB: %s %.300s %v", megabytes, answer.statusLine, answer.body, err)
		}
	}
}

// TestBrokenUploads: who sends a body that has no end is told what is wrong with it, and nobody else is blamed, whether
// the body was still being read or was already on its way to the provider.
func TestBrokenUploads(t *testing.T) {
	w := badWorld(t, "SERVER_READ_TIMEOUT=1")
	for name, c := range map[string]struct {
		megabytes int
		end       string
		says      string
	}{
		"held, stalled":      {0, "5\r\nab", "SERVER_READ_TIMEOUT"},
		"held, malformed":    {0, "zz\r\n", "malformed"},
		"streamed, stalled":  {34, "5\r\nab", "SERVER_READ_TIMEOUT"},
		"streamed, nonsense": {34, "zz\r\n", "malformed"},
	} {
		answer, err := w.chunkedUpload(c.megabytes, c.end)
		if err != nil || answer.status() != 400 || !strings.Contains(string(answer.body), "body_broken") || !strings.Contains(string(answer.body), c.says) {
			t.Errorf("%s: %s %.300s %v", name, answer.statusLine, answer.body, err)
		}
	}
	for _, record := range w.awaitRecords(4) {
		if record.Status != 400 || record.Class != "gateway" || record.Error != "body_broken" {
			t.Errorf("recorded as %d %s %s", record.Status, record.Class, record.Error)
		}
	}
}

// TestRefusedWithoutBody: a refused client that announces a body and never sends it is let go. Anybody can do that.
func TestRefusedWithoutBody(t *testing.T) {
	w := start(t, "SERVER_READ_TIMEOUT=1", "ENABLE_CORS=true", "ALLOWED_ORIGINS=https://app.example")
	for name, head := range map[string]string{
		"a wrong key":         "POST /proxy/openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\nContent-Length: 1000\r\n",
		"a body on request":   "POST /proxy/openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n",
		"a chunked body":      "POST /proxy/openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n",
		"an unknown group":    "POST /proxy/nobody/v1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + testenv.AuthKey + "\r\nContent-Length: 1000\r\n",
		"a preflight request": "OPTIONS /proxy/openai/v1 HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: POST\r\nContent-Length: 1000\r\n",
	} {
		conn := dial(t, w.node.URL) // with a deadline of a minute
		if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 ") {
			t.Errorf("%s: not let go: %q, %v", name, answer, err)
		}
	}
}

// TestShutdownTellsWhy: a stream that outlives the grace of a shutdown ends with the protocol's error event, and its
// record blames neither the client nor the provider.
func TestShutdownTellsWhy(t *testing.T) {
	dir := t.TempDir()
	provider := fakeprovider.Serve(t, fakeprovider.Options{})
	node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, dir, "SERVER_GRACEFUL_SHUTDOWN_TIMEOUT=1")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, node: node, provider: provider, admin: node.Client()}
	group := w.group("openai", adminapi.ChannelOpenAI, 1)
	provider.Script(
		fakeprovider.Rule{Match: fakeprovider.Match{Model: "begun"}, Then: fakeprovider.Then{Flaw: fakeprovider.FlawStall, FlawAfter: 2, Hold: "never"}},
		fakeprovider.Rule{Match: fakeprovider.Match{Model: "waiting"}, Then: fakeprovider.Then{Fault: "hang"}},
	)
	type ending struct {
		status int
		body   string
		err    error
	}
	endings := map[string]chan ending{"begun": make(chan ending, 1), "waiting": make(chan ending, 1)}
	for model, ended := range endings {
		go func() {
			status, body, err := w.do("POST", "/proxy/openai/v1/chat/completions", `{"model":"`+model+`","stream":true,"messages":[]}`)
			ended <- ending{status, body, err}
		}()
	}
	if err := provider.AwaitCalls(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	if got := <-endings["begun"]; got.status != 200 || got.err == nil || !strings.Contains(got.body, `"code":"shutting_down"`) {
		t.Errorf("the stream that had begun: %d %s, %v", got.status, got.body, got.err)
	}
	if got := <-endings["waiting"]; got.status != 503 || !strings.Contains(got.body, `"code":"shutting_down"`) {
		t.Errorf("the request that was waiting: %d %s, %v", got.status, got.body, got.err)
	}
	again := startIn(t, dir, provider)
	for _, record := range again.awaitRecords(2) {
		if record.Class != "gateway" || record.Error != "shutting_down" {
			t.Errorf("%s is recorded as %d %s %s", record.ModelAsked, record.Status, record.Class, record.Error)
		}
	}
	if counts := again.counts(group); counts != (adminapi.KeyCounts{Active: 1}) {
		t.Errorf("keys: %+v", counts)
	}
}
