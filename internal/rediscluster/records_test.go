package rediscluster

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/testenv"
)

// database is what a leader writes to: a batch and its position together, and a record once by its id.
type database struct {
	mu        sync.Mutex
	positions map[string]int64
	stored    map[fleet.RecordID]int
	calls     int
	down      error
	refuse    func(r *fleet.RequestRecord) bool
}

var errDown = errors.New("the database is down")

func newDatabase() *database {
	return &database{positions: make(map[string]int64), stored: make(map[fleet.RecordID]int)}
}

func (d *database) WriteRecords(_ context.Context, b requestlog.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	if d.down != nil {
		return d.down
	}
	if b.Position <= d.positions[b.Source] {
		return nil
	}
	for i := range b.Records {
		if d.refuse != nil && d.refuse(&b.Records[i]) {
			return fleet.NewError(fleet.CodeInvalid, "a record cannot be stored", nil)
		}
	}
	for i := range b.Records {
		d.stored[b.Records[i].ID] = 1
	}
	d.positions[b.Source] = b.Position
	return nil
}

// stalled is the database behind a leader that was stopped: each call waits for a token.
type stalled struct {
	*database
	tokens chan struct{}
}

func (s stalled) WriteRecords(ctx context.Context, b requestlog.Batch) error {
	select {
	case <-s.tokens:
		return s.database.WriteRecords(ctx, b)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *database) Position(_ context.Context, source string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.positions[source], d.down
}

func (d *database) upTo(source string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.positions[source]
}

func (d *database) set(change func(*database)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *database) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.stored)
}

func (d *database) written() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

