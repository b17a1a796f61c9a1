package fakeprovider_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/fakeprovider"
)

func TestEchoTellsWhatCame(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{Keys: []string{"others"}})
	c := newClient(t, p)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		r := c.do(method, "/echo/a%2Fb//c?z=1&a=%20", "body", "X-Twice: 2", "X-Twice: 1")
		var got fakeprovider.Received
		if err := json.Unmarshal([]byte(r.body), &got); err != nil {
			t.Fatalf("%s: %v in %s", method, err, r.body)
		}
		i := slices.Index(got.Headers, [2]string{"X-Twice", "2"})
		if got.Method != method || got.URI != "/echo/a%2Fb//c?z=1&a=%20" || got.BodyBytes != 4 || got.ContentLength != 4 ||
			got.BodySHA256 != "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5" || i < 0 || got.Headers[i+1] != [2]string{"X-Twice", "1"} {
			t.Errorf("%s: %+v", method, got)
		}
	}
	if calls := p.Calls(); calls[0].BodyBytes != 0 && calls[0].BodySHA256 == "" {
		t.Errorf("recorded %+v", calls[0])
	}
}

func TestEchoTrailersAndChunks(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	r := c.request(deadline(t), http.MethodPost, "/echo/t?echo-trailer=X-Sum:%20abc&echo-trailer=X-Sum:%20def", "",
		"X-Echo-Chunks: 3", "X-Echo-Body: 1k", "X-Echo-Header: X-Many: 1", "X-Echo-Header: X-Many: 2")
	pipe, feed := io.Pipe()
	r.Body, r.ContentLength = pipe, -1
	r.Trailer = http.Header{"X-Mine": nil}
	go func() {
		_, _ = feed.Write([]byte("streamed"))
		r.Trailer["X-Mine"] = []string{"yes"}
		_ = feed.Close()
	}()
	got := c.send(r)
	if len(got.body) != 1024 || got.ContentLength != -1 || !slices.Equal(got.Header["X-Many"], []string{"1", "2"}) || !slices.Equal(got.Trailer["X-Sum"], []string{"abc", "def"}) {
		t.Errorf("%d bytes, length %d, header %v, trailer %v", len(got.body), got.ContentLength, got.Header, got.Trailer)
	}
	r = c.request(deadline(t), http.MethodPost, "/echo/t", "")
	pipe, feed = io.Pipe()
	r.Body, r.ContentLength = pipe, -1
	r.Trailer = http.Header{"X-Mine": nil}
	go func() {
		_, _ = feed.Write([]byte("streamed"))
		r.Trailer["X-Mine"] = []string{"yes"}
		_ = feed.Close()
	}()
	var said fakeprovider.Received
	if err := json.Unmarshal([]byte(c.send(r).body), &said); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(said.Trailers, [][2]string{{"X-Mine", "yes"}}) || said.ContentLength != -1 || said.BodyBytes != 8 {
		t.Errorf("%+v", said)
	}
}

func TestEchoObeys(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	for _, status := range []string{"200", "201", "204", "301", "304", "418", "451", "500", "599"} {
		if r := c.do("GET", "/echo/", "", "X-Echo-Status: "+status); !strings.HasPrefix(r.Status, status) {
			t.Errorf("status %s, want %s", r.Status, status)
		}
	}
	if r := c.do("GET", "/echo/?echo-status=302&echo-location=/elsewhere", ""); r.StatusCode != 302 || r.Header.Get("Location") != "/elsewhere" {
		t.Errorf("redirect: %d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	if r := c.do("HEAD", "/echo/x", ""); r.ContentLength <= 0 || r.body != "" {
		t.Errorf("HEAD: length %d, body %q", r.ContentLength, r.body)
	}
	for _, coding := range []string{"gzip", "br", "zstd", "deflate"} {
		r := c.do("GET", "/echo/x", "", "X-Echo-Encoding: "+coding, "X-Echo-Body: 70000")
		if plain, err := fakeprovider.Decode(coding, []byte(r.body), 1<<20); err != nil || len(plain) != 70000 {
			t.Errorf("%s: %d bytes, %v", coding, len(plain), err)
		}
	}
	if r := c.do("GET", "/echo/x", "", "X-Echo-Type: image/png", "X-Echo-Body: 0"); r.Header.Get("Content-Type") != "image/png" || r.ContentLength != 0 {
		t.Errorf("type %q, length %d", r.Header.Get("Content-Type"), r.ContentLength)
	}
	if r := c.do("GET", "/echo/x", "", "X-Fake-Fault: 500"); r.StatusCode != 500 {
		t.Errorf("faults work here too: %d", r.StatusCode)
	}
	var early []string
	r := c.request(httptrace.WithClientTrace(deadline(t), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			early = append(early, http.StatusText(code), header.Get("Link"))
			return nil
		},
	}), "GET", "/echo/x", "", "X-Echo-Early: Link: </a.css>")
	if got := c.send(r); !slices.Equal(early, []string{"Early Hints", "</a.css>"}) || got.Header.Get("Link") != "" {
		t.Errorf("early hints %v, then %v", early, got.Header)
	}
}

// TestEchoUnread answers while the caller has sent nothing of the body it promised.
func TestEchoUnread(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	conn := dial(t, p)
	_, _ = io.WriteString(conn, "POST /echo/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nX-Echo-Unread: 1\r\nX-Echo-Status: 413\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if r.StatusCode != 413 {
		t.Errorf("status %d", r.StatusCode)
	}
}
