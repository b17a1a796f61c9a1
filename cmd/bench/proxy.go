package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

const benchKeys = 1000

// peers are the processes that one comparison runs through.
type peers struct {
	upstream, reverse *process
	node              *testenv.Node
	ours              *process // the node as a process
}

// startPeers starts an upstream, a ReverseProxy and a node with a group of keys, each proxy on one core.
func startPeers(ctx context.Context, s settings, dir string) (*peers, error) {
	p := &peers{}
	binary := s.binary
	var err error
	if binary == "" {
		if binary, err = testenv.Build(ctx, dir, false); err != nil {
			return p, err
		}
	}
	if p.upstream, err = startRole(ctx, "upstream", ""); err != nil {
		return p, err
	}
	if p.reverse, err = startRole(ctx, "reverseproxy", p.upstream.addr, "GOMAXPROCS=1"); err != nil {
		return p, err
	}
	if p.node, err = testenv.StartNode(ctx, binary, dir, "GOMAXPROCS=1", "MAX_CONCURRENT_REQUESTS=5000", "LOG_LEVEL=info"); err != nil {
		return p, err
	}
	p.ours = proxyOf(p.node)
	_, err = createGroup(ctx, p.node, p.upstream.addr)
	return p, err
}

// proxyOf is a node as a process whose requests go to the group of createGroup.
func proxyOf(n *testenv.Node) *process { return &process{pid: n.PID(), addr: n.URL + "/proxy/bench"} }

// createGroup makes the group: a thousand keys to rotate, and pools as large as the other proxy's.
func createGroup(ctx context.Context, n *testenv.Node, upstream string) (adminapi.Group, error) {
	client := n.Client()
	group, err := client.CreateGroup(ctx, adminapi.GroupInput{
		Name: "bench", Channel: adminapi.ChannelOpenAI,
		Upstreams: []adminapi.Upstream{{URL: upstream, Weight: 1}},
		Settings:  map[string]any{"max_idle_conns": 5000, "max_idle_conns_per_host": 5000},
	})
	if err != nil {
		return group, err
	}
	keys := make([]string, benchKeys)
	for i := range keys {
		keys[i] = fmt.Sprintf("sk-bench-%040d", i)
	}
	added, err := client.AddKeys(ctx, group.ID, adminapi.KeyInput{Keys: keys})
	if err == nil && added.Added != benchKeys {
		err = fmt.Errorf("%d of %d keys were added", added.Added, benchKeys)
	}
	return group, err
}

func (p *peers) stop() error {
	var errs []error
	if p.node != nil {
		errs = append(errs, p.node.Stop())
	}
	for _, child := range []*process{p.reverse, p.upstream} {
		if child != nil {
			errs = append(errs, child.stop())
		}
	}
	return errors.Join(errs...)
}

func benchProxy(ctx context.Context, r *report, s settings) (err error) {
	dir, err := os.MkdirTemp("", "gpt-load-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p, err := startPeers(ctx, s, dir)
	defer func() { err = errors.Join(err, p.stop()) }()
	if err != nil {
		return err
	}
	for _, size := range []struct {
		name         string
		bytes, count int
	}{{"1 KB", 1 << 10, 20000}, {"100 KB", 100 << 10, 5000}} {
		r.title("CPU per proxied request, " + size.name + " body and answer, auth, rotation, model detection and records on")
		rounds := 5
		if s.quick {
			rounds = 2
		}
		ours, theirs, err := compare(ctx, p, size.bytes, size.count, rounds)
		if err != nil {
			return err
		}
		r.figure("httputil.ReverseProxy, median of rounds", "%.1f µs", theirs.median())
		r.figure("gpt-load, median of rounds", "%.1f µs", ours.median())
		ratio := ours.median() / theirs.median()
		r.promise("ratio, at most 1", ratio <= 1, "%.2f (rounds %.2f to %.2f)", ratio, ours.ratios(theirs)[0], ours.ratios(theirs)[rounds-1])
	}
	return nil
}

// costs are microseconds of CPU per request, one for each round.
type costs []float64

func (c costs) median() float64 {
	sorted := slices.Sorted(slices.Values(c))
	return sorted[len(sorted)/2]
}

// ratios are those of each round, sorted.
func (c costs) ratios(to costs) costs {
	all := make(costs, len(c))
	for i := range c {
		all[i] = c[i] / to[i]
	}
	slices.Sort(all)
	return all
}

// compare runs both proxies in turn, so that what else the machine does meets both.
func compare(ctx context.Context, p *peers, size, count, rounds int) (ours, theirs costs, err error) {
	one := func(proxy *process) (float64, error) {
		l := load{url: proxy.addr, key: testenv.AuthKey, size: size, workers: 16, count: count / 10}
		if _, err := l.run(ctx); err != nil { // connections and buffers warm up
			return 0, err
		}
		before, err := proxy.cpu()
		if err != nil {
			return 0, err
		}
		l.count = count
		if _, err := l.run(ctx); err != nil {
			return 0, err
		}
		after, err := proxy.cpu()
		return float64((after - before).Nanoseconds()) / float64(count) / float64(time.Microsecond), err
	}
	for range rounds {
		cost, err := one(p.reverse)
		if err != nil {
			return nil, nil, fmt.Errorf("through ReverseProxy: %w", err)
		}
		theirs = append(theirs, cost)
		if cost, err = one(p.ours); err != nil {
			return nil, nil, fmt.Errorf("through gpt-load: %w\n%s", err, p.node.Logs())
		}
		ours = append(ours, cost)
	}
	return ours, theirs, nil
}
