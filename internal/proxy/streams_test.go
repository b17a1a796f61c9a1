package proxy_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/fleet"
)

// TestSilence has providers that say nothing, at each place where that can happen. One second is the shortest
// value of each limit.
func TestSilence(t *testing.T) {
	for _, d := range []struct {
		name    string
		then    fakeprovider.Then
		setting string
		stream  bool
		status  int
		calls   int
		says    string
		aborted bool
	}{
		// The only address stayed silent: asking it again would cost another full timeout.
		{name: "no headers", then: fakeprovider.Then{Fault: "hang"}, setting: "response_header_timeout", status: 504, calls: 1, says: "response_header_timeout is 1 seconds (group)"},
		{name: "request timeout", then: fakeprovider.Then{Fault: "hang"}, setting: "request_timeout", status: 504, calls: 1, says: "request_timeout is 1 seconds (group)"},
		// first_token_timeout is the operator's impatience: the next key takes over, on the same address if there is no other.
		{name: "no first token", then: fakeprovider.Then{Fault: "stall-first"}, setting: "first_token_timeout", stream: true, status: 200, calls: 2},
		{name: "headers late in a stream", then: fakeprovider.Then{Fault: "hang"}, setting: "first_token_timeout", stream: true, status: 200, calls: 2},
		{name: "stalled stream", then: fakeprovider.Then{Flaw: fakeprovider.FlawStall, FlawAfter: 3}, setting: "stream_idle_timeout", stream: true, status: 200, calls: 1, says: "stream_idle_timeout", aborted: true},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3, func(r *rig) []fleet.Group { return []fleet.Group{r.group(1, fleet.ChannelOpenAI, set(d.setting, "1"))} })
			r.provider.Script(fakeprovider.Rule{When: fakeprovider.When{First: 1}, Then: d.then})
			a := r.ask(fleet.ChannelOpenAI, "m", d.stream)
			if a.status != d.status || (a.err != nil) != d.aborted || !strings.Contains(a.body, d.says) {
				t.Errorf("status %d, error %v: %s", a.status, a.err, a.body)
			}
			r.provider.ExpectCalls(t, d.calls)
			if changed := r.states(1, 3); len(changed) > 0 {
				t.Errorf("keys changed: %v", changed)
			}
			if got := r.records.wait(t, 1)[0]; got.Attempts[0].Class != fleet.ClassUpstream {
				t.Errorf("the silence was recorded as %s (%s)", got.Attempts[0].Class, got.Attempts[0].Reason)
			}
		})
	}
}

// TestClientHangUp: a client that leaves cancels the upstream within 100 ms, whatever stage the request is in, and
// changes nobody's standing.
func TestClientHangUp(t *testing.T) {
	for _, d := range []struct {
		name   string
		then   fakeprovider.Then
		stream bool
	}{
		{"before the headers", fakeprovider.Then{Fault: "hang"}, false},
		{"before the first token", fakeprovider.Then{Fault: "stall-first"}, true},
		{"within the stream", fakeprovider.Then{Flaw: fakeprovider.FlawStall, FlawAfter: 2}, true},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, func(r *rig) []fleet.Group { return []fleet.Group{r.group(1, fleet.ChannelOpenAI)} })
			r.provider.Script(fakeprovider.Rule{Then: d.then})
			ctx, leave := context.WithCancel(t.Context())
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/proxy/g1/v1/chat/completions", strings.NewReader(chat("m", d.stream)))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+proxyKey)
			go func() {
				if err := r.provider.AwaitInFlight(t.Context(), 1); err != nil {
					t.Error(err)
				}
				leave()
			}()
			begun := make(chan struct{})
			go func() {
				defer close(begun)
				response, err := r.client.Do(request)
				if err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			}()
			<-ctx.Done()
			left := time.Now()
			if err := r.provider.AwaitCanceled(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			call := r.provider.Calls()[0]
			if took := call.CanceledAt.Sub(left); took > 100*time.Millisecond {
				t.Errorf("the upstream was cancelled after %v", took)
			}
			<-begun
			r.provider.ExpectCalls(t, 1)
			record := r.records.wait(t, 1)[0]
			if record.Status != fleet.StatusClientGone || record.Class != fleet.ClassCanceled {
				t.Errorf("recorded as %d %s", record.Status, record.Class)
			}
			if changed := r.states(1, 2); len(changed) > 0 {
				t.Errorf("keys changed: %v", changed)
			}
		})
	}
}

