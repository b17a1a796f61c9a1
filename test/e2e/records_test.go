package e2e_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// records reads every record, page by page, oldest first.
func (w *world) records(f adminapi.RecordFilter) []adminapi.Record {
	w.t.Helper()
	var all []adminapi.Record
	for f.Limit = 1000; ; {
		page, err := w.admin.Records(w.t.Context(), f)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, page.Records...)
		if f.Cursor = page.NextCursor; f.Cursor == "" {
			slices.Reverse(all)
			return all
		}
	}
}

// awaitRecords waits until n records are stored.
func (w *world) awaitRecords(n int) []adminapi.Record {
	w.t.Helper()
	var all []adminapi.Record
	eventually(w.t, fmt.Sprintf("%d records are stored", n), func() bool {
		all = w.records(adminapi.RecordFilter{})
		return len(all) >= n
	})
	if len(all) > n {
		w.t.Fatalf("%d records of %d requests", len(all), n)
	}
	return all
}

// recordOf finds the record of a request by its user agent. Records of the same millisecond come in any order.
func recordOf(t *testing.T, records []adminapi.Record, agent string) adminapi.Record {
	t.Helper()
	i := slices.IndexFunc(records, func(r adminapi.Record) bool { return r.UserAgent == agent })
	if i < 0 {
		t.Fatalf("no record of %s", agent)
	}
	return records[i]
}

// startRecording is a node that stores records as soon as it can.
func startRecording(t *testing.T, env ...string) *world {
	t.Helper()
	w := start(t, env...)
	w.settings(adminapi.SettingsPatch{"request_log_write_interval_minutes": 0})
	return w
}

// TestRecordsTellTheStory: one record for a request, with every attempt, the model asked and sent, times and bytes.
func TestRecordsTellTheStory(t *testing.T) {
	w := startRecording(t)
	group := w.group("openai", adminapi.ChannelOpenAI, 3, func(g *adminapi.GroupInput) {
		g.ModelRedirects = []adminapi.ModelRedirect{{From: "fast", To: "gpt-4o-mini"}}
		g.Settings = map[string]any{"max_retries": 3}
	})
	w.provider.Script(
		fakeprovider.Rule{When: fakeprovider.When{Nth: 1}, Then: fakeprovider.Then{Fault: "401"}},
		fakeprovider.Rule{When: fakeprovider.When{Nth: 2}, Then: fakeprovider.Then{Fault: "503"}},
		fakeprovider.Rule{When: fakeprovider.When{Nth: 3}, Then: fakeprovider.Then{Fault: "429-seconds"}},
	)
	request := `{"model":"fast","stream":true,"messages":[{"role":"user","content":"hello"}]}`
	status, body, err := w.do(http.MethodPost, "/proxy/openai/v1/chat/completions?tag=not-in-the-record", request, "User-Agent", "story/1.0")
	if err != nil || status != 200 {
		t.Fatal(status, body, err)
	}
	got := w.awaitRecords(1)[0]
	want := adminapi.Record{
		ID: got.ID, StartedAt: got.StartedAt, DurationMS: got.DurationMS, FirstByteMS: got.FirstByteMS, ProxyKeyFingerprint: got.ProxyKeyFingerprint, Attempts: got.Attempts,
		GroupID: group, GroupName: "openai", ClientIP: "127.0.0.1", UserAgent: "story/1.0", Method: "POST", Path: "/v1/chat/completions",
		ModelAsked: "fast", ModelSent: "gpt-4o-mini", Stream: true, Status: 200, Class: "ok", RequestBytes: int64(len(request)), ResponseBytes: int64(len(body)),
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("recorded\n%+v, want\n%+v", got, want)
	}
	if got.ProxyKeyFingerprint == "" || got.ProxyKeyFingerprint == testenv.AuthKey || got.DurationMS < got.FirstByteMS || time.Since(got.StartedAt) > time.Minute {
		t.Errorf("fingerprint %q, duration %d ms, first byte %d ms, started %s", got.ProxyKeyFingerprint, got.DurationMS, got.FirstByteMS, got.StartedAt)
	}
	calls := w.provider.Calls()
	if len(got.Attempts) != 4 || len(calls) != 4 {
		t.Fatalf("%d attempts, %d calls", len(got.Attempts), len(calls))
	}
	for i, tells := range []struct {
		status        int
		class, reason string
	}{{401, "key_dead", "invalid_api_key"}, {503, "upstream", "overloaded"}, {429, "limited", "rate_limited"}, {200, "ok", ""}} {
		a := got.Attempts[i]
		if a.Status != tells.status || a.Class != tells.class || tells.reason != "" && a.Reason != tells.reason {
			t.Errorf("attempt %d: %+v, want %+v", i+1, a, tells)
		}
		if a.GroupID != group || a.KeyID == "" || !strings.HasSuffix(calls[i].Key, a.KeyTail) || len(a.KeyTail) != 4 || "http://"+a.Upstream != w.provider.BaseURL() {
			t.Errorf("attempt %d: %+v was made with the key %q", i+1, a, calls[i].Key)
		}
	}
	if first, second := got.Attempts[0].KeyID, got.Attempts[1].KeyID; first == second {
		t.Error("the dead key was asked again")
	}
}

