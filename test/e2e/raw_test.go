package e2e_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Requests and answers in bytes: net/http's client would mend on the way what a test is about.

// field is one header or trailer line as it stood, but for the spaces around the value.
type field struct{ name, value string }

// rawAnswer is an answer as it came.
type rawAnswer struct {
	interim    []string // status lines of 1xx answers before it
	statusLine string
	fields     []field
	body       []byte // without chunk framing
	trailers   []field
	chunked    bool
	cut        bool // the connection ended before the body did
}

func (a rawAnswer) status() int {
	_, rest, _ := strings.Cut(a.statusLine, " ")
	code, _, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(code)
	return n
}

// values are the values of one name in their order.
func (a rawAnswer) values(name string) []string { return valuesOf(a.fields, name) }

func (a rawAnswer) value(name string) string { return strings.Join(a.values(name), ", ") }

func valuesOf(fields []field, name string) []string {
	var values []string
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// dial opens a connection that a test cannot wait on for ever.
func dial(t *testing.T, baseURL string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(baseURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// sendRaw writes one request on a connection of its own and reads the answer. The request may be refused before it
// was written to its end, so an error of writing alone means nothing.
func sendRaw(t *testing.T, baseURL, request string) (rawAnswer, error) {
	t.Helper()
	conn := dial(t, baseURL)
	defer func() { _ = conn.Close() }()
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, request)
		written <- err
	}()
	method, _, _ := strings.Cut(request, " ")
	answer, err := readRaw(bufio.NewReader(conn), method)
	_ = conn.Close()
	if wrote := <-written; err != nil && wrote != nil {
		err = errors.Join(err, wrote)
	}
	return answer, err
}

// readRaw reads one answer, 1xx answers before it included.
func readRaw(from *bufio.Reader, method string) (rawAnswer, error) {
	var a rawAnswer
	for {
		line, err := from.ReadString('\n')
		if err != nil {
			return a, fmt.Errorf("reading the status line %q: %w", line, err)
		}
		a.statusLine = strings.TrimRight(line, "\r\n")
		if a.fields, err = readFields(from); err != nil {
			return a, err
		}
		if status := a.status(); status < 100 || status > 199 || status == 101 {
			break
		}
		a.interim = append(a.interim, a.statusLine)
	}
	err := a.readBody(from, method)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		a.cut, err = true, nil
	}
	return a, err
}

func readFields(from *bufio.Reader) ([]field, error) {
	var fields []field
	for {
		line, err := from.ReadString('\n')
		if err != nil {
			return fields, err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return fields, nil
		}
		if last := len(fields) - 1; last >= 0 && (line[0] == ' ' || line[0] == '\t') {
			fields[last].value += "\r\n" + line // obsolete line folding (RFC 9112 section 5.2), kept as it stands
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, field{name, textproto.TrimString(value)})
	}
}

// readBody follows RFC 9112 section 6.3.
func (a *rawAnswer) readBody(from *bufio.Reader, method string) (err error) {
	status := a.status()
	if method == "HEAD" || status < 200 || status == 204 || status == 304 {
		return nil
	}
	if a.chunked = a.value("Transfer-Encoding") == "chunked"; a.chunked {
		return a.readChunks(from)
	}
	lengths := a.values("Content-Length")
	if len(lengths) == 0 {
		a.body, err = io.ReadAll(from)
		return err
	}
	length, err := strconv.Atoi(lengths[0])
	if err != nil || slices.ContainsFunc(lengths, func(other string) bool { return other != lengths[0] }) {
		return fmt.Errorf("Content-Length is %q", lengths)
	}
	a.body = make([]byte, length)
	n, err := io.ReadFull(from, a.body)
	a.body = a.body[:n]
	return err
}

func (a *rawAnswer) readChunks(from *bufio.Reader) error {
	for {
		line, err := from.ReadString('\n')
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		digits, _, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ";")
		size, err := strconv.ParseInt(digits, 16, 32)
		if err != nil {
			return fmt.Errorf("chunk size: %w", err)
		}
		if size == 0 {
			a.trailers, err = readFields(from)
			return err
		}
		n, err := io.Copy(appendTo{&a.body}, io.LimitReader(from, size))
		if err != nil || n < size {
			return io.ErrUnexpectedEOF
		}
		if _, err := from.Discard(2); err != nil {
			return io.ErrUnexpectedEOF
		}
	}
}

type appendTo struct{ to *[]byte }

// Write implements io.Writer.
func (a appendTo) Write(p []byte) (int, error) {
	*a.to = append(*a.to, p...)
	return len(p), nil
}

// rawProvider is an upstream that answers every request with the same bytes, and keeps what it received. It speaks
// the HTTP that Go's server cannot: other spellings, other framings, and what is not HTTP at all.
type rawProvider struct {
	url      string
	received chan rawRequest
}

// rawRequest is a request as it came, byte for byte; a chunked body stands with its framing.
type rawRequest struct {
	line   string
	fields []field
	body   string
}

// answerRaw starts such an upstream. Each connection serves one request and is closed behind the answer.
func answerRaw(t *testing.T, answer string) *rawProvider {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &rawProvider{url: "http://" + listener.Addr().String(), received: make(chan rawRequest, 64)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.serve(conn, answer)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-served
	})
	return p
}

func (p *rawProvider) serve(conn net.Conn, answer string) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	from := bufio.NewReader(conn)
	var got rawRequest
	line, err := from.ReadString('\n')
	if err != nil {
		return
	}
	got.line = strings.TrimRight(line, "\r\n")
	if got.fields, err = readFields(from); err != nil {
		return
	}
	if lengths := valuesOf(got.fields, "Content-Length"); len(lengths) == 1 {
		length, _ := strconv.Atoi(lengths[0])
		body := make([]byte, length)
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		got.body = string(body)
	} else if valuesOf(got.fields, "Transfer-Encoding") != nil {
		var body bytes.Buffer
		for !bytes.HasSuffix(body.Bytes(), []byte("0\r\n\r\n")) {
			b, err := from.ReadByte()
			if err != nil {
				return
			}
			body.WriteByte(b)
		}
		got.body = body.String()
	}
	select {
	case p.received <- got:
	default: // a test that does not look
	}
	_, _ = io.WriteString(conn, answer)
}
