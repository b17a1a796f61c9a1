package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gpt-load/internal/fleet"
)

// lazy is a counter that gets its series with its first event.
type lazy struct {
	made atomic.Pointer[prometheus.Counter]
}

// inc counts an event where there is a series for it.
func (l *lazy) inc() bool {
	made := l.made.Load()
	if made == nil {
		return false
	}
	(*made).Inc()
	return true
}

// channel holds the series that all groups of a channel share.
type channel struct {
	name          string
	gap, overhead prometheus.Observer
	retries       []lazy // by reasonIndex
}

func (m *Metrics) newChannel(name fleet.Channel) *channel {
	label := channelLabel(name)
	return &channel{name: label, gap: m.gap.WithLabelValues(label), overhead: m.overhead.WithLabelValues(label), retries: make([]lazy, len(reasons))}
}

// Group holds the series of one group.
type Group struct {
	m       *Metrics
	channel *channel
	*series
}

// series are those with the label group.
type series struct {
	name, channel string
	boundless     bool // it may have all its series

	duration, firstToken prometheus.Observer
	requests             [classCount][familyCount]lazy
	attempts, cooldowns  [classCount]lazy
	exhausted            [2]lazy
	retirements          []lazy // by reasonIndex

	made   int  // series taken from the allowance; guarded by Metrics.mu
	closed bool // the group is gone, and requests of it are still under way; guarded by Metrics.mu
}

func (m *Metrics) newGroup(name string, c fleet.Channel) *Group {
	label := channelLabel(c)
	return &Group{m: m, channel: m.channelOf(c), series: &series{
		name: name, channel: label,
		duration: m.duration.WithLabelValues(name, label), firstToken: m.firstToken.WithLabelValues(name, label),
		retirements: make([]lazy, len(reasons)),
	}}
}

// drop removes the series of a group, so that groups that come and go leave nothing behind.
func (m *Metrics) drop(s *series) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.closed = true
	m.allowance += s.made
	labels := prometheus.Labels{"group": s.name}
	for _, vec := range []interface {
		DeletePartialMatch(labels prometheus.Labels) int
	}{m.requests, m.attempts, m.cooldowns, m.retirements, m.exhausted, m.duration, m.firstToken} {
		vec.DeletePartialMatch(labels)
	}
}

// make gives l its series, or that of the others where there is no room for it.
func (g *Group) make(l *lazy, vec *prometheus.CounterVec, labels ...string) prometheus.Counter {
	m := g.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if made := l.made.Load(); made != nil {
		return *made
	}
	switch {
	case g.boundless:
	case g.closed || m.allowance == 0:
		labels[0] = other
		if vec == m.requests || vec == m.attempts {
			labels[1] = none
		}
	default:
		m.allowance--
		g.made++
	}
	counter := vec.WithLabelValues(labels...)
	l.made.Store(&counter)
	return counter
}

// Request counts a request that was asked of the group and has ended, with its attempts. firstToken is 0 where no stream
// began.
func (g *Group) Request(record *fleet.RequestRecord, firstToken time.Duration) {
	if g == nil {
		return
	}
	class, family := classIndex(record.Class), familyIndex(record.Status)
	if l := &g.requests[class][family]; !l.inc() {
		g.make(l, g.m.requests, g.name, g.series.channel, string(classes[class]), families[family]).Inc()
	}
	g.duration.Observe(record.Duration.Seconds())
	if firstToken > 0 {
		g.firstToken.Observe(firstToken.Seconds())
	}
	for i := range record.Attempts {
		served := g.m.Group(record.Attempts[i].GroupID) // of an aggregate, the member
		served.attempt(record.Attempts[i].Class)
		if i > 0 {
			served.retry(record.Attempts[i-1].Reason)
		}
	}
}

func (g *Group) attempt(class fleet.Class) {
	i := classIndex(class)
	if l := &g.attempts[i]; !l.inc() {
		g.make(l, g.m.attempts, g.name, g.series.channel, string(classes[i])).Inc()
	}
}

func (g *Group) retry(reason string) {
	i := reasonIndex(reason)
	if l := &g.channel.retries[i]; !l.inc() {
		counter := g.m.retries.WithLabelValues(g.channel.name, reasons[i])
		counter.Inc()
		l.made.Store(&counter)
	}
}

// Overhead notes what the gateway itself took before the first attempt of a request.
func (g *Group) Overhead(took time.Duration) {
	if g != nil {
		g.channel.overhead.Observe(took.Seconds())
	}
}

// Gap notes the time between two chunks of a stream.
func (g *Group) Gap(took time.Duration) {
	if g != nil {
		g.channel.gap.Observe(took.Seconds())
	}
}

// Cooled counts a rest that a verdict gave to a key of the group.
func (g *Group) Cooled(class fleet.Class) {
	if g == nil {
		return
	}
	i := classIndex(class)
	if l := &g.cooldowns[i]; !l.inc() {
		g.make(l, g.m.cooldowns, g.name, string(classes[i])).Inc()
	}
}

// Retired counts a key of the group that a verdict made invalid.
func (g *Group) Retired(reason string) {
	if g == nil {
		return
	}
	i := reasonIndex(reason)
	if l := &g.retirements[i]; !l.inc() {
		g.make(l, g.m.retirements, g.name, reasons[i]).Inc()
	}
}

// Exhausted counts a request that found no usable key: because every key rests, or because none would come back.
func (g *Group) Exhausted(cooling bool) {
	if g == nil {
		return
	}
	i, reason := 0, "unusable"
	if cooling {
		i, reason = 1, "cooling"
	}
	if l := &g.exhausted[i]; !l.inc() {
		g.make(l, g.m.exhausted, g.name, reason).Inc()
	}
}
