package proxy_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/fleet"
)

// TestDrills does each fault of the provider to the first call, and sometimes to all. Every row counts the
// upstream calls to the one, and names every key whose state may change.
func TestDrills(t *testing.T) {
	const keys = 3
	type want struct {
		status  int
		calls   int
		class   fleet.Class
		changed map[int]string // by the number of the key that was asked first, second...
		aborted bool
	}
	retried := func(changed string) want { // the first key fails, the second serves
		w := want{status: 200, calls: 2, class: fleet.ClassOK}
		if changed != "" {
			w.changed = map[int]string{1: changed}
		}
		return w
	}
	client := func(status int) want { return want{status: status, calls: 1, class: fleet.ClassClient} }
	cut := want{status: 200, calls: 1, class: fleet.ClassUpstream, aborted: true}
	const model = "m"
	for _, d := range []struct {
		fault   string
		channel fleet.Channel // openai by default
		stream  bool
		want    want
	}{
		{fault: "429", want: retried("cooling:" + model)},
		{fault: "429-seconds", want: retried("cooling:" + model)},
		{fault: "429-date", want: retried("cooling:" + model)},
		{fault: "429-ms", want: retried("cooling:" + model)},
		{fault: "429-reset", want: retried("cooling:" + model)},
		{fault: "429-text", want: retried("cooling:" + model)},
		{fault: "429-reset", channel: fleet.ChannelAnthropic, want: retried("cooling:" + model)},
		{fault: "429-reset", channel: fleet.ChannelGemini, want: retried("cooling:" + model)},
		{fault: "429-perday", channel: fleet.ChannelGemini, want: retried("cooling:" + model)},
		{fault: "429-quota", want: retried("cooling:")},
		{fault: "401", want: retried("invalid:invalid_api_key")},
		{fault: "401", channel: fleet.ChannelAnthropic, want: retried("invalid:invalid_api_key")},
		{fault: "401-azure", want: retried("invalid:invalid_api_key")},
		{fault: "401-organization", want: retried("failures:1")},
		{fault: "402", want: retried("cooling:")},
		{fault: "403-suspended", channel: fleet.ChannelGemini, want: retried("invalid:account_disabled")},
		{fault: "403-leaked", channel: fleet.ChannelGemini, want: retried("invalid:account_disabled")},
		{fault: "403-disabled", channel: fleet.ChannelAnthropic, want: retried("invalid:account_disabled")},
		{fault: "403-permission", want: retried("failures:1")},
		{fault: "403-country", want: retried("")},
		{fault: "403-html", want: retried("")},
		{fault: "403-model", want: client(403)},
		{fault: "400", want: client(400)},
		{fault: "400-context", want: client(400)},
		{fault: "400-policy", want: client(400)},
		{fault: "400-credit", channel: fleet.ChannelAnthropic, want: retried("cooling:")},
		{fault: "400-key-invalid", channel: fleet.ChannelGemini, want: retried("invalid:invalid_api_key")},
		{fault: "400-key-expired", channel: fleet.ChannelGemini, want: retried("invalid:invalid_api_key")},
		{fault: "400-location", channel: fleet.ChannelGemini, want: retried("")},
		{fault: "404", want: client(404)},
		{fault: "404-model", want: client(404)},
		{fault: "405", want: client(405)},
		{fault: "413", want: client(413)},
		{fault: "415", want: client(415)},
		{fault: "422", want: client(422)},
		{fault: "500", want: retried("")},
		{fault: "502-html", want: retried("")},
		{fault: "503", want: retried("")},
		{fault: "504", want: retried("")},
		{fault: "529", channel: fleet.ChannelAnthropic, want: retried("")},
		{fault: "524", want: retried("")},
		{fault: "408", want: retried("")},
		{fault: "empty-error", want: retried("")},
		{fault: "huge-error", want: retried("")},
		{fault: "reset", want: retried("")},
		{fault: "eof", want: retried("")},
		{fault: "eof-in-headers", want: retried("")},
		{fault: "garbage", want: retried("")},
		{fault: "empty", want: retried("")},
		{fault: "empty-stream", stream: true, want: retried("")},
		{fault: "error-at-once", stream: true, want: retried("")},
		{fault: "error-first", stream: true, want: retried("")},
		{fault: "error-first", stream: true, channel: fleet.ChannelAnthropic, want: retried("")},
		{fault: "failed-first", stream: true, channel: fleet.ChannelOpenAIResponse, want: retried("")},
		{fault: "router-first", stream: true, want: retried("")},
		{fault: "error-at-once", want: retried("")},
		{fault: "cut-reset", stream: true, want: cut},
		{fault: "cut-close", stream: true, want: cut},
		{fault: "cut-clean", stream: true, want: cut},
		{fault: "no-end", stream: true, channel: fleet.ChannelAnthropic, want: cut},
		{fault: "no-end", stream: true, channel: fleet.ChannelOpenAIResponse, want: cut},
		{fault: "bad-framing", stream: true, want: cut},
		{fault: "cut-reset", stream: true, channel: fleet.ChannelGemini, want: cut},
	} {
		channel := d.channel
		if channel == "" {
			channel = fleet.ChannelOpenAI
		}
		name := string(channel) + "/" + d.fault
		if d.stream {
			name += "/stream"
		}
		t.Run(name, func(t *testing.T) {
			r := newRig(t, keys, func(r *rig) []fleet.Group { return []fleet.Group{r.group(1, channel)} })
			r.provider.Script(fakeprovider.Rule{When: fakeprovider.When{First: 1}, Then: fakeprovider.Then{Fault: d.fault, RetryAfter: time.Minute}})
			a := r.ask(channel, model, d.stream)
			if a.status != d.want.status {
				t.Errorf("status %d, want %d: %s", a.status, d.want.status, a.body)
			}
			r.provider.ExpectCalls(t, d.want.calls)
			record := r.records.wait(t, 1)[0]
			if record.Class != d.want.class || len(record.Attempts) != d.want.calls {
				t.Errorf("record: class %s (%s), %d attempts; want %s, %d", record.Class, record.Error, len(record.Attempts), d.want.class, d.want.calls)
			}
			if got, wanted := r.states(1, keys), r.byTurn(d.want.changed); !maps.Equal(got, wanted) {
				t.Errorf("keys changed: %v, want %v", got, wanted)
			}
			if d.want.aborted != (a.err != nil) {
				t.Errorf("aborted transfer: %v, want %v", a.err, d.want.aborted)
			}
			if d.want.aborted && channel != fleet.ChannelGemini && !strings.Contains(a.body, "error") {
				t.Errorf("no error event at the end of a cut stream: %q", a.body)
			}
		})
	}
}

