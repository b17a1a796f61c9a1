package sqlstore_test

import (
	"fmt"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/operation"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
)

// BenchmarkImportKeys imports 100,000 keys by the steps of an operation, encryption on, each time into the same group.
func BenchmarkImportKeys(b *testing.B) {
	const keys = 100_000
	eachDatabase(b, func(b *testing.B, database fresh) {
		s := openAt(b, database(b), passphrase)
		g := addGroup(b, s, standard("g"))
		for n := 0; b.Loop(); n++ {
			importAll(b, s, g.ID, n*keys, keys)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
	})
}

// importAll runs an import of so many keys, numbered from first on.
func importAll(t testing.TB, s *sqlstore.Store, group fleet.GroupID, first, keys int) {
	t.Helper()
	o := must(s.CreateOperation(t.Context(), operation.Operation{Kind: operation.Import, GroupID: group, State: operation.Waiting}))(t)
	claimed, ok, err := s.ClaimOperation(t.Context(), "node")
	if err != nil || !ok || claimed.ID != o.ID {
		t.Fatal(claimed, ok, err)
	}
	claim := operation.Claim{ID: o.ID, Number: claimed.Claim}
	batch := make([]keyfile.Key, operation.StepKeys)
	for at := 0; at < keys; at += len(batch) {
		for i := range batch {
			batch[i] = keyfile.Key{Value: secret.New(fmt.Sprintf("sk-bench-0123456789abcdef0123456789abcdef-%08d", first+at+i))}
		}
		err := s.ImportKeys(t.Context(), claim, group, batch, func(added []bool) (operation.Progress, []byte) {
			for _, is := range added {
				if !is {
					t.Fatal("a new key was not added")
				}
			}
			done := at + len(batch)
			return operation.Progress{Done: int64(done), Counts: map[string]int64{"added": int64(done)}, Position: int64(done), Chunks: at / len(batch)}, []byte("x")
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.FinishOperation(t.Context(), claim, operation.Succeeded, ""); err != nil {
		t.Fatal(err)
	}
}