// TestStreamArrivesAsItIsSent: chunks are not held back until the stream ends.
func TestStreamArrivesAsItIsSent(t *testing.T) {
	r := newRig(t, 1, func(r *rig) []fleet.Group { return []fleet.Group{r.group(1, fleet.ChannelOpenAI)} })
	r.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Flaw: fakeprovider.FlawStall, FlawAfter: 2, Hold: "rest"}})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/proxy/g1/v1/chat/completions", strings.NewReader(chat("m", true)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+proxyKey)
	response, err := r.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	first := make([]byte, 10)
	if _, err := io.ReadFull(response.Body, first); err != nil || !strings.HasPrefix(string(first), "data: ") {
		t.Fatalf("%q, %v", first, err)
	}
	r.provider.Release("rest") // only now: the first bytes came while the provider still held the rest
	rest, err := io.ReadAll(response.Body)
	if err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("the stream ended with %q, %v", rest[max(0, len(rest)-40):], err)
	}
}

// TestTheClientIsNeverBlamed for a flood of bogus models, and keys never for it.
func TestBogusModels(t *testing.T) {
	const keys, requests = 5, 10_000
	r := newRig(t, keys, func(r *rig) []fleet.Group { return []fleet.Group{r.group(1, fleet.ChannelOpenAI)} })
	r.provider.Script(fakeprovider.Rule{Match: fakeprovider.Match{Model: "no-such-*"}, Then: fakeprovider.Then{Fault: "404-model"}})
	work := make(chan int)
	done := make(chan struct{})
	const workers = 16
	for range workers {
		go func() {
			defer func() { done <- struct{}{} }()
			for range work {
				if a := r.ask(fleet.ChannelOpenAI, "no-such-model", false); a.status != http.StatusNotFound {
					t.Errorf("status %d: %s", a.status, a.body)
				}
			}
		}()
	}
	for i := range requests {
		work <- i
	}
	close(work)
	for range workers {
		<-done
	}
	r.provider.ExpectCalls(t, requests)
	if changed := r.states(1, keys); len(changed) > 0 || len(r.changes.changes) > 0 {
		t.Errorf("keys changed: %v", changed)
	}
}

// TestOutage: a provider that is down changes no key, and serves again at once when it is back.
func TestOutage(t *testing.T) {
	const keys = 3
	r := newRig(t, keys, func(r *rig) []fleet.Group {
		return []fleet.Group{r.group(1, fleet.ChannelOpenAI, set("blacklist_threshold", "1"), set("max_retries", "2"))}
	})
	for _, fault := range []string{"500", "503", "reset", "eof"} {
		r.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: fault}})
		for range 20 {
			if a := r.ask(fleet.ChannelOpenAI, "m", false); a.status < 500 {
				t.Fatalf("%s: status %d", fault, a.status)
			}
		}
	}
	r.provider.Refuse(0)
	for range 20 {
		if a := r.ask(fleet.ChannelOpenAI, "m", false); a.status != http.StatusBadGateway || !strings.Contains(a.body, "upstream_unreachable") {
			t.Fatalf("refused: status %d: %s", a.status, a.body)
		}
	}
	if err := r.provider.Accept(); err != nil {
		t.Fatal(err)
	}
	r.provider.Script()
	if a := r.ask(fleet.ChannelOpenAI, "m", false); a.status != http.StatusOK {
		t.Errorf("after the outage: status %d: %s", a.status, a.body)
	}
	if changed := r.states(1, keys); !maps.Equal(changed, map[int]string{}) || len(r.changes.changes) > 0 {
		t.Errorf("keys changed: %v", changed)
	}
}
