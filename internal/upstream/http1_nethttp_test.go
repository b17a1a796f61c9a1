package upstream_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/provider"
	"gpt-load/internal/upstream"
)

// trade is one request and the bytes of its answer.
type trade struct {
	name   string
	method string // GET by default
	path   string
	body   string
	header http.Header
	shut   bool // Request.Close
	// answer goes out when the whole request was read; the connection stays open behind it, unless then says "close" or "reset".
	answer string
	then   string
	serve  func(v *visit, answered <-chan struct{}) // in place of answer
	// want is the outcome in one line: status, body, how it ended, whether the connection was used again.
	want string
	// nethttp is the outcome that net/http gives where it differs from ours, over TCP or, with both, over TLS too.
	nethttp string
	both    bool
	// alone says that net/http cannot be asked for the second exchange: it looks at a connection some time after it was
	// put away, and what happens before that is luck.
	alone bool
}

// outcome is all that a caller of a transport can see, and what the peer saw of the request.
type outcome struct {
	Error, Status, Proto, Header, Coding string
	Length                               int64
	Body, BodyError, Trailer             string
	Sent                                 string
	Reused                               bool
}

func (o outcome) String() string {
	if o.Error != "" {
		return o.Error
	}
	end, again := "", "fresh"
	if o.BodyError != "" {
		end = " " + o.BodyError
	}
	if o.Trailer != "map[]" {
		end += " " + o.Trailer
	}
	if o.Reused {
		again = "again"
	}
	body := o.Body
	if len(body) > 20 {
		body = fmt.Sprintf("%d bytes", len(body))
	}
	return fmt.Sprintf("%s %q%s, %s", o.Status[:3], body, end, again)
}

// reason is what the product makes of a transport's error: the record says it, and the choice of what is next goes by it.
func reason(err error, status int) string {
	if err == nil {
		return ""
	}
	return provider.Judge(provider.Outcome{Channel: fleet.ChannelOpenAI, Status: status, Err: err, Silent: upstream.Silent(err), Now: start}, provider.Policy{}).Reason
}

// TestHTTP1IsNetHTTP: our own HTTP/1.1 client gives what net/http's transport gives, exchange by exchange: the bytes of
// the request, status, header, body, trailers, the kind of error, and whether the connection is used again.
func TestHTTP1IsNetHTTP(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for i, c := range slices.Concat(framings, statuses, headers, malformations, endings, asks, mixtures()) {
		if names[c.name] {
			t.Fatalf("two exchanges are called %q", c.name)
		}
		names[c.name] = true
		for _, scheme := range []string{"http", "https"} {
			if scheme == "https" && c.want == "" && i%3 > 0 {
				continue // TLS takes its time, and changes nothing for most of the mixtures
			}
			t.Run(c.name+"/"+scheme, func(t *testing.T) {
				t.Parallel()
				short, long := upstream.Both(config, trusting(), smallBuffers)
				defer short.Close()
				defer long.CloseIdleConnections()
				ours, theirs := c.run(t, scheme, short, c.alone), c.run(t, scheme, long, c.alone)
				if got := ours.String(); c.want != "" && got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
				if c.alone {
					theirs.Reused = ours.Reused
				}
				if c.nethttp != "" && (c.both || scheme == "http") {
					if got := theirs.String(); got != c.nethttp {
						t.Errorf("net/http: %s, want %s", got, c.nethttp)
					}
					return
				}
				if ours != theirs {
					t.Errorf("ours     %+v\nnet/http %+v", ours, theirs)
				}
			})
		}
	}
	if len(names) < 600 {
		t.Errorf("only %d exchanges", len(names))
	}
}

// smallBuffers keeps a large body from disappearing in the kernel, which takes 2.5 MB on the loopback.
const smallBuffers = 8 << 10

// run makes the exchange, and then a second one that shows whether the connection is used again.
func (c trade) run(t *testing.T, scheme string, rt http.RoundTripper, ours bool) (o outcome) {
	t.Helper()
	answered := make(chan struct{})
	p := startPeerOver(t, scheme, func(v *visit) {
		if v.isNext() {
			v.readRequest()
			v.send(answerOf("next"))
			return
		}
		if c.serve != nil {
			c.serve(v, answered)
			return
		}
		v.readRequest()
		v.send(c.answer)
		switch c.then {
		case "close":
			v.over = true
		case "reset":
			v.reset()
		}
	})
	o.take(t, rt, c.request(t, p))
	close(answered)
	if seen := p.requests(); len(seen) > 0 {
		o.Sent = inOrder(strings.ReplaceAll(seen[0].request, p.address(), "host")) + seen[0].body
	}
	short, isShort := rt.(*upstream.Short)
	if ours && !isShort {
		return o
	}
	if isShort && c.then == "" && strings.HasSuffix(c.want, "fresh") && short.Idle() > 0 {
		t.Error("a connection is kept that cannot be used again")
	}
	next, err := get(t, rt, p.url()+"/next")
	if err != nil || next != "next" {
		t.Errorf("the next exchange: %q, %v", next, err)
	}
	seen := p.requests()
	o.Reused = len(seen) > 1 && seen[0].conn == seen[len(seen)-1].conn
	return o
}

// inOrder sorts the lines of a request's header by their names: only the order of the values of one name means something.
func inOrder(head string) string {
	lines := strings.Split(head, "\r\n")
	if len(lines) > 3 {
		slices.SortStableFunc(lines[1:len(lines)-2], func(a, b string) int {
			a, _, _ = strings.Cut(a, ":")
			b, _, _ = strings.Cut(b, ":")
			return strings.Compare(a, b)
		})
	}
	return strings.Join(lines, "\r\n")
}

func (c trade) request(t *testing.T, p *peer) *http.Request {
	t.Helper()
	method := c.method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url()+"/x"+c.path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Method, request.Close = method, c.shut
	for name, values := range c.header {
		request.Header[name] = values
	}
	return request
}

// take makes the exchange and notes what comes of it.
func (o *outcome) take(t *testing.T, rt http.RoundTripper, request *http.Request) {
	t.Helper()
	if short, ok := rt.(*upstream.Short); ok && !short.Takes(request) {
		t.Error("the request would not go this way")
	}
	response, err := rt.RoundTrip(request)
	o.Error = reason(err, 0)
	if err != nil {
		return
	}
	o.Status, o.Proto, o.Length = response.Status, response.Proto, response.ContentLength
	o.Header, o.Coding = fmt.Sprint(response.Header), fmt.Sprint(response.TransferEncoding, response.Close)
	if response.StatusCode != http.StatusSwitchingProtocols { // there net/http gives the connection in place of a body
		body, err := io.ReadAll(response.Body)
		o.Body, o.BodyError = string(body), reason(err, response.StatusCode)
	}
	_ = response.Body.Close()
	o.Trailer = fmt.Sprint(response.Trailer)
}

// isNext reports whether the request that waits is the second one.
func (v *visit) isNext() bool {
	line, err := v.r.Peek(len("GET /next"))
	return err == nil && string(line) == "GET /next"
}

// early answers as soon as the header is there, and reads the body only when the answer has arrived.
func early(answer string) func(*visit, <-chan struct{}) {
	return func(v *visit, answered <-chan struct{}) {
		v.readHeader()
		v.send(answer)
		select {
		case <-answered:
		case <-time.After(30 * time.Second):
		}
		v.awaitEnd()
	}
}
