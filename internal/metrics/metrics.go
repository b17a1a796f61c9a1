package metrics

import (
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gpt-load/internal/fleet"
)

const (
	// MaxSeries is how many series a node has at most.
	MaxSeries = 5000
	// MaxGroups is how many groups have series of their own.
	MaxGroups = 64
	// occasional is the allowance for series of groups that appear with their first event: by class and status, by reason.
	// A group's fixed series are its two histograms (27) and its keys (13): 64 of these are 2,560. Everything that is not of a
	// group, "(other)" with all its series included, is below 900.
	occasional = 1500
)

const namespace = "gptload"

// Buckets in seconds. Requests last from a refusal to a long stream; what the gateway itself takes is counted in tens of
// microseconds.
var (
	durationBuckets = []float64{0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
	tokenBuckets    = []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}
	gapBuckets      = []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}
	overheadBuckets = []float64{0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1}
	spreadBuckets   = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
)

// Metrics are the metrics of one node. Its methods, and those of what it hands out, do nothing on nil.
type Metrics struct {
	registry *prometheus.Registry

	requests, attempts, retries, cooldowns, retirements, exhausted *prometheus.CounterVec
	duration, firstToken, gap, overhead, propagation               *prometheus.HistogramVec

	channels map[fleet.Channel]*channel
	groups   atomic.Pointer[map[fleet.GroupID]*Group]
	others   *Group // those beyond the bounds
	nobody   *Group // of requests that named no group there is
	defined  []Definition

	mu        sync.Mutex // guards what follows: series are made and removed one at a time
	allowance int
}

// New makes the metrics of a node. version is that of the program.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), allowance: occasional}
	m.requests = m.counter("requests_total", "Proxied requests that ended, by the group that was asked.", "group", "channel", "class", "status")
	m.attempts = m.counter("attempts_total", "Requests sent to providers, by the group that served.", "group", "channel", "class")
	m.retries = m.counter("retries_total", "Further attempts, by why the one before was not the last.", "channel", "reason")
	m.cooldowns = m.counter("key_cooldowns_total", "Rests that verdicts of this node gave to keys.", "group", "class")
	m.retirements = m.counter("key_retirements_total", "Keys that verdicts of this node made invalid.", "group", "reason")
	m.exhausted = m.counter("pool_exhausted_total", "Requests that found no usable key: every key rests (cooling), or none would come back (unusable).", "group", "reason")
	m.duration = m.histogram("request_duration_seconds", "From the arrival of a request to the end of its answer.", durationBuckets, "group", "channel")
	m.firstToken = m.histogram("time_to_first_token_seconds", "From the arrival of a request for a stream to its first content.", tokenBuckets, "group", "channel")
	m.gap = m.histogram("stream_gap_seconds", "Between two chunks of a stream.", gapBuckets, "channel")
	m.overhead = m.histogram("overhead_seconds", "What the gateway itself took from the arrival of a request to its first attempt; waiting for a place and for the body is left out.", overheadBuckets, "channel")
	m.propagation = m.histogram("propagation_seconds", "From a change on another node to its use on this one, by the clocks of both.", spreadBuckets, "kind")
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "Always 1; the labels tell what runs."}, []string{"version", "go"})
	m.define("build_info", false, "version", "go")
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	m.channels = make(map[fleet.Channel]*channel, len(fleet.Channels)+1)
	for _, c := range append([]fleet.Channel{""}, fleet.Channels...) {
		m.channels[c] = m.newChannel(c)
	}
	// These two may have every series: what finds no room elsewhere must find it here.
	m.others, m.nobody = m.newGroup(other, ""), m.newGroup(none, "")
	m.others.boundless, m.nobody.boundless = true, true
	m.groups.Store(&map[fleet.GroupID]*Group{0: m.nobody})
	return m
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	m.define(name, false, labels...)
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(vec)
	return vec
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	m.define(name, true, labels...)
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(vec)
	return vec
}

// Definition is a metric of this program, whether or not it has series yet.
type Definition struct {
	Name      string
	Histogram bool // its series have the usual suffixes
	Labels    []string
}

// Definitions lists them; those of Read only after it was called.
func (m *Metrics) Definitions() []Definition { return slices.Clone(m.defined) }

func (m *Metrics) define(name string, histogram bool, labels ...string) {
	m.defined = append(m.defined, Definition{Name: namespace + "_" + name, Histogram: histogram, Labels: labels})
}

func (m *Metrics) channelOf(c fleet.Channel) *channel {
	if known := m.channels[c]; known != nil {
		return known
	}
	return m.channels[""]
}

// Handler serves the metrics in the text formats of Prometheus and OpenMetrics. At most three scrapes run side by side.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: 3, ErrorHandling: promhttp.HTTPErrorOnError,
	})
}

// Sync gives every group its series, in their order of display, and takes away those of groups that are gone. It must
// not run twice at the same time.
func (m *Metrics) Sync(groups []fleet.Group) {
	if m == nil {
		return
	}
	old := *m.groups.Load()
	next := make(map[fleet.GroupID]*Group, len(groups)+1)
	next[0] = m.nobody
	kept := map[*series]bool{m.others.series: true, m.nobody.series: true}
	for _, g := range groups[:min(len(groups), MaxGroups)] {
		if before := old[g.ID]; before != nil && before.name == g.Name && before.channel == m.channelOf(g.Channel) {
			next[g.ID], kept[before.series] = before, true
		}
	}
	for _, before := range old {
		if !kept[before.series] {
			m.drop(before.series)
		}
	}
	for i, g := range groups {
		switch {
		case next[g.ID] != nil:
		case i < MaxGroups:
			next[g.ID] = m.newGroup(g.Name, g.Channel)
		default:
			next[g.ID] = &Group{m: m, channel: m.channelOf(g.Channel), series: m.others.series}
		}
	}
	m.groups.Store(&next)
}

// Group returns the counters of a group; those of "(none)" for 0, and of "(other)" for one that Sync has not heard of.
func (m *Metrics) Group(id fleet.GroupID) *Group {
	if m == nil {
		return nil
	}
	if g := (*m.groups.Load())[id]; g != nil {
		return g
	}
	return m.others
}

// Kinds of what propagates, for Propagated.
const (
	KindConfiguration = "configuration"
	KindKeys          = "keys"
	KindVerdicts      = "verdicts"
)

// Propagated notes how long a change of another node took until it was in use here. What clocks that differ make of it
// counts as nothing.
func (m *Metrics) Propagated(kind string, took time.Duration) {
	if m != nil {
		m.propagation.WithLabelValues(kind).Observe(max(took, 0).Seconds())
	}
}
