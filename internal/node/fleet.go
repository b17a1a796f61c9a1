package node

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"gpt-load/internal/cluster"
	"gpt-load/internal/fleet"
	"gpt-load/internal/metrics"
	"gpt-load/internal/rediscluster"
)

// Kinds of the messages between nodes. The first two carry nothing: whoever hears them reads what is newer.
const (
	kindConfiguration = "configuration" // settings or groups changed
	kindKeys          = "keys"          // an operator changed keys
	kindVerdicts      = "verdicts"      // JSON of []fleet.KeyChange, in the sender's time
)

const (
	announcePause = 5 * time.Second
	announceRetry = time.Second     // after one that did not work
	redisPatience = 5 * time.Second // of the check at the start
)

// openCluster makes what joins this node to others. A Redis that is away is none of its errors: the node serves without.
func (n *node) openCluster(ctx context.Context) error {
	if !n.Config.Fleet() {
		n.lease, n.bus, n.membership = &cluster.LocalLease{}, cluster.LocalBus{}, &cluster.LocalMembership{}
		return nil
	}
	client, err := rediscluster.Open(rediscluster.Options{
		DSN: n.Config.RedisDSN, Prefix: n.Config.RedisKeyPrefix, Node: n.id, Log: n.Log.Named("redis"),
	})
	if err != nil {
		return err
	}
	n.redis = client
	n.lease, n.bus, n.membership = client.Lease(), client.Bus(), client.Membership()
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	if err := client.Check(ctx); fleet.CodeOf(err) == fleet.CodeInvalid {
		return err
	}
	return nil
}

// lead does the work of the leading node until ctx ends.
func (n *node) lead(ctx context.Context) {
	select {
	case <-n.attached:
	case <-ctx.Done():
		return
	}
	// The others are to see at once who leads.
	signal(n.roleChanged)
	defer signal(n.roleChanged)
	var work errgroup.Group
	work.Go(func() error { return n.jobs.Run(ctx) })
	if n.redis != nil {
		work.Go(func() error { return n.redis.DrainRecords(ctx, n.store) })
	}
	if err := work.Wait(); err != nil && ctx.Err() == nil {
		n.Log.Error("the work of the leader broke off", zap.Error(err))
	}
}

// tidings tells the other nodes that something changed. It keeps nobody waiting, and what it cannot tell they find out
// by their polls.
type tidings struct {
	bus           cluster.Bus
	configuration chan struct{} // capacity 1
	keys          chan struct{} // capacity 1
}

func newTidings(bus cluster.Bus) *tidings {
	return &tidings{bus: bus, configuration: make(chan struct{}, 1), keys: make(chan struct{}, 1)}
}

func (t *tidings) run(ctx context.Context) error {
	for {
		kind := ""
		select {
		case <-ctx.Done():
			return nil
		case <-t.configuration:
			kind = kindConfiguration
		case <-t.keys:
			kind = kindKeys
		}
		_ = t.bus.Publish(ctx, kind, nil)
	}
}

// ApplyKeyChanges publishes verdicts; it makes the bus a store for a journal.
func (t *tidings) ApplyKeyChanges(ctx context.Context, changes []fleet.KeyChange) error {
	body, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	return t.bus.Publish(ctx, kindVerdicts, body)
}

// receive takes a message of another node. It is quick: what takes time is done by follow.
func (n *node) receive(m cluster.Message) {
	switch m.Kind {
	case kindConfiguration:
		n.toldConfiguration.Store(m.SentAt.UnixNano())
		signal(n.staleConfiguration)
	case kindKeys:
		n.toldKeys.Store(m.SentAt.UnixNano())
		signal(n.staleKeys)
	case kindVerdicts:
		n.applyVerdicts(m)
		n.metrics.Propagated(metrics.KindVerdicts, time.Since(m.SentAt))
	}
}

// resync looks for what was missed while nothing was heard.
func (n *node) resync() {
	signal(n.staleConfiguration)
	signal(n.staleKeys)
}