func recordID(n int) (id fleet.RecordID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// fill makes a record as a busy proxy does, told apart by n.
func fill(r *fleet.RequestRecord, n int) {
	attempts := r.Attempts
	*r = fleet.RequestRecord{
		ID: recordID(n), StartedAt: time.Unix(1_700_000_000, 0), Duration: time.Second, TimeToFirstByte: 300 * time.Millisecond,
		GroupID: 12, GroupName: "openai-main", ParentID: 3, ParentName: "everything", ProxyKeyFingerprint: "0123456789ab",
		ClientIP: "203.0.113.77", UserAgent: "OpenAI/Python 1.99.0", Method: "POST", Path: "/v1/chat/completions",
		ModelAsked: "gpt-4.1-mini", ModelSent: "gpt-4.1-mini-2025-04-14", Stream: true, Status: 200, Class: fleet.ClassOK,
		RequestBytes: 2345, ResponseBytes: 45678,
		Attempts: append(attempts[:0], fleet.Attempt{
			GroupID: 12, KeyID: 987655, KeyTail: "xY9z", Upstream: "api.openai.com:443", Status: 200, Class: fleet.ClassOK, Duration: time.Second,
		}),
	}
}

// batchOf makes the batch from..to-1 of a source, whose positions are the numbers.
func batchOf(source string, from, to int) requestlog.Batch {
	b := requestlog.Batch{Source: source, Position: int64(to - 1), Records: make([]fleet.RequestRecord, to-from)}
	for i := range b.Records {
		fill(&b.Records[i], from+i)
	}
	return b
}

// leaderFor drains into the database until the test ends or stop is called.
func leaderFor(t testing.TB, n node, d requestlog.Sink) (stop func()) {
	t.Helper()
	return run(t, func(ctx context.Context) error { return n.DrainRecords(ctx, d) })
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func length(t testing.TB, server *testenv.RedisServer, n node) string {
	t.Helper()
	return redisDo(t, server, "XLEN", n.key("records"))
}

func TestRecordsReachTheDatabase(t *testing.T) {
	t.Parallel()
	server, d := testenv.Redis(t), newDatabase()
	leader := newNode(t, server.DSN())
	leaderFor(t, leader, d)
	var senders sync.WaitGroup
	const each, batches = 50, 20
	for s := range 5 {
		n := newNode(t, server.DSN())
		senders.Go(func() {
			sink := n.RecordSink(d)
			source := "spool-" + strconv.Itoa(s)
			for i := range batches {
				from := 1 + (s*batches+i)*each
				if err := sink.WriteRecords(within(t, longest), batchOf(source, from, from+each)); err != nil {
					t.Error(err)
				}
			}
			if err := sink.WriteRecords(within(t, longest), requestlog.Batch{Source: source, Position: 1 << 40}); err != nil {
				t.Errorf("a position alone: %v", err)
			}
			if position, err := sink.Position(t.Context(), source); err != nil || position != 1<<40 {
				t.Errorf("the position is %d, %v", position, err)
			}
		})
	}
	senders.Wait()
	if n := d.count(); n != 5*batches*each {
		t.Errorf("%d records are stored", n)
	}
	if n := length(t, server, leader); n != "0" {
		t.Errorf("%s entries are left in the stream", n)
	}
	if keys := redisDo(t, server, "KEYS", leader.key("stored:*")); keys != "" {
		t.Errorf("answers are left: %s", keys)
	}
	if s := leader.DrainStats(); s.Records != 5*batches*each || s.Batches != 5*(batches+1) || s.Refused+s.Unreadable != 0 {
		t.Errorf("the counters are %+v", s)
	}
}

// TestABatchWithoutALeader is in the stream once, however often it is tried, and makes room for another one.
func TestABatchWithoutALeader(t *testing.T) {
	t.Parallel()
	server, d := testenv.Redis(t), newDatabase()
	n := newNode(t, server.DSN())
	sink := n.RecordSink(d)
	for range 3 {
		begin := time.Now()
		err := sink.WriteRecords(within(t, 300*time.Millisecond), batchOf("s", 1, 11))
		if fleet.CodeOf(err) != fleet.CodeUnavailable || !strings.Contains(err.Error(), "no node leads") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begin); took > 500*time.Millisecond {
			t.Errorf("took %s", took)
		}
		if got := length(t, server, n); got != "1" {
			t.Errorf("%s entries", got)
		}
	}
	_ = sink.WriteRecords(within(t, 100*time.Millisecond), batchOf("s", 5, 15)) // the spool went on in the meantime
	if got := length(t, server, n); got != "1" {
		t.Errorf("%s entries after another batch", got)
	}
	leaderFor(t, newNode(t, server.DSN()), d)
	must(t, sink.WriteRecords(within(t, longest), batchOf("s", 5, 15)))
	if d.count() != 10 || d.upTo("s") != 14 {
		t.Errorf("%d records up to %d", d.count(), d.upTo("s"))
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sink.WriteRecords(canceled, batchOf("s", 15, 16)); err == nil {
		t.Error("a canceled call succeeded")
	}
}

// TestRedisForgetsABatch: the node notices, and the spool sends it again.
func TestRedisForgetsABatch(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		forget func(t *testing.T, server *testenv.RedisServer)
		says   string
	}{
		"flushall":  {func(t *testing.T, s *testenv.RedisServer) { redisDo(t, s, "FLUSHALL") }, "Redis lost them"},
		"restarted": {func(t *testing.T, s *testenv.RedisServer) { must(t, s.RestartEmpty(t.Context())) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := testenv.NewRedis(t, testenv.RedisOptions{}), newDatabase()
			n := newNode(t, server.DSN())
			sink := n.RecordSink(d)
			result := make(chan error, 1)
			go func() { result <- sink.WriteRecords(within(t, longest), batchOf("s", 1, 11)) }()
			eventually(t, "the batch is in the stream", func() bool { return length(t, server, n) == "1" })
			begin := time.Now()
			test.forget(t, server)
			err := await(t, "the end of the wait", result)
			t.Logf("noticed after %s: %v", time.Since(begin).Round(time.Millisecond), err)
			if fleet.CodeOf(err) != fleet.CodeUnavailable || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v", err)
			}
			leaderFor(t, newNode(t, server.DSN()), d)
			must(t, sink.WriteRecords(within(t, longest), batchOf("s", 1, 11)))
			if d.count() != 10 {
				t.Errorf("%d records", d.count())
			}
		})
	}
}

