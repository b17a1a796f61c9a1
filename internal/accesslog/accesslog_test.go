package accesslog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/accesslog"
	"gpt-load/internal/fleet"
)

func record(class fleet.Class) *fleet.RequestRecord {
	at := time.Date(2026, 3, 14, 15, 9, 26, 535_000_000, time.UTC)
	return &fleet.RequestRecord{
		ID: fleet.NewRecordID(at), StartedAt: at, Duration: 1234567 * time.Microsecond, TimeToFirstByte: 200 * time.Millisecond,
		GroupName: "g", Method: "POST", Path: "/v1/chat/completions", ModelAsked: "a \"model\"\nwith a line", Stream: true, Status: 200, Class: class,
		RequestBytes: 10, ResponseBytes: 20, ClientIP: "10.0.0.1", UserAgent: "x\x1b[2J y", ProxyKeyFingerprint: "fp",
		Attempts: []fleet.Attempt{{Upstream: "api.example.com", KeyTail: "1234"}},
	}
}

// written runs a log over some records and returns its lines.
func written(t *testing.T, o accesslog.Options, records ...*fleet.RequestRecord) []string {
	t.Helper()
	var out bytes.Buffer
	o.Output, o.Log, o.Location = &out, zap.NewNop(), time.UTC
	l := accesslog.New(o)
	for _, r := range records {
		l.Record(r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func TestForms(t *testing.T) {
	r := record(fleet.ClassOK)
	lines := written(t, accesslog.Options{Sample: 1, JSON: true}, r)
	var fields map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &fields); err != nil || len(lines) != 1 {
		t.Fatalf("%v: %q", err, lines)
	}
	for name, want := range map[string]any{
		"time": "2026-03-14T15:09:26.535Z", "id": r.ID.String(), "model": "a \"model\"\nwith a line", "status": 200.0, "class": "ok", "took_ms": 1234.567,
		"first_byte_ms": 200.0, "stream": true, "attempts": 1.0, "user_agent": "x\x1b[2J y", "key_tail": "1234", "request_bytes": 10.0,
	} {
		if fields[name] != want {
			t.Errorf("%s is %v, want %v", name, fields[name], want)
		}
	}
	lines = written(t, accesslog.Options{Sample: 1}, r)
	want := "2026-03-14T15:09:26.535Z id=" + r.ID.String() + ` client=10.0.0.1 method=POST path=/v1/chat/completions group=g model="a \"model\"\nwith a line" stream=true status=200 class=ok ` +
		`took_ms=1234.567 first_byte_ms=200.000 request_bytes=10 response_bytes=20 attempts=1 upstream=api.example.com key_tail=1234 proxy_key=fp user_agent="x\x1b[2J y"`
	if len(lines) != 1 || lines[0] != want {
		t.Errorf("got  %q\nwant %q", lines, want)
	}
}

// TestSample leaves out what went well, and nothing else.
func TestSample(t *testing.T) {
	var records []*fleet.RequestRecord
	for range 100 {
		records = append(records, record(fleet.ClassOK), record(fleet.ClassUpstream))
	}
	if lines := written(t, accesslog.Options{Sample: 0}, records...); len(lines) != 100 || strings.Contains(strings.Join(lines, ""), "class=ok") {
		t.Errorf("a sample of nothing: %d lines", len(lines))
	}
	if lines := written(t, accesslog.Options{Sample: 0.5}, records...); len(lines) < 110 || len(lines) > 190 {
		t.Errorf("a sample of a half: %d lines", len(lines))
	}
}

func TestRedact(t *testing.T) {
	lines := written(t, accesslog.Options{Sample: 1, Redact: func(s string) string { return strings.ReplaceAll(s, "api.example.com", "[redacted]") }}, record(fleet.ClassOK))
	if strings.Contains(lines[0], "example") || !strings.Contains(lines[0], "[redacted]") {
		t.Error(lines)
	}
}

// stuck is an output that nobody reads until it is released.
type stuck struct {
	release chan struct{}
	mu      sync.Mutex
	bytes   int
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += len(p)
	return len(p), nil
}

// TestNobodyReads: requests go on, memory has a bound, and what was dropped is counted.
func TestNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuck{release: make(chan struct{})}
		l := accesslog.New(accesslog.Options{Output: out, Sample: 1, Log: zap.NewNop()})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		r := record(fleet.ClassOK)
		const lines = 60_000
		for range lines {
			l.Record(r)
		}
		if l.Dropped() == 0 {
			t.Error("nothing was dropped")
		}
		cancel()
		if err := <-ended; err != nil { // although the writer stands still
			t.Error(err)
		}
		close(out.release)
		synctest.Wait()
		out.mu.Lock()
		defer out.mu.Unlock()
		if out.bytes == 0 || out.bytes > 10<<20 {
			t.Errorf("%d bytes were kept", out.bytes)
		}
	})
}

func TestNil(*testing.T) {
	var l *accesslog.Log
	l.Record(record(fleet.ClassOK))
	_ = l.Dropped()
}

func BenchmarkRecord(b *testing.B) {
	l := accesslog.New(accesslog.Options{Output: io.Discard, Sample: 1, JSON: true, Log: zap.NewNop()})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go func() { _ = l.Run(ctx) }()
	r := record(fleet.ClassOK)
	b.ReportAllocs()
	for b.Loop() {
		l.Record(r)
	}
}
