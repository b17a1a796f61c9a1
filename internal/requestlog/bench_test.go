package requestlog

import (
	"testing"

	"gpt-load/internal/fleet"
)

// BenchmarkRecord is what a request pays: acquire, fill, encode into the queue. The queue is emptied as the writer
// does, so that the time is the whole CPU cost of a record up to the page cache.
func BenchmarkRecord(b *testing.B) {
	benchmarkRecord(b, func(add func(n int)) {
		for n := 0; b.Loop(); n++ {
			add(n)
		}
	})
}

func BenchmarkRecordParallel(b *testing.B) {
	benchmarkRecord(b, func(add func(n int)) {
		b.RunParallel(func(p *testing.PB) {
			for n := 0; p.Next(); n++ {
				add(n)
			}
		})
	})
}

func benchmarkRecord(b *testing.B, loop func(add func(n int))) {
	r := open(b, b.TempDir(), &database{down: errAway})
	template := sample(1)
	b.ReportAllocs()
	b.ResetTimer()
	loop(func(n int) {
		record := r.Acquire()
		attempts := record.Attempts
		*record = *template
		record.Attempts = attempts
		record.Attempts = append(record.Attempts, template.Attempts...)
		r.Record(record)
		if n%200 == 199 {
			for i := range r.queue.shards { // only what Record costs: the writer has a benchmark of its own
				s := &r.queue.shards[i]
				s.mu.Lock()
				s.frames, s.count = s.frames[:0], 0
				s.mu.Unlock()
			}
		}
	})
}

// BenchmarkWriter is what the writer pays for each record: taking it from the queue, its CRC, its share of write(2),
// in batches of 200 (10,000 requests a second).
func BenchmarkWriter(b *testing.B) {
	r := open(b, b.TempDir(), &database{down: errAway})
	const batch = 200
	var frames []byte
	for n := range batch {
		frames = appendFrame(frames, sample(n))
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(frames) / batch))
	for b.Loop() {
		b.StopTimer()
		s := &r.queue.shards[0]
		s.frames, s.count = append(s.frames[:0], frames...), batch
		if r.spool.diskSize > 256<<20 { // as if it was delivered
			r.spool.commit(cursor{segment: r.spool.active, offset: r.spool.active.size, position: r.spool.next - 1})
		}
		b.StartTimer()
		r.write()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/record")
}

func BenchmarkEncode(b *testing.B) {
	record, buf := sample(1), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendFrame(buf[:0], record)
	}
	b.ReportMetric(float64(len(buf)), "bytes/record")
}

func BenchmarkDecode(b *testing.B) {
	payload := appendRecord(nil, sample(1))
	var record fleet.RequestRecord
	b.ReportAllocs()
	for b.Loop() {
		if err := decodeRecord(payload, &record); err != nil {
			b.Fatal(err)
		}
	}
}
