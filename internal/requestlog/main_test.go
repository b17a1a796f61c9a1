package requestlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gpt-load/internal/fleet"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDirVariable); dir != "" {
		recordUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// sample is a record as a busy proxy makes them, told apart by n.
func sample(n int) *fleet.RequestRecord {
	r := new(fleet.RequestRecord)
	fill(r, n)
	return r
}

func fill(r *fleet.RequestRecord, n int) {
	started := time.Unix(1_700_000_000, 0).Add(time.Duration(n) * time.Microsecond).UTC()
	r.ID = sampleID(n)
	r.StartedAt, r.Duration, r.TimeToFirstByte = started, 1234*time.Millisecond, 321*time.Millisecond
	r.GroupID, r.GroupName, r.ParentID, r.ParentName = 12, "openai-main", 3, "everything"
	r.ProxyKeyFingerprint, r.ClientIP, r.UserAgent = "0123456789ab", "203.0.113.77", "OpenAI/Python 1.99.0"
	r.Method, r.Path, r.ModelAsked, r.ModelSent = "POST", "/v1/chat/completions", "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"
	r.Stream, r.Status, r.Class = true, 200, fleet.ClassOK
	r.RequestBytes, r.ResponseBytes = 2345, 45678
	r.Attempts = append(
		r.Attempts[:0],
		fleet.Attempt{GroupID: 12, KeyID: 987654, KeyTail: "aB3d", Upstream: "api.openai.com:443", Status: 429, Class: fleet.ClassLimited, Duration: 77 * time.Millisecond, Reason: "rate_limited"},
		fleet.Attempt{GroupID: 12, KeyID: 987655, KeyTail: "xY9z", Upstream: "api.openai.com:443", Status: 200, Class: fleet.ClassOK, Duration: 1100 * time.Millisecond},
	)
}

// sampleID makes ids that sampleNumber reads back.
func sampleID(n int) (id fleet.RecordID) {
	copy(id[:], fmt.Sprintf("%016d", n))
	return id
}

func sampleNumber(id fleet.RecordID) int {
	var n int
	_, _ = fmt.Sscanf(string(id[:]), "%d", &n)
	return n
}

// database is a sink as its contract says: a batch and its position together, or nothing.
type database struct {
	mu        sync.Mutex
	positions map[string]int64
	numbers   []int // of the records, in the order of arrival
	sizes     []int // of the batches
	calls     int
	// before and after run around the commit of each call; an error of before prevents it, one of after hides it.
	before, after func(call int, b Batch) error
	down          error // answers everything when set
}

var errAway = errors.New("the database is away")

func (d *database) WriteRecords(_ context.Context, b Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	if d.down != nil {
		return d.down
	}
	if d.before != nil {
		if err := d.before(d.calls, b); err != nil {
			return err
		}
	}
	if b.Position > d.positions[b.Source] {
		if d.positions == nil {
			d.positions = make(map[string]int64)
		}
		d.positions[b.Source] = b.Position
		d.sizes = append(d.sizes, len(b.Records))
		for i := range b.Records {
			d.numbers = append(d.numbers, sampleNumber(b.Records[i].ID))
		}
	}
	if d.after != nil {
		return d.after(d.calls, b)
	}
	return nil
}

func (d *database) Position(_ context.Context, source string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.positions[source], d.down
}

func (d *database) setDown(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = err
}

func (d *database) stored() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.numbers)
}

// mustHold fails unless exactly the numbers from..to-1 are stored, none twice.
func (d *database) mustHold(t *testing.T, from, to int) {
	t.Helper()
	got := d.stored()
	slices.Sort(got)
	want := make([]int, 0, to-from)
	for n := from; n < to; n++ {
		want = append(want, n)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("stored %d records %s, want %d to %d", len(got), brief(got), from, to-1)
	}
}

func brief(numbers []int) string {
	if len(numbers) > 20 {
		return fmt.Sprint(numbers[:10], "...", numbers[len(numbers)-10:])
	}
	return fmt.Sprint(numbers)
}

func everyHour() time.Duration { return time.Hour }

// open makes a recorder without its services: tests call write and Flush themselves.
func open(t testing.TB, dir string, sink Sink, change ...func(*Options)) *Recorder {
	t.Helper()
	o := Options{Dir: dir, Sink: sink, Interval: everyHour}
	for _, c := range change {
		c(&o)
	}
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func smallSegments(o *Options) { o.segmentBytes = 4 << 10 }

// record writes the numbers from..to-1, each with a write of its own so that small segments fill up.
func record(r *Recorder, from, to int) {
	for n := from; n < to; n++ {
		r.Record(sample(n))
		r.write()
	}
}

func mustFlush(t testing.TB, r *Recorder) {
	t.Helper()
	if err := r.Flush(context.Background()); err != nil {
		t.Fatalf("flush: %v", err)
	}
}

func mustClose(t testing.TB, r *Recorder) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// segmentsIn returns the paths of the segments of a folder, oldest first.
func segmentsIn(t testing.TB, dir string) []string {
	t.Helper()
	segments, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, g := range segments {
		paths = append(paths, g.path)
	}
	return paths
}
