package metrics_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/metrics"
)

// scrape returns the value of every series by its text, such as name{label="value"}.
func scrape(t *testing.T, m *metrics.Metrics) map[string]float64 {
	t.Helper()
	server := httptest.NewServer(m.Handler())
	defer server.Close()
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v: %s", answer.StatusCode, err, text)
	}
	series := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		cut := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[cut:]), 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		series[line[:cut]] = value
	}
	return series
}

// sum adds up the series of a metric that hold all of the labels.
func sum(series map[string]float64, name string, labels ...string) float64 {
	total := 0.0
next:
	for text, value := range series {
		if text != name && !strings.HasPrefix(text, name+"{") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(text, label) {
				continue next
			}
		}
		total += value
	}
	return total
}

func groups(n int) []fleet.Group {
	list := make([]fleet.Group, n)
	for i := range list {
		list[i] = fleet.Group{ID: fleet.GroupID(i + 1), Name: fmt.Sprintf("group-%d", i+1), Channel: fleet.Channels[i%len(fleet.Channels)]}
	}
	return list
}

var everyClass = []fleet.Class{
	fleet.ClassOK, fleet.ClassClient, fleet.ClassCanceled, fleet.ClassKeyDead, fleet.ClassKeyExhausted, fleet.ClassKeySuspect,
	fleet.ClassLimited, fleet.ClassModelDenied, fleet.ClassUpstream, fleet.ClassGateway,
}

// TestSeriesAreBounded: whatever happens in however many groups, there are at most MaxSeries, and no event is lost.
func TestSeriesAreBounded(t *testing.T) {
	m := metrics.New("1.2.3")
	const groupCount = 300
	reasons := reasonsOfTheProvider(t)
	m.Read(func() metrics.Readings {
		r := metrics.Readings{Role: "leader", Redis: true}
		for _, g := range groups(groupCount) {
			invalid := map[string]int{"a word of a later version": 1}
			for i, reason := range reasons {
				invalid[reason] = i + 1
			}
			total := 0
			for _, n := range invalid {
				total += n
			}
			r.Keys = append(r.Keys, metrics.GroupKeys{Group: g.ID, Counts: fleet.KeyCounts{Active: 1, Cooling: 2, Invalid: total, Disabled: 3}, Invalid: invalid})
		}
		return r
	})
	m.Sync(groups(groupCount))
	events := 0
	for id := range fleet.GroupID(groupCount + 2) { // 0 is no group, the last one is not known
		g := m.Group(id)
		for _, class := range everyClass {
			for _, status := range []int{0, 103, 200, 302, 404, 503, fleet.StatusClientGone} {
				record := fleet.RequestRecord{GroupID: id, Class: class, Status: status, Duration: time.Second, ModelAsked: fmt.Sprint("junk-", events)}
				for _, reason := range append(reasons, "http_418", "http_599", fmt.Sprint("unheard of ", events)) {
					record.Attempts = append(record.Attempts, fleet.Attempt{GroupID: id, Class: class, Reason: reason, KeyID: fleet.KeyID(events)})
				}
				g.Request(&record, time.Second)
				events++
			}
			g.Cooled(class)
		}
		for _, reason := range reasons {
			g.Retired(reason)
		}
		g.Exhausted(true)
		g.Exhausted(false)
		g.Gap(time.Second)
		g.Overhead(time.Millisecond)
	}
	for _, kind := range []string{metrics.KindConfiguration, metrics.KindKeys, metrics.KindVerdicts} {
		m.Propagated(kind, time.Second)
	}
	series := scrape(t, m)
	if len(series) > metrics.MaxSeries {
		t.Errorf("%d series; the bound is %d", len(series), metrics.MaxSeries)
	}
	t.Logf("%d series", len(series))
	for text := range series {
		if strings.Contains(text, "junk") || strings.Contains(text, "unheard") {
			t.Errorf("a word from outside became a label: %s", text)
		}
	}
	for name, want := range map[string]int{
		"gptload_requests_total": events, "gptload_request_duration_seconds_count": events,
		"gptload_attempts_total": events * (len(reasons) + 3), "gptload_retries_total": events * (len(reasons) + 2),
		"gptload_key_cooldowns_total": (groupCount + 2) * len(everyClass), "gptload_key_retirements_total": (groupCount + 2) * len(reasons),
		"gptload_pool_exhausted_total": (groupCount + 2) * 2, "gptload_overhead_seconds_count": groupCount + 2,
	} {
		if got := sum(series, name); got != float64(want) {
			t.Errorf("%s: %v, want %d", name, got, want)
		}
	}
	if got := sum(series, "gptload_keys", `state="disabled"`); got != 3*groupCount {
		t.Errorf("%v disabled keys", got)
	}
}

// TestGroupsComeAndGo: what is left of groups that were renamed or deleted is nothing, for ever.
func TestGroupsComeAndGo(t *testing.T) {
	m := metrics.New("1.2.3")
	record := fleet.RequestRecord{GroupID: 1, Class: fleet.ClassOK, Status: 200, Attempts: []fleet.Attempt{{GroupID: 1, Class: fleet.ClassOK}}}
	count := 0
	for i := range 3000 {
		late := m.Group(1)
		m.Sync([]fleet.Group{{ID: 1, Name: fmt.Sprint("name-", i), Channel: fleet.ChannelGemini}})
		late.Cooled(fleet.ClassLimited) // by a request that began under the old name
		m.Group(1).Request(&record, 0)
		if i == 10 {
			count = len(scrape(t, m))
		}
	}
	series := scrape(t, m)
	if len(series) > count+5 { // the process's own come and go
		t.Errorf("%d series after 10 names, %d after 3000", count, len(series))
	}
	if got := sum(series, "gptload_requests_total", `group="name-2999"`, `channel="gemini"`, `class="ok"`, `status="2xx"`); got != 1 {
		t.Errorf("the latest name has %v requests", got)
	}
	if got := sum(series, "gptload_key_cooldowns_total"); got != 3000 {
		t.Errorf("%v rests, want 3000", got)
	}
}

