package sqlstore_test

import (
	"slices"
	"testing"
	"time"

	"gpt-load/internal/fleet"
)

// BenchmarkRetireKeys retires 100,000 keys as verdicts do, in the batches of the writer, each with its event.
func BenchmarkRetireKeys(b *testing.B) {
	const keys, batch = 100_000, 1000
	eachDatabase(b, func(b *testing.B, database fresh) {
		s := openAt(b, database(b), passphrase)
		g := addGroup(b, s, standard("g"))
		added, _ := must2(s.AddKeys(b.Context(), g.ID, texts("sk-bench-0123456789abcdef0123456789abcdef", keys), false))(b)
		state := fleet.KeyInvalid
		for b.Loop() {
			changes := changesOf(added, state)
			at := time.Now()
			for i := range changes {
				changes[i].At = at
			}
			for some := range slices.Chunk(changes, batch) {
				if err := s.ApplyKeyChanges(b.Context(), some); err != nil {
					b.Fatal(err)
				}
			}
			if state = fleet.KeyActive; changes[0].State == state {
				state = fleet.KeyInvalid
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
	})
}
