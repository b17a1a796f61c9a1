package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// toyNode answers as the handler says and returns its host:port.
func toyNode(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	node := httptest.NewServer(handler)
	t.Cleanup(node.Close)
	return strings.TrimPrefix(node.URL, "http://")
}

// deadNode is an address that refuses.
func deadNode(t *testing.T) string {
	t.Helper()
	port, err := reservePort()
	must(t, err)
	t.Cleanup(port.release)
	return port.address()
}

// call sends a request straight to the balancer and returns status and body.
func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	request.Close = true
	answer, err := direct.RoundTrip(request)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer.StatusCode, string(text)
}

// TestBalancerPassesAllOn: path bytes, query, odd headers, bodies.
func TestBalancerPassesAllOn(t *testing.T) {
	node := toyNode(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Server", "a provider's")
		w.Header().Set("X-Accel-Redirect", "/elsewhere")
		_, _ = fmt.Fprintf(w, "%s %s %q %q %q %s %d", r.Method, r.RequestURI, r.Header["X_odd"], r.Header.Get("X.odder"), r.Header.Get("X-Forwarded-For"), r.Host, len(body))
	})
	b := NewBalancer(t, []string{node})
	path := "/proxy/g/a%2Fb//c/%E2%82%AC?b=2&a=1&a=%20+"
	big := strings.Repeat("x", 5<<20)
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.URL, "http://"))
	must(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: client.example:8080\r\nX_odd: one\r\nX.odder: two\r\nX-Forwarded-For: 9.9.9.9\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		path, len(big), big)
	must(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	want := fmt.Sprintf("POST %s [\"one\"] \"two\" \"9.9.9.9, 127.0.0.1\" client.example:8080 %d", path, len(big))
	if answer.StatusCode != 200 || string(text) != want {
		t.Errorf("the node saw\n%s\nnot\n%s", text, want)
	}
	if got := answer.Header.Get("Server"); got != "a provider's" {
		t.Errorf("the answer's Server is %q", got)
	}
}

// TestBalancerStreams: each piece goes on before the next exists, both ways.
func TestBalancerStreams(t *testing.T) {
	heard, said := make(chan string), make(chan string)
	node := toyNode(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/livez" {
			return
		}
		lines := bufio.NewReader(r.Body)
		for range 3 {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Error(err)
			}
			heard <- line
		}
		if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
			t.Errorf("the end of the request is %q, %v", rest, err)
		}
		for text := range said {
			_, _ = io.WriteString(w, text)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}
	})
	b := NewBalancer(t, []string{node})
	body, writer := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+"/", body)
	must(t, err)
	answered := make(chan *http.Response)
	go func() {
		answer, err := direct.RoundTrip(request) //nolint:bodyclose // the test closes it
		if err != nil {
			t.Error(err)
		}
		answered <- answer
	}()
	for i := range 3 {
		text := fmt.Sprintf("question %d\n", i)
		_, err := io.WriteString(writer, text)
		must(t, err)
		if got := <-heard; got != text {
			t.Errorf("the node heard %q, not %q", got, text)
		}
	}
	must(t, writer.Close())
	said <- "answer 0\n"
	answer := <-answered
	defer func() { _ = answer.Body.Close() }()
	lines := bufio.NewReader(answer.Body)
	for i := range 3 {
		if got, err := lines.ReadString('\n'); err != nil || got != fmt.Sprintf("answer %d\n", i) {
			t.Errorf("the client heard %q, %v as answer %d", got, err, i)
		}
		if i < 2 {
			said <- fmt.Sprintf("answer %d\n", i+1)
		}
	}
	close(said)
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("the end of the stream is %q, %v", rest, err)
	}
}

// TestBalancerDeadNodes: requests do not notice nodes that refuse, and the others share the work.
func TestBalancerDeadNodes(t *testing.T) {
	var served [2]atomic.Int64
	nodes := []string{deadNode(t), deadNode(t)}
	for i := range served {
		nodes = append(nodes, toyNode(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			served[i].Add(1)
		}))
	}
	b := NewBalancer(t, nodes)
	const requests = 200
	for i := range requests {
		method := []string{http.MethodPost, http.MethodGet}[i%2]
		if status, body := call(t, method, b.URL+"/", strings.Repeat("x", i*100)); status != 200 {
			t.Fatalf("%s %d: %d %s", method, i, status, body)
		}
	}
	for i := range served {
		if n := served[i].Load(); n < requests/4 {
			t.Errorf("node %d served %d of %d requests", i, n, requests)
		}
	}
}

// TestBalancerRepeatsNothing: what a node may have begun is not sent to another one, and the failure is told.
func TestBalancerRepeatsNothing(t *testing.T) {
	var calls atomic.Int64
	dies := func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/livez" {
			return
		}
		calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}
	b := NewBalancer(t, []string{toyNode(t, dies), toyNode(t, dies)})
	for _, body := range []string{"{}", strings.Repeat("x", 1<<20), ""} {
		calls.Store(0)
		status, answer := call(t, http.MethodPost, b.URL+"/proxy/g/v1/chat/completions", body)
		if status != 502 || !strings.Contains(answer, `"code":"no_node"`) {
			t.Errorf("the client got %d %s", status, answer)
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("a POST of %d bytes was sent %d times", len(body), n)
		}
	}
}

// TestBalancerCutStream: a stream that a node cuts does not end well for the client.
func TestBalancerCutStream(t *testing.T) {
	b := NewBalancer(t, []string{toyNode(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/livez" {
			return
		}
		_, _ = io.WriteString(w, "data: half\n\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/", http.NoBody)
	must(t, err)
	answer, err := direct.RoundTrip(request)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	if text, err := io.ReadAll(answer.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(text) != "data: half\n\n" {
		t.Errorf("the client got %q and then %v", text, err)
	}
}

// TestBalancerKeepsSecrets: no query in any log, whatever happens to the request.
func TestBalancerKeepsSecrets(t *testing.T) {
	b := NewBalancer(t, []string{deadNode(t), toyNode(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/dies" {
			panic(http.ErrAbortHandler)
		}
	})})
	const canary = "canary-key-77"
	for _, path := range []string{"/lives", "/dies", "/lives", "/dies"} {
		call(t, http.MethodPost, b.URL+path+"?key="+canary, "{}")
	}
	must(t, b.Stop())
	log, err := os.ReadFile(b.LogFile())
	must(t, err)
	if strings.Contains(string(log), canary) {
		t.Errorf("the log holds the client's key:\n%s", log)
	}
	if !strings.Contains(string(log), `"path":"/dies","status":502`) {
		t.Errorf("the log does not tell of the failure:\n%s", log)
	}
}

// TestBalancerLife: it comes back at the same address, and nothing of it is left after a kill.
func TestBalancerLife(t *testing.T) {
	b := NewBalancer(t, []string{toyNode(t, func(http.ResponseWriter, *http.Request) {})})
	workers := descendants(b.PID())
	if len(workers) == 0 {
		t.Error("nginx has no workers")
	}
	must(t, b.Freeze())
	ctx, cancel := context.WithTimeout(t.Context(), silence)
	defer cancel()
	if err := b.responds(ctx); err == nil {
		t.Error("nginx answers frozen")
	}
	must(t, b.Thaw())
	must(t, b.responds(t.Context()))
	must(t, b.Kill())
	allGone(t, append(workers, b.PID()))
	must(t, b.Restart(t.Context()))
	if status, _ := call(t, http.MethodGet, b.URL+"/", ""); status != 200 {
		t.Errorf("after the restart: %d", status)
	}
}