// TestRecordsOfAnEnding: whatever ends a request, there is one record of it that says so.
func TestRecordsOfAnEnding(t *testing.T) {
	w := startRecording(t)
	w.group("openai", adminapi.ChannelOpenAI, 20, func(g *adminapi.GroupInput) {
		g.Settings = map[string]any{"max_retries": 0, "stream_idle_timeout": 1, "response_header_timeout": 1}
	})
	w.group("keyless", adminapi.ChannelOpenAI, 0)
	endings := []struct {
		group, fault string
		stream       bool
		status       int
		class, error string // error is the record's first word
	}{
		{"openai", "", false, 200, "ok", ""},
		{"openai", "400", false, 400, "client", ""},
		{"openai", "404-model", false, 404, "client", ""},
		{"openai", "401", false, 503, "key_dead", "invalid_api_key"},
		{"openai", "500", false, 500, "upstream", "http_500"},
		{"openai", "hang", false, 504, "upstream", "timeout_headers"},
		{"openai", "reset", false, 502, "upstream", "connection_reset"},
		{"openai", "429", false, 429, "limited", "rate_limited"},
		{"openai", "cut-close", true, 200, "upstream", "stream_cut"},
		{"openai", "stall", true, 200, "upstream", "stream_stalled"},
		{"openai", "cut-clean", true, 200, "upstream", "stream_unterminated"},
		{"keyless", "", false, 503, "gateway", "no_usable_key"},
	}
	for i, c := range endings {
		body := fmt.Sprintf(`{"model":"m-%d","stream":%v,"messages":[]}`, i, c.stream)
		_, _, _ = w.do(http.MethodPost, "/proxy/"+c.group+"/v1/chat/completions", body, "X-Fake-Fault", c.fault, "User-Agent", fmt.Sprintf("ending/%d", i))
	}
	w.leaveOne()
	records := w.awaitRecords(len(endings) + 1)
	for i, c := range endings {
		got := recordOf(t, records, fmt.Sprintf("ending/%d", i))
		if got.Status != c.status || got.Class != c.class || !strings.HasPrefix(got.Error, c.error) || got.Stream != c.stream || got.ModelAsked != fmt.Sprintf("m-%d", i) {
			t.Errorf("%q: recorded %d %s %q stream %v model %q, want %+v", c.fault, got.Status, got.Class, got.Error, got.Stream, got.ModelAsked, c)
		}
	}
	if got := recordOf(t, records, "leaving/1"); got.Status != 499 || got.Class != "canceled" || got.ModelAsked != "left" {
		t.Errorf("a client that left is recorded as %d %s %q", got.Status, got.Class, got.ModelAsked)
	}
}

// leaveOne sends a request for model "left" and leaves when the provider has it.
func (w *world) leaveOne() {
	w.t.Helper()
	w.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: "hang"}})
	ctx, leave := context.WithCancel(w.t.Context())
	defer leave()
	go func() {
		_, _ = w.provider.AwaitCall(ctx, func(c fakeprovider.Call) bool { return c.Model == "left" })
		leave()
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.node.URL+"/proxy/openai/v1/chat/completions", strings.NewReader(`{"model":"left","messages":[]}`))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+testenv.AuthKey)
	request.Header.Set("User-Agent", "leaving/1")
	if response, err := client.Do(request); err == nil {
		_ = response.Body.Close()
		w.t.Errorf("an answer with status %d", response.StatusCode)
	}
}

