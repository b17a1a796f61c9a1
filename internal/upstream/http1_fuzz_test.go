package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/upstream"
)

// script is a connection that answers with bytes that were written down, so many at a time, and then ends.
type script struct {
	net.Conn
	rest  []byte
	piece int
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.piece)], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
func (s *script) Write(p []byte) (int, error)      { return len(p), nil }
func (s *script) Close() error                     { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// reading is what a client makes of an answer.
type reading struct {
	err, bodyErr    error
	response        *http.Response
	body            string
	trailer         http.Header
	reused, surplus bool
}

func readOurs(short *upstream.Short, request *http.Request, answer []byte, piece int) (o reading) {
	from := &script{rest: answer, piece: piece}
	short.DialWith(func(context.Context) (net.Conn, error) { return from, nil })
	o.response, o.err = short.RoundTrip(request) //nolint:bodyclose // finish does
	if o.err == nil {
		o.finish()
		o.reused = short.Idle() > 0 && len(from.rest) == 0 // what a socket still holds is seen before its next use
	}
	return o
}

func (o *reading) finish() {
	body, err := io.ReadAll(o.response.Body)
	o.body, o.bodyErr, o.trailer = string(body), err, o.response.Trailer
	_ = o.response.Body.Close()
}

// readTheirs goes by the same rules about interim answers with net/http's parser.
func readTheirs(request *http.Request, answer []byte, piece int) (o reading) {
	from := &script{rest: answer, piece: piece}
	reader := bufio.NewReader(from)
	for {
		o.response, o.err = http.ReadResponse(reader, request) //nolint:bodyclose // finish does
		if o.err != nil {
			return o
		}
		if o.response.StatusCode/100 != 1 || o.response.StatusCode == http.StatusSwitchingProtocols {
			break
		}
	}
	o.finish()
	o.surplus = reader.Buffered() > 0 || len(from.rest) > 0
	return o
}

// FuzzAnswer: whatever a server sends, in whatever pieces, comes out as net/http reads it, or is refused. The connection
// is never used again when anything is left on it.
func FuzzAnswer(f *testing.F) {
	for _, list := range [][]trade{framings, statuses, headers, malformations, endings} {
		for _, c := range list {
			if len(c.answer) < 5000 {
				f.Add(c.method, []byte(c.answer), uint16(4096))
				f.Add(c.method, []byte(c.answer), uint16(7))
			}
		}
	}
	f.Add("", []byte("\n000000000000\n"), uint16(96)) // found by this
	f.Fuzz(func(t *testing.T, method string, answer []byte, piece uint16) {
		short, _ := upstream.Both(config, upstream.Options{}, 0)
		defer short.Close()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://upstream.example/", nil)
		if err != nil || method == http.MethodConnect {
			return
		}
		if problem := difference(readOurs(short, request, answer, int(piece)+1), readTheirs(request, answer, int(piece)+1)); problem != "" {
			t.Errorf("%s\n%q", problem, answer)
		}
	})
}

// difference says what one client has made of an answer that the other has not; stricter is allowed.
func difference(ours, theirs reading) string {
	if ours.err != nil {
		if theirs.err != nil || isStricter(ours.err) {
			return ""
		}
		return fmt.Sprintf("refused: %v", ours.err)
	}
	if theirs.err != nil {
		return fmt.Sprintf("accepted, net/http: %v", theirs.err)
	}
	a, b := ours.response, theirs.response
	if a.StatusCode == http.StatusSwitchingProtocols {
		return ""
	}
	for _, same := range []struct {
		name string
		a, b any
	}{
		{"status", a.Status, b.Status},
		{"code", a.StatusCode, b.StatusCode},
		{"version", []any{a.Proto, a.ProtoMajor, a.ProtoMinor}, []any{b.Proto, b.ProtoMajor, b.ProtoMinor}},
		{"header", a.Header, b.Header},
		{"length", a.ContentLength, b.ContentLength},
		{"coding", a.TransferEncoding, b.TransferEncoding},
		{"close", a.Close, b.Close},
		{"body", ours.body, theirs.body},
		{"trailer", ours.trailer, theirs.trailer},
	} {
		if !reflect.DeepEqual(same.a, same.b) && (ours.bodyErr == nil || !isStricter(ours.bodyErr)) {
			return fmt.Sprintf("%s: %#v, net/http: %#v", same.name, same.a, same.b)
		}
	}
	if (ours.bodyErr == nil) != (theirs.bodyErr == nil) && !isStricter(ours.bodyErr) {
		return fmt.Sprintf("the body ended with %v, net/http: %v", ours.bodyErr, theirs.bodyErr)
	}
	if errors.Is(ours.bodyErr, io.ErrUnexpectedEOF) && !errors.Is(theirs.bodyErr, io.ErrUnexpectedEOF) && !strings.Contains(fmt.Sprint(theirs.bodyErr), "trailer") {
		return fmt.Sprintf("the body was cut off with %v, net/http: %v", ours.bodyErr, theirs.bodyErr)
	}
	if ours.reused && (theirs.surplus || b.Close || theirs.bodyErr != nil) {
		return "the connection is kept"
	}
	return ""
}

// isStricter recognises what we refuse and net/http does not.
func isStricter(err error) bool {
	return err != nil && strings.Contains(err.Error(), "http chunk length too large")
}

// TestPieces: in how many pieces an answer comes makes no difference.
func TestPieces(t *testing.T) {
	t.Parallel()
	for _, list := range [][]trade{framings, statuses, headers, malformations} {
		for _, c := range list {
			answer := []byte(c.answer)
			if len(answer) > 400 || len(answer) == 0 {
				continue
			}
			for piece := 1; piece <= len(answer); piece++ {
				short, _ := upstream.Both(config, upstream.Options{}, 0)
				request, _ := http.NewRequestWithContext(t.Context(), c.method, "http://upstream.example/", nil)
				if problem := difference(readOurs(short, request, bytes.Clone(answer), piece), readTheirs(request, answer, piece)); problem != "" {
					t.Errorf("%s in pieces of %d: %s", c.name, piece, problem)
				}
				short.Close()
			}
		}
	}
}
