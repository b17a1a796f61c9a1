package fakeprovider_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
)

func TestCallsAreRecorded(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{KeepBody: 10})
	c := newClient(t, p)
	body := chatBody("m+chunks=2", true)
	c.post("/at/east/v1/chat/completions?a=%2F&key=second-key-0123456789", body,
		"Authorization: Bearer first-key-0123456789", "X-Api-Key: third", "X-Api-Key: fourth", "X-Repeat: 1", "X-Repeat: 2")
	call := p.CallsFor("first-key-0123456789")[0]
	sum := sha256.Sum256([]byte(body))
	if call.Seq != 1 || call.Upstream != "east" || call.Path != "/v1/chat/completions" || !strings.HasPrefix(call.URI, "/at/east/v1/chat/completions?a=%2F") ||
		call.Model != "m+chunks=2" || !call.Stream || string(call.Body) != body[:10] || call.BodyBytes != int64(len(body)) ||
		call.BodySHA256 != hex.EncodeToString(sum[:]) || call.Status != 200 || !slices.Equal(call.Header["X-Repeat"], []string{"1", "2"}) {
		t.Errorf("recorded %+v", call)
	}
	want := []fakeprovider.Credential{
		{Spot: "bearer", Value: "first-key-0123456789"}, {Spot: "x-api-key", Value: "third"}, {Spot: "x-api-key", Value: "fourth"}, {Spot: "query", Value: "second-key-0123456789"},
	}
	if !slices.Equal(call.Credentials, want) {
		t.Errorf("credentials %v, want %v", call.Credentials, want)
	}
	if dump := p.Dump(); strings.Contains(dump, "first-key") || !strings.Contains(dump, "...6789") {
		t.Errorf("the dump shows more than tails: %s", dump)
	}
}

func TestOnlyTheLastCallsAreKept(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{KeepCalls: 3})
	c := newClient(t, p)
	for range 8 {
		c.chat("m", "Authorization: Bearer k")
	}
	calls, s := p.Calls(), p.Stats()
	if len(calls) != 3 || calls[0].Seq != 6 || calls[2].Seq != 8 || s.Calls != 8 || s.ByKey["k"].Calls != 8 || s.ByModel["m"].Calls != 8 || s.ByPath["/v1/chat/completions"].Calls != 8 {
		t.Errorf("kept %v of %+v", calls, s)
	}
}

// TestCancellation waits for each way in which a caller can leave, without polling.
func TestCancellation(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	for i, then := range []fakeprovider.Then{
		{Fault: "hang"},
		{Fault: "stall"},
		{Fault: "stall-first"},
		{Delay: time.Hour},
		{Hold: "never"},
		{Shape: fakeprovider.Shape{FirstToken: time.Hour}},
		{Shape: fakeprovider.Shape{Gap: time.Hour}},
	} {
		p.Script(fakeprovider.Rule{Then: then})
		ctx, leave := context.WithCancel(deadline(t))
		var done sync.WaitGroup
		done.Go(func() {
			if response, err := c.http.Do(c.request(ctx, http.MethodPost, "/v1/chat/completions", chatBody("m", true))); err == nil {
				<-ctx.Done()
				_ = response.Body.Close()
			}
		})
		if err := p.AwaitInFlight(deadline(t), 1); err != nil {
			t.Fatal(err)
		}
		left := time.Now()
		leave()
		if err := p.AwaitCanceled(deadline(t), i+1); err != nil {
			t.Fatalf("%+v: %v\n%s", then, err, p.Dump())
		}
		done.Wait()
		if err := p.AwaitIdle(deadline(t)); err != nil {
			t.Fatal(err)
		}
		call := p.Calls()[i]
		if !call.Canceled || call.CanceledAt.Before(left) || !call.Done {
			t.Errorf("%+v: recorded %+v", then, call)
		}
	}
	call, err := p.AwaitCall(deadline(t), func(c fakeprovider.Call) bool { return c.Fault == "stall" && c.Canceled })
	if err != nil || call.Seq != 2 {
		t.Errorf("found call %d, %v", call.Seq, err)
	}
	if !strings.Contains(p.Dump(), "canceled after") {
		t.Errorf("the dump does not say so: %s", p.Dump())
	}
}

func TestInFlight(t *testing.T) {
	const n = 5
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	p.Script(fakeprovider.Rule{Then: fakeprovider.Then{Hold: "gate"}})
	var done sync.WaitGroup
	for range n {
		done.Go(func() { c.chat("m", "Authorization: Bearer one") })
	}
	if err := p.AwaitInFlight(deadline(t), n); err != nil {
		t.Fatal(err)
	}
	p.Release("gate")
	done.Wait()
	if err := p.AwaitIdle(deadline(t)); err != nil {
		t.Fatal(err)
	}
	s := p.Stats()
	if s.MaxInFlight != n || s.Done != n || s.ByKey["one"] != (fakeprovider.Count{Calls: n, MaxInFlight: n}) {
		t.Errorf("%+v", s)
	}
	c.chat("m") // a released gate stays open
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	p := fakeprovider.New(fakeprovider.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.AwaitCalls(ctx, 1); err == nil || !strings.Contains(err.Error(), "did not happen") {
		t.Errorf("got %v", err)
	}
	if err := p.AwaitCalls(ctx, 0); err != nil {
		t.Errorf("what holds already needs no waiting: %v", err)
	}
}

func TestExpectations(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	c.chat("m", "Authorization: Bearer secret-key-value-9876")
	p.ExpectCalls(t, 1)
	p.ExpectCallsFor(t, "secret-key-value-9876", 1)
	p.ExpectCallsForModel(t, "m", 1)
	var r recorder
	p.ExpectCalls(&r, 2)
	p.ExpectCallsFor(&r, "other", 1)
	p.ExpectCallsForModel(&r, "m", 0)
	if len(r.failures) != 3 {
		t.Errorf("%d failures, want 3", len(r.failures))
	}
	p.Reset()
	p.ExpectCalls(t, 0)
	if !strings.Contains(p.Dump(), "no kept calls") {
		t.Error(p.Dump())
	}
}

func TestStrictMode(t *testing.T) {
	var r recorder
	p := fakeprovider.Serve(t, fakeprovider.Options{Strict: true, Test: &r})
	c := newClient(t, p)
	p.Script(fakeprovider.Rule{When: fakeprovider.When{First: 1}})
	if got := c.chat("m"); got.StatusCode != 200 || len(r.failures) != 0 {
		t.Errorf("the scripted call: %d, %v", got.StatusCode, r.failures)
	}
	if got := c.chat("m"); got.StatusCode != 501 || len(r.failures) != 1 {
		t.Errorf("the call too many: %d, %v", got.StatusCode, r.failures)
	}
	if s := p.Stats(); s.Unexpected != 1 || !p.Calls()[1].Unexpected || !strings.Contains(p.Dump(), "UNEXPECTED") {
		t.Errorf("%+v %s", s, p.Dump())
	}
}

// TestUploadsThatBreakOff counts a caller that leaves within its own body as one that left.
func TestUploadsThatBreakOff(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	for i, path := range []string{"/v1/chat/completions", "/echo/x"} {
		conn := dial(t, p)
		_, _ = io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{\"model\":")
		_ = conn.Close()
		if err := p.AwaitCanceled(deadline(t), i+1); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
