package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// cluster is everything that runs.
type cluster struct {
	options
	dir *testenv.Dir

	mu  sync.Mutex // of out
	out io.Writer

	postgres *testenv.PostgresServer
	redis    *testenv.RedisServer
	nodes    []*node
	end      context.CancelFunc // of the nodes' context; nil before there are nodes
	leader   string             // name of the node that led first
	balancer *testenv.Balancer
	fake     *fakeprovider.Provider
	fakeURL  string
}

// node is a gpt-load process with its name.
type node struct {
	*testenv.Node
	name string
}

// start starts everything and returns when nginx answers and every node is ready.
func start(ctx context.Context, o options, out io.Writer) (*cluster, error) {
	dir, err := testenv.MakeDir()
	if err != nil {
		return nil, err
	}
	c := &cluster{options: o, out: out, dir: dir}
	if err := c.begin(ctx); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *cluster) begin(ctx context.Context) error {
	var err error
	if c.binary == "" {
		c.say("building gpt-load")
		if c.binary, err = testenv.Build(ctx, c.dir.Path, false); err != nil {
			return err
		}
	}
	if c.binary, err = filepath.Abs(c.binary); err != nil {
		return err
	}
	authKey, err := c.makeAuthKey()
	if err != nil {
		return err
	}
	c.fake = fakeprovider.New(fakeprovider.Options{})
	if c.fakeURL, err = c.fake.Listen(c.provider); err != nil {
		return fmt.Errorf("starting the fake provider (-provider): %w", err)
	}
	c.say("starting PostgreSQL and Redis")
	if err := c.startStores(ctx); err != nil {
		return err
	}
	c.say("starting the nodes")
	if err := c.startNodes(ctx, authKey); err != nil {
		return err
	}
	if err := c.startBalancer(ctx); err != nil {
		return err
	}
	return c.awaitLeader(ctx, authKey)
}

func (c *cluster) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.out, format+"\n", args...) // a reader who went away stops nothing
}

// makeAuthKey makes the key of this run and puts it where the next terminal finds it.
func (c *cluster) makeAuthKey() (string, error) {
	key := "sk-cluster-" + rand.Text()
	if err := os.MkdirAll(c.stateDir, 0o700); err != nil {
		return "", err
	}
	// Not overwritten but made anew: an old file may be open to others.
	if err := os.Remove(c.authKeyFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return key, os.WriteFile(c.authKeyFile(), []byte(key+"\n"), 0o600)
}

func (c *cluster) authKeyFile() string { return filepath.Join(c.stateDir, "auth-key") }

func (c *cluster) startStores(ctx context.Context) error {
	var err error
	if c.postgres, err = testenv.StartPostgres(ctx, filepath.Join(c.dir.Path, "postgres")); err != nil {
		return err
	}
	if err = c.postgres.CreateDatabase(ctx, "gptload"); err != nil {
		return err
	}
	c.redis, err = testenv.StartRedis(ctx, filepath.Join(c.dir.Path, "redis"), testenv.RedisOptions{Password: rand.Text()})
	return err
}

// startNodes starts all nodes at once, as an orchestrator does: followers wait for what a candidate has to do first.
func (c *cluster) startNodes(ctx context.Context, authKey string) error {
	shared := []string{
		"AUTH_KEY=" + authKey, "ENCRYPTION_KEY=" + rand.Text(),
		"DATABASE_DSN=" + c.postgres.DSN("gptload"), "REDIS_DSN=" + c.redis.DSN(),
		"TRUSTED_PROXIES=127.0.0.0/8", "MAX_CONCURRENT_REQUESTS=1000", "LOG_FORMAT=text", "LOG_LEVEL=info",
	}
	// A Ctrl-C ends the start; later it is stop that ends the nodes, in its order.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, end)()
	c.end = end
	errs := make([]error, c.candidates+c.followers)
	var all sync.WaitGroup
	for i := range errs {
		n, role := &node{name: "candidate-" + strconv.Itoa(i+1)}, "IS_SLAVE=false"
		if i >= c.candidates {
			n.name, role = "follower-"+strconv.Itoa(i-c.candidates+1), "IS_SLAVE=true"
		}
		c.nodes = append(c.nodes, n)
		all.Go(func() { errs[i] = c.startNode(life, n, append(shared[:len(shared):len(shared)], role)) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (c *cluster) startNode(ctx context.Context, n *node, env []string) error {
	dir := filepath.Join(c.dir.Path, n.name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var err error
	if n.Node, err = testenv.StartNode(ctx, c.binary, dir, env...); err != nil {
		return fmt.Errorf("%s: %w", n.name, err)
	}
	return nil
}

func (c *cluster) startBalancer(ctx context.Context) error {
	listen := c.address
	if _, port, err := net.SplitHostPort(listen); err != nil {
		return fmt.Errorf("-addr %q is no host:port: %w", listen, err)
	} else if port == "0" {
		listen = ""
	}
	var addresses []string
	for _, n := range c.nodes {
		addresses = append(addresses, strings.TrimPrefix(n.URL, "http://"))
	}
	var err error
	c.balancer, err = testenv.StartBalancer(ctx, filepath.Join(c.dir.Path, "nginx"), listen, addresses)
	return err
}

// leaderTimeout is several times what a fleet takes to agree on its first leader.
const leaderTimeout = 30 * time.Second

// awaitLeader waits until one node leads and every node knows it, which takes a round of their announcements.
func (c *cluster) awaitLeader(ctx context.Context, authKey string) error {
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	often := time.NewTicker(100 * time.Millisecond)
	defer often.Stop()
	for _, n := range c.nodes {
		admin, err := adminclient.New(n.URL, adminclient.WithAuthKey(authKey))
		if err != nil {
			return err
		}
		for {
			fleet, err := admin.Nodes(ctx)
			if c.leader = c.leaderOf(fleet); c.leader != "" && len(fleet.Nodes) == len(c.nodes) {
				break
			}
			select {
			case <-ctx.Done():
				return errors.Join(fmt.Errorf("%s knows of %d nodes out of %d, and %q leads: %w", n.name, len(fleet.Nodes), len(c.nodes), c.leader, context.Cause(ctx)), err)
			case <-often.C:
			}
		}
	}
	return nil
}

// leaderOf is the name of the node that leads, empty when none does.
func (c *cluster) leaderOf(fleet adminapi.NodeList) string {
	for _, member := range fleet.Nodes {
		for _, n := range c.nodes {
			if member.Role == "leader" && n.URL == "http://"+member.Address {
				return n.name
			}
		}
	}
	return ""
}

// stop ends everything from the outside to the inside and removes its data.
func (c *cluster) stop() error {
	var errs []error
	if c.balancer != nil {
		errs = append(errs, c.balancer.Stop())
	}
	// Followers first: somebody has to lead for as long as their last records are on the way to the database.
	candidates := min(c.candidates, len(c.nodes))
	errs = append(errs, stopAll(c.nodes[candidates:]), stopAll(c.nodes[:candidates]))
	if c.end != nil {
		c.end()
	}
	if c.fake != nil {
		c.fake.Close()
	}
	if c.redis != nil {
		errs = append(errs, c.redis.Stop())
	}
	if c.postgres != nil {
		errs = append(errs, c.postgres.Stop())
	}
	return errors.Join(append(errs, c.dir.Remove())...)
}

// stopAll ends the nodes at the same time.
func stopAll(nodes []*node) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		if n.Node != nil {
			all.Go(func() { errs[i] = n.Stop() })
		}
	}
	all.Wait()
	return errors.Join(errs...)
}
