package requestlog

import (
	"errors"
	"reflect"
	"testing"

	"gpt-load/internal/fleet"
)

func sampleBatch(n int) Batch {
	b := Batch{Source: "spool-1", Position: 1_700_000_000_000_000}
	for i := range n {
		b.Records = append(b.Records, *sample(i))
	}
	if n > 0 {
		b.Records[n-1] = *withBodies(n)
	}
	return b
}

func TestABatchComesBackAsItWent(t *testing.T) {
	used := sampleBatch(7) // of which nothing may be left
	for _, n := range []int{3, 0, 1, MaxBatchRecords} {
		want := sampleBatch(n)
		if err := DecodeBatch(EncodeBatch(nil, want), &used); err != nil {
			t.Fatalf("%d records: %v", n, err)
		}
		if used.Source != want.Source || used.Position != want.Position || len(used.Records) != n {
			t.Fatalf("%d records: got %d of %q at %d", n, len(used.Records), used.Source, used.Position)
		}
		for i := range want.Records {
			if !reflect.DeepEqual(used.Records[i], want.Records[i]) {
				t.Fatalf("record %d of %d:\ngot  %+v\nwant %+v", i, n, used.Records[i], want.Records[i])
			}
		}
	}
}

func TestNoPartOfABatchIsABatch(t *testing.T) {
	data := EncodeBatch(nil, sampleBatch(3))
	var got Batch
	refused := func(what string, data []byte) {
		t.Helper()
		if err := DecodeBatch(data, &got); !errors.Is(err, ErrBatch) {
			t.Errorf("%s: %v", what, err)
		}
		if got.Source != "" || got.Position != 0 || len(got.Records) != 0 {
			t.Errorf("%s: %d records of %q are left", what, len(got.Records), got.Source)
		}
	}
	for n := range data {
		refused("a part", data[:n])
		flipped := append([]byte(nil), data...)
		flipped[n] ^= 0x80
		refused("a flipped bit", flipped)
	}
	refused("a byte behind it", append(append([]byte(nil), data...), 0))
	refused("another version", append([]byte{batchVersion + 1}, data[1:]...))
	refused("too many records", EncodeBatch(nil, Batch{Source: "s", Position: 1, Records: make([]fleet.RequestRecord, MaxBatchRecords+1)}))
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add([]byte{})
	f.Add(EncodeBatch(nil, Batch{}))
	f.Add(EncodeBatch(nil, sampleBatch(0)))
	f.Add(EncodeBatch(nil, sampleBatch(2)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second Batch
		if DecodeBatch(data, &first) != nil {
			return
		}
		if err := DecodeBatch(EncodeBatch(nil, first), &second); err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if first.Source != second.Source || first.Position != second.Position || len(first.Records) != len(second.Records) {
			t.Errorf("got %d of %q at %d, then %d of %q at %d",
				len(first.Records), first.Source, first.Position, len(second.Records), second.Source, second.Position)
		}
	})
}

func BenchmarkEncodeBatch(b *testing.B) {
	batch := Batch{Source: "spool-1", Position: 1}
	for i := range MaxBatchRecords {
		batch.Records = append(batch.Records, *sample(i))
	}
	var data []byte
	for b.Loop() {
		data = EncodeBatch(data[:0], batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*MaxBatchRecords), "ns/record")
	b.ReportMetric(float64(len(data))/MaxBatchRecords, "bytes/record")
}

func BenchmarkDecodeBatch(b *testing.B) {
	batch := Batch{Source: "spool-1", Position: 1}
	for i := range MaxBatchRecords {
		batch.Records = append(batch.Records, *sample(i))
	}
	data := EncodeBatch(nil, batch)
	for b.Loop() {
		if err := DecodeBatch(data, &batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*MaxBatchRecords), "ns/record")
}
