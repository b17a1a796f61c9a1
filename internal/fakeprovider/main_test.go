package fakeprovider_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gpt-load/internal/fakeprovider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test; no test needs a hundredth of it unless something is broken.
const patience = 20 * time.Second

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// client speaks to one provider over its own connections.
type client struct {
	t    testing.TB
	base string
	http *http.Client
}

func newClient(t testing.TB, p *fakeprovider.Provider) *client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{t: t, base: p.BaseURL(), http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// request makes a request; headers are "Name: value".
func (c *client) request(ctx context.Context, method, path, body string, headers ...string) *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// reply is an answer read to its end, or to the error that cut it.
type reply struct {
	*http.Response
	body string
	err  error // of the body
}

func (c *client) send(r *http.Request) reply {
	c.t.Helper()
	response, err := c.http.Do(r)
	if err != nil {
		c.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return reply{response, string(body), err}
}

func (c *client) do(method, path, body string, headers ...string) reply {
	c.t.Helper()
	return c.send(c.request(deadline(c.t), method, path, body, headers...))
}

func (c *client) post(path, body string, headers ...string) reply {
	c.t.Helper()
	return c.do(http.MethodPost, path, body, headers...)
}

// chat asks for a chat completion of a model.
func (c *client) chat(model string, headers ...string) reply {
	c.t.Helper()
	return c.post("/v1/chat/completions", chatBody(model, false), headers...)
}

func chatBody(model string, stream bool) string {
	body := `{"model":"` + model + `","messages":[{"role":"user","content":"hi"}]`
	if stream {
		body += `,"stream":true`
	}
	return body + "}"
}

// dial opens a bare connection.
func dial(t testing.TB, p *fakeprovider.Provider) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(deadline(t), "tcp", strings.TrimPrefix(p.BaseURL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// event is one server-sent event.
type event struct{ name, data string }

func events(body string) []event {
	var out []event
	var e event
	scanner := bufio.NewScanner(strings.NewReader(body))
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		switch line := scanner.Text(); {
		case line == "":
			if e != (event{}) {
				out = append(out, e)
			}
			e = event{}
		case strings.HasPrefix(line, "event: "):
			e.name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			e.data += line[len("data: "):]
		}
	}
	return out
}

// recorder is a fakeprovider.TB that remembers failures instead of failing.
type recorder struct{ failures []string }

func (*recorder) Helper() {}

func (r *recorder) Errorf(format string, _ ...any) { r.failures = append(r.failures, format) }
