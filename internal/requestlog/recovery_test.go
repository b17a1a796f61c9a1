package requestlog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// The spool is cut after every single byte of its last record; all records before it must be found.
func TestATornTailCostsOnlyTheTornRecord(t *testing.T) {
	origin := t.TempDir()
	r := open(t, origin, &database{down: errAway})
	record(r, 0, 3)
	path := segmentsIn(t, origin)[0]
	start := fileSize(t, path)
	last := sample(3)
	last.Attempts[1].Reason = "not zero at its end, so that cutting that and adding a zero is no repair"
	r.Record(last)
	mustClose(t, r)
	end := fileSize(t, path)
	for size := start; size < end; size++ {
		dir := t.TempDir()
		copyFolder(t, origin, dir)
		torn := filepath.Join(dir, filepath.Base(path))
		if err := os.Truncate(torn, size); err != nil {
			t.Fatal(err)
		}
		if size%2 == 0 { // some file systems leave zeros instead
			if err := os.Truncate(torn, end); err != nil {
				t.Fatal(err)
			}
		}
		db := &database{}
		again := open(t, dir, db)
		record(again, 3, 5)
		mustFlush(t, again)
		db.mustHold(t, 0, 5)
		if corrupt := again.Stats().Corrupt; corrupt != 0 {
			t.Fatalf("size %d: a torn tail was counted as damage", size)
		}
		mustClose(t, again)
	}
}

func TestDamageInTheMiddleSkipsToTheNextSegment(t *testing.T) {
	all := func(n int) int { return n }
	for name, c := range map[string]struct {
		damage func(t *testing.T, path string)
		lost   func(inSegment int) int
	}{
		"header":      {func(t *testing.T, path string) { flipByte(t, path, 3) }, all},
		"first frame": {func(t *testing.T, path string) { flipByte(t, path, segmentHeader+30) }, all},
		"length":      {func(t *testing.T, path string) { flipByte(t, path, segmentHeader+2) }, all},
		"last frame":  {func(t *testing.T, path string) { flipByte(t, path, fileSize(t, path)-5) }, func(int) int { return 1 }},
		"cut":         {func(t *testing.T, path string) { cut(t, path, 100) }, all},
		"cut between": {func(t *testing.T, path string) { cut(t, path, segmentHeader+int64(len(appendFrame(nil, sample(20))))) }, func(n int) int { return n - 1 }},
		"empty":       {func(t *testing.T, path string) { cut(t, path, 0) }, all},
		"removed":     {func(t *testing.T, path string) { cut(t, path, -1) }, all},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := open(t, dir, &database{down: errAway}, smallSegments)
			record(r, 0, 60)
			inSegment := int(r.spool.segments[1].count)
			mustClose(t, r)
			path := segmentsIn(t, dir)[1]
			if name != "removed" {
				c.damage(t, path)
			}

			core, logs := observer.New(zap.ErrorLevel)
			db := &database{down: errAway}
			again := open(t, dir, db, smallSegments, func(o *Options) { o.Logger = zap.New(core) })
			if name == "removed" { // under our feet
				c.damage(t, path)
			}
			for range 3 { // the damage must not be told again with every attempt
				if again.Flush(context.Background()) == nil {
					t.Fatal("a sink that is away took records")
				}
			}
			db.setDown(nil)
			mustFlush(t, again)
			if got := len(db.stored()); got != 60-c.lost(inSegment) {
				t.Errorf("%d records stored, want 60 less %d", got, c.lost(inSegment))
			}
			if again.Stats().Corrupt != int64(c.lost(inSegment)) || logs.Len() != 1 {
				t.Errorf("%d records counted as lost in %d log lines, want %d in 1", again.Stats().Corrupt, logs.Len(), c.lost(inSegment))
			}
			record(again, 60, 70)
			mustFlush(t, again)
			if left := segmentsIn(t, dir); len(left) != 0 {
				t.Errorf("segments left: %v", left)
			}
		})
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func folderSize(t *testing.T, dir string) (sum int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		sum += fileSize(t, filepath.Join(dir, e.Name()))
	}
	return sum
}

// copyFolder copies what a crash at this moment would leave; files may grow and go meanwhile.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// cut leaves size bytes of a file, or removes it when size is negative.
func cut(t *testing.T, path string, size int64) {
	t.Helper()
	err := os.Truncate(path, max(0, size))
	if size < 0 {
		err = os.Remove(path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func flipByte(t *testing.T, path string, at int64) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 0x40
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
