package requestlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestRecordsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	away := &database{down: errAway}
	first := open(t, dir, away, smallSegments)
	record(first, 0, 50)
	source := first.Stats().Source
	mustClose(t, first)

	db := &database{}
	second := open(t, dir, db, smallSegments)
	if s := second.Stats(); s.Source != source || s.Spooled != 50 {
		t.Errorf("source %q and %d records after the restart, want %q and 50", s.Source, s.Spooled, source)
	}
	record(second, 50, 60)
	mustFlush(t, second)
	db.mustHold(t, 0, 60)
	if s := second.Stats(); s.Spooled != 0 || s.WaitingBytes != 0 || s.Delivered != 60 || len(segmentsIn(t, dir)) != 0 {
		t.Errorf("after delivery: %+v and segments %v", s, segmentsIn(t, dir))
	}
	mustClose(t, second)

	third := open(t, dir, db)
	record(third, 60, 61)
	mustFlush(t, third)
	db.mustHold(t, 0, 61)
}

func TestTwoProcessesCannotShareAFolder(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, &database{})
	_, err := Open(Options{Dir: dir, Sink: &database{}, Interval: everyHour})
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second open: %v", err)
	}
	mustClose(t, r)
	open(t, dir, &database{})
}

func TestAFolderThatCannotBeMadeIsAClearError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Options{Dir: filepath.Join(file, "spool"), Sink: &database{}, Interval: everyHour})
	if err == nil || !strings.Contains(err.Error(), "folder of the request log") {
		t.Errorf("open: %v", err)
	}
}

// A disk that takes half of a write, then nothing, then everything.
func TestADiskThatFillsUp(t *testing.T) {
	disk := &fullDisk{}
	core, logs := observer.New(zap.InfoLevel)
	dir := t.TempDir()
	db := &database{}
	r := open(t, dir, db, smallSegments, func(o *Options) { o.create = disk.create; o.Logger = zap.New(core) })
	record(r, 0, 20)
	disk.full.Store(true)
	record(r, 20, 40)
	if s := r.Stats(); s.Held != 20 || s.Spooled != 20 {
		t.Fatalf("%d held and %d on disk, want 20 and 20", s.Held, s.Spooled)
	}
	disk.full.Store(false)
	r.spool.retryAt = time.Time{}
	record(r, 40, 60)
	if s := r.Stats(); s.Held != 0 || s.Spooled != 60 {
		t.Errorf("%d held and %d on disk after recovery, want 0 and 60", s.Held, s.Spooled)
	}
	if n := logs.FilterMessageSnippet("request log can").Len(); n != 2 {
		t.Errorf("%d log lines for two changes of state: %v", n, logs.All())
	}
	mustClose(t, r)
	again := open(t, dir, db)
	mustFlush(t, again)
	db.mustHold(t, 0, 60)
	if c := again.Stats().Corrupt; c != 0 {
		t.Errorf("%d records damaged by the half writes", c)
	}
}

func TestRecordsReachTheSinkPastABrokenDisk(t *testing.T) {
	disk := &fullDisk{}
	db := &database{}
	r := open(t, t.TempDir(), db, func(o *Options) { o.create = disk.create })
	record(r, 0, 10)
	disk.full.Store(true)
	record(r, 10, 30)
	mustFlush(t, r)
	db.mustHold(t, 0, 30)
	if s := r.Stats(); s.Held != 0 || s.Dropped.Total() != 0 {
		t.Errorf("after delivery: %+v", s)
	}
	record(r, 30, 40)
	disk.full.Store(false)
	r.spool.retryAt = time.Time{}
	record(r, 40, 50)
	mustFlush(t, r)
	db.mustHold(t, 0, 50)
}

// What was delivered from memory while it was also written must not be delivered again from the file.
func TestHeldRecordsWrittenDuringTheirDelivery(t *testing.T) {
	disk := &fullDisk{}
	db := &database{}
	r := open(t, t.TempDir(), db, func(o *Options) { o.create = disk.create })
	disk.full.Store(true)
	record(r, 0, 10)
	db.before = func(call int, _ Batch) error {
		if call == 1 {
			disk.full.Store(false)
			r.spool.retryAt = time.Time{}
			record(r, 10, 20)
		}
		return nil
	}
	mustFlush(t, r)
	mustFlush(t, r)
	db.mustHold(t, 0, 20)
}

