package sqlstore

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestHistogram checks the error that is stated, the order of what is stored, and that anything can be read.
func TestHistogram(t *testing.T) {
	for d := leastBucket; d < time.Hour; d += d/97 + 1 {
		middle := bucketMiddle(int(bucketOf(d)))
		if off := math.Abs(math.Log2(float64(middle) / float64(d))); off > 1.0/16+1e-9 {
			t.Fatalf("%v is given as %v", d, middle)
		}
	}
	if bucketOf(-1) != 0 || bucketOf(math.MaxInt64) != buckets-1 || bucketOf(time.Hour) != buckets-1 || bucketOf(leastBucket) != 1 {
		t.Error("the ends are not where they should be")
	}
	var h histogram
	want := map[int]uint64{}
	for range 1000 {
		bucket, n := rand.N(buckets), rand.Uint64N(1<<40)
		h.add(uint8(bucket), n)
		want[bucket] += n
	}
	stored := h.encode()
	if len(stored) > 2000 {
		t.Errorf("%d bytes do not fit the column", len(stored))
	}
	eachBucket(stored, func(bucket int, n uint64) {
		if want[bucket] != n {
			t.Errorf("bucket %d has %d, want %d", bucket, n, want[bucket])
		}
		delete(want, bucket)
	})
	if len(want) != 0 {
		t.Errorf("%d buckets are lost", len(want))
	}
	var full tally
	full.addStored(stored)
	full.addStored(stored)
	if p := full.percentile(1); p == 0 {
		t.Error("counts that are too large wrapped around")
	}
	if p := (&tally{}).percentile(0.5); p != 0 {
		t.Errorf("of nothing, %v", p)
	}
}

func FuzzHistogram(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 1, 175, 2})
	f.Add([]byte{200, 200, 200})
	f.Fuzz(func(_ *testing.T, stored []byte) {
		var h histogram
		h.addStored(stored)
		new(tally).addStored(h.encode())
	})
}
