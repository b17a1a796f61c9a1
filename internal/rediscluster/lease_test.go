package rediscluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/cluster"
	"gpt-load/internal/secret"
	"gpt-load/internal/testenv"
)

// quick are the times of the lease at a tenth of their length.
var quick = leaseTimes{
	ttl: 600 * time.Millisecond, trust: 500 * time.Millisecond, renew: 200 * time.Millisecond, retry: 50 * time.Millisecond,
	try: 100 * time.Millisecond, finish: 400 * time.Millisecond,
}

// candidate competes for the lease and tells when it leads.
type candidate struct {
	node
	leads chan time.Time // each term's beginning
	ends  chan time.Time // each term's end, when the lead hears of it
	stop  func()
}

func newCandidate(t testing.TB, dsn string, times leaseTimes) *candidate {
	t.Helper()
	c := &candidate{node: newNode(t, dsn), leads: make(chan time.Time, 100), ends: make(chan time.Time, 100)}
	c.lease.times = times
	c.stop = run(t, func(ctx context.Context) error {
		return c.Lease().Run(ctx, func(ctx context.Context) {
			c.leads <- time.Now()
			<-ctx.Done()
			c.ends <- time.Now()
		})
	})
	return c
}

// leaderOf returns the one that leads, nil while nobody does; two are a failure.
func leaderOf(t testing.TB, all []*candidate) *candidate {
	t.Helper()
	var leader *candidate
	for _, c := range all {
		if !c.Lease().Leading() {
			continue
		}
		if leader != nil {
			t.Error("two lead at once")
		}
		leader = c
	}
	return leader
}

func TestOneOfSeveralLeadsAndAnotherFollowsAtOnce(t *testing.T) {
	t.Parallel()
	server := testenv.Redis(t)
	var all []*candidate
	for range 4 {
		all = append(all, newCandidate(t, server.DSN(), defaultLeaseTimes))
	}
	begin := time.Now()
	for len(all) > 0 {
		var leader *candidate
		eventually(t, "somebody leads", func() bool { leader = leaderOf(t, all); return leader != nil })
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("the next led after %s", took)
		}
		begin = time.Now()
		leader.stop()
		if took := time.Since(begin); took > time.Second {
			t.Errorf("giving the lead back took %s", took)
		}
		if leader.Lease().Leading() {
			t.Error("it says that it leads after it has stopped")
		}
		all = slices.DeleteFunc(all, func(c *candidate) bool { return c == leader })
	}
}

// TestTheLeadIsLostWhenRedisForgetsIt: the leader hears of it at its next renewal, and somebody leads again soon.
func TestTheLeadIsLostWhenRedisForgetsIt(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(t *testing.T, server *testenv.RedisServer){
		"flushall":        func(t *testing.T, server *testenv.RedisServer) { redisDo(t, server, "FLUSHALL") },
		"restarted-empty": func(t *testing.T, server *testenv.RedisServer) { must(t, server.RestartEmpty(t.Context())) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testenv.NewRedis(t, testenv.RedisOptions{})
			first := newCandidate(t, server.DSN(), quick)
			await(t, "the first lead", first.leads)
			second := newCandidate(t, server.DSN(), quick)
			forget(t, server)
			begin := time.Now()
			await(t, "the end of the first lead", first.ends)
			if took := time.Since(begin); took > quick.trust {
				t.Errorf("the lead ended %s after it was lost", took)
			}
			eventually(t, "one leads", func() bool { return leaderOf(t, []*candidate{first, second}) != nil })
			t.Logf("led again after %s", time.Since(begin).Round(time.Millisecond))
		})
	}
}

// TestALeaderCutOffStopsBeforeAnotherLeads, by its own clock, while its call to Redis hangs.
func TestALeaderCutOffStopsBeforeAnotherLeads(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	link := testenv.NewTCPProxy(t, server.Address())
	first := newCandidate(t, server.DSNAt(link.Addr()), defaultLeaseTimes)
	await(t, "the first lead", first.leads)
	second := newCandidate(t, server.DSN(), defaultLeaseTimes)
	begin := time.Now()
	link.Cut()
	ended, led := await(t, "the end of the first lead", first.ends), await(t, "the second lead", second.leads)
	t.Logf("ended after %s, the other led after %s", ended.Sub(begin).Round(time.Millisecond), led.Sub(begin).Round(time.Millisecond))
	if !ended.Before(led) {
		t.Errorf("two led for %s", ended.Sub(led))
	}
	if took := led.Sub(begin); took > 10*time.Second {
		t.Errorf("the other led after %s", took)
	}
	if n := first.linesWith("Redis is away"); n != 1 {
		t.Errorf("%d lines say that Redis is away: %q", n, first.messages())
	}
	must(t, link.Heal())
	eventually(t, "the link is noticed", func() bool { return first.linesWith("Redis answers again") == 1 })
	if first.Lease().Leading() || !second.Lease().Leading() {
		t.Error("the lead changed when the link came back")
	}
}

