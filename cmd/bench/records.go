package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gpt-load/internal/testenv"
)

const (
	flowRate  = 300 // proxied requests a second while records flood
	flowSize  = 1 << 10
	floodTime = 60 * time.Second
	// windowTime is how long requests are measured without and with the flood, by turns, each settleTime after the turn.
	windowTime = 6 * time.Second
	settleTime = time.Second
	// behindLimit is how many seconds of records may wait when the flood ends; one is what the spools gather.
	behindLimit = 5 * floodRate
	// worseLimit bounds the proxy's p99 in the flood by that without it.
	worseLimit = 1.10
)

// benchRecords floods the fleet with records while a follower serves requests.
func benchRecords(ctx context.Context, r *report, s settings) (err error) {
	r.title(fmt.Sprintf("%d records a second for %v into PostgreSQL, beside %d requests a second through a follower", floodRate, floodTime, flowRate))
	f, err := startFleet(ctx, s, fleetOptions{followers: 1})
	defer func() { err = errors.Join(err, f.stop()) }()
	if err != nil {
		return err
	}
	flood, err := f.startFlood(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, flood.stop()) }()
	m := &recordsMeasurement{f: f, flood: flood, client: newFlowClient(), body: chatBody(flowSize)}
	defer m.client.CloseIdleConnections()
	rounds := 20
	if s.quick {
		rounds = 4
	}
	if err := m.run(ctx, rounds); err != nil {
		return f.explain(ctx, err)
	}
	// The node's own records go with its end; the leader must still be there then.
	if err := f.nodes[1].Stop(); err != nil {
		return err
	}
	m.reportLatency(r)
	return m.reportRecords(ctx, r)
}

// recordsMeasurement is what one run gathers.
type recordsMeasurement struct {
	f      *benchFleet
	flood  floodControl
	client *http.Client
	body   []byte

	sent  int64       // proxied requests
	quiet []latencies // one more than busy: before and after each of them
	busy  []latencies
	// The long flood: records and time, what waited at its end and how long that took, and the CPU by process in it and
	// right before it, in seconds per second.
	records, behind  int64
	took, tail       time.Duration
	end              floodState
	idleCPU, busyCPU map[string]float64
}

// run takes turns of windows without and with the flood, and then floods for floodTime.
func (m *recordsMeasurement) run(ctx context.Context, rounds int) error {
	if _, err := m.flood.tell(ctx, "on"); err != nil { // until every source has begun
		return err
	}
	if _, _, err := m.flow(ctx, floodSources*time.Second); err != nil {
		return err
	}
	for range rounds {
		if err := m.window(ctx, "off"); err != nil {
			return err
		}
		if err := m.window(ctx, "on"); err != nil {
			return err
		}
	}
	if err := m.window(ctx, "off"); err != nil {
		return err
	}
	return m.long(ctx)
}

// long floods for floodTime, and then ends the flood.
func (m *recordsMeasurement) long(ctx context.Context) error {
	begun := time.Now()
	before, err := m.flood.tell(ctx, "on")
	if err != nil {
		return err
	}
	if _, m.busyCPU, err = m.flow(ctx, floodTime); err != nil {
		return err
	}
	m.took = time.Since(begun)
	after, err := m.flood.tell(ctx, "off")
	if err != nil {
		return err
	}
	m.records, m.behind = after.HandedOver-before.HandedOver, after.Waiting
	m.end, err = m.flood.tell(ctx, "finish")
	m.tail = time.Since(begun) - m.took
	return err
}

// window measures requests with or without the flood, "on" or "off".
func (m *recordsMeasurement) window(ctx context.Context, order string) error {
	if _, err := m.flood.tell(ctx, order); err != nil {
		return err
	}
	if err := pause(ctx, settleTime); err != nil {
		return err
	}
	l, used, err := m.flow(ctx, windowTime)
	if order == "on" {
		m.busy = append(m.busy, l)
	} else {
		m.quiet, m.idleCPU = append(m.quiet, l), used
	}
	return err
}

// recordWay are the processes that a record passes.
var recordWay = []string{"spool", "Redis", "leader", "PostgreSQL"}

// cpuTimes are those of recordWay. The spools are the flood's.
func (m *recordsMeasurement) cpuTimes() map[string]time.Duration {
	return map[string]time.Duration{
		"spool":      familyCPU(m.flood.pid, false),
		"Redis":      familyCPU(m.f.redis.PID(), false),
		"leader":     familyCPU(m.f.nodes[0].PID(), false),
		"PostgreSQL": familyCPU(m.f.postgres.PID(), true),
	}
}

// perRecord is the CPU that a record costs a process, in µs: what the flood costs beyond the time without.
func (m *recordsMeasurement) perRecord(name string) float64 {
	return (m.busyCPU[name] - m.idleCPU[name]) / floodRate * 1e6
}

