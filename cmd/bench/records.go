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
	// worseLimit bounds the proxy's p99 in the flood by that without it, and by that beside as much other work.
	worseLimit = 1.10
	// thinkTime is when the provider answers every second request; the others it answers at once. Models take longer.
	thinkTime = 100 * time.Millisecond
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
	burner, err := startBurner(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, burner.stop()) }()
	m := &recordsMeasurement{f: f, flood: flood, burner: burner, client: newFlowClient(), body: chatBody(flowSize)}
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
	burner burnerControl
	client *http.Client
	body   []byte

	sent  int64    // proxied requests
	quiet []window // before and after each of the others
	busy  []window // in the flood
	alike []window // beside a process that uses as much CPU at the same times
	// The long flood: records and time, what waited at its end and how long that took, and the CPU by process in it and
	// right before it, in seconds per second.
	records, behind  int64
	took, tail       time.Duration
	end              floodState
	idleCPU, busyCPU map[string]float64
}

// window is what requests took in one span of time.
type window struct {
	instant, thinking latencies          // of those that the provider answers at once, and after thinkTime
	cpu               map[string]float64 // of recordWay, in seconds per second
}

// run takes turns of windows without the flood, with it, and with the burner, and then floods for floodTime.
func (m *recordsMeasurement) run(ctx context.Context, rounds int) error {
	if _, err := m.flood.tell(ctx, "on"); err != nil { // until every source has begun
		return err
	}
	if _, err := m.flow(ctx, floodSources*time.Second); err != nil {
		return err
	}
	for range rounds {
		if err := errors.Join(m.measure(ctx, &m.quiet), m.measureFlood(ctx), m.measure(ctx, &m.quiet), m.measureAlike(ctx)); err != nil {
			return err
		}
	}
	if err := m.measure(ctx, &m.quiet); err != nil {
		return err
	}
	return m.long(ctx)
}

func (m *recordsMeasurement) measureFlood(ctx context.Context) error {
	if _, err := m.flood.tell(ctx, "on"); err != nil {
		return err
	}
	err := m.measure(ctx, &m.busy)
	_, off := m.flood.tell(ctx, "off")
	return errors.Join(err, off)
}

// measureAlike burns what the last window in the flood cost beyond the one before it: what the spools take runs all the time,
// and the rest follows a batch, of which there is one a second.
func (m *recordsMeasurement) measureAlike(ctx context.Context) error {
	flood, idle := m.busy[len(m.busy)-1].cpu, m.quiet[len(m.quiet)-2].cpu
	steady, burst := flood["spool"]-idle["spool"], 0.0
	for _, name := range recordWay[1:] {
		burst += flood[name] - idle[name]
	}
	if err := m.burner.burn(ctx, steady, burst); err != nil {
		return err
	}
	err := m.measure(ctx, &m.alike)
	return errors.Join(err, m.burner.burn(ctx, 0, 0))
}

// long floods for floodTime, and then ends the flood.
func (m *recordsMeasurement) long(ctx context.Context) error {
	begun := time.Now()
	before, err := m.flood.tell(ctx, "on")
	if err != nil {
		return err
	}
	w, err := m.flow(ctx, floodTime)
	if err != nil {
		return err
	}
	m.idleCPU, m.busyCPU = m.quiet[len(m.quiet)-1].cpu, w.cpu
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

// measure adds a window to those of its kind.
func (m *recordsMeasurement) measure(ctx context.Context, to *[]window) error {
	if err := pause(ctx, settleTime); err != nil {
		return err
	}
	w, err := m.flow(ctx, windowTime)
	*to = append(*to, w)
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

// flow sends flowRate requests a second for d, every second one with thinkTime.
func (m *recordsMeasurement) flow(ctx context.Context, d time.Duration) (window, error) {
	before, begun := m.cpuTimes(), time.Now()
	took, err := paced(ctx, m.client, m.f.node(1).addr, m.body, flowRate, d)
	w := window{instant: took.everySecond(0), thinking: took.everySecond(1), cpu: map[string]float64{}}
	for name, now := range m.cpuTimes() {
		w.cpu[name] = (now - before[name]).Seconds() / time.Since(begun).Seconds()
	}
	m.sent += int64(len(took))
	return w, err
}

// paced sends rate requests a second for d, whether or not the earlier ones are answered, and returns how long each took. The
// upstream answers those at odd places after thinkTime.
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
			begun, l := time.Now(), l
			if i%2 == 1 {
				l.delay = thinkTime
			}
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

// everySecond takes every second one from a place on.
func (l latencies) everySecond(from int) (some latencies) {
	for i := from; i < len(l); i += 2 {
		some = append(some, l[i])
	}
	return some
}

// quantile is the value that a share q of all does not exceed.
func (l latencies) quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func instant(w window) latencies  { return w.instant }
func thinking(w window) latencies { return w.thinking }

// reportLatency compares requests in the flood with those before and after it, and with those beside the burner: on cores that
// all processes share, work of any kind is in the way of requests that take half a millisecond, and that is not the records'.
func (m *recordsMeasurement) reportLatency(r *report) {
	n := len(m.busy)
	around := func(first int, of func(window) latencies, q float64) (c costs) {
		for i := range n {
			before, after := m.quiet[2*i+first], m.quiet[2*i+first+1]
			c = append(c, (micros(of(before).quantile(q))+micros(of(after).quantile(q)))/2)
		}
		return c
	}
	in := func(windows []window, of func(window) latencies, q float64) (c costs) {
		for _, w := range windows {
			c = append(c, micros(of(w).quantile(q)))
		}
		return c
	}
	for _, q := range []float64{0.5, 0.9, 0.99} {
		r.figure(fmt.Sprintf("p%.0f, answered at once: the flood, to without", q*100), "%s", sideBySide(in(m.busy, instant, q), around(0, instant, q)))
		r.figure(fmt.Sprintf("p%.0f, answered at once: as much CPU, to without", q*100), "%s", sideBySide(in(m.alike, instant, q), around(1, instant, q)))
	}
	beside := sideBySide(in(m.busy, instant, 0.99), in(m.alike, instant, 0.99))
	r.promise(fmt.Sprintf("p99, flood to as much CPU, at most %.2f", worseLimit), beside.ratio() <= worseLimit, "%s", beside)
	real := sideBySide(in(m.busy, thinking, 0.99), around(0, thinking, 0.99))
	r.promise(fmt.Sprintf("p99, answered after %v, at most %.2f", thinkTime, worseLimit), real.ratio() <= worseLimit, "%s", real)
}

// comparison is a series of measurements beside another, pair by pair.
type comparison struct{ these, those, ratios costs }

func sideBySide(these, those costs) comparison {
	c := comparison{these: these, those: those}
	for i := range these {
		c.ratios = append(c.ratios, these[i]/those[i])
	}
	slices.Sort(c.ratios)
	return c
}

// ratio is the median of the pairs' ratios.
func (c comparison) ratio() float64 { return c.ratios.median() }

func (c comparison) String() string {
	return fmt.Sprintf("%.0f to %.0f µs, %.2f (%.2f to %.2f)", c.those.median(), c.these.median(), c.ratio(), c.ratios[0], c.ratios[len(c.ratios)-1])
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