// TestAFrozenRedisComesBack: nobody leads beyond the trust, and the tries that it executes when it goes on keep nobody
// from leading.
func TestAFrozenRedisComesBack(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	all := []*candidate{newCandidate(t, server.DSN(), defaultLeaseTimes), newCandidate(t, server.DSN(), defaultLeaseTimes)}
	eventually(t, "somebody leads", func() bool { return leaderOf(t, all) != nil })
	leader := leaderOf(t, all)
	begin := time.Now()
	must(t, server.Freeze())
	ended := await(t, "the end of the lead", leader.ends)
	if took := ended.Sub(begin); took > defaultLeaseTimes.trust+100*time.Millisecond {
		t.Errorf("the lead ended after %s", took)
	}
	for range 2 { // each takes 2 s and leaves a try in the sockets of the frozen server, beside those of Run
		for _, c := range all {
			if c.lease.acquire(t.Context()) {
				t.Error("a frozen Redis gave the lease")
			}
		}
	}
	must(t, server.Thaw())
	begin = time.Now()
	eventually(t, "somebody leads", func() bool { return leaderOf(t, all) != nil })
	took := time.Since(begin)
	t.Logf("led %s after Redis went on", took.Round(time.Millisecond))
	if took > 5*time.Second {
		t.Errorf("led %s after Redis went on", took)
	}
	for _, c := range all {
		if n := c.linesWith("Redis is away"); n != 1 {
			t.Errorf("%d lines say that Redis is away: %q", n, c.messages())
		}
	}
}

// TestWorkThatDoesNotStop neither keeps the lease nor runs twice.
func TestWorkThatDoesNotStop(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	stubborn := newNode(t, server.DSN())
	stubborn.lease.times = quick
	leads, finish := make(chan struct{}, 10), make(chan struct{})
	var running atomic.Int64
	stop := run(t, func(ctx context.Context) error {
		return stubborn.Lease().Run(ctx, func(context.Context) {
			if running.Add(1) > 1 {
				t.Error("runs twice")
			}
			leads <- struct{}{}
			<-finish
			running.Add(-1)
		})
	})
	await(t, "the lead", leads)
	redisDo(t, server, "FLUSHALL")
	eventually(t, "the lead is lost", func() bool { return !stubborn.Lease().Leading() })
	other := newCandidate(t, server.DSN(), quick)
	await(t, "the other's lead", other.leads)
	other.stop()
	if redisDo(t, server, "EXISTS", stubborn.key("lease")) != "0" {
		t.Error("somebody competes although its work runs on")
	}
	close(finish)
	await(t, "the second lead", leads)
	stop()
}

const candidateVariable = "GPT_LOAD_TEST_CANDIDATE"

// runCandidate is a process that competes for the lease and prints a line whenever it leads or no longer does. It
// also prints what it thought at the first look after the process was stopped for long.
func runCandidate(dsn string) {
	c, err := Open(Options{DSN: secret.New(dsn), Prefix: os.Getenv(candidateVariable + "_PREFIX"), Node: cluster.NewNodeID(), Log: zap.NewNop()})
	if err != nil {
		panic(err)
	}
	go func() {
		_ = c.Lease().Run(context.Background(), func(ctx context.Context) {
			fmt.Println("leads")
			<-ctx.Done()
			fmt.Println("ended")
		})
	}()
	last := time.Now()
	for range time.Tick(10 * time.Millisecond) {
		now := time.Now()
		if now.Sub(last) > time.Second { // it was stopped between two looks at the clock
			fmt.Println("woke up, leading:", c.Lease().Leading())
		}
		last = now
	}
}

// startCandidate starts runCandidate in a process of its own and returns its lines.
func startCandidate(t *testing.T, n node, dsn string) (*exec.Cmd, <-chan string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), candidateVariable+"="+dsn, candidateVariable+"_PREFIX="+n.prefix)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := make(chan string, 100)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			lines <- scanner.Text()
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
	return cmd, lines
}

func TestAKilledLeaderIsFollowed(t *testing.T) {
	t.Parallel()
	server := testenv.Redis(t)
	n := newNode(t, server.DSN())
	process, lines := startCandidate(t, n, server.DSN())
	if line := await(t, "the process's lead", lines); line != "leads" {
		t.Fatalf("the process says %q", line)
	}
	leads := make(chan time.Time, 1)
	run(t, func(ctx context.Context) error {
		return n.Lease().Run(ctx, func(ctx context.Context) { leads <- time.Now(); <-ctx.Done() })
	})
	begin := time.Now()
	must(t, process.Process.Kill())
	took := await(t, "the takeover", leads).Sub(begin)
	t.Logf("takeover %s after the kill", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("takeover after %s", took)
	}
}

// TestAStoppedLeaderIsFollowed and knows, when it goes on, that it does not lead any more.
func TestAStoppedLeaderIsFollowed(t *testing.T) {
	t.Parallel()
	server := testenv.Redis(t)
	n := newNode(t, server.DSN())
	process, lines := startCandidate(t, n, server.DSN())
	if line := await(t, "the process's lead", lines); line != "leads" {
		t.Fatalf("the process says %q", line)
	}
	leads := make(chan time.Time, 1)
	run(t, func(ctx context.Context) error {
		return n.Lease().Run(ctx, func(ctx context.Context) { leads <- time.Now(); <-ctx.Done() })
	})
	begin := time.Now()
	must(t, process.Process.Signal(syscall.SIGSTOP))
	took := await(t, "the takeover", leads).Sub(begin)
	t.Logf("takeover %s after the stop", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("takeover after %s", took)
	}
	must(t, process.Process.Signal(syscall.SIGCONT))
	heard := map[string]bool{await(t, "a line", lines): true, await(t, "a line", lines): true}
	if !heard["ended"] || !heard["woke up, leading: false"] {
		t.Errorf("when it goes on it says %v", heard)
	}
	if !n.Lease().Leading() {
		t.Error("the new leader lost its lead to the old one")
	}
}
