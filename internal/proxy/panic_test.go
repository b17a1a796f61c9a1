package proxy_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/fleet"
	"gpt-load/internal/proxy"
)

// panickingJournal is a defect of the gateway itself, with a secret in the panic's value.
type panickingJournal struct{ value string }

// Add implements proxy.Journal.
func (j panickingJournal) Add(fleet.KeyChange) { panic(fmt.Errorf("defect near %s", j.value)) }

// TestPanic: a defect costs one request. It is answered in the caller's own format, recorded once, gives its place
// back, and tells neither the log nor the client what it stumbled over.
func TestPanic(t *testing.T) {
	const canary = "canary of the panic"
	r := newRig(t, 2, func(r *rig) []fleet.Group {
		return []fleet.Group{r.group(1, fleet.ChannelOpenAI), r.group(2, fleet.ChannelAnthropic)}
	})
	r.provider.Script(fakeprovider.Rule{Match: fakeprovider.Match{Model: "m"}, Then: fakeprovider.Then{Fault: "401"}})
	broken := r.handler.Options
	broken.Journal = panickingJournal{canary}
	handler := proxy.New(broken)
	var serverLog strings.Builder
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(&serverLog, "", 0)
	server.Start()
	defer server.Close()
	r.url = server.URL

	for i, c := range []struct{ path, want string }{
		{"/proxy/g1/v1/chat/completions", `{"error":{"message":`},
		{"/proxy/g2/v1/messages", `{"type":"error","error":{`},
	} {
		got := r.send(http.MethodPost, c.path, chat("m", false))
		if got.status != http.StatusInternalServerError || !strings.HasPrefix(got.body, c.want) || !strings.Contains(got.body, "defect of its own") {
			t.Errorf("%s: %d %s %v", c.path, got.status, got.body, got.err)
		}
		if strings.Contains(fmt.Sprint(got.header, got.body), canary) {
			t.Errorf("%s: the answer tells the panic's value: %v %s", c.path, got.header, got.body)
		}
		record := r.records.wait(t, i+1)[i]
		if record.Status != http.StatusInternalServerError || record.Class != fleet.ClassGateway || record.Error != "internal_error" {
			t.Errorf("%s: recorded as %d %s %q", c.path, record.Status, record.Class, record.Error)
		}
		if id := got.header.Get("X-Request-Id"); id == "" || id != record.ID.String() {
			t.Errorf("%s: request id %q, recorded as %s", c.path, id, record.ID)
		}
	}
	panics := r.logs.FilterMessage("panic while serving a request").All()
	if len(panics) != 2 || !strings.Contains(fmt.Sprint(panics[0].ContextMap()["stack"]), "panickingJournal") {
		t.Errorf("the log does not show where: %+v", panics)
	}
	for _, entry := range panics {
		if text := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(text, canary) || strings.Contains(text, proxyKey) {
			t.Errorf("the log tells a secret: %s", text)
		}
	}
	if n := handler.InFlight(); n != 0 {
		t.Errorf("%d places are taken for ever", n)
	}
	if got := r.send(http.MethodPost, "/proxy/g1/v1/chat/completions", chat("healthy", false)); got.status != http.StatusOK {
		t.Errorf("the next request: %d %s", got.status, got.body)
	}
	server.Close()
	if serverLog.Len() > 0 {
		t.Errorf("net/http tells of it too: %s", serverLog.String())
	}
}

// TestStatusBelow200: net/http takes any three digits for a status and panics when it is told to send less than 100.
func TestStatusBelow200(t *testing.T) {
	r := newRig(t, 1, func(r *rig) []fleet.Group {
		return []fleet.Group{r.group(1, fleet.ChannelOpenAI, set("max_retries", "0"))}
	})
	for i, status := range []string{"000", "042", "099", "101"} {
		r.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 %s Odd\r\nContent-Length: 2\r\n\r\nok", status)
			_ = conn.Close()
		})}})
		got := r.send(http.MethodPost, "/proxy/g1/v1/chat/completions", chat("m", false))
		if got.status != http.StatusBadGateway || !strings.Contains(got.body, "malformed_answer") {
			t.Errorf("%s: %d %s %v", status, got.status, got.body, got.err)
		}
		if record := r.records.wait(t, i+1)[i]; record.Class != fleet.ClassUpstream {
			t.Errorf("%s: recorded as %s %q", status, record.Class, record.Error)
		}
	}
	if changed := r.states(1, 1); len(changed) > 0 {
		t.Errorf("keys changed: %v", changed)
	}
	if panics := r.logs.FilterMessage("panic while serving a request").Len(); panics > 0 {
		t.Errorf("%d panics", panics)
	}
}
