package metrics

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
)

// Readings are what a node knows of itself at the moment of a scrape.
type Readings struct {
	Ready, Draining bool
	Leading         bool
	Role            string

	InFlight, Queued, Places int64 // proxied requests: served, waiting for a place, and how many are served at most
	Overloaded               int64 // refused because the queue was full, since the start

	Records          requestlog.Stats
	AccessLogDropped int64 // lines, since the start
	// StreamWaiting is how many batches of records waited in the fleet's stream when the leader last looked; less than 0
	// where this node does not lead.
	StreamWaiting int64

	ConfigurationRevision, ConfigurationKnown int64 // in use, and the newest that the node has heard of
	KeyRevision                               int64

	StoreUp, FromLocalCopy bool
	StoreTook              time.Duration // of the last look at the database
	Redis, RedisUp         bool          // there is to be one, and it answers
	ClockOffset            time.Duration // ahead of the database

	Keys []GroupKeys
}

// GroupKeys are the keys of one group.
type GroupKeys struct {
	Group  fleet.GroupID
	Counts fleet.KeyCounts
	// Invalid counts the invalid keys by reason.
	Invalid map[string]int
}

// Read makes read the source of everything that is asked for at a scrape. Call it once. read must be safe for concurrent use
// and quick, and work from the first moment of the process on.
func (m *Metrics) Read(read func() Readings) {
	for _, r := range readings {
		m.define(r.name, false)
	}
	for _, d := range labelled {
		m.define(d.name, false, d.labels...)
	}
	m.registry.MustRegister(&collector{m: m, read: read})
}

type reading struct {
	name        string
	description *prometheus.Desc
	kind        prometheus.ValueType
	value       func(r *Readings) (float64, bool)
}

func gauge(name, help string, value func(r *Readings) float64) reading {
	return measure(name, help, prometheus.GaugeValue, func(r *Readings) (float64, bool) { return value(r), true })
}

func count(name, help string, value func(r *Readings) int64) reading {
	return measure(name, help, prometheus.CounterValue, func(r *Readings) (float64, bool) { return float64(value(r)), true })
}

func measure(name, help string, kind prometheus.ValueType, value func(r *Readings) (float64, bool)) reading {
	return reading{name, prometheus.NewDesc(namespace+"_"+name, help, nil, nil), kind, value}
}

var readings = []reading{
	gauge("ready", "1 while the node takes traffic.", func(r *Readings) float64 { return one(r.Ready) }),
	gauge("draining", "1 from SIGTERM on.", func(r *Readings) float64 { return one(r.Draining) }),
	gauge("leader", "1 on the node that leads and does the background work.", func(r *Readings) float64 { return one(r.Leading) }),

	gauge("requests_in_flight", "Proxied requests that are served now.", func(r *Readings) float64 { return float64(r.InFlight) }),
	gauge("requests_limit", "How many are served at the same time at most (MAX_CONCURRENT_REQUESTS).", func(r *Readings) float64 { return float64(r.Places) }),
	gauge("admission_queued", "Requests that wait for a place.", func(r *Readings) float64 { return float64(r.Queued) }),
	count("admission_refused_total", "Requests that found no place in time.", func(r *Readings) int64 { return r.Overloaded }),

	gauge("records_waiting_bytes", "Request records that wait in this node's spool.", func(r *Readings) float64 { return float64(r.Records.WaitingBytes) }),
	count("records_total", "Request records made.", func(r *Readings) int64 { return r.Records.Recorded }),
	count("records_delivered_total", "Request records that have left the spool for the database, or for the fleet's stream.", func(r *Readings) int64 { return r.Records.Delivered }),
	count("records_rejected_total", "Request records that the database refused as invalid and that were set aside.", func(r *Readings) int64 { return r.Records.Rejected }),
	count("records_corrupt_total", "Request records lost to damage on the disk.", func(r *Readings) int64 { return r.Records.Corrupt }),
	gauge("records_failing", "1 while the last try to deliver request records went wrong.", func(r *Readings) float64 { return one(r.Records.SinkError != "") }),
	measure("records_stream_batches", "Batches of request records that wait in Redis, when the leader last looked; only on the leader.", prometheus.GaugeValue,
		func(r *Readings) (float64, bool) { return float64(r.StreamWaiting), r.StreamWaiting >= 0 }),

	count("access_log_dropped_total", "Lines of the access log that were dropped because the standard output was not read.", func(r *Readings) int64 { return r.AccessLogDropped }),

	gauge("configuration_revision", "Revision of settings and groups in use.", func(r *Readings) float64 { return float64(r.ConfigurationRevision) }),
	gauge("configuration_lag", "Revisions that this node has heard of and does not use yet.", func(r *Readings) float64 {
		return float64(max(r.ConfigurationKnown-r.ConfigurationRevision, 0))
	}),
	gauge("keys_revision", "Revision of the provider keys in use.", func(r *Readings) float64 { return float64(r.KeyRevision) }),

	gauge("store_up", "1 when the last look at the database went well.", func(r *Readings) float64 { return one(r.StoreUp) }),
	gauge("store_seconds", "How long the last look at the database took.", func(r *Readings) float64 { return r.StoreTook.Seconds() }),
	gauge("serving_from_local_copy", "1 while the node serves from its local copy, because the database is away since its start.", func(r *Readings) float64 { return one(r.FromLocalCopy) }),
	measure("redis_up", "1 while Redis answers; absent without REDIS_DSN.", prometheus.GaugeValue, func(r *Readings) (float64, bool) { return one(r.RedisUp), r.Redis }),
	gauge("clock_offset_seconds", "How far the node's clock is ahead of the database's.", func(r *Readings) float64 { return r.ClockOffset.Seconds() }),
}