// TestRecordsClientIP: forwarding headers are believed from trusted proxies only.
func TestRecordsClientIP(t *testing.T) {
	for _, c := range []struct{ trusted, forwarded, want string }{
		{"", "203.0.113.9", "127.0.0.1"},
		{"192.0.2.0/24", "203.0.113.9", "127.0.0.1"},
		{"127.0.0.1", "203.0.113.9", "203.0.113.9"},
		{"127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"},
		{"127.0.0.0/8,10.0.0.0/8", "198.51.100.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"},
		{"127.0.0.1", "2001:db8::1", "2001:db8::1"},
		{"127.0.0.1", "not an address", "127.0.0.1"},
	} {
		t.Run(c.trusted+" "+c.forwarded, func(t *testing.T) {
			t.Parallel()
			w := startRecording(t, "TRUSTED_PROXIES="+c.trusted)
			w.group("openai", adminapi.ChannelOpenAI, 1)
			if status, body, err := w.do(http.MethodGet, "/proxy/openai/v1/models", "", "X-Forwarded-For", c.forwarded, "X-Real-Ip", "203.0.113.77"); err != nil || status != 200 {
				t.Fatal(status, body, err)
			}
			if got := w.awaitRecords(1)[0].ClientIP; got != c.want {
				t.Errorf("client IP %s, want %s", got, c.want)
			}
		})
	}
}

// TestRecordsCapture: bodies are kept when a group says so, up to a bound and with a mark when they are longer.
func TestRecordsCapture(t *testing.T) {
	const bound = 64 << 10
	w := startRecording(t)
	w.group("kept", adminapi.ChannelOpenAI, 1, func(g *adminapi.GroupInput) { g.Settings = map[string]any{"enable_request_body_logging": true} })
	w.group("other", adminapi.ChannelOpenAI, 1)
	long := strings.Repeat("long ", bound)
	binary := "\x00\xff\xfe binary"
	exchanges := []struct {
		group, path, body string
		header            []string
	}{
		{"kept", "/v1/chat/completions", `{"model":"m","messages":[]}`, nil},
		{"kept", "/v1/chat/completions", `{"model":"m","stream":true,"messages":[]}`, nil},
		{"kept", "/echo/x", long, []string{"X-Echo-Body", "70000"}},
		{"kept", "/echo/x", long[:bound], []string{"X-Echo-Body", "65536"}},
		{"kept", "/echo/x", binary, []string{"X-Echo-Body", "300"}},
		{"kept", "/v1/chat/completions", `{"model":"m","messages":[]}`, []string{"X-Fake-Fault", "400"}},
		{"kept", "/echo/x", "", nil},
		{"other", "/v1/chat/completions", `{"model":"m","messages":[]}`, nil},
	}
	answers := make([]string, len(exchanges))
	for i, c := range exchanges {
		var err error
		if _, answers[i], err = w.do(http.MethodPost, "/proxy/"+c.group+c.path, c.body, append(c.header, "User-Agent", fmt.Sprintf("capture/%d", i))...); err != nil {
			t.Fatal(err)
		}
	}
	records := w.awaitRecords(len(exchanges))
	for i, c := range exchanges {
		answer := answers[i]
		record, err := w.admin.Record(t.Context(), recordOf(t, records, fmt.Sprintf("capture/%d", i)).ID)
		if err != nil {
			t.Fatal(err)
		}
		if c.group == "other" {
			if record.Capture != nil {
				t.Error("bodies are kept without being asked for")
			}
			continue
		}
		if record.Capture == nil {
			t.Errorf("%d: no bodies", i)
			continue
		}
		for _, side := range []struct {
			name string
			got  adminapi.Body
			all  string
		}{{"request", record.Capture.Request, c.body}, {"response", record.Capture.Response, answer}} {
			kept, err := []byte(side.got.Content), error(nil)
			if side.got.Encoding == "base64" {
				kept, err = base64.StdEncoding.DecodeString(side.got.Content)
			}
			if err != nil || string(kept) != side.all[:min(len(side.all), bound)] || side.got.Truncated != (len(side.all) > bound) {
				t.Errorf("%d: %d of %d bytes of the %s, truncated %v, %v", i, len(kept), len(side.all), side.name, side.got.Truncated, err)
			}
		}
	}
	// The setting counts for the next request.
	w.settings(adminapi.SettingsPatch{"enable_request_body_logging": true})
	if status, _, err := w.do(http.MethodPost, "/proxy/other/v1/chat/completions", `{"model":"m","messages":[]}`, "User-Agent", "capture/later"); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	if record, err := w.admin.Record(t.Context(), recordOf(t, w.awaitRecords(len(exchanges)+1), "capture/later").ID); err != nil || record.Capture == nil {
		t.Errorf("not kept after the setting changed: %v", err)
	}
}

