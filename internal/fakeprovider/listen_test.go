package fakeprovider_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
)

func TestRefuseAndAccept(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	for range 3 {
		c.chat("m") // leaves an idle connection behind, which must not serve the next call
		p.Refuse(0)
		if r, err := c.http.Do(c.request(deadline(t), http.MethodPost, "/v1/chat/completions", chatBody("m", false))); err == nil {
			_ = r.Body.Close()
			t.Fatal("an idle connection served a call while refusing")
		}
		if r, err := c.http.Do(c.request(deadline(t), http.MethodPost, "/v1/chat/completions", chatBody("m", false))); !errors.Is(err, syscall.ECONNREFUSED) {
			if err == nil {
				_ = r.Body.Close()
			}
			t.Fatalf("while refusing: %v", err)
		}
		if err := p.Accept(); err != nil {
			t.Fatal(err)
		}
		if r := c.chat("m"); r.StatusCode != 200 {
			t.Fatalf("after accepting: %d", r.StatusCode)
		}
	}
	if err := p.Accept(); err != nil {
		t.Errorf("accepting twice: %v", err)
	}
}

func TestRefusedByScript(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	p.Script(fakeprovider.Rule{When: fakeprovider.When{Nth: 1}, Then: fakeprovider.Then{Fault: "refused", RefuseFor: time.Hour}})
	do := func() error {
		response, err := c.http.Do(c.request(deadline(t), http.MethodPost, "/v1/chat/completions", chatBody("m", false)))
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	}
	if err := do(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the call itself: %v", err)
	}
	if err := do(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the next: %v", err)
	}
	p.Reset()
	if err := do(); err != nil {
		t.Errorf("after a reset: %v", err)
	}
	p.ExpectCalls(t, 1)
	p.Refuse(time.Millisecond)
	for do() != nil { // ends when the listener has opened itself again; the deadline of the test bounds it
		if t.Context().Err() != nil {
			t.Fatal("the listener stays closed")
		}
	}
}

func TestResetConnections(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	p.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: "hang"}})
	failed := make(chan error, 1)
	var done sync.WaitGroup
	done.Go(func() {
		response, err := c.http.Do(c.request(deadline(t), http.MethodPost, "/v1/chat/completions", chatBody("m", false)))
		if err == nil {
			_ = response.Body.Close()
		}
		failed <- err
	})
	if err := p.AwaitInFlight(deadline(t), 1); err != nil {
		t.Fatal(err)
	}
	p.ResetConnections()
	if err := <-failed; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
	done.Wait()
}

func TestCloseEndsWhatHangs(t *testing.T) {
	p := fakeprovider.New(fakeprovider.Options{})
	p.Start()
	c := newClient(t, p)
	p.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: "hang"}})
	var done sync.WaitGroup
	done.Go(func() {
		response, err := c.http.Do(c.request(deadline(t), http.MethodPost, "/v1/chat/completions", chatBody("m", false)))
		if err == nil {
			_ = response.Body.Close()
		}
	})
	if err := p.AwaitInFlight(deadline(t), 1); err != nil {
		t.Fatal(err)
	}
	p.Close()
	done.Wait()
	p.Close()
	if p.BaseURL() != "" {
		t.Errorf("a closed provider has no address, not %s", p.BaseURL())
	}
	p.Refuse(0) // nothing to close
	if err := p.Accept(); err != nil {
		t.Errorf("a closed provider stays closed: %v", err)
	}
}

func TestListenErrors(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	if _, err := p.Listen("127.0.0.1:0"); err == nil {
		t.Error("one provider listened twice")
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, address := range []string{"nonsense", taken.Addr().String()} {
		if _, err := fakeprovider.New(fakeprovider.Options{}).Listen(address); err == nil || !strings.Contains(err.Error(), address) {
			t.Errorf("listening on %s: %v", address, err)
		}
	}
}

// TestAsHandler serves without a connection to take over: a break is then an aborted handler.
func TestAsHandler(t *testing.T) {
	p := fakeprovider.New(fakeprovider.Options{})
	defer p.Close()
	call := func(model string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(chatBody(model, true))))
		return w
	}
	if w := call("m"); w.Code != 200 || !strings.HasSuffix(w.Body.String(), "[DONE]\n\n") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, fault := range []string{"reset", "cut-reset", "refused"} {
		func() {
			defer func() {
				if recover() != http.ErrAbortHandler { //nolint:errorlint // a panic value, not an error chain
					t.Errorf("%s did not abort the handler", fault)
				}
			}()
			call("fault-" + fault)
		}()
	}
	if s := p.Stats(); s.InFlight != 0 || s.Done != 4 {
		t.Errorf("aborted calls must end: %+v", s)
	}
}