type labelledReading struct {
	name        string
	labels      []string
	description *prometheus.Desc
}

func withLabels(name, help string, labels ...string) labelledReading {
	return labelledReading{name, labels, prometheus.NewDesc(namespace+"_"+name, help, labels, nil)}
}

var (
	recordsWaiting = withLabels("records_waiting", "Request records on their way to the database, by where they are.", "where")
	recordsDropped = withLabels("records_dropped_total", "Request records given up at a bound, by which.", "reason")
	keys           = withLabels("keys", "Provider keys by state; the invalid ones by reason, too.", "group", "state", "reason")
	nodeRole       = withLabels("node_role", "Always 1; the label tells the role.", "role")

	labelled = []labelledReading{recordsWaiting, recordsDropped, keys, nodeRole}
)

// invalidReasons bounds how many reasons of invalid keys one group shows; the rarer ones are "(other)".
const invalidReasons = 9

type collector struct {
	m    *Metrics
	read func() Readings
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, r := range readings {
		to <- r.description
	}
	for _, l := range labelled {
		to <- l.description
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	r := c.read()
	for _, reading := range readings {
		if value, there := reading.value(&r); there {
			to <- prometheus.MustNewConstMetric(reading.description, reading.kind, value)
		}
	}
	waiting := func(where string, n int64) {
		to <- prometheus.MustNewConstMetric(recordsWaiting.description, prometheus.GaugeValue, float64(n), where)
	}
	waiting("queue", r.Records.Queued)
	waiting("memory", r.Records.Held)
	waiting("spool", r.Records.Spooled)
	dropped := func(reason string, n int64) {
		to <- prometheus.MustNewConstMetric(recordsDropped.description, prometheus.CounterValue, float64(n), reason)
	}
	dropped("queue_full", r.Records.Dropped.QueueFull)
	dropped("spool_full", r.Records.Dropped.SpoolFull)
	dropped("write_failed", r.Records.Dropped.WriteFailed)
	dropped("closed", r.Records.Dropped.Closed)
	if r.Role != "" {
		to <- prometheus.MustNewConstMetric(nodeRole.description, prometheus.GaugeValue, 1, r.Role)
	}
	c.collectKeys(to, r.Keys)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// keySeries names a series of keys.
type keySeries struct{ group, state, reason string }

func (c *collector) collectKeys(to chan<- prometheus.Metric, groups []GroupKeys) {
	sums := map[keySeries]int{}
	for _, g := range groups {
		name := c.m.Group(g.Group).name
		sums[keySeries{name, string(fleet.KeyActive), ""}] += g.Counts.Active
		sums[keySeries{name, string(fleet.KeyCooling), ""}] += g.Counts.Cooling
		sums[keySeries{name, string(fleet.KeyDisabled), ""}] += g.Counts.Disabled
		for reason, n := range boundedReasons(g) {
			sums[keySeries{name, string(fleet.KeyInvalid), reason}] += n
		}
	}
	for s, n := range sums {
		to <- prometheus.MustNewConstMetric(keys.description, prometheus.GaugeValue, float64(n), s.group, s.state, s.reason)
	}
}

// boundedReasons counts the invalid keys of a group by reason: its most frequent ones, and the rest. All groups have an entry, so
// that an alert on invalid keys has something to compare.
func boundedReasons(g GroupKeys) map[string]int {
	labels := map[string]int{}
	rest := g.Counts.Invalid
	for reason, n := range g.Invalid {
		labels[reasonLabel(reason)] += n
		rest -= n
	}
	if rest > 0 || len(labels) == 0 {
		labels[other] += max(rest, 0)
	}
	if len(labels) <= invalidReasons {
		return labels
	}
	frequent := slices.SortedFunc(maps.Keys(labels), func(a, b string) int {
		return cmp.Or(cmp.Compare(labels[b], labels[a]), cmp.Compare(a, b))
	})
	for _, reason := range frequent[invalidReasons:] {
		n := labels[reason]
		delete(labels, reason)
		labels[other] += n
	}
	return labels
}
