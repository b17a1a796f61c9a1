package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

const (
	costRequests = 10_000
	// costSettle is when the records of a round have been delivered: they go every second.
	costSettle = 2 * time.Second
	// costLimit bounds what a node of a fleet may cost of what it costs alone.
	costLimit = 1.05
)

// contender is a node in a comparison, with a figure for each round.
type contender struct {
	name  string
	node  *process
	costs costs // µs of CPU per request
	rates costs // requests per second
}

// benchCost compares nodes of a fleet with a node that is alone on SQLite. The delivery of records is in the CPU time of
// each: the round ends when all of them are in the database.
func benchCost(ctx context.Context, r *report, s settings) (err error) {
	r.title("A node of a fleet on PostgreSQL and Redis, against the same binary alone on SQLite, 1 KB bodies")
	f, err := startFleet(ctx, s, fleetOptions{followers: 1, env: []string{"GOMAXPROCS=1"}})
	defer func() { err = errors.Join(err, f.stop()) }()
	if err != nil {
		return err
	}
	alone, err := f.startAlone(ctx)
	if alone != nil {
		defer func() { err = errors.Join(err, alone.Stop()) }()
	}
	if err != nil {
		return err
	}
	for _, n := range []*testenv.Node{alone, f.nodes[0]} {
		if err := deliverEverySecond(ctx, n); err != nil {
			return err
		}
	}
	contenders := []*contender{{name: "alone", node: proxyOf(alone)}, {name: "follower", node: f.node(1)}, {name: "leader", node: f.node(0)}}
	rounds := 21
	if s.quick {
		rounds = 3
	}
	if err := contend(ctx, contenders, rounds); err != nil {
		return f.explain(ctx, err)
	}
	for _, c := range contenders {
		r.figure(c.name+", median of rounds", "%.1f µs of CPU per request, %.0f requests/s", c.costs.median(), c.rates.median())
	}
	for _, c := range contenders[1:] {
		ratios := c.costs.ratios(contenders[0].costs)
		r.promise(fmt.Sprintf("CPU of the %s, ratio at most %.2f", c.name, costLimit), ratios.median() <= costLimit,
			"%.3f (rounds %.2f to %.2f)", ratios.median(), ratios[0], ratios[rounds-1])
		ratios = c.rates.ratios(contenders[0].rates)
		r.promise(fmt.Sprintf("throughput of the %s, at least %.2f", c.name, 2-costLimit), ratios.median() >= 2-costLimit,
			"%.3f (rounds %.2f to %.2f)", ratios.median(), ratios[0], ratios[rounds-1])
	}
	return nil
}

// startAlone starts the binary of the fleet with a database of its own and the same group.
func (f *benchFleet) startAlone(ctx context.Context) (*testenv.Node, error) {
	dir := filepath.Join(f.dir.Path, "alone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	n, err := testenv.StartNode(ctx, f.binary, dir, "GOMAXPROCS=1", "MAX_CONCURRENT_REQUESTS=5000", "LOG_LEVEL=info")
	if err == nil {
		_, err = createGroup(ctx, n, f.upstream.addr)
	}
	return n, err
}

// deliverEverySecond makes records go to the database as soon as they may.
func deliverEverySecond(ctx context.Context, n *testenv.Node) error {
	_, err := n.Client().ChangeSettings(ctx, adminapi.SettingsPatch{"request_log_write_interval_minutes": 0})
	return err
}

// contend lets the contenders take turns, in another order each round, so that what else the machine does meets all.
func contend(ctx context.Context, contenders []*contender, rounds int) error {
	turn := slices.Clone(contenders)
	for range rounds {
		for _, c := range turn {
			cost, rate, err := oneRound(ctx, c.node)
			if err != nil {
				return fmt.Errorf("through the %s: %w", c.name, err)
			}
			c.costs, c.rates = append(c.costs, cost), append(c.rates, rate)
		}
		turn = append(turn[1:], turn[0])
	}
	return nil
}

// oneRound returns the CPU of a request in µs and the requests per second.
func oneRound(ctx context.Context, node *process) (cost, rate float64, err error) {
	l := load{url: node.addr, key: testenv.AuthKey, size: 1 << 10, workers: 16, count: costRequests / 50}
	if _, err := l.run(ctx); err != nil { // buffers warm up
		return 0, 0, err
	}
	before, err := node.cpu()
	if err != nil {
		return 0, 0, err
	}
	l.count = costRequests
	took, err := l.run(ctx)
	if err != nil {
		return 0, 0, err
	}
	if err := pause(ctx, costSettle); err != nil {
		return 0, 0, err
	}
	after, err := node.cpu()
	return float64((after - before).Nanoseconds()) / costRequests / float64(time.Microsecond), costRequests / took.Seconds(), err
}

// pause waits, or returns the error of ctx when that ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
