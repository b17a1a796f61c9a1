package requestlog

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gpt-load/internal/fleet"
)

// run starts the service and returns what ends it and waits for it.
func run(r *Recorder) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var service sync.WaitGroup
	service.Go(func() { _ = r.Run(ctx) })
	return func() {
		cancel()
		service.Wait()
	}
}

func TestManyRequestsAtOnce(t *testing.T) {
	db := &database{}
	r := open(t, t.TempDir(), db, func(o *Options) { o.Interval = func() time.Duration { return 0 } })
	stop := run(r)
	const requests, each = 16, 500
	var clients sync.WaitGroup
	for c := range requests {
		clients.Go(func() {
			for n := range each {
				record := r.Acquire()
				if record.ID != (fleet.RecordID{}) || len(record.Attempts) != 0 || record.Capture != nil {
					t.Error("an acquired record is not empty")
				}
				fill(record, c*each+n)
				r.Record(record)
			}
		})
	}
	clients.Wait()
	stop()
	db.mustHold(t, 0, requests*each)
	if s := r.Stats(); s.Recorded != requests*each || s.Delivered != requests*each || s.Queued+s.Spooled+s.Dropped.Total() != 0 {
		t.Errorf("%+v", s)
	}
	for _, size := range db.sizes {
		if size > MaxBatchRecords {
			t.Errorf("a batch of %d records", size)
		}
	}
}

// The caller's memory is its own again when Record returns, although nothing was written yet.
func TestRecordKeepsNothingOfTheCallers(t *testing.T) {
	db := &database{}
	var body []byte
	db.before = func(_ int, b Batch) error {
		body = slices.Clone(b.Records[0].Capture.Request)
		return nil
	}
	r := open(t, t.TempDir(), db)
	shared := []byte("the prompt")
	record := r.Acquire()
	record.Capture = &fleet.BodyCapture{Request: shared}
	r.Record(record)
	copy(shared, "overwritten")
	mustFlush(t, r)
	if string(body) != "the prompt" {
		t.Errorf("captured %q", body)
	}
}

func TestBatchesAreBoundedInBytes(t *testing.T) {
	db := &database{}
	r := open(t, t.TempDir(), db)
	const total = 300
	for n := range total {
		record := sample(n)
		record.Capture = &fleet.BodyCapture{Request: make([]byte, maxBody), Response: make([]byte, maxBody)}
		r.Record(record)
		r.write()
	}
	mustFlush(t, r)
	db.mustHold(t, 0, total)
	const most = MaxBatchBytes / (2 * maxBody)
	for _, size := range db.sizes {
		if size > most {
			t.Errorf("a batch of %d records of 128 KiB", size)
		}
	}
}

func TestDeliveryAtTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var interval atomic.Int64
		interval.Store(int64(10 * time.Minute))
		db := &database{}
		r := open(t, t.TempDir(), db, func(o *Options) { o.Interval = func() time.Duration { return time.Duration(interval.Load()) } })
		stop := run(r)
		defer stop()
		delivered := func(want int) {
			t.Helper()
			synctest.Wait()
			if got := len(db.stored()); got != want {
				t.Errorf("%d records delivered, want %d", got, want)
			}
		}
		elapse := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		r.Record(sample(0)) // nothing was delivered yet: the first goes soon
		elapse(2 * time.Second)
		delivered(1)
		r.Record(sample(1))
		elapse(9 * time.Minute)
		delivered(1)
		elapse(2 * time.Minute)
		delivered(2)
		r.Record(sample(2))
		elapse(time.Minute)
		interval.Store(0) // shorter from now on, without waiting for the long one
		elapse(2 * time.Second)
		delivered(3)
		interval.Store(int64(time.Hour))
		for n := 3; n < 3+flushRecords; n++ {
			r.Record(sample(n))
		}
		elapse(100 * time.Millisecond) // so many do not wait for an hour
		delivered(3 + flushRecords)
	})
}

func TestASinkThatIsAwayForTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		db := &database{down: errAway}
		r := open(t, t.TempDir(), db, func(o *Options) { o.Interval = func() time.Duration { return 0 }; o.Logger = zap.New(core) })
		stop := run(r)
		defer stop()
		for n := range 600 {
			r.Record(sample(n))
			<-time.After(time.Second)
		}
		if s := r.Stats(); s.SinkError == "" || s.Spooled != 600 {
			t.Errorf("%+v", s)
		}
		db.setDown(nil)
		<-time.After(longestBackOff + time.Second)
		synctest.Wait()
		db.mustHold(t, 0, 600)
		if s := r.Stats(); s.SinkError != "" || s.Spooled != 0 {
			t.Errorf("%+v", s)
		}
		if logs.Len() != 2 {
			t.Errorf("%d log lines for two changes of state: %v", logs.Len(), logs.All())
		}
	})
}

func TestARecordIsWrittenWithinTheGatherTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := open(t, dir, &database{down: errAway})
		stop := run(r)
		defer stop()
		for n := range 3 {
			<-time.After(time.Second) // idle
			r.Record(sample(n))
			<-time.After(gather + time.Millisecond)
			synctest.Wait()
			if s := r.Stats(); s.Spooled != int64(n+1) {
				t.Errorf("%d records on disk after %v, want %d", s.Spooled, gather, n+1)
			}
		}
	})
}

func TestASlowSinkHoldsNobodyUp(t *testing.T) {
	db := &database{}
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	db.before = func(int, Batch) error {
		once.Do(func() {
			close(entered)
			<-release
		})
		return nil
	}
	r := open(t, t.TempDir(), db, func(o *Options) { o.Interval = func() time.Duration { return 0 } })
	stop := run(r)
	r.Record(sample(0))
	<-entered
	for n := 1; n < 1000; n++ { // the sink hangs, the spool takes them
		r.Record(sample(n))
	}
	r.write()
	if s := r.Stats(); s.Queued != 0 || s.Spooled != 1000 {
		t.Errorf("%+v", s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a flush behind a hanging one: %v", err)
	}
	close(release)
	stop()
	db.mustHold(t, 0, 1000)
}

func TestTheFinalFlushIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, t.TempDir(), hangingSink{}, func(o *Options) { o.FinalFlush = 3 * time.Second })
		stop := run(r)
		r.Record(sample(0))
		began := time.Now()
		stop()
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the service took %v to end", took)
		}
		if s := r.Stats(); s.Spooled != 1 {
			t.Errorf("%+v", s)
		}
	})
}

type hangingSink struct{}

func (hangingSink) WriteRecords(ctx context.Context, _ Batch) error {
	<-ctx.Done()
	return ctx.Err()
}

func (hangingSink) Position(context.Context, string) (int64, error) { return 0, nil }

func TestAfterCloseRecordsAreCounted(t *testing.T) {
	dir := t.TempDir()
	db := &database{}
	r := open(t, dir, db)
	r.Record(sample(0))
	mustClose(t, r)
	r.Record(sample(1))
	if s := r.Stats(); s.Dropped.Closed != 1 || s.Recorded != 1 {
		t.Errorf("%+v", s)
	}
	if err := r.Flush(context.Background()); !errors.Is(err, errClosed) {
		t.Errorf("flush after close: %v", err)
	}
	if err := r.Close(); !errors.Is(err, errClosed) {
		t.Errorf("second close: %v", err)
	}
	mustFlush(t, open(t, dir, db))
	db.mustHold(t, 0, 1)
}

func TestOptionsSayWhatIsMissing(t *testing.T) {
	for says, o := range map[string]Options{
		"folder":   {Sink: &database{}, Interval: everyHour},
		"sink":     {Dir: t.TempDir(), Interval: everyHour},
		"interval": {Dir: t.TempDir(), Sink: &database{}},
	} {
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
