package sqlstore_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
)

// BenchmarkAddKeys imports 100,000 keys, encryption on, each time into a group of its own.
func BenchmarkAddKeys(b *testing.B) {
	const keys = 100_000
	s := openAt(b, filepath.Join(b.TempDir(), "x.db"), "correct horse")
	list := texts("sk-bench-0123456789abcdef0123456789abcdef", keys)
	for n := 0; b.Loop(); n++ {
		g := addGroup(b, s, standard(fmt.Sprintf("g%d", n)))
		added, _ := must2(s.AddKeys(b.Context(), g.ID, list, false))(b)
		if len(added) != keys {
			b.Fatalf("%d added", len(added))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
}

// BenchmarkEachKey loads 100,000 keys as a node does at start.
func BenchmarkEachKey(b *testing.B) {
	const keys = 100_000
	s := openAt(b, filepath.Join(b.TempDir(), "x.db"), "correct horse")
	g := addGroup(b, s, standard("g"))
	must2(s.AddKeys(b.Context(), g.ID, texts("sk-bench-0123456789abcdef0123456789abcdef", keys), false))(b)
	b.ReportAllocs()
	for b.Loop() {
		loaded := 0
		err := s.EachKey(b.Context(), 0, func(list []fleet.Key) error {
			loaded += len(list)
			return nil
		})
		if err != nil || loaded != keys {
			b.Fatal(loaded, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
}

// BenchmarkApplyKeyChanges writes the changes of 1,000 keys, one flush of the writer in bad times.
func BenchmarkApplyKeyChanges(b *testing.B) {
	s := openAt(b, filepath.Join(b.TempDir(), "x.db"), "")
	g := addGroup(b, s, standard("g"))
	keys, _ := must2(s.AddKeys(b.Context(), g.ID, texts("k", 100_000), false))(b)
	changes := make([]fleet.KeyChange, 1000)
	for i := range changes {
		k := keys[i*97]
		changes[i] = fleet.KeyChange{
			KeyID: k.ID, GroupID: g.ID, State: fleet.KeyActive, Failures: 1, At: k.CreatedAt.Add(time.Second),
			Cooldowns: []fleet.Cooldown{{Model: "gpt-4o", Until: k.CreatedAt.Add(time.Hour), Reason: "rate_limited"}},
		}
	}
	for b.Loop() {
		if err := s.ApplyKeyChanges(b.Context(), changes); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWriteRecords writes batches of 1,000 records.
func BenchmarkWriteRecords(b *testing.B) {
	s := openAt(b, filepath.Join(b.TempDir(), "x.db"), "")
	const records = 1000
	position := int64(0)
	for b.Loop() {
		b.StopTimer()
		batch := requestlog.Batch{Source: "bench"}
		for i := range records {
			position++
			r := record(int(position / 100))
			r.ModelSent = fmt.Sprintf("model-%d", i%20)
			batch.Records = append(batch.Records, r)
		}
		batch.Position = position
		b.StartTimer()
		if err := s.WriteRecords(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
}