func TestAFolderThatGoesAwayAndComesBack(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "spool")
	db := &database{}
	r := open(t, dir, db, smallSegments)
	record(r, 0, 10)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	record(r, 10, 50)
	if r.Stats().Held == 0 {
		t.Fatal("nothing is held although no segment can be made")
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	r.spool.retryAt = time.Time{}
	r.spool.retry(time.Now())
	if s := r.Stats(); s.Held != 0 || s.Spooled != 50 {
		t.Errorf("%d held and %d on disk, want 0 and 50", s.Held, s.Spooled)
	}
	mustFlush(t, r)
	db.mustHold(t, 0, 50)
}

func TestBoundsOfDiskAndMemory(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	dir := t.TempDir()
	db := &database{down: errAway}
	r := open(t, dir, db, smallSegments, func(o *Options) { o.Logger = zap.New(core) })
	r.spool.diskLimit, r.spool.heldLimit = 64<<10, 16<<10
	record(r, 0, 1000)
	s := r.Stats()
	if s.Dropped.SpoolFull == 0 || s.Dropped.Total() != s.Dropped.SpoolFull || s.Spooled+s.Held+s.Dropped.SpoolFull != 1000 {
		t.Errorf("%+v", s)
	}
	if used := folderSize(t, dir); used > 64<<10+1024 {
		t.Errorf("%d bytes on disk, the bound is %d", used, 64<<10)
	}
	kept := int(s.Spooled + s.Held)
	db.setDown(nil)
	mustFlush(t, r)
	db.mustHold(t, 0, kept)
	record(r, kept, kept+5)
	mustFlush(t, r)
	db.mustHold(t, 0, kept+5)
	if n := logs.FilterMessageSnippet("request log").Len(); n != 2 {
		t.Errorf("%d log lines for two changes of state: %v", n, logs.All())
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	db := &database{}
	r := open(t, t.TempDir(), db, func(o *Options) { o.MaxMemoryBytes = LowestMaxMemoryBytes; o.Logger = zap.New(core) })
	const recorded = 200_000
	for n := range recorded {
		r.Record(sample(n))
	}
	s := r.Stats()
	if s.Dropped.QueueFull == 0 || s.Queued+s.Dropped.QueueFull != recorded || s.Recorded != s.Queued {
		t.Fatalf("%+v", s)
	}
	mustFlush(t, r)
	if got := int64(len(db.stored())); got != s.Queued {
		t.Errorf("%d records stored, want %d", got, s.Queued)
	}
	if logs.FilterMessageSnippet("dropped").Len() != 1 {
		t.Errorf("log: %v", logs.All())
	}
}

// The clock went back over a restart and the spool lost its end: the sink's position is ahead of ours.
func TestASinkThatIsAheadOfTheSpool(t *testing.T) {
	dir := t.TempDir()
	db := &database{}
	r := open(t, dir, db)
	old := r.Stats().Source
	db.positions = map[string]int64{old: time.Now().Add(24 * time.Hour).UnixMicro()}
	record(r, 0, 10)
	mustFlush(t, r)
	db.mustHold(t, 0, 10)
	if r.Stats().Source == old {
		t.Error("the spool goes on under an id for which the sink knows higher positions")
	}
	now := r.Stats().Source
	mustClose(t, r)
	if again := open(t, dir, db); again.Stats().Source != now {
		t.Error("the new id did not last")
	}
}

func TestPositionsGrowOverRestartsAndLostFiles(t *testing.T) {
	dir := t.TempDir()
	var last int64
	for n := range 5 {
		db := &database{down: errAway}
		r := open(t, dir, db)
		if r.spool.next <= last {
			t.Fatalf("position %d after %d", r.spool.next, last)
		}
		record(r, n, n+1)
		last = r.spool.next - 1
		mustClose(t, r)
		if n == 3 {
			for _, path := range segmentsIn(t, dir) {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// fullDisk makes files that take half of a write and then fail while it is full.
type fullDisk struct{ full atomic.Bool }

type fullDiskFile struct {
	segmentFile
	disk *fullDisk
}

func (d *fullDisk) create(path string) (segmentFile, error) {
	file, err := createFile(path)
	return fullDiskFile{file, d}, err
}

func (f fullDiskFile) Write(p []byte) (int, error) {
	if !f.disk.full.Load() {
		return f.segmentFile.Write(p)
	}
	n, err := f.segmentFile.Write(p[:len(p)/2])
	return n, errors.Join(syscall.ENOSPC, err)
}
