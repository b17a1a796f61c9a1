package sqlstore

import (
	varint "encoding/binary"
	"math"
	"slices"
	"time"
)

// Durations are counted in buckets that grow by the eighth root of two, from a millisecond to an hour: 8 of them double the
// bound. A percentile is given as the middle of its bucket, on the logarithmic scale, so it is off by a factor of at most
// 2^(1/16): 4.4 %. Counts add up, over hours and over whatever rows are told apart by; nothing is lost by it.
const (
	bucketsPerDouble = 8
	leastBucket      = time.Millisecond // bucket 0 is below it
	// buckets: 8 * log2(an hour / 1 ms) is 174.2; the last one holds what is longer.
	buckets = 176
)

func bucketOf(d time.Duration) uint8 {
	if d < leastBucket {
		return 0
	}
	return uint8(min(1+int(bucketsPerDouble*math.Log2(float64(d)/float64(leastBucket))), buckets-1))
}

// bucketMiddle is the duration that stands for a bucket.
func bucketMiddle(bucket int) time.Duration {
	if bucket == 0 {
		return leastBucket / 2
	}
	return time.Duration(float64(leastBucket) * math.Exp2((float64(bucket)-0.5)/bucketsPerDouble))
}

// histogram counts durations by their buckets, ascending. It is stored as pairs of numbers (encoding/binary's Uvarint): the
// distance from the bucket before, and the count. An hour of a busy model has some 50 pairs in 150 bytes.
type histogram []bucketCount

type bucketCount struct {
	bucket uint8
	count  uint64
}

func (h *histogram) add(bucket uint8, count uint64) {
	at, found := slices.BinarySearchFunc(*h, bucket, func(b bucketCount, bucket uint8) int { return int(b.bucket) - int(bucket) })
	if found {
		(*h)[at].count += count
		return
	}
	*h = slices.Insert(*h, at, bucketCount{bucket, count})
}

func (h *histogram) merge(o histogram) {
	for _, b := range o {
		h.add(b.bucket, b.count)
	}
}

func (h histogram) encode() []byte {
	b := make([]byte, 0, 4*len(h))
	last := uint8(0)
	for _, c := range h {
		b = varint.AppendUvarint(b, uint64(c.bucket-last))
		b = varint.AppendUvarint(b, c.count)
		last = c.bucket
	}
	return b
}

// eachBucket reads what encode wrote, and what can be read of anything else: statistics are nothing to stop at.
func eachBucket(stored []byte, take func(bucket int, count uint64)) {
	bucket := 0
	for len(stored) > 0 {
		gap, n := varint.Uvarint(stored)
		count, m := varint.Uvarint(stored[max(n, 0):])
		if n <= 0 || m <= 0 || gap >= buckets || bucket+int(gap) >= buckets {
			return
		}
		bucket += int(gap)
		take(bucket, count)
		stored = stored[n+m:]
	}
}

func (h *histogram) addStored(stored []byte) {
	eachBucket(stored, func(bucket int, count uint64) { h.add(uint8(bucket), count) })
}

// tally is a histogram for adding up many.
type tally [buckets]uint32

func (t *tally) addStored(stored []byte) {
	eachBucket(stored, func(bucket int, count uint64) {
		t[bucket] = uint32(min(uint64(t[bucket])+count, math.MaxUint32))
	})
}

func (t *tally) merge(o *tally) {
	for i, n := range o {
		t[i] = uint32(min(uint64(t[i])+uint64(n), math.MaxUint32))
	}
}

// percentile is the duration that a share of the requests did not exceed; 0 when there are none.
func (t *tally) percentile(share float64) time.Duration {
	total := uint64(0)
	for _, n := range t {
		total += uint64(n)
	}
	if total == 0 {
		return 0
	}
	rank, seen := max(uint64(math.Ceil(share*float64(total))), 1), uint64(0)
	for bucket, n := range t {
		if seen += uint64(n); seen >= rank {
			return bucketMiddle(bucket)
		}
	}
	return bucketMiddle(buckets - 1)
}
