package rediscluster

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/cluster"
	"gpt-load/internal/fleet"
	"gpt-load/internal/testenv"
)

// listener collects what a node hears.
type listener struct {
	node
	heard      chan cluster.Message
	subscribed chan struct{}
	stop       func()
}

func listenOn(t testing.TB, n node) *listener {
	t.Helper()
	l := &listener{node: n, heard: make(chan cluster.Message, 10000), subscribed: make(chan struct{}, 100)}
	l.stop = run(t, func(ctx context.Context) error {
		return l.Bus().Run(ctx, func(m cluster.Message) { l.heard <- m }, func() { l.subscribed <- struct{}{} })
	})
	return l
}

func newListener(t testing.TB, dsn string) *listener {
	t.Helper()
	l := listenOn(t, newNode(t, dsn))
	await(t, "the subscription", l.subscribed)
	return l
}

// hears sends a message and waits until the listener has it; nothing else may come before.
func (l *listener) hears(t testing.TB, from node, kind, body string) {
	t.Helper()
	must(t, from.Bus().Publish(t.Context(), kind, []byte(body)))
	m := await(t, "a message", l.heard)
	if m.Kind != kind || string(m.Body) != body || m.From != from.Client.node {
		t.Errorf("heard %q %q from %s", m.Kind, m.Body, m.From)
	}
	if age := time.Since(m.SentAt); age < 0 || age > 5*time.Second {
		t.Errorf("sent %s ago", age)
	}
}

func TestMessagesReachTheOtherNodes(t *testing.T) {
	t.Parallel()
	server := testenv.Redis(t)
	a, b, c := newListener(t, server.DSN()), newListener(t, server.DSN()), newListener(t, server.DSN())
	ctx := t.Context()
	bodies := []string{"", "{}", "two\nlines\n", strings.Repeat("x", maxMessage), "\x00\xff"}
	for i, body := range bodies {
		must(t, a.Bus().Publish(ctx, fmt.Sprint("kind-", i), []byte(body)))
	}
	for _, l := range []*listener{b, c} {
		for i, body := range bodies {
			m := await(t, "a message", l.heard)
			if m.Kind != fmt.Sprint("kind-", i) || string(m.Body) != body || m.From != a.Client.node {
				t.Errorf("message %d: kind %q, %d bytes, from %s", i, m.Kind, len(m.Body), m.From)
			}
		}
	}
	b.hears(t, c.node, "keys", "1") // and not what it said itself
	if m := await(t, "a message", a.heard); m.From != c.Client.node || len(a.heard) > 0 {
		t.Errorf("the first sender heard %q from %s, and %d more", m.Kind, m.From, len(a.heard))
	}
	if err := a.Bus().Publish(ctx, "keys", make([]byte, maxMessage+1)); fleet.CodeOf(err) != fleet.CodeTooLarge {
		t.Errorf("a message over the limit: %v", err)
	}
}

// TestFleetsOnOneRedisDoNotHearEachOther by another prefix or another database.
func TestFleetsOnOneRedisDoNotHearEachOther(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	otherDatabase := strings.TrimSuffix(server.DSN(), "/0") + "/1"
	fleets := [][]node{
		{newNodeOf(t, server.DSN(), "one"), newNodeOf(t, server.DSN(), "one")},
		{newNodeOf(t, server.DSN(), "two"), newNodeOf(t, server.DSN(), "two")},
		{newNodeOf(t, otherDatabase, "one"), newNodeOf(t, otherDatabase, "one")},
	}
	var listeners []*listener
	for i, f := range fleets {
		l := listenOn(t, f[0])
		await(t, "the subscription", l.subscribed)
		listeners = append(listeners, l)
		must(t, f[0].Membership().Announce(t.Context(), cluster.Member{ID: f[0].Client.node}))
		if !f[1].lease.acquire(t.Context()) {
			t.Errorf("fleet %d has no lease of its own", i)
		}
	}
	for i, f := range fleets {
		must(t, f[1].Bus().Publish(t.Context(), "keys", fmt.Append(nil, i)))
	}
	for i, l := range listeners {
		if m := await(t, "a message", l.heard); string(m.Body) != fmt.Sprint(i) || len(l.heard) > 0 {
			t.Errorf("fleet %d heard %q", i, m.Body)
		}
		if members, err := fleets[i][1].Membership().Members(t.Context()); err != nil || len(members) != 1 || members[0].ID != l.Client.node {
			t.Errorf("fleet %d has the members %v, %v", i, members, err)
		}
	}
}

