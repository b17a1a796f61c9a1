package rediscluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap"

	"gpt-load/internal/cluster"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

const (
	// DefaultPrefix is what Redis keys begin with when Options.Prefix is empty.
	DefaultPrefix = "gpt-load"
	longestPrefix = 64 // bytes

	// callTimeout bounds every call but those that wait on purpose or carry records.
	callTimeout = 2 * time.Second
	// connectTimeout bounds each of connecting, login and the silence after a probe; probes come after probeInterval
	// without an answer. So a dead link is known, and the bus subscribed anew, at most 4 s after it broke.
	connectTimeout = 2 * time.Second
	probeInterval  = time.Second
	// dialPause is the least time between two attempts to make the first connection.
	dialPause = 500 * time.Millisecond
)

// Options say which Redis to use.
type Options struct {
	DSN    secret.Text
	Prefix string         // of all keys and channels: letters, digits and - _ . : ; empty takes DefaultPrefix
	Node   cluster.NodeID // this process
	Log    *zap.Logger    // nil logs nothing
}

// Client is the Redis of a fleet. It connects when it is first needed, again whenever the connection is lost, and every
// call ends at its deadline, whatever Redis does.
type Client struct {
	node   cluster.NodeID
	prefix string
	option rueidis.ClientOption
	log    *zap.Logger
	health health
	lease  *lease
	bus    *bus
	drain  drainCounters
	depth  streamDepth

	connections connections

	mu      sync.Mutex
	redis   rueidis.Client // nil before the first connection
	dialing chan struct{}  // closed when the attempt under way ends; nil without one
	dialErr error          // of the last attempt
	dialAt  time.Time      // end of the last attempt
	closed  bool
	calls   sync.WaitGroup // everything that uses redis
}

