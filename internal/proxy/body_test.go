package proxy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestReplayReaderStreams: both ways of reading give what is held and then what streams behind it. net/http takes
// WriteTo for a chunked body; giving only what is held would end that body early, and the provider could not tell.
func TestReplayReaderStreams(t *testing.T) {
	for name, read := range map[string]func(io.Reader) (string, error){
		"Read": func(r io.Reader) (string, error) {
			data, err := io.ReadAll(struct{ io.Reader }{r})
			return string(data), err
		},
		"WriteTo": func(r io.Reader) (string, error) {
			var into bytes.Buffer
			_, err := io.Copy(&into, r)
			return into.String(), err
		},
	} {
		b := &body{data: []byte("held, "), rest: strings.NewReader("streamed")}
		if got, err := read(b.reader(b.data)); got != "held, streamed" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		over := b.reader(b.data)
		b.detach()
		if got, err := read(over); got != "" || !errors.Is(err, errDetached) {
			t.Errorf("%s, after the request: %q, %v", name, got, err)
		}
	}
}

// TestPassReaderBounds: a body that streams is bounded in bytes, and in the time that its client takes for it. The time
// that the upstream takes is not the client's.
func TestPassReaderBounds(t *testing.T) {
	long := &passReader{from: strings.NewReader("12345"), broken: &fault{}, left: 4, timeout: time.Minute, patience: time.Minute, deadline: func(time.Time) {}}
	if _, err := io.ReadAll(long); !errors.Is(err, errBodyTooLong) || !errors.Is(long.broken.err(), errBodyTooLong) {
		t.Errorf("a body beyond the limit: %v, noted as %v", err, long.broken.err())
	}
	synctest.Test(t, func(t *testing.T) {
		client := &slowClient{takes: 10 * time.Second}
		p := &passReader{from: client, broken: &fault{}, left: maxBody, timeout: time.Minute, patience: time.Minute, deadline: func(at time.Time) { client.deadline = at }}
		for range 5 {
			if _, err := p.Read(make([]byte, 1)); err != nil {
				t.Fatalf("a client that is in time was let go: %v", err)
			}
			time.Sleep(time.Hour) // a slow upstream, in the bubble's time
		}
		for err := error(nil); err == nil; {
			if _, err = p.Read(make([]byte, 1)); client.reads > 6 {
				t.Fatalf("%d bytes within a minute's patience of 10 s each", client.reads)
			}
		}
		if err := p.broken.err(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("noted as %v", err)
		}
	})
}

// slowClient sends a byte at a time, each after a while, unless the deadline comes first.
type slowClient struct {
	takes    time.Duration
	deadline time.Time
	reads    int
}

func (c *slowClient) Read(p []byte) (int, error) {
	if time.Until(c.deadline) < c.takes {
		time.Sleep(time.Until(c.deadline))
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(c.takes)
	c.reads++
	return copy(p, "x"), nil
}