// TestRecordsAddUp: the roll-ups are the sums of the records, by hour, group, model and proxy key.
func TestRecordsAddUp(t *testing.T) {
	w := startRecording(t)
	for _, name := range []string{"openai", "second"} {
		w.group(name, adminapi.ChannelOpenAI, 50, func(g *adminapi.GroupInput) {
			g.ProxyKeys = []string{"sk-tenant-of-" + name}
			g.Settings = map[string]any{"max_retries": 1}
		})
	}
	requests := 0
	for _, group := range []string{"openai", "second"} {
		for _, key := range []string{testenv.AuthKey, "sk-tenant-of-" + group} {
			for _, fault := range []string{"", "", "400", "401", "500", "429"} {
				for _, model := range []string{"a", "b"} {
					if _, _, err := w.do(http.MethodPost, "/proxy/"+group+"/v1/chat/completions", `{"model":"`+model+`","messages":[]}`, "Authorization", "Bearer "+key, "X-Fake-Fault", fault); err != nil {
						t.Fatal(err)
					}
					requests++
				}
			}
		}
	}
	records := w.awaitRecords(requests)
	for _, by := range [][]string{nil, {"time"}, {"group"}, {"model"}, {"proxy_key"}, {"time", "group", "model", "proxy_key"}} {
		now := time.Now()
		got, err := w.admin.Statistics(t.Context(), adminapi.StatisticsFilter{From: now.Add(-24 * time.Hour), To: now.Add(time.Hour), By: by})
		if err != nil {
			t.Fatal(err)
		}
		want := map[adminapi.StatisticsRow]adminapi.StatisticsRow{}
		for _, r := range records {
			key := rowKey(r, by)
			row := want[key]
			want[key] = addRecord(row, r)
		}
		for _, row := range got.Rows {
			key := adminapi.StatisticsRow{Start: row.Start.UTC(), GroupID: row.GroupID, Model: row.Model, ProxyKeyFingerprint: row.ProxyKeyFingerprint}
			if len(by) == 0 {
				key = adminapi.StatisticsRow{}
			}
			if sums := onlySums(row); sums != want[key] {
				t.Errorf("by %v, %+v:\n%+v, the records say\n%+v", by, key, sums, want[key])
			}
			delete(want, key)
		}
		if len(by) > 0 && len(want) > 0 {
			t.Errorf("by %v: rows are missing: %+v", by, want)
		}
		var total adminapi.StatisticsRow
		for _, r := range records {
			total = addRecord(total, r)
		}
		if sums := onlySums(got.Total); sums != total {
			t.Errorf("in all %+v, the records say %+v", sums, total)
		}
	}
}

func rowKey(r adminapi.Record, by []string) adminapi.StatisticsRow {
	var key adminapi.StatisticsRow
	for _, what := range by {
		switch what {
		case "time":
			key.Start = r.StartedAt.UTC().Truncate(time.Hour)
		case "group":
			key.GroupID = r.GroupID
		case "model":
			key.Model = r.ModelSent
		case "proxy_key":
			key.ProxyKeyFingerprint = r.ProxyKeyFingerprint
		}
	}
	return key
}

func addRecord(row adminapi.StatisticsRow, r adminapi.Record) adminapi.StatisticsRow {
	row.Requests++
	switch r.Class {
	case "ok":
		row.Succeeded++
	case "client", "canceled":
		row.ClientFaults++
	default:
		row.Failed++
	}
	row.Retries += int64(max(len(r.Attempts)-1, 0))
	row.RequestBytes += r.RequestBytes
	row.ResponseBytes += r.ResponseBytes
	return row
}