// TestListeningBeginsAgain after everything that can happen to a subscription, and says so.
func TestListeningBeginsAgain(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]func(t *testing.T, server *testenv.RedisServer, link *testenv.TCPProxy) (heal func() error){
		"killed": func(t *testing.T, server *testenv.RedisServer, _ *testenv.TCPProxy) func() error {
			must(t, server.Kill())
			return func() error { return server.Restart(context.Background()) }
		},
		"frozen": func(t *testing.T, server *testenv.RedisServer, _ *testenv.TCPProxy) func() error {
			must(t, server.Freeze())
			return server.Thaw
		},
		"link-cut": func(_ *testing.T, _ *testenv.RedisServer, link *testenv.TCPProxy) func() error {
			link.Cut()
			return link.Heal
		},
		"link-refused": func(_ *testing.T, _ *testenv.RedisServer, link *testenv.TCPProxy) func() error {
			link.Refuse()
			return link.Heal
		},
		"disconnected": func(t *testing.T, server *testenv.RedisServer, _ *testenv.TCPProxy) func() error {
			redisDo(t, server, "CLIENT", "KILL", "TYPE", "pubsub")
			return func() error { return nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testenv.NewRedis(t, testenv.RedisOptions{})
			link := testenv.NewTCPProxy(t, server.Address())
			l, sender := newListener(t, server.DSNAt(link.Addr())), newNode(t, server.DSN())
			l.hears(t, sender, "keys", "before")
			begin := time.Now()
			heal := hurt(t, server, link)
			if name != "disconnected" {
				eventually(t, "the loss is noticed", func() bool { return l.linesWith("Redis is away") == 1 })
				t.Logf("noticed after %s", time.Since(begin).Round(time.Millisecond))
				for range 2 { // callers do not wait longer than they may
					begin := time.Now()
					err := l.Bus().Publish(t.Context(), "keys", nil)
					if took := time.Since(begin); fleet.CodeOf(err) != fleet.CodeUnavailable || took > callTimeout+200*time.Millisecond {
						t.Errorf("publishing took %s: %v", took, err)
					}
				}
			}
			must(t, heal())
			begin = time.Now()
			await(t, "the new subscription", l.subscribed)
			took := time.Since(begin)
			t.Logf("subscribed again %s later", took.Round(time.Millisecond))
			if took > 5*time.Second {
				t.Errorf("subscribed again %s later", took)
			}
			eventually(t, "the sender is there", func() bool { return sender.Check(t.Context()) == nil })
			l.hears(t, sender, "keys", "after")
			if away, again := l.linesWith("Redis is away"), l.linesWith("Redis answers again"); away > 1 || away != again {
				t.Errorf("the log: %q", l.messages())
			}
		})
	}
}

// TestASlowReceiver keeps nothing else from working, and is told that it missed messages.
func TestASlowReceiver(t *testing.T) {
	t.Parallel()
	server := testenv.Redis(t)
	slow, sender := newNode(t, server.DSN()), newNode(t, server.DSN())
	entered, leave := make(chan struct{}, 10*maxQueued), make(chan struct{})
	var mu sync.Mutex
	var events []string
	note := func(event string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, event)
	}
	noted := func(event string) int {
		mu.Lock()
		defer mu.Unlock()
		return strings.Count(strings.Join(events, " "), event)
	}
	run(t, func(ctx context.Context) error {
		return slow.Bus().Run(ctx, func(m cluster.Message) {
			entered <- struct{}{}
			<-leave
			note(m.Kind)
		}, func() { note("subscribed") })
	})
	eventually(t, "it listens", func() bool { return noted("subscribed") == 1 })
	for range maxQueued + 10 {
		must(t, sender.Bus().Publish(t.Context(), "keys", nil))
	}
	await(t, "the first message", entered)
	must(t, slow.Check(t.Context()))
	close(leave)
	eventually(t, "it hears that it missed some", func() bool { return noted("subscribed") == 2 })
	must(t, sender.Bus().Publish(t.Context(), "last", nil))
	eventually(t, "it hears the last one", func() bool { return noted("last") == 1 })
}

