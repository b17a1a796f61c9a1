// Command bench measures what the product promises, and prints the figures of one run side by side:
//
//   - choosing a key among a million, also while nearly all of them rest;
//   - finding model and stream in a 1 MB chat body, against unmarshalling it;
//   - CPU per proxied request with everything on, against httputil.ReverseProxy, each in a process of its own on one core;
//   - thousands of concurrent streams: none cut, and the memory of each.
//
// With -fleet it starts PostgreSQL, Redis and nodes, and measures instead:
//
//   - Redis commands and SQL statements per proxied request, counted by the servers;
//   - CPU per request and throughput of its nodes, against the same binary alone on SQLite;
//   - thousands of request records a second into PostgreSQL: none lost, none twice, and what requests notice;
//   - how long a change takes to be in force on the other nodes.
//
// With -keys it starts PostgreSQL and a node, and measures the administration of many keys:
//
//   - imports of a million keys, into an empty group and beside a million, their memory, and what requests notice;
//   - pages of the keys that are there then, and the deletion of all that are invalid;
//   - the validation of 100,000 keys, and an import into SQLite.
//
// It compares within one run and prints ratios, because absolute times belong to the machine. It exits with 1 when a
// promise is broken. Everything runs on loopback; it ends by itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	role := flag.String("role", "", "internal: what this process plays (upstream, reverseproxy, flood, burner)")
	target := flag.String("target", "", "internal: the upstream of a role")
	binary := flag.String("binary", "", "the gpt-load binary to measure; empty builds it")
	ofFleet := flag.Bool("fleet", false, "measure a fleet instead of one node")
	ofKeys := flag.Bool("keys", false, "measure the administration of many keys")
	only := flag.String("only", "", "measure one part: choice, scan, proxy or streams; of a fleet: steady, cost, records or propagation; of keys: million, validation or file")
	quick := flag.Bool("quick", false, "fewer rounds, for a look rather than a figure")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *role != "" {
		exitOn(play(ctx, *role, *target))
		return
	}
	fmt.Printf("%s %s/%s, %d CPUs\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	var r report
	type part struct {
		name string
		run  func(context.Context, *report, settings) error
	}
	parts := []part{{"choice", benchChoice}, {"scan", benchScan}, {"proxy", benchProxy}, {"streams", benchStreams}}
	if *ofFleet {
		parts = []part{{"steady", benchSteady}, {"cost", benchCost}, {"records", benchRecords}, {"propagation", benchPropagation}}
	}
	if *ofKeys {
		parts = []part{{"file", benchFile}, {"million", benchMillion}, {"validation", benchValidation}}
	}
	for _, p := range parts {
		if *only == "" || *only == p.name {
			exitOn(p.run(ctx, &r, settings{binary: *binary, quick: *quick}))
		}
	}
	if r.broken > 0 {
		fmt.Printf("\n%d of %d promises broken\n", r.broken, r.made)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
	fmt.Printf("\nall %d promises kept\n", r.made)
}

// settings are the command line as the parts need it.
type settings struct {
	binary string
	quick  bool
}

// report prints figures and counts promises.
type report struct{ made, broken int }

func (r *report) title(text string) { fmt.Printf("\n%s\n", text) }

func (r *report) figure(name, format string, args ...any) {
	fmt.Printf("  %-44s %s\n", name, fmt.Sprintf(format, args...))
}

// promise prints a figure with its bound.
func (r *report) promise(name string, kept bool, format string, args ...any) {
	r.made++
	word := "ok"
	if !kept {
		r.broken++
		word = "BROKEN"
	}
	fmt.Printf("  %-44s %-34s %s\n", name, fmt.Sprintf(format, args...), word)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