// onlySums leaves out what a row is about, and means, which are rounded.
func onlySums(row adminapi.StatisticsRow) adminapi.StatisticsRow {
	return adminapi.StatisticsRow{
		Requests: row.Requests, Succeeded: row.Succeeded, ClientFaults: row.ClientFaults, Failed: row.Failed, Retries: row.Retries,
		RequestBytes: row.RequestBytes, ResponseBytes: row.ResponseBytes,
	}
}

// TestRecordsSurviveKill: kill -9 loses nothing that was answered more than 100 ms before, and repeats nothing, round
// after round in the same folder.
func TestRecordsSurviveKill(t *testing.T) {
	const rounds, workers, answersBeforeKill = 4, 8, 800
	dir := t.TempDir()
	provider := fakeprovider.Serve(t, fakeprovider.Options{})
	answered := map[string]time.Time{} // by user agent
	var kills []time.Time
	for round := range rounds {
		node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, dir)
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, node: node, provider: provider, admin: node.Client()}
		if round == 0 {
			// Half of the rounds store records at once, half leave them in the spool.
			w.group("openai", adminapi.ChannelOpenAI, 5)
		}
		w.settings(adminapi.SettingsPatch{"request_log_write_interval_minutes": round % 2})
		killed := w.killUnderLoad(round, workers, answersBeforeKill, answered)
		kills = append(kills, killed)
	}
	w := startIn(t, dir, provider)
	w.settings(adminapi.SettingsPatch{"request_log_write_interval_minutes": 0})
	must := map[string]bool{}
	for agent, at := range answered {
		var round int
		if _, err := fmt.Sscanf(agent, "kill/%d", &round); err != nil {
			t.Fatal(err)
		}
		if kills[round].Sub(at) > 100*time.Millisecond {
			must[agent] = true
		}
	}
	var all []adminapi.Record
	missing := func() (lost []string) {
		all = w.records(adminapi.RecordFilter{})
		there := map[string]bool{}
		for _, r := range all {
			there[r.UserAgent] = true
		}
		for agent := range must {
			if !there[agent] {
				lost = append(lost, agent)
			}
		}
		return lost
	}
	var lost []string
	eventually(t, "every answered request is recorded", func() bool { lost = missing(); return len(lost) == 0 })
	seen := map[string]int{}
	for _, r := range all {
		if seen[r.UserAgent]++; seen[r.UserAgent] > 1 {
			t.Errorf("%s is recorded %d times", r.UserAgent, seen[r.UserAgent])
		}
	}
	stats, err := w.admin.Statistics(t.Context(), adminapi.StatisticsFilter{})
	if err != nil || stats.Total.Requests != int64(len(all)) {
		t.Errorf("the roll-ups count %d requests, the records are %d; %v", stats.Total.Requests, len(all), err)
	}
	t.Logf("%d answered, %d of them more than 100 ms before a kill, %d recorded", len(answered), len(must), len(all))
}

// killUnderLoad lets workers send requests until enough are answered, kills the node, and notes when each answer was
// complete.
func (w *world) killUnderLoad(round, workers, enough int, answered map[string]time.Time) (killed time.Time) {
	w.t.Helper()
	var (
		mu   sync.Mutex
		all  sync.WaitGroup
		next atomic.Int64
	)
	reached := make(chan struct{})
	count := 0
	for range workers {
		all.Go(func() {
			for {
				agent := fmt.Sprintf("kill/%d %d", round, next.Add(1))
				request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.node.URL+"/proxy/openai/v1/chat/completions", strings.NewReader(`{"model":"m","stream":true,"messages":[]}`))
				if err != nil {
					w.t.Error(err)
					return
				}
				request.Header.Set("Authorization", "Bearer "+testenv.AuthKey)
				request.Header.Set("User-Agent", agent)
				response, err := client.Do(request)
				if err != nil {
					return // the node is gone
				}
				_, err = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if err != nil {
					return
				}
				mu.Lock()
				answered[agent] = time.Now()
				if count++; count == enough {
					close(reached)
				}
				mu.Unlock()
			}
		})
	}
	<-reached
	killed = time.Now()
	if err := w.node.Kill(); err != nil {
		w.t.Error(err)
	}
	all.Wait()
	return killed
}
