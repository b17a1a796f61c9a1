package gptload1_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/gptload1"
)

// TestManyKeysInBoundedMemory reads encrypted keys and looks at the heap after every page. All keys of it would take 8 MB.
func TestManyKeysInBoundedMemory(t *testing.T) {
	for _, p := range products {
		t.Run(p.name, func(t *testing.T) { readMany(t, p, 40_000, 3<<20) })
	}
}

// BenchmarkManyKeys does the same at the size of a large installation.
func BenchmarkManyKeys(b *testing.B) {
	for _, p := range products {
		b.Run(p.name, func(b *testing.B) {
			for range b.N {
				readMany(b, p, 200_000, 3<<20)
			}
		})
	}
}

func readMany(tb testing.TB, p product, keys int, mayGrow uint64) {
	f := newFixture(tb, p, "1.4")
	f.exec(tb, oneGroup)
	f.manyKeys(tb, newSealer(tb, passphrase), keys)
	if p.name == "postgres" {
		// A server in use has counted its rows before; without that it sorts the whole group for every page.
		f.exec(tb, "ANALYZE")
	}
	d := open(tb, f.dsn, passphrase)

	before, peak := heap(), uint64(0)
	start := time.Now()
	plan := planOf(tb, d)
	planned := time.Since(start)
	if got := plan.Groups[0].Keys; got != (gptload1.KeyTally{Active: keys / 2, Invalid: keys / 2}) {
		tb.Errorf("planned %+v", got)
	}
	start = time.Now()
	n := 0
	tally, err := d.EachKey(tb.Context(), plan.Groups[0], func(page []gptload1.Key) error {
		if want := fmt.Sprintf("sk-proj-%08d-", n); !strings.HasPrefix(page[0].Value.Reveal(), want) || page[0].State != fleet.KeyActive {
			return fmt.Errorf("the page at key %d does not begin with it", n)
		}
		n += len(page)
		peak = max(peak, heap())
		return nil
	})
	if err != nil || n != keys || tally != plan.Groups[0].Keys {
		tb.Errorf("%d keys, %+v: %v", n, tally, err)
	}
	tb.Logf("%d encrypted keys: plan %v, reading again %v, heap grew by at most %.1f MB, resident %s",
		keys, planned.Round(time.Millisecond), time.Since(start).Round(time.Millisecond), (float64(peak)-float64(before))/(1<<20), resident())
	if peak > before+mayGrow {
		tb.Errorf("the heap grew from %d to %d bytes", before, peak)
	}
}

// heap is what is reachable.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// resident is the most that the process ever held, where the system tells.
func resident() string {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}
