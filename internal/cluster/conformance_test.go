package cluster_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"gpt-load/internal/cluster"
	"gpt-load/internal/rediscluster"
	"gpt-load/internal/secret"
	"gpt-load/internal/testenv"
)

// patience bounds each wait for something that must happen.
const patience = 10 * time.Second

// world is one node that has nobody else.
type world struct {
	id         cluster.NodeID
	lease      cluster.Lease
	bus        cluster.Bus
	membership cluster.Membership
}

// implementations of the ports: whoever writes against them must not notice which it has.
var implementations = map[string]func(t *testing.T) world{
	"local": func(*testing.T) world {
		return world{cluster.NewNodeID(), &cluster.LocalLease{}, cluster.LocalBus{}, &cluster.LocalMembership{}}
	},
	"redis": func(t *testing.T) world {
		id := cluster.NewNodeID()
		client, err := rediscluster.Open(rediscluster.Options{DSN: secret.New(testenv.Redis(t).DSN()), Prefix: fmt.Sprintf("test-%p", t), Node: id})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return world{id, client.Lease(), client.Bus(), client.Membership()}
	},
}

func TestPorts(t *testing.T) {
	t.Parallel()
	for name, open := range implementations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, test := range map[string]func(*testing.T, world){
				"lead":        testLead,
				"lead-waited": testLeadIsWaitedFor,
				"lead-again":  testLeadAgain,
				"bus":         testBus,
				"members":     testMembers,
				"member-left": testMemberLeaves,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, open(t))
				})
			}
		})
	}
}

// await fails the test when c does not deliver in time.
func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case value := <-c:
		return value
	case <-time.After(patience):
		t.Fatalf("waited %s for %s", patience, what)
		panic("unreachable")
	}
}

func testLead(t *testing.T, w world) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if w.lease.Leading() {
		t.Error("leads before Run")
	}
	leads, ended, ran := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ran <- w.lease.Run(ctx, func(ctx context.Context) {
			close(leads) // panics when there is a second term
			<-ctx.Done()
			close(ended)
		})
	}()
	await(t, "the lead", leads)
	if !w.lease.Leading() {
		t.Error("leads without saying so")
	}
	begin := time.Now()
	stop()
	await(t, "the end of lead", ended)
	if err := await(t, "the end of Run", ran); err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("giving the lead back took %s", took)
	}
	if w.lease.Leading() {
		t.Error("leads after Run")
	}
}

func testLeadIsWaitedFor(t *testing.T, w world) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	leads, told, finish, ran := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ran <- w.lease.Run(ctx, func(ctx context.Context) {
			close(leads)
			<-ctx.Done()
			close(told)
			<-finish // slow work
		})
	}()
	await(t, "the lead", leads)
	stop()
	await(t, "the end of the lead's context", told)
	select {
	case err := <-ran:
		t.Errorf("Run returned before lead: %v", err)
	case <-time.After(1200 * time.Millisecond): // longer than an end may take otherwise
	}
	close(finish)
	if err := await(t, "the end of Run", ran); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A lead that returns by itself, because of an error say, is called again, and not in a tight loop.
func testLeadAgain(t *testing.T, w world) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	calls, ran := make(chan time.Time), make(chan error)
	go func() {
		ran <- w.lease.Run(ctx, func(ctx context.Context) {
			select {
			case calls <- time.Now():
			case <-ctx.Done():
			}
		})
	}()
	first, second := await(t, "the first lead", calls), await(t, "the second lead", calls)
	if pause := second.Sub(first); pause < 500*time.Millisecond {
		t.Errorf("called again after %s", pause)
	}
	stop()
	if err := await(t, "the end of Run", ran); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func testBus(t *testing.T, w world) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	subscribed, heard, ran := make(chan struct{}, 1), make(chan cluster.Message, 10), make(chan error)
	go func() {
		ran <- w.bus.Run(ctx, func(m cluster.Message) { heard <- m }, func() { subscribed <- struct{}{} })
	}()
	await(t, "the subscription", subscribed)
	for range 3 {
		if err := w.bus.Publish(ctx, "keys", []byte(`{}`)); err != nil {
			t.Errorf("Publish: %v", err)
		}
	}
	stop()
	if err := await(t, "the end of Run", ran); err != nil {
		t.Errorf("Run: %v", err)
	}
	if len(heard) > 0 {
		t.Errorf("a node heard its own %+v", <-heard)
	}
	if len(subscribed) > 0 {
		t.Error("subscribed was called again without reason")
	}
}

func testMembers(t *testing.T, w world) {
	ctx, started := t.Context(), time.Now().Add(-time.Hour)
	if members, err := w.membership.Members(ctx); err != nil || len(members) != 0 {
		t.Fatalf("before anybody was announced: %v, %v", members, err)
	}
	m := cluster.Member{
		ID: w.id, Role: cluster.RoleCandidate, Version: "1.2.3", Address: "10.0.0.1:3001", Ready: true, ServingFrom: cluster.ServingFromLocalCopy,
		Revision: 7, KeyRevision: 8, InFlight: 9, SpoolWaiting: 10, SpoolDropped: 11, ClockOffset: -time.Minute, StartedAt: started,
	}
	for range 2 {
		m.Revision++
		if err := w.membership.Announce(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	members, err := w.membership.Members(ctx)
	if err != nil || len(members) != 1 {
		t.Fatalf("got %v, %v", members, err)
	}
	got := members[0]
	near := func(what string, got, want time.Time) {
		t.Helper()
		if off := got.Sub(want).Abs(); off > 2*time.Second {
			t.Errorf("%s at %s, %s off", what, got, off)
		}
	}
	near("started", got.StartedAt, started)
	near("seen", got.SeenAt, time.Now())
	got.StartedAt, got.SeenAt = m.StartedAt, m.SeenAt
	if !reflect.DeepEqual(got, m) {
		t.Errorf("got  %+v\nwant %+v", got, m)
	}
}

func testMemberLeaves(t *testing.T, w world) {
	ctx := t.Context()
	if err := w.membership.Announce(ctx, cluster.Member{ID: w.id}); err != nil {
		t.Fatal(err)
	}
	for _, leaver := range []struct {
		id   cluster.NodeID
		left int
	}{{"somebody-else", 1}, {w.id, 0}, {w.id, 0}} {
		if err := w.membership.Leave(ctx, leaver.id); err != nil {
			t.Fatal(err)
		}
		if members, err := w.membership.Members(ctx); err != nil || len(members) != leaver.left {
			t.Errorf("after %s left: %v, %v", leaver.id, members, err)
		}
	}
}