// keysRead tells of what other nodes did to keys, and operations. It implements keypool.Feed's observer.
func (n *node) keysRead(group fleet.GroupID, changed []fleet.Key) {
	changes := make([]fleet.KeyChange, len(changed))
	for i := range changed {
		k := &changed[i]
		changes[i] = fleet.KeyChange{KeyID: k.ID, GroupID: group, State: k.State, Reason: k.Reason, Cooldowns: k.Cooldowns, At: k.UpdatedAt}
	}
	n.admin.KeysChanged(group, changes...)
}

func (n *node) applyVerdicts(m cluster.Message) {
	var changes []fleet.KeyChange
	if err := json.Unmarshal(m.Body, &changes); err != nil {
		n.Log.Warn("a message about keys is not understood; is another version of GPT-Load running?", zap.String("from", string(m.From)))
		return
	}
	// Clocks differ: what was in ten seconds there is in ten seconds here.
	shift := time.Since(m.SentAt)
	for _, c := range changes {
		c.At = c.At.Add(shift)
		for i := range c.Cooldowns {
			c.Cooldowns[i].Until = c.Cooldowns[i].Until.Add(shift)
		}
		n.pools.Hear(c)
		n.admin.KeysChanged(c.GroupID, c)
	}
}

// follow reads what is newer whenever stale says so, and then calls used. A failure is left to the poll, which tells of it.
func follow(ctx context.Context, stale <-chan struct{}, read func(context.Context) error, used func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-stale:
			if read(ctx) == nil {
				used()
			}
		}
	}
}

// propagated measures how long it took until what another node told of was in use here. told is when it did so, 0 when it
// did not.
func (n *node) propagated(kind string, told *atomic.Int64) func() {
	return func() {
		if at := told.Swap(0); at > 0 {
			n.metrics.Propagated(kind, time.Since(time.Unix(0, at)))
		}
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// announce tells the others of this node until ctx ends, and that it leaves then.
func (n *node) announce(ctx context.Context) error {
	ticker := time.NewTicker(announcePause)
	defer ticker.Stop()
	for {
		// The errors are those of a Redis that is away, of which its client tells. When it is back, all nodes are to see
		// each other at once.
		if n.membership.Announce(ctx, n.self()) == nil {
			ticker.Reset(announcePause)
		} else {
			ticker.Reset(announceRetry)
		}
		select {
		case <-ctx.Done():
			_ = n.membership.Leave(context.WithoutCancel(ctx), n.id)
			return nil
		case <-n.roleChanged:
		case <-ticker.C:
		}
	}
}

// Nodes implements adminhttp.Nodes.
func (n *node) Nodes(ctx context.Context) (self cluster.Member, members []cluster.Member, err error) {
	members, err = n.membership.Members(ctx)
	return n.self(), members, err
}

// self describes this node.
func (n *node) self() cluster.Member {
	records := n.records.Stats()
	m := cluster.Member{
		ID: n.id, Role: n.role(), Version: n.Version, Address: n.address, Ready: ready(n.checks()), ServingFrom: n.servingFrom(),
		KeyRevision: n.feed.Revision(), InFlight: n.proxy.InFlight(),
		SpoolWaiting: records.Queued + records.Held + records.Spooled, SpoolDropped: records.Dropped.Total(),
		ClockOffset: -n.store.ClockOffset(), StartedAt: n.started, SeenAt: time.Now(),
	}
	if current := n.snapshots.Load(); current != nil {
		m.Revision = current.Revision
	}
	return m
}

func (n *node) role() cluster.Role {
	switch {
	case !n.Config.Fleet():
		return cluster.RoleSingle
	case n.Config.IsSlave:
		return cluster.RoleFollower
	case n.lease.Leading():
		return cluster.RoleLeader
	default:
		return cluster.RoleCandidate
	}
}

func (n *node) servingFrom() string {
	if n.source.current.Load() == n.store {
		return cluster.ServingFromStore
	}
	return cluster.ServingFromLocalCopy
}

// reachable is an address for people who look for the node: its host name where it listens everywhere.
func reachable(listening net.Addr) string {
	host, port, err := net.SplitHostPort(listening.String())
	if err != nil {
		return listening.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return net.JoinHostPort(host, port)
}
