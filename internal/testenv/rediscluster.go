package testenv

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// clusterSlots is the number of hash slots of every Redis Cluster.
const clusterSlots = 16384

// RedisClusterOptions is the size of a Redis Cluster.
type RedisClusterOptions struct {
	Masters  int // 3 if 0; fewer than three cannot agree on the loss of one
	Replicas int // of each master
}

// RedisCluster is a Redis Cluster whose masters hold equal shares of the slots.
type RedisCluster struct {
	Masters  []*RedisServer // as at the start
	Replicas []*RedisServer // of Masters[i%len(Masters)]
}

// StartRedisCluster starts the servers, joins them and returns when each of them says that the cluster works, about two
// seconds later. ctx bounds the start only.
func StartRedisCluster(ctx context.Context, dir string, o RedisClusterOptions) (*RedisCluster, error) {
	if o.Masters == 0 {
		o.Masters = 3
	}
	c := &RedisCluster{}
	if err := c.begin(ctx, dir, o); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *RedisCluster) begin(ctx context.Context, dir string, o RedisClusterOptions) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for i := range o.Masters * (1 + o.Replicas) {
		server, err := StartRedis(ctx, filepath.Join(dir, strconv.Itoa(i)), RedisOptions{clusterPort: true})
		if err != nil {
			return err
		}
		if i < o.Masters {
			c.Masters = append(c.Masters, server)
		} else {
			c.Replicas = append(c.Replicas, server)
		}
	}
	for i, server := range c.nodes() {
		// Distinct from the start, so that no two of them ever claim the same one.
		if _, err := server.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return err
		}
		first := c.Masters[0]
		if _, err := server.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(first.ports[0].number), strconv.Itoa(first.ports[1].number)); err != nil {
			return err
		}
	}
	for i, master := range c.Masters {
		command := []string{"CLUSTER", "ADDSLOTS"}
		for slot := i * clusterSlots / o.Masters; slot < (i+1)*clusterSlots/o.Masters; slot++ {
			command = append(command, strconv.Itoa(slot))
		}
		if _, err := master.Do(ctx, command...); err != nil {
			return err
		}
	}
	for i, replica := range c.Replicas {
		id, err := c.Masters[i%o.Masters].Do(ctx, "CLUSTER", "MYID")
		if err != nil {
			return err
		}
		// Refused until the two have heard of each other.
		err = poll(ctx, func() error {
			_, err := replica.Do(ctx, "CLUSTER", "REPLICATE", id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return poll(ctx, func() error { return c.works(ctx) })
}

func (c *RedisCluster) nodes() []*RedisServer {
	return append(c.Masters[:len(c.Masters):len(c.Masters)], c.Replicas...)
}

// works is nil when every server knows all the others, and their slots.
func (c *RedisCluster) works(ctx context.Context) error {
	nodes := c.nodes()
	for _, server := range nodes {
		info, err := server.Do(ctx, "CLUSTER", "INFO")
		if err != nil {
			return err
		}
		for _, want := range []string{"cluster_state:ok", "cluster_known_nodes:" + strconv.Itoa(len(nodes))} {
			if !strings.Contains(info, want+"\r\n") {
				return fmt.Errorf("the server at %s does not say %s", server.Address(), want)
			}
		}
		// A node that still waits for the other's half of the introduction is listed as in a handshake.
		known, err := server.Do(ctx, "CLUSTER", "NODES")
		if err != nil {
			return err
		}
		if strings.Contains(known, "handshake") {
			return fmt.Errorf("the server at %s still introduces itself", server.Address())
		}
	}
	for _, replica := range c.Replicas {
		if err := replica.synced(ctx); err != nil {
			return err
		}
	}
	return nil
}

// DSN names the servers in the form of a Redis Cluster's: one address, and the others as parameters addr.
func (c *RedisCluster) DSN() string {
	nodes := c.nodes()
	dsn := "redis://" + nodes[0].Address()
	for i, server := range nodes[1:] {
		separator := "&"
		if i == 0 {
			separator = "?"
		}
		dsn += separator + "addr=" + server.Address()
	}
	return dsn
}

// Stop ends all servers.
func (c *RedisCluster) Stop() error {
	var errs []error
	for _, server := range c.nodes() {
		errs = append(errs, server.Stop())
	}
	return errors.Join(errs...)
}

// NewRedisCluster is StartRedisCluster for the length of a test.
func NewRedisCluster(tb testing.TB, o RedisClusterOptions) *RedisCluster {
	tb.Helper()
	return own(tb, func(ctx context.Context, dir string) (*RedisCluster, error) { return StartRedisCluster(ctx, dir, o) })
}
