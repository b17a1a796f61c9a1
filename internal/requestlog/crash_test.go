package requestlog

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// childDirVariable makes the test binary the child of TestKillMinus9.
const childDirVariable = "REQUESTLOG_TEST_CHILD_DIR"

// recordUntilKilled records for ever and says after each record that its request was answered, and when.
func recordUntilKilled(dir string) {
	r, err := Open(Options{Dir: dir, Sink: &database{down: errAway}, Interval: func() time.Duration { return 0 }})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	go func() { _ = r.Run(context.Background()) }()
	tick := time.NewTicker(time.Millisecond)
	for n := 0; ; n++ {
		r.Record(sample(n))
		fmt.Println(n, time.Now().UnixNano())
		if n%10 == 0 {
			<-tick.C
		}
	}
}

func TestKillMinus9LosesNothingOlderThan100Milliseconds(t *testing.T) {
	dir := t.TempDir()
	db := &database{}
	for range 3 {
		answered, killed := runAndKill(t, dir, time.Duration(200+rand.IntN(200))*time.Millisecond)
		r := open(t, dir, db)
		before := len(db.stored())
		mustFlush(t, r)
		found := make(map[int]bool)
		for _, n := range db.stored()[before:] {
			if found[n] {
				t.Errorf("record %d was delivered twice", n)
			}
			found[n] = true
		}
		var lost, recent int
		for n, at := range answered {
			switch {
			case found[n]:
			case killed.Sub(at) > 100*time.Millisecond:
				lost++
			default:
				recent++
			}
		}
		t.Logf("%d answered, %d found, %d of the last 100 ms lost, %d older ones lost", len(answered), len(found), recent, lost)
		if lost > 0 || len(answered) < 100 {
			t.Errorf("%d of %d records lost that were older than 100 ms", lost, len(answered))
		}
		mustClose(t, r)
	}
}

// runAndKill returns when each request was answered, and when the child was killed.
func runAndKill(t *testing.T, dir string, after time.Duration) ([]time.Time, time.Time) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), childDirVariable+"="+dir)
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var answered []time.Time
	var killed time.Time
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var n int
		var at int64
		if _, err := fmt.Sscan(lines.Text(), &n, &at); err != nil || n != len(answered) {
			t.Errorf("the child says %q: %v", lines.Text(), err)
			break
		}
		answered = append(answered, time.Unix(0, at))
		if killed.IsZero() && answered[n].Sub(answered[0]) > after {
			killed = time.Now()
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // it was killed
	return answered, killed
}

// Copies of the folder, taken while everything goes on, are what crashes leave. From each the records must arrive
// once in all, together with what was delivered before.
func TestCopiesOfALiveFolderHoldEverythingOnce(t *testing.T) {
	dir := t.TempDir()
	db := &database{}
	r := open(t, dir, db, smallSegments)
	var work sync.WaitGroup
	var written atomic.Int64 // records below it are in the spool, or further
	const total = 3000
	work.Go(func() {
		for n := range total {
			r.Record(sample(n))
			if n%7 == 0 || n == total-1 {
				r.write()
				written.Store(int64(n + 1))
			}
		}
	})
	work.Go(func() {
		for len(db.stored()) < total && !t.Failed() {
			if err := r.Flush(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	defer work.Wait()
	for range 20 {
		copied, least := t.TempDir(), written.Load()
		copyFolder(t, dir, copied)
		// The database as it was at some moment after the copy: it may be ahead of the folder, never behind what
		// the folder has forgotten.
		db.mu.Lock()
		later := &database{positions: map[string]int64{}, numbers: append([]int(nil), db.numbers...)}
		for source, position := range db.positions {
			later.positions[source] = position
		}
		db.mu.Unlock()
		again := open(t, copied, later)
		mustFlush(t, again)
		seen := make(map[int]bool)
		for _, n := range later.stored() {
			if seen[n] {
				t.Fatalf("record %d is there twice", n)
			}
			seen[n] = true
		}
		for n := range int(least) {
			if !seen[n] {
				t.Fatalf("record %d of %d is missing", n, least)
			}
		}
		if c := again.Stats().Corrupt; c != 0 {
			t.Fatalf("%d records damaged", c)
		}
		mustClose(t, again)
	}
	work.Wait()
	db.mustHold(t, 0, total)
}
