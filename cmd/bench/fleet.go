package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// fleetDatabase is the database of every fleet that is measured.
const fleetDatabase = "gptload"

// benchFleet is PostgreSQL, Redis, an upstream and nodes: a candidate, which leads, and followers.
type benchFleet struct {
	dir      *testenv.Dir
	binary   string
	postgres *testenv.PostgresServer
	redis    *testenv.RedisServer
	upstream *process
	nodes    []*testenv.Node // the candidate is the first
	group    adminapi.Group  // "bench", with benchKeys keys
}

// fleetOptions is how a fleet differs from the smallest one.
type fleetOptions struct {
	followers int
	preload   string   // library that PostgreSQL loads at its start
	env       []string // of every node
}

// startFleet starts everything and returns when all nodes serve the group. What it returns must be stopped, also with an
// error.
func startFleet(ctx context.Context, s settings, o fleetOptions) (*benchFleet, error) {
	f := &benchFleet{binary: s.binary}
	var err error
	if f.dir, err = testenv.MakeDir(); err != nil {
		return f, err
	}
	if f.binary == "" {
		if f.binary, err = testenv.Build(ctx, f.dir.Path, false); err != nil {
			return f, err
		}
	}
	if err := f.startStores(ctx, o); err != nil {
		return f, err
	}
	if f.upstream, err = startRole(ctx, "upstream", ""); err != nil {
		return f, err
	}
	env := append([]string{
		"DATABASE_DSN=" + f.postgres.DSN(fleetDatabase), "REDIS_DSN=" + f.redis.DSN(), "ENCRYPTION_KEY=" + rand.Text(),
		"MAX_CONCURRENT_REQUESTS=5000", "LOG_LEVEL=info",
	}, o.env...)
	f.nodes = make([]*testenv.Node, 1+o.followers)
	if err := f.startNode(ctx, 0, append(env, "IS_SLAVE=false")); err != nil {
		return f, err
	}
	// The group is there before the followers are: they start with it.
	if f.group, err = createGroup(ctx, f.nodes[0], f.upstream.addr); err != nil {
		return f, err
	}
	var all sync.WaitGroup
	errs := make([]error, len(f.nodes))
	for i := range o.followers {
		all.Go(func() { errs[i] = f.startNode(ctx, i+1, append(env[:len(env):len(env)], "IS_SLAVE=true")) })
	}
	all.Wait()
	return f, errors.Join(errs...)
}

func (f *benchFleet) startStores(ctx context.Context, o fleetOptions) error {
	var err error
	if f.postgres, err = testenv.StartPostgres(ctx, filepath.Join(f.dir.Path, "postgres")); err != nil {
		return err
	}
	if o.preload != "" {
		if _, err := f.postgres.SQL(ctx, "postgres", "ALTER SYSTEM SET shared_preload_libraries = "+o.preload+";"); err != nil {
			return err
		}
		if err := f.postgres.Restart(ctx); err != nil {
			return err
		}
	}
	if err := f.postgres.CreateDatabase(ctx, fleetDatabase); err != nil {
		return err
	}
	f.redis, err = testenv.StartRedis(ctx, filepath.Join(f.dir.Path, "redis"), testenv.RedisOptions{Password: rand.Text()})
	return err
}

func (f *benchFleet) startNode(ctx context.Context, i int, env []string) error {
	dir := filepath.Join(f.dir.Path, fmt.Sprintf("node-%d", i+1))
	err := os.Mkdir(dir, 0o700)
	if err != nil {
		return err
	}
	f.nodes[i], err = testenv.StartNode(ctx, f.binary, dir, env...)
	return err
}

// node is one of the nodes as a process whose requests go to the group.
func (f *benchFleet) node(i int) *process { return proxyOf(f.nodes[i]) }

func (f *benchFleet) stop() error {
	ends := make([]error, len(f.nodes))
	var all sync.WaitGroup
	for i, n := range f.nodes {
		if n != nil {
			all.Go(func() { ends[i] = n.Stop() })
		}
	}
	all.Wait()
	if f.upstream != nil {
		ends = append(ends, f.upstream.stop())
	}
	if f.redis != nil {
		ends = append(ends, f.redis.Stop())
	}
	if f.postgres != nil {
		ends = append(ends, f.postgres.Stop())
	}
	if f.dir != nil {
		ends = append(ends, f.dir.Remove())
	}
	return errors.Join(ends...)
}

// explain adds the last lines of every node to an error, unless the user broke off.
func (f *benchFleet) explain(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	const lines = 10
	var text strings.Builder
	for i, n := range f.nodes {
		all := strings.SplitAfter(n.Logs(), "\n")
		fmt.Fprintf(&text, "node %d:\n%s", i+1, strings.Join(all[max(0, len(all)-lines-1):], ""))
	}
	return fmt.Errorf("%w\n%s", err, text.String())
}
