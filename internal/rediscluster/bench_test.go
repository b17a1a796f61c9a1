package rediscluster

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gpt-load/internal/requestlog"
	"gpt-load/internal/testenv"
)

// discard is a database that costs nothing, so that what is measured is the way to it.
type discard struct{ records atomic.Int64 }

func (d *discard) WriteRecords(_ context.Context, b requestlog.Batch) error {
	d.records.Add(int64(len(b.Records)))
	return nil
}

func (d *discard) Position(context.Context, string) (int64, error) { return 0, nil }

// BenchmarkRecords is the whole way of a record from a node's spool to the leader's database: encoding, Redis, decoding,
// the answer; both ends in this process. It reports the CPU time of both ends and of Redis for each record, and how many
// of them one node sends in a second when it sends one batch after the other.
func BenchmarkRecords(b *testing.B) {
	for _, size := range []int{100, requestlog.MaxBatchRecords} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			server := testenv.NewRedis(b, testenv.RedisOptions{})
			d := &discard{}
			leaderFor(b, newNode(b, server.DSN()), d)
			sink := newNode(b, server.DSN()).RecordSink(d)
			batch := batchOf("s", 1, 1+size)
			ours, theirs := processTime(b), serverTime(b, server)
			for b.Loop() {
				batch.Position++
				if err := sink.WriteRecords(within(b, longest), batch); err != nil {
					b.Fatal(err)
				}
			}
			records := float64(d.records.Load())
			b.ReportMetric(records/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64((processTime(b)-ours).Nanoseconds())/records, "cpu-ns/record")
			b.ReportMetric(float64((serverTime(b, server)-theirs).Nanoseconds())/records, "redis-ns/record")
		})
	}
}

func processTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// serverTime is what proc(5) says of the server: utime and stime, in ticks of 10 ms.
func serverTime(b *testing.B, server *testenv.RedisServer) time.Duration {
	b.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(server.PID()) + "/stat")
	if err != nil {
		b.Fatal(err)
	}
	const afterName, utime, stime = ") ", 11, 12
	_, rest, _ := strings.Cut(string(stat), afterName)
	fields := strings.Fields(rest)
	user, errUser := strconv.Atoi(fields[utime])
	system, errSystem := strconv.Atoi(fields[stime])
	if errUser != nil || errSystem != nil {
		b.Fatalf("the times in %q", stat)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
