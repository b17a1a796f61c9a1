package sqlstore

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// clockSamples is how many of the last measurements are looked at: the one with the shortest round trip is the best.
	clockSamples = 4
	// clockTolerance is what the clocks of machines that keep time differ by. As long as the offset in use is right within
	// it and the doubt of the measurement, it stays: times that are written and read back come back the same.
	clockTolerance = 50 * time.Millisecond
	// clockAlarm is the offset from which on it is said that a clock is wrong.
	clockAlarm = 2 * time.Second
)

// clock knows how much the database's clock is ahead of this node's. The clocks of nodes may be minutes apart; what verdicts
// and operators do to keys is put in order by the database's, so times of keys are moved by the offset on their way in
// and moved back on their way out: the database holds its own time, and each node sees its own.
type clock struct {
	log    *zap.Logger
	offset atomic.Int64 // nanoseconds

	mu      sync.Mutex
	samples []clockSample // the latest last
	alarmed bool
}

type clockSample struct{ offset, doubt time.Duration }

// measured takes in what the database's clock said between two moments of this node's.
func (c *clock) measured(before, after, database time.Time) {
	// The wall clock, which is what times are compared by; the monotonic one only says how long it took.
	doubt := after.Sub(before) / 2
	sample := clockSample{offset: database.Sub(before.Round(0).Add(doubt)), doubt: doubt}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.samples = append(c.samples, sample)
	c.samples = c.samples[max(0, len(c.samples)-clockSamples):]
	best := sample
	for _, s := range c.samples {
		if s.doubt < best.doubt {
			best = s
		}
	}
	if (best.offset - c.now()).Abs() <= clockTolerance+best.doubt {
		return
	}
	c.offset.Store(int64(best.offset))
	wrong := best.offset.Abs() > clockAlarm
	if wrong == c.alarmed {
		return
	}
	c.alarmed = wrong
	if wrong {
		c.log.Warn("this node's clock and the database's differ; times of keys are converted, request records keep this node's time: set the clocks by NTP",
			zap.Duration("database_ahead", best.offset))
		return
	}
	c.log.Info("this node's clock and the database's agree again", zap.Duration("database_ahead", best.offset))
}

func (c *clock) now() time.Duration { return time.Duration(c.offset.Load()) }

// ClockOffset is how far the database's clock is ahead of this node's, measured by Revisions; 0 for SQLite, and where the
// two agree within 50 ms.
func (s *Store) ClockOffset() time.Duration { return s.clock.now() }

// stamp is the stored form of a time of a key.
func (s *Store) stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t.Add(s.clock.now()))
}

// moment is the time of a key whose stored form is stamp.
func (s *Store) moment(stamp int64) time.Time {
	if stamp == 0 {
		return time.Time{}
	}
	return timeOf(stamp).Add(-s.clock.now())
}