// ask sends the channel's own generation request.
func (r *rig) ask(channel fleet.Channel, model string, stream bool) answer {
	r.t.Helper()
	switch channel {
	case fleet.ChannelAnthropic:
		return r.send(http.MethodPost, "/proxy/g1/v1/messages", strings.Replace(chat(model, stream), "{", `{"max_tokens":100,`, 1), "anthropic-version", "2023-06-01")
	case fleet.ChannelOpenAIResponse:
		return r.send(http.MethodPost, "/proxy/g1/v1/responses", strings.Replace(chat(model, stream), `"messages"`, `"input"`, 1))
	case fleet.ChannelGemini:
		action := ":generateContent"
		if stream {
			action = ":streamGenerateContent?alt=sse"
		}
		return r.send(http.MethodPost, "/proxy/g1/v1beta/models/"+model+action, `{"contents":[{"role":"user","parts":[{"text":"hello"}]}]}`)
	}
	return r.send(http.MethodPost, "/proxy/g1/v1/chat/completions", chat(model, stream))
}

// byTurn turns the numbers of attempts into the numbers of the keys that made them: rotation starts anywhere.
func (r *rig) byTurn(changed map[int]string) map[int]string {
	named := map[int]string{}
	attempts := r.records.wait(r.t, 1)[0].Attempts
	for turn, state := range changed {
		if turn <= len(attempts) {
			named[int(attempts[turn-1].KeyID%1000)] = state
		}
	}
	return named
}
