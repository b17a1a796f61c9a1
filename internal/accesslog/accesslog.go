// Package accesslog writes one line for each proxied request, as text or JSON, to a stream that may be slow or stand still.
//
// A request appends its line to one of several buffers in memory and goes on; one goroutine writes them out, ten times a second.
// When whoever reads the lines does not keep up, the buffers fill to their bound, and lines are dropped and counted.
package accesslog

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

const (
	shardCount = 8
	// shardBytes is the bound of one buffer: all of them hold some 20,000 lines.
	shardBytes = 1 << 20
	writePause = 100 * time.Millisecond
	// finalWrite bounds the last write when the node ends: nobody may read any more.
	finalWrite = time.Second
)

// Options say what is written, and where.
type Options struct {
	JSON   bool // else text
	Output io.Writer
	// Sample is the share of the requests that went well that are written, 0 to 1. All others are always written.
	Sample   float64
	Location *time.Location // of the timestamps
	// Redact changes each finished line; nil leaves it.
	Redact func(line string) string
	Log    *zap.Logger // of the node: told when lines are dropped
}

// Log takes the requests of one node. Its methods do nothing on nil.
type Log struct {
	Options
	shards  [shardCount]shard
	dropped atomic.Int64
}

type shard struct {
	mu    sync.Mutex
	lines []byte
	spare []byte // of the writer
}

// New makes a log; Run writes it.
func New(o Options) *Log { return &Log{Options: o} }

// Dropped is how many lines were dropped because they could not be written in time.
func (l *Log) Dropped() int64 {
	if l == nil {
		return 0
	}
	return l.dropped.Load()
}

// Record writes the line of a request that has ended, by and by. It waits for nothing, and keeps nothing of the record.
func (l *Log) Record(r *fleet.RequestRecord) {
	if l == nil || r.Class == fleet.ClassOK && l.Sample < 1 && rand.Float64() >= l.Sample { // #nosec G404 -- picks a sample, guards nothing
		return
	}
	s := &l.shards[rand.N(shardCount)] // #nosec G404 -- spreads load, guards nothing
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) > shardBytes-longestLine {
		l.dropped.Add(1)
		return
	}
	s.lines = l.appendLine(s.lines, r)
}

// Run writes lines until ctx ends, and then what is left, if that is taken within a second.
func (l *Log) Run(ctx context.Context) error {
	written := make(chan struct{})
	go func() {
		defer close(written)
		l.write(ctx)
	}()
	<-ctx.Done()
	timer := time.NewTimer(finalWrite)
	defer timer.Stop()
	select {
	case <-written:
	case <-timer.C: // the writer stands still in a write that nothing but the end of the process ends
	}
	return nil
}

func (l *Log) write(ctx context.Context) {
	ticker := time.NewTicker(writePause)
	defer ticker.Stop()
	var told int64
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-ticker.C:
		}
		for i := range l.shards {
			l.flush(&l.shards[i])
		}
		if dropped := l.dropped.Load(); dropped > told {
			told = dropped
			l.Log.Warn("lines of the access log are dropped: whoever reads the standard output does not keep up", zap.Int64("dropped", dropped))
		}
	}
}

// flush writes what one buffer holds, outside its lock.
func (l *Log) flush(s *shard) {
	s.mu.Lock()
	lines := s.lines
	s.lines = s.spare[:0]
	s.spare = nil
	s.mu.Unlock()
	if len(lines) > 0 {
		if l.Redact != nil {
			lines = []byte(l.Redact(string(lines)))
		}
		if _, err := l.Output.Write(lines); err != nil {
			l.Log.Warn("the access log cannot be written", zap.Error(fmt.Errorf("standard output: %w", err)))
		}
	}
	s.mu.Lock()
	s.spare = lines[:0]
	s.mu.Unlock()
}