// Open checks the options. A Redis that is down is no error: calls answer fleet.CodeUnavailable until it is there. A DSN or
// prefix that can never work is fleet.CodeInvalid.
func Open(o Options) (*Client, error) {
	option, err := parseDSN(o.DSN)
	if err != nil {
		return nil, err
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if len(o.Prefix) > longestPrefix || strings.ContainsFunc(o.Prefix, notInPrefix) {
		return nil, fleet.NewError(fleet.CodeInvalid,
			fmt.Sprintf("REDIS_KEY_PREFIX must be 1 to %d letters, digits or any of - _ . :", longestPrefix), nil)
	}
	if o.Node == "" {
		return nil, fleet.NewError(fleet.CodeInvalid, "a node of a fleet needs an id", nil)
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	complete(&option)
	c := &Client{node: o.Node, prefix: o.Prefix, option: option, log: o.Log, health: health{log: o.Log}}
	c.connections.dial = option.DialCtxFn
	c.option.DialCtxFn = c.connections.open
	c.lease = newLease(c)
	c.bus = &bus{client: c}
	return c, nil
}

func notInPrefix(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:", r)
}

// complete sets what does not depend on the DSN. The fleet asks Redis for little, so one pipelined connection with small
// buffers is enough, beside those of calls that block or carry records.
func complete(o *rueidis.ClientOption) {
	const kiB = 1 << 10
	o.Dialer.Timeout = connectTimeout
	o.Dialer.KeepAlive = probeInterval
	o.ConnWriteTimeout = connectTimeout
	o.Sentinel.Dialer = o.Dialer
	o.Sentinel.TopologyRefreshInterval = 5 * time.Second
	o.ClusterOption.ShardsRefreshInterval = 30 * time.Second
	o.ClusterOption.MaxMovedRedirections = 5
	o.PipelineMultiplex = -1 // 2^0 connections
	o.RingScaleEachConn = 8  // 256 commands under way
	o.BlockingPoolSize = 16
	o.ReadBufferEachConn = 64 * kiB
	o.WriteBufferEachConn = 64 * kiB
	o.DisableCache = true
	o.DisableRetry = true // our loops come again; a retry inside would hide how long Redis has been away
	o.ClientName = "gpt-load"
}

// key is the full name of a key. The braces put all of them into one slot of a Redis Cluster, because scripts and streams
// of different slots cannot be used together.
func (c *Client) key(name string) string { return "{" + c.prefix + "}:" + name }

// Lease is the lease that the candidates of the fleet compete for.
func (c *Client) Lease() cluster.Lease { return c.lease }

// Bus carries messages between the nodes.
func (c *Client) Bus() cluster.Bus { return c.bus }

// Membership knows the nodes.
func (c *Client) Membership() cluster.Membership { return membership{c} }

// Close ends all connections, whatever they wait for, and waits for the calls under way, which fail. Nothing works
// afterwards.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	redis, dialing := c.redis, c.dialing
	c.mu.Unlock()
	c.connections.close()
	if dialing != nil {
		<-dialing // it closes what it made
	}
	if redis != nil {
		redis.Close()
	}
	c.calls.Wait()
}

// enter returns the connected client, connecting first if there is none yet. After a nil error the caller calls
// c.calls.Done when it is done with it.
func (c *Client) enter(ctx context.Context) (rueidis.Client, error) {
	for {
		c.mu.Lock()
		switch {
		case c.closed:
			c.mu.Unlock()
			return nil, errClosed
		case c.redis != nil:
			c.calls.Add(1)
			defer c.mu.Unlock()
			return c.redis, nil
		case c.dialing == nil && c.dialErr != nil && time.Since(c.dialAt) < dialPause:
			defer c.mu.Unlock()
			return nil, c.dialErr
		case c.dialing == nil:
			c.dialing = make(chan struct{})
			go c.dial(c.dialing)
		}
		dialing := c.dialing
		c.mu.Unlock()
		select {
		case <-dialing:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// dial makes the first connection. Close waits for it.
func (c *Client) dial(done chan<- struct{}) {
	redis, err := rueidis.NewClient(c.option)
	if c.option.TLSConfig == nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		err = errors.Join(errHungUp, err)
	}
	c.mu.Lock()
	c.dialing, c.dialErr, c.dialAt = nil, err, time.Now()
	closed := c.closed
	if err == nil && !closed {
		c.redis = redis
	}
	c.mu.Unlock()
	if err == nil && closed {
		redis.Close()
	}
	close(done)
}

// call runs do with the connected client and returns at the latest after timeout or when ctx ends, even if do does not:
// rueidis looks at the deadline of a context but, while it reads for a single caller, not at its cancellation, and another
// caller's connecting may hold it up. do runs on alone then, up to its own deadline; what it returns is dropped. what names
// the call for people.
func call[T any](ctx context.Context, c *Client, what string, timeout time.Duration, do func(context.Context, rueidis.Client) (T, error)) (T, error) {
	begun := time.Now()
	deadline, ok := ctx.Deadline()
	short := ok && time.Until(deadline) < timeout
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	value, err := guarded(limited, c, do)
	if err != nil && judge(err).broke {
		// What is kept of a server that was away breaks when it is used next. None of our calls does harm twice.
		value, err = guarded(limited, c, do)
	}
	switch {
	case err == nil:
		c.health.succeeded(what)
	case errors.Is(ctx.Err(), context.Canceled):
		err = fmt.Errorf("%s: %w", what, ctx.Err())
	case short && isTimeout(err): // the caller's haste says nothing about Redis
		err = unavailable(what, fault{text: "no answer in the time that was left"}, errHaste)
	default:
		f := judge(err)
		c.health.failed(what, begun, f, err)
		err = unavailable(what, f, err)
	}
	return value, err
}

func guarded[T any](ctx context.Context, c *Client, do func(context.Context, rueidis.Client) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	redis, err := c.enter(ctx)
	if err != nil {
		var none T
		return none, err
	}
	results := make(chan result, 1)
	// Without the caller's cancellation, which would break a connection that others use or wait for.
	deadline, _ := ctx.Deadline()
	inner, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	go func() {
		defer c.calls.Done()
		defer cancel()
		value, err := do(inner, redis)
		results <- result{value, err}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