// TestAggregate: the request counts for the group that was asked, its attempts for the members that served.
func TestAggregate(t *testing.T) {
	m := metrics.New("1.2.3")
	m.Sync(groups(3))
	m.Group(1).Request(&fleet.RequestRecord{GroupID: 3, ParentID: 1, Class: fleet.ClassOK, Status: 200, Attempts: []fleet.Attempt{
		{GroupID: 2, Class: fleet.ClassLimited, Reason: "rate_limited"}, {GroupID: 3, Class: fleet.ClassOK, Reason: "ok"},
	}}, 0)
	series := scrape(t, m)
	for text, want := range map[string]float64{
		`gptload_requests_total{channel="openai",class="ok",group="group-1",status="2xx"}`:  1,
		`gptload_attempts_total{channel="openai-response",class="limited",group="group-2"}`: 1,
		`gptload_attempts_total{channel="gemini",class="ok",group="group-3"}`:               1,
		`gptload_retries_total{channel="gemini",reason="rate_limited"}`:                     1,
	} {
		if series[text] != want {
			t.Errorf("%s is %v", text, series[text])
		}
	}
}

// TestTogether: requests, changes of groups and scrapes side by side lose no count.
func TestTogether(t *testing.T) {
	m := metrics.New("1.2.3")
	m.Sync(groups(4))
	const workers, each = 8, 500
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range each {
				id := fleet.GroupID(i%6 + 1)
				m.Group(id).Request(&fleet.RequestRecord{GroupID: id, Class: everyClass[i%10], Status: 200}, 0)
			}
		})
	}
	all.Go(func() {
		for range 20 {
			m.Sync(groups(4))
			scrape(t, m)
		}
	})
	all.Wait()
	if got := sum(scrape(t, m), "gptload_requests_total"); got != workers*each {
		t.Errorf("%v requests, want %d", got, workers*each)
	}
}

// TestNothing: a handler without metrics may use what it gets from nil.
func TestNothing(*testing.T) {
	var m *metrics.Metrics
	m.Sync(nil)
	m.Propagated(metrics.KindKeys, time.Second)
	g := m.Group(1)
	g.Request(&fleet.RequestRecord{}, 0)
	g.Overhead(0)
	g.Gap(0)
	g.Cooled(fleet.ClassLimited)
	g.Retired("")
	g.Exhausted(true)
}

func TestNoAllocation(t *testing.T) {
	m := metrics.New("1.2.3")
	m.Sync(groups(1))
	record := fleet.RequestRecord{GroupID: 1, Class: fleet.ClassOK, Status: 200, Attempts: []fleet.Attempt{
		{GroupID: 1, Class: fleet.ClassLimited, Reason: "rate_limited"}, {GroupID: 1, Class: fleet.ClassOK, Reason: "ok"},
	}}
	if n := testing.AllocsPerRun(100, func() {
		g := m.Group(1)
		g.Overhead(time.Millisecond)
		g.Gap(time.Millisecond)
		g.Request(&record, time.Second)
	}); n != 0 {
		t.Errorf("%v allocations for each request", n)
	}
}

// BenchmarkRequest is what all metrics cost one request with one attempt.
func BenchmarkRequest(b *testing.B) {
	m := metrics.New("1.2.3")
	m.Sync(groups(1))
	b.RunParallel(func(pb *testing.PB) {
		record := fleet.RequestRecord{GroupID: 1, Class: fleet.ClassOK, Status: 200, Attempts: []fleet.Attempt{{GroupID: 1, Class: fleet.ClassOK, Reason: "ok"}}}
		for pb.Next() {
			g := m.Group(1)
			g.Overhead(time.Millisecond)
			g.Request(&record, 0)
		}
	})
}

// TestReasonsAreLabels: every word of package provider has a label of its own.
func TestReasonsAreLabels(t *testing.T) {
	m := metrics.New("1.2.3")
	m.Sync(groups(1))
	for _, reason := range reasonsOfTheProvider(t) {
		m.Group(1).Retired(reason)
	}
	series := scrape(t, m)
	for _, reason := range reasonsOfTheProvider(t) {
		if sum(series, "gptload_key_retirements_total", fmt.Sprintf("reason=%q", reason)) != 1 {
			t.Errorf("%q is not among the labels of package metrics", reason)
		}
	}
}

// reasonsOfTheProvider reads them where they are defined.
func reasonsOfTheProvider(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../provider/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") || len(spec.Values) == 0 {
			return true
		}
		if word, ok := spec.Values[0].(*ast.BasicLit); ok {
			text, err := strconv.Unquote(word.Value)
			if err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, text)
		}
		return true
	})
	if len(reasons) < 30 {
		t.Fatalf("only %d reasons were found", len(reasons))
	}
	return reasons
}