// TestWhatNoNodeWrote on the channel is passed over.
func TestWhatNoNodeWrote(t *testing.T) {
	t.Parallel()
	server := testenv.Redis(t)
	l, sender := newListener(t, server.DSN()), newNode(t, server.DSN())
	for _, text := range []string{"", "\n", "{}\n", "hello", `{"kind":"keys"}` + "\nx", `{"kind":1}` + "\n", strings.Repeat("x", 2*maxMessage)} {
		redisDo(t, server, "PUBLISH", l.bus.channel(), text)
	}
	l.hears(t, sender, "keys", "good")
}

func TestMembersOfAFleet(t *testing.T) {
	t.Parallel()
	server := testenv.Redis(t)
	a, b := newNode(t, server.DSN()), newNode(t, server.DSN())
	ctx := t.Context()
	for _, n := range []node{b, a} {
		must(t, n.Membership().Announce(ctx, cluster.Member{ID: n.Client.node, StartedAt: time.Now()}))
	}
	// One that fell silent, one of a Redis whose clock went back, and what no node wrote.
	redisDo(t, server, "HSET", a.key("members"), "silent", `1000 {"role":"leader"}`,
		"future", fmt.Sprint(time.Now().Add(time.Hour).UnixMilli(), ` {}`), "odd", "hello", "empty", "")
	list := func() string {
		members, err := a.Membership().Members(ctx)
		must(t, err)
		var ids []string
		for _, m := range members {
			ids = append(ids, string(m.ID))
		}
		return strings.Join(ids, " ")
	}
	if got := list(); !strings.Contains(got, string(a.Client.node)+" "+string(b.Client.node)) || len(strings.Fields(got)) != 2 {
		t.Errorf("the members are %s", got)
	}
	must(t, a.Membership().Announce(ctx, cluster.Member{ID: a.Client.node}))
	if left := redisDo(t, server, "HLEN", a.key("members")); left != "2" {
		t.Errorf("%s entries are left", left)
	}
	if ttl, err := strconv.Atoi(redisDo(t, server, "PTTL", a.key("members"))); err != nil || ttl < 1 || ttl > 15000 {
		t.Errorf("the list lives for %d ms, %v", ttl, err)
	}
	must(t, b.Membership().Leave(ctx, b.Client.node))
	if got := list(); got != string(a.Client.node) {
		t.Errorf("after one left: %s", got)
	}
}

// TestTheListShowsWhoLeads: a leader that was killed says that it leads until it is forgotten; the lease knows better. A node
// that starts again takes the place of the one that was killed there.
func TestTheListShowsWhoLeads(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, testenv.Redis(t).DSN()), newNode(t, testenv.Redis(t).DSN())
	announce := func(member cluster.Member) {
		t.Helper()
		must(t, a.Membership().Announce(t.Context(), member))
	}
	list := func() string {
		members, err := b.Membership().Members(t.Context())
		must(t, err)
		var lines []string
		for _, m := range members {
			lines = append(lines, fmt.Sprint(m.ID, " ", m.Role))
		}
		return strings.Join(lines, ", ")
	}
	dead := cluster.Member{ID: "host-0000", Role: cluster.RoleLeader, Address: "10.0.0.1:3001"}
	announce(dead)
	announce(cluster.Member{ID: a.Client.node, Role: cluster.RoleLeader, Address: "10.0.0.2:3001"})
	if !a.lease.acquire(t.Context()) {
		t.Fatal("nobody else wants to lead")
	}
	if got, want := list(), fmt.Sprintf("host-0000 candidate, %s leader", a.Client.node); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// Other hosts may have the same address, and the same host other addresses.
	announce(cluster.Member{ID: "other-0000", Role: cluster.RoleFollower, Address: dead.Address})
	announce(cluster.Member{ID: "host-0001", Role: cluster.RoleFollower, Address: "10.0.0.1:3002"})
	announce(cluster.Member{ID: "host-0002", Role: cluster.RoleCandidate, Address: dead.Address})
	a.lease.release(t.Context())
	if got, want := list(), fmt.Sprintf("host-0001 follower, host-0002 candidate, %s candidate, other-0000 follower", a.Client.node); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
