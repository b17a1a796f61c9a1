package sqlstore_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/sqlstore"
	"gpt-load/internal/testenv"
)

// BenchmarkAddKeys imports 100,000 keys, encryption on, each time into a group of its own.
func BenchmarkAddKeys(b *testing.B) {
	const keys = 100_000
	list := texts("sk-bench-0123456789abcdef0123456789abcdef", keys)
	eachDatabase(b, func(b *testing.B, database fresh) {
		s := openAt(b, database(b), passphrase)
		for n := 0; b.Loop(); n++ {
			g := addGroup(b, s, standard(fmt.Sprintf("g%d", n)))
			added, _ := must2(s.AddKeys(b.Context(), g.ID, list, false))(b)
			if len(added) != keys {
				b.Fatalf("%d added", len(added))
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
	})
}

// BenchmarkEachKey loads 100,000 keys as a node does at start.
func BenchmarkEachKey(b *testing.B) {
	const keys = 100_000
	eachDatabase(b, func(b *testing.B, database fresh) {
		s := openAt(b, database(b), passphrase)
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
	})
}

func eachDatabase(b *testing.B, run func(b *testing.B, database fresh)) {
	b.Run("SQLite", func(b *testing.B) { run(b, sqliteFile) })
	b.Run("PostgreSQL", func(b *testing.B) { run(b, postgresDatabase) })
	b.Run("MariaDB", func(b *testing.B) { run(b, mariadbDatabase) })
}

// BenchmarkApplyKeyChanges writes the changes of 1,000 keys, one flush of the writer in bad times.
func BenchmarkApplyKeyChanges(b *testing.B) {
	eachDatabase(b, func(b *testing.B, database fresh) {
		s := openAt(b, database(b), "")
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
	})
}

// BenchmarkWriteRecords writes batches of 1,000 records as a busy node hands them over: 5,000 requests a second in the order
// that they ended, two groups, 20 models and 50 clients, one attempt each, one failure in fifty, 100,000 keys. It reports the
// processor time of a record, in this process and in the server, and the allocations; SQLite's log is written back into the
// file as often as it is in service.
func BenchmarkWriteRecords(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) {
		writeRecords(b, openAt(b, filepath.Join(b.TempDir(), "x.db"), ""), 0)
	})
	b.Run("PostgreSQL", func(b *testing.B) {
		server := testenv.Postgres(b)
		writeRecords(b, openAt(b, server.NewDatabase(b), ""), server.PID())
	})
	b.Run("MariaDB", func(b *testing.B) {
		server := testenv.MariaDB(b)
		writeRecords(b, openAt(b, server.NewDatabase(b), ""), server.PID())
	})
}

func writeRecords(b *testing.B, s *sqlstore.Store, server int) {
	b.Helper()
	const records = 1000
	batch := requestlog.Batch{Source: "bench", Records: make([]fleet.RequestRecord, records)}
	var used time.Duration
	var allocations, allocated uint64
	var serverBegun time.Duration
	if server != 0 {
		serverBegun = serverTime(b, server)
	}
	for b.Loop() {
		for i := range batch.Records {
			batch.Position++
			batch.Records[i] = busyRecord(int(batch.Position))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun := cpuTime(b)
		if err := s.WriteRecords(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		used += cpuTime(b) - begun
		runtime.ReadMemStats(&after)
		allocations += after.Mallocs - before.Mallocs
		allocated += after.TotalAlloc - before.TotalAlloc
	}
	all := float64(b.N) * records
	b.ReportMetric(float64(used.Nanoseconds())/all, "cpu-ns/record")
	b.ReportMetric(float64(allocations)/all, "allocs/record")
	b.ReportMetric(float64(allocated)/all, "B/record")
	if server != 0 {
		b.ReportMetric(float64((serverTime(b, server)-serverBegun).Nanoseconds())/all, "server-cpu-ns/record")
	}
}

// busyRecord is the n-th record of a busy node.
func busyRecord(n int) fleet.RequestRecord {
	// It took up to a second, so it began before some that ended earlier.
	took := time.Duration(n*7919%1000) * time.Millisecond
	at := busySince.Add(time.Duration(n) * 200 * time.Microsecond).Add(-took)
	group := n%2 + 1
	model := busyModels[n%len(busyModels)]
	r := fleet.RequestRecord{
		ID: fleet.NewRecordID(at), StartedAt: at, Duration: took, TimeToFirstByte: took / 3,
		GroupID: fleet.GroupID(group), GroupName: busyGroups[group-1], ProxyKeyFingerprint: "aabbccddeeff", ClientIP: busyClients[n%len(busyClients)],
		UserAgent: "OpenAI/Python 1.58.1", Method: "POST", Path: "/v1/chat/completions", ModelAsked: model, ModelSent: model, Stream: n%3 == 0,
		Status: 200, Class: fleet.ClassOK, RequestBytes: 2345, ResponseBytes: int64(1000 + n%5000),
		Attempts: []fleet.Attempt{{
			GroupID: fleet.GroupID(group), KeyID: fleet.KeyID(n*31%100_000 + 1), KeyTail: "abcd", Upstream: "api.openai.com:443",
			Status: 200, Class: fleet.ClassOK, Duration: took,
		}},
	}
	if n%50 == 0 {
		r.Status, r.Class, r.Error = 429, fleet.ClassLimited, "Rate limit reached for requests per minute: try again in 20s"
		r.Attempts[0].Status, r.Attempts[0].Class, r.Attempts[0].Reason = 429, fleet.ClassLimited, "rate_limited"
	}
	return r
}

var (
	busySince   = time.Now().UTC() // recent, so that it counts by the minute, too
	busyGroups  = []string{"openai-production", "openai-internal"}
	busyModels  = namesOf("gpt-4.1-mini-2025-04-%02d", 20)
	busyClients = namesOf("203.0.113.%d", 50)
)

func namesOf(format string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(format, i+1)
	}
	return names
}