// TestABatchWhoseAnswerWasLost was stored: the spool hears it from the database, or by sending it again.
func TestABatchWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	server, d := testenv.NewRedis(t, testenv.RedisOptions{}), newDatabase()
	n := newNode(t, server.DSN())
	sink := n.RecordSink(d)
	leaderFor(t, newNode(t, server.DSN()), d)
	must(t, sink.WriteRecords(within(t, longest), batchOf("s", 1, 11)))
	calls := d.written()
	must(t, sink.WriteRecords(within(t, longest), batchOf("s", 1, 11)))
	if d.written() != calls+1 || d.count() != 10 {
		t.Errorf("%d calls, %d records", d.written(), d.count())
	}
}

// TestARefusalComesBack to the node that sent the record, whose spool then sets it aside.
func TestARefusalComesBack(t *testing.T) {
	t.Parallel()
	server, d := testenv.Redis(t), newDatabase()
	d.refuse = func(r *fleet.RequestRecord) bool { return r.ID == recordID(5) }
	leader := newNode(t, server.DSN())
	leaderFor(t, leader, d)
	sink := newNode(t, server.DSN()).RecordSink(d)
	for range 2 {
		if err := sink.WriteRecords(within(t, longest), batchOf("s", 1, 11)); fleet.CodeOf(err) != fleet.CodeInvalid || !strings.Contains(err.Error(), "cannot be stored") {
			t.Errorf("got %v", err)
		}
	}
	must(t, sink.WriteRecords(within(t, longest), batchOf("s", 1, 5)))
	if n := length(t, server, leader); n != "0" || d.count() != 4 || leader.DrainStats().Refused != 2 {
		t.Errorf("%s entries, %d records, %+v", n, d.count(), leader.DrainStats())
	}
}

// TestEntriesThatCannotBeRead block nothing, and no node takes them for stored.
func TestEntriesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	server, d := testenv.Redis(t), newDatabase()
	leader := newNode(t, server.DSN())
	data := requestlog.EncodeBatch(nil, batchOf("odd", 1, 3))
	newer := append([]byte{data[0] + 1}, data[1:]...)
	damaged := slices.Clone(data)
	damaged[len(damaged)-1] ^= 1
	for i, text := range []string{"", "hello", string(newer), string(damaged)} {
		redisDo(t, server, "XADD", leader.key("records"), "*", fieldToken, "token-"+strconv.Itoa(i), fieldBatch, text)
	}
	redisDo(t, server, "XADD", leader.key("records"), "*", "something", "else")
	leaderFor(t, leader, d)
	must(t, newNode(t, server.DSN()).RecordSink(d).WriteRecords(within(t, longest), batchOf("s", 1, 11)))
	if d.count() != 10 || leader.DrainStats().Unreadable != 5 || leader.linesWith("cannot be read") != 1 {
		t.Errorf("%d records, %+v, the log: %q", d.count(), leader.DrainStats(), leader.messages())
	}
	if answer := redisDo(t, server, "LPOP", leader.key("stored:token-2")); answer != answerUnreadable {
		t.Errorf("a newer node hears %q", answer)
	}
}

// TestTheDatabaseIsAway: batches wait, one line tells, and all are stored when it is back.
func TestTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	server, d := testenv.Redis(t), newDatabase()
	d.down = errDown
	leader := newNode(t, server.DSN())
	leaderFor(t, leader, d)
	results := make(chan error, 6)
	for s := range 6 { // more than are read at a time
		sink := newNode(t, server.DSN()).RecordSink(d)
		go func() { results <- sink.WriteRecords(within(t, longest), batchOf(strconv.Itoa(s), 1+10*s, 11+10*s)) }()
	}
	eventually(t, "it was tried again and again", func() bool { return d.written() > 20 })
	if n := leader.linesWith("does not take"); n != 1 || len(results) > 0 {
		t.Errorf("%d lines, %d answers", n, len(results))
	}
	d.set(func(d *database) { d.down = nil })
	for range 6 {
		must(t, await(t, "an answer", results))
	}
	if d.count() != 60 || leader.linesWith("takes the fleet's request records again") != 1 {
		t.Errorf("%d records, the log: %q", d.count(), leader.messages())
	}
}

// TestTwoLeadersAtOnce store each record once, and none of their nodes waits in vain.
func TestTwoLeadersAtOnce(t *testing.T) {
	t.Parallel()
	server, d := testenv.Redis(t), newDatabase()
	for range 2 {
		leaderFor(t, newNode(t, server.DSN()), d)
	}
	sink := newNode(t, server.DSN()).RecordSink(d)
	for i := range 50 {
		must(t, sink.WriteRecords(within(t, longest), batchOf("s", 1+10*i, 11+10*i)))
	}
	if d.count() != 500 {
		t.Errorf("%d records", d.count())
	}
}

