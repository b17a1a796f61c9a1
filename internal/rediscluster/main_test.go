package rediscluster

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"gpt-load/internal/cluster"
	"gpt-load/internal/secret"
	"gpt-load/internal/testenv"
)

// longest bounds each wait for something that must happen.
const longest = 20 * time.Second

func TestMain(m *testing.M) {
	if dsn := os.Getenv(candidateVariable); dsn != "" {
		runCandidate(dsn)
		return
	}
	// The tests wait for servers and clocks far more than they compute: as many at once as processors would take a minute.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(testenv.WithServers(m), goleak.IgnoreAnyFunction(testenv.ServerGoroutine),
		// Sleeps of the client of a Redis Cluster that nothing ends early: 5 s before it closes connections that it needs no
		// more, up to 1 s before it asks again how the slots lie.
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}

// node is a client with its log.
type node struct {
	*Client
	logs *observer.ObservedLogs
}

// nodes numbers the nodes of this process.
var nodes atomic.Int64

// newNode makes a node of the fleet of this run of the test.
func newNode(t testing.TB, dsn string) node {
	t.Helper()
	return newNodeOf(t, dsn, fmt.Sprintf("test-%p", t))
}

func newNodeOf(t testing.TB, dsn, prefix string) node {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	id := cluster.NodeID("node-" + string(rune('a'+nodes.Add(1)%26)) + "-" + string(cluster.NewNodeID()))
	c, err := Open(Options{DSN: secret.New(dsn), Prefix: prefix, Node: id, Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return node{c, logs}
}

// await fails the test when c does not deliver in time.
func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case value := <-c:
		return value
	case <-time.After(longest):
		t.Fatalf("waited %s for %s", longest, what)
		panic("unreachable")
	}
}

// eventually asks until the answer is true, every 10 ms.
func eventually(t testing.TB, what string, ask func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(longest); !ask(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s until %s", longest, what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// redisDo asks the server itself, beside the client under test.
func redisDo(t testing.TB, server *testenv.RedisServer, command ...string) string {
	t.Helper()
	answer, err := server.Do(context.Background(), command...)
	must(t, err)
	return answer
}

// messages are the lines of a log, for counting.
func (n node) messages() []string {
	var lines []string
	for _, e := range n.logs.All() {
		line := e.Message
		if reason, ok := e.ContextMap()["reason"].(string); ok {
			line += ": " + reason
		}
		lines = append(lines, line)
	}
	return lines
}

// linesWith counts the log's lines that contain text.
func (n node) linesWith(text string) int {
	count := 0
	for _, line := range n.messages() {
		if strings.Contains(line, text) {
			count++
		}
	}
	return count
}

// run starts a service and returns how to stop it and wait for it. It is stopped at the end of the test anyway.
func run(t testing.TB, service func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := service(ctx); err != nil {
			t.Errorf("a service ended with %v", err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}