// familyCPU is the CPU time of a process, with that of its children when asked for; 0 for one that is gone.
func familyCPU(pid int, children bool) time.Duration {
	p := &process{pid: pid}
	used, err := p.cpu()
	if err != nil || !children {
		return used
	}
	ended, err := p.endedChildrenCPU()
	if err != nil {
		return used
	}
	used += ended
	list, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "task", strconv.Itoa(pid), "children"))
	if err != nil {
		return used
	}
	for word := range strings.FieldsSeq(string(list)) {
		if child, err := strconv.Atoi(word); err == nil {
			used += familyCPU(child, false)
		}
	}
	return used
}

// flow sends flowRate requests a second for d, and returns how long each took, and what CPU the processes used meanwhile, in
// seconds per second.
func (m *recordsMeasurement) flow(ctx context.Context, d time.Duration) (latencies, map[string]float64, error) {
	before, begun := m.cpuTimes(), time.Now()
	took, err := paced(ctx, m.client, m.f.node(1).addr, m.body, flowRate, d)
	used := map[string]float64{}
	for name, now := range m.cpuTimes() {
		used[name] = (now - before[name]).Seconds() / time.Since(begun).Seconds()
	}
	m.sent += int64(len(took))
	return took, used, err
}

// paced sends rate requests a second for d, whether or not the earlier ones are answered, and returns how long each took.
func paced(ctx context.Context, client *http.Client, url string, body []byte, rate int, d time.Duration) (latencies, error) {
	between := time.Second / time.Duration(rate)
	total := int(d / between)
	l := load{url: url, key: testenv.AuthKey, size: flowSize}
	want := int64(len(answer(l.size)))
	took := make(latencies, total)
	errs := make([]error, total)
	tick := time.NewTicker(between)
	defer tick.Stop()
	var all sync.WaitGroup
	for i := range total {
		select {
		case <-ctx.Done():
			all.Wait()
			return nil, ctx.Err()
		case <-tick.C:
		}
		all.Go(func() {
			begun := time.Now()
			errs[i] = l.once(ctx, client, body, want)
			took[i] = time.Since(begun)
		})
	}
	all.Wait()
	return took, errors.Join(errs...)
}

// newFlowClient keeps as many connections as a slow moment needs.
func newFlowClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: flowRate, DisableCompression: true}, Timeout: time.Minute}
}

// latencies are how long requests took.
type latencies []time.Duration

// quantile is the value that a share q of all does not exceed.
func (l latencies) quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// reportLatency compares each window in a flood with those before and after it.
func (m *recordsMeasurement) reportLatency(r *report) {
	for _, q := range []float64{0.5, 0.9, 0.99} {
		var quiet, busy, ratios costs
		for i, in := range m.busy {
			around := (micros(m.quiet[i].quantile(q)) + micros(m.quiet[i+1].quantile(q))) / 2
			quiet, busy = append(quiet, around), append(busy, micros(in.quantile(q)))
			ratios = append(ratios, busy[i]/quiet[i])
		}
		slices.Sort(ratios)
		text := fmt.Sprintf("%.0f to %.0f µs, %.2f (%.2f to %.2f)", quiet.median(), busy.median(), ratios.median(), ratios[0], ratios[len(ratios)-1])
		if q < 0.99 {
			r.figure(fmt.Sprintf("p%.0f of a request, without and with the flood", q*100), "%s", text)
			continue
		}
		r.promise(fmt.Sprintf("p99 of a request, ratio at most %.2f", worseLimit), ratios.median() <= worseLimit, "%s", text)
	}
}

func (m *recordsMeasurement) reportRecords(ctx context.Context, r *report) error {
	rate := float64(m.records) / m.took.Seconds()
	r.promise(fmt.Sprintf("records handed over, %d a second", floodRate), rate >= 0.999*floodRate, "%.0f, %d in %v", rate, m.records, m.took.Round(time.Second))
	r.promise(fmt.Sprintf("behind at the end, at most %d", behindLimit), m.behind <= behindLimit, "%d, there after %v", m.behind, m.tail.Round(time.Millisecond))
	all := m.end.HandedOver + m.sent
	text, err := m.f.postgres.SQL(ctx, fleetDatabase, `SELECT (SELECT count(*) FROM request_records), (SELECT count(DISTINCT id) FROM request_records),
		(SELECT sum(requests) FROM hourly_stats), (SELECT sum(requests) FROM key_usage);`)
	if err != nil {
		return err
	}
	stored, _, _ := strings.Cut(text, "|")
	r.promise("records of flood and requests stored", stored == fmt.Sprint(all) && m.end.Waiting+m.end.Dropped == 0, "%s of %d, %d unconfirmed, %d dropped", stored, all, m.end.Waiting, m.end.Dropped)
	r.promise("  stored or summed twice: none", text == fmt.Sprintf("%d|%d|%d|%d", all, all, all, all), "%s", text)
	for _, name := range recordWay {
		r.figure("CPU per record: "+name, "%.1f µs", m.perRecord(name))
	}
	return nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
