package rediscluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/cluster"
	"gpt-load/internal/fleet"
	"gpt-load/internal/testenv"
)

// exercise uses every part of the package on two nodes.
func exercise(t *testing.T, dsn string) (a, b *listener) {
	t.Helper()
	ctx := t.Context()
	a, b = newListener(t, dsn), newListener(t, dsn)
	must(t, a.Check(ctx))
	if !a.lease.acquire(ctx) || b.lease.acquire(ctx) {
		t.Error("not one of two has the lease")
	}
	if ours, err := a.lease.extend(ctx); !ours || err != nil {
		t.Errorf("extending: %t, %v", ours, err)
	}
	if ours, err := b.lease.extend(ctx); ours || err != nil {
		t.Errorf("extending another's: %t, %v", ours, err)
	}
	b.lease.release(ctx)
	if b.lease.acquire(ctx) {
		t.Error("released another's lease")
	}
	a.lease.release(ctx)
	if !b.lease.acquire(ctx) || b.lease.number(ctx) != 1 {
		t.Error("a released lease cannot be had")
	}
	b.lease.release(ctx)
	for i := range 5 { // wherever the two are connected
		a.hears(t, b.node, "keys", fmt.Sprint("to a ", i))
		b.hears(t, a.node, "keys", fmt.Sprint("to b ", i))
	}
	must(t, a.Membership().Announce(ctx, cluster.Member{ID: a.Client.node}))
	if members, err := b.Membership().Members(ctx); err != nil || len(members) != 1 {
		t.Errorf("the members are %v, %v", members, err)
	}
	must(t, a.Membership().Leave(ctx, a.Client.node))
	d := newDatabase()
	stop := leaderFor(t, b.node, d)
	defer stop()
	sink := a.RecordSink(d)
	for i := range 5 {
		must(t, sink.WriteRecords(within(t, longest), batchOf("s", 1+10*i, 11+10*i)))
	}
	if d.count() != 50 {
		t.Errorf("%d records", d.count())
	}
	return a, b
}

func TestOneServer(t *testing.T) {
	t.Parallel()
	exercise(t, testenv.NewRedis(t, testenv.RedisOptions{}).DSN())
}

func TestOverTLS(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{TLS: true, User: "ann", Password: "p@ss/word"})
	exercise(t, server.DSN()+"?ca_file="+server.Certificate.AuthorityFile)
}

func TestOverASocket(t *testing.T) {
	t.Parallel()
	socket := t.TempDir() + "/s"
	testenv.NewRedis(t, testenv.RedisOptions{Password: "pass", Conf: []string{"unixsocket " + socket}})
	exercise(t, "unix://:pass@"+socket+"?db=2")
}

// TestWithLimitedRights: the rights that the documentation asks for are enough.
func TestWithLimitedRights(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{Conf: []string{
		"user ann on >pass ~{test-*}:* &{test-*}:* +@all -@admin -@dangerous",
	}})
	exercise(t, "redis://ann:pass@"+server.Address())
}

// works asks until everything goes again. The subscription of a node that listened to the server that died begins again;
// in a Redis Cluster another server may have served it.
func works(t *testing.T, a, b *listener) {
	t.Helper()
	ctx := t.Context()
	eventually(t, "it works", func() bool { return a.Check(ctx) == nil && b.Check(ctx) == nil })
	for _, pair := range [][2]*listener{{a, b}, {b, a}} {
		eventually(t, "they hear each other", func() bool {
			_ = pair[1].Bus().Publish(ctx, "keys", nil)
			return len(pair[0].heard) > 0
		})
	}
	d := newDatabase()
	defer leaderFor(t, b.node, d)()
	eventually(t, "records are stored", func() bool { return a.RecordSink(d).WriteRecords(within(t, longest), batchOf("t", 1, 11)) == nil })
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	sentinels := testenv.NewSentinels(t, testenv.SentinelOptions{Password: "secret"})
	a, b := exercise(t, sentinels.DSN())
	leader := newCandidate(t, sentinels.DSN(), defaultLeaseTimes)
	await(t, "the lead", leader.leads)
	master, err := sentinels.Master(t.Context())
	must(t, err)
	begin := time.Now()
	must(t, master.Kill())
	works(t, a, b)
	t.Logf("worked again %s after the master was killed", time.Since(begin).Round(time.Millisecond))
	eventually(t, "somebody leads", leader.Lease().Leading)
	must(t, master.Restart(context.Background())) // as a replica
	must(t, a.Check(t.Context()))
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	servers := testenv.NewRedisCluster(t, testenv.RedisClusterOptions{Replicas: 1})
	exercise(t, servers.DSN())
	// By one address of a cluster, the client finds the others.
	n := newNodeOf(t, servers.Masters[1].DSN(), "another")
	must(t, n.Check(t.Context()))
	for _, master := range servers.Masters {
		redisDo(t, master, "FLUSHALL")
		redisDo(t, master, "CLUSTER", "FLUSHSLOTS")
	}
	eventually(t, "the loss of the slots is known", func() bool { return n.Check(t.Context()) != nil })
	for _, n := range []node{n, newNode(t, servers.DSN())} {
		if err := n.Check(t.Context()); fleet.CodeOf(err) != fleet.CodeUnavailable || !strings.Contains(err.Error(), "slots") {
			t.Errorf("without slots: %v", err)
		}
	}
}

// TestRedisClusterFailover kills the master of the fleet's slot.
func TestRedisClusterFailover(t *testing.T) {
	t.Parallel()
	servers := testenv.NewRedisCluster(t, testenv.RedisClusterOptions{Replicas: 1})
	a, b := exercise(t, servers.DSN())
	master := -1
	for i, server := range servers.Masters {
		if _, err := server.Do(t.Context(), "EXISTS", a.key("lease")); err == nil {
			master = i
		}
	}
	begin := time.Now()
	must(t, servers.Masters[master].Kill())
	works(t, a, b)
	t.Logf("worked again %s after the master was killed", time.Since(begin).Round(time.Millisecond))
}