// TestAStaleLeader that goes on with what it read before another one led neither stores twice nor confuses a node.
func TestAStaleLeader(t *testing.T) {
	t.Parallel()
	server, d := testenv.Redis(t), newDatabase()
	stale := stalled{d, make(chan struct{})}
	stop := leaderFor(t, newNode(t, server.DSN()), stale)
	n := newNode(t, server.DSN())
	sink := n.RecordSink(d)
	result := make(chan error, 1)
	go func() { result <- sink.WriteRecords(within(t, longest), batchOf("s", 1, 11)) }()
	eventually(t, "the batch is in the stream", func() bool { return length(t, server, n) == "1" })
	leaderFor(t, newNode(t, server.DSN()), d)
	must(t, await(t, "the answer", result))
	stale.tokens <- struct{}{} // now it writes the old batch, and answers
	must(t, sink.WriteRecords(within(t, longest), batchOf("s", 11, 21)))
	stop()
	if d.count() != 20 || d.upTo("s") != 20 {
		t.Errorf("%d records up to %d", d.count(), d.upTo("s"))
	}
}

// TestASpoolDeliversThroughEverything: the real spool of a node, a leader that changes, and a Redis that is frozen, killed,
// emptied and cut off. Every record is stored in the end, none twice, and the stream stays short.
func TestASpoolDeliversThroughEverything(t *testing.T) {
	t.Parallel()
	server, d := testenv.NewRedis(t, testenv.RedisOptions{}), newDatabase()
	link := testenv.NewTCPProxy(t, server.Address())
	n := newNode(t, server.DSNAt(link.Addr()))
	recorder, err := requestlog.Open(requestlog.Options{
		Dir: t.TempDir(), Sink: n.RecordSink(d), Interval: func() time.Duration { return time.Second }, Logger: zap.NewNop(), FinalFlush: longest,
	})
	must(t, err)
	stopRecorder := run(t, recorder.Run)
	stopLeader := leaderFor(t, newNode(t, server.DSN()), d)
	recorded := 0
	record := func(count int) {
		for range count {
			r := recorder.Acquire()
			fill(r, recorded)
			recorded++
			recorder.Record(r)
		}
	}
	arrived := func(what string) {
		t.Helper()
		begin := time.Now()
		eventually(t, what, func() bool {
			record(3)
			return d.count() > recorded-200
		})
		t.Logf("%s: %s", what, time.Since(begin).Round(time.Millisecond))
	}
	for _, fault := range []struct {
		name string
		hurt func()
		heal func()
	}{
		{"FLUSHALL", func() { redisDo(t, server, "FLUSHALL") }, func() {}},
		{"killed", func() { must(t, server.Kill()) }, func() { must(t, server.Restart(t.Context())) }},
		{"restarted empty", func() { must(t, server.RestartEmpty(t.Context())) }, func() {}},
		{"frozen", func() { must(t, server.Freeze()) }, func() { must(t, server.Thaw()) }},
		{"link cut", link.Cut, func() { must(t, link.Heal()) }},
		{"leader gone", func() { stopLeader() }, func() { leaderFor(t, newNode(t, server.DSN()), d) }},
	} {
		record(5000) // a flush is under way when it happens
		fault.hurt()
		record(1000)
		if fault.name == "frozen" || fault.name == "link cut" {
			eventually(t, "the node notices", func() bool { return n.linesWith("Redis is away") > n.linesWith("Redis answers again") })
		}
		fault.heal()
		arrived(fault.name)
		if got := length(t, server, n); got != "0" && got != "1" && got != "2" {
			t.Errorf("%s: %s entries in the stream", fault.name, got)
		}
	}
	stopRecorder()
	must(t, recorder.Close())
	if stats := recorder.Stats(); d.count() != recorded || stats.Dropped.Total() != 0 {
		t.Errorf("%d of %d records are stored, %+v", d.count(), recorded, stats)
	}
}
