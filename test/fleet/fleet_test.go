package fleet_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// database is the name of the fleet's database.
const database = "gptload"

// keyCount is how many provider keys the group of a fleet has.
const keyCount = 20

// The places of the nodes in a fleet: who leads first, who may lead after it, and who never does.
const (
	first = iota
	second
	follower
)

// databaseServer is a private PostgreSQL or MariaDB.
type databaseServer interface {
	DSN(database string) string
	CreateDatabase(ctx context.Context, name string) error
	// SQL returns rows as lines; columns are parted in the server's own way.
	SQL(ctx context.Context, database, statements string) (string, error)
	Freeze() error
	Thaw() error
	Kill() error
	Restart(ctx context.Context) error
}

// world is a fleet of two candidates and a follower, with its stores, a provider and a group "fleet".
type world struct {
	t        *testing.T
	store    databaseServer
	redis    *testenv.RedisServer
	links    []*testenv.TCPProxy // from each node to Redis
	provider *fakeprovider.Provider
	upstream string
	binary   string
	env      []string                // of every node
	envOf    func(node int) []string // of one
	nodes    []*testenv.Node
	group    adminapi.Group
	marks    int
}

// newWorld starts everything and returns when the first candidate leads and every node serves the group.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, testenv.NewPostgres(t), binary, func(int) []string { return nil })
}

// newWorldOf uses another database server, or starts nodes of another binary, each with something more in its environment.
func newWorldOf(t *testing.T, store databaseServer, binary string, env func(node int) []string) *world {
	t.Helper()
	w := &world{t: t, binary: binary, envOf: env, store: store, redis: testenv.NewRedis(t, testenv.RedisOptions{Password: rand.Text()})}
	must(t, w.store.CreateDatabase(t.Context(), database))
	w.provider = fakeprovider.New(fakeprovider.Options{KeepCalls: -1})
	w.upstream = w.provider.Start()
	t.Cleanup(w.provider.Close)
	w.env = []string{
		"DATABASE_DSN=" + w.store.DSN(database), "ENCRYPTION_KEY=" + rand.Text(), "MAX_CONCURRENT_REQUESTS=1000", "LOG_LEVEL=info",
	}
	w.nodes = make([]*testenv.Node, 3)
	for i := range w.nodes {
		w.links = append(w.links, testenv.NewTCPProxy(t, w.redis.Address()))
		t.Cleanup(func() { w.end(i) })
	}
	w.start(first)
	w.prepare()
	var others sync.WaitGroup
	for _, i := range []int{second, follower} {
		others.Go(func() { w.start(i) })
	}
	others.Wait()
	if t.Failed() {
		t.FailNow()
	}
	w.awaitWhole(time.Minute)
	return w
}

// start starts a node for the first time.
func (w *world) start(i int) {
	role := "IS_SLAVE=false"
	if i == follower {
		role = "IS_SLAVE=true"
	}
	dir := filepath.Join(w.t.TempDir(), fmt.Sprint("node-", i+1))
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.t.Error(err)
		return
	}
	var err error
	// The test's own context ends before its clean-up, which must find the node running.
	w.nodes[i], err = testenv.StartNode(context.WithoutCancel(w.t.Context()), w.binary, dir,
		slices.Concat(w.env, w.envOf(i), []string{role, "REDIS_DSN=" + w.redis.DSNAt(w.links[i].Addr())})...)
	if err != nil {
		w.t.Error(err)
	}
}

func (w *world) end(i int) {
	if w.nodes[i] == nil {
		return
	}
	if err := w.nodes[i].Stop(); err != nil {
		w.t.Error(err)
	}
}

// prepare makes the group. Records are written every second, so that a drill need not wait for a minute.
func (w *world) prepare() {
	w.t.Helper()
	admin := w.nodes[first].Client()
	_, err := admin.ChangeSettings(w.t.Context(), adminapi.SettingsPatch{"request_log_write_interval_minutes": 0})
	must(w.t, err)
	w.group, err = admin.CreateGroup(w.t.Context(), adminapi.GroupInput{
		Name: "fleet", Channel: adminapi.ChannelOpenAI, Upstreams: []adminapi.Upstream{{URL: w.upstream, Weight: 1}},
	})
	must(w.t, err)
	var keys []string
	for i := range keyCount {
		keys = append(keys, providerKey(i))
	}
	_, err = admin.AddKeys(w.t.Context(), w.group.ID, adminapi.KeyInput{Keys: keys})
	must(w.t, err)
}

func providerKey(i int) string { return fmt.Sprintf("sk-provider-key-%04d-abcdefgh", i) }

// leader is the place of the node that leads as every node that runs sees it, and an error when they do not agree, see
// another number of nodes, or one of them lags.
func (w *world) leader(ctx context.Context, running []int) (int, error) {
	leader := -1
	for _, i := range running {
		fleet, err := w.nodes[i].Client().Nodes(ctx)
		if err != nil {
			return 0, err
		}
		if !fleet.Complete || len(fleet.Nodes) != len(running) {
			return 0, fmt.Errorf("node %d knows of %d nodes: %s", i+1, len(fleet.Nodes), fleet.Message)
		}
		leaders := 0
		for _, member := range fleet.Nodes {
			if !member.Ready || member.ServingFrom != "store" || member.RevisionLag != 0 {
				return 0, fmt.Errorf("node %d sees %+v", i+1, member)
			}
			if member.Role != "leader" {
				continue
			}
			leaders++
			place := w.place(member.Address)
			if leader >= 0 && leader != place {
				return 0, fmt.Errorf("node %d says that %d leads, another says %d", i+1, place+1, leader+1)
			}
			leader = place
		}
		if leaders != 1 {
			return 0, fmt.Errorf("node %d sees %d leaders", i+1, leaders)
		}
	}
	return leader, nil
}

// self is what a node says of itself.
func (w *world) self(ctx context.Context, i int) (adminapi.Node, error) {
	fleet, err := w.nodes[i].Client().Nodes(ctx)
	if err != nil {
		return adminapi.Node{}, err
	}
	for _, member := range fleet.Nodes {
		if member.Self {
			return member, nil
		}
	}
	return adminapi.Node{}, fmt.Errorf("node %d does not list itself", i+1)
}

func (w *world) place(address string) int {
	for i, n := range w.nodes {
		if strings.TrimPrefix(n.URL, "http://") == address {
			return i
		}
	}
	return -1
}

// awaitWhole waits until all nodes agree on the leader, and returns its place.
func (w *world) awaitWhole(limit time.Duration) int {
	w.t.Helper()
	leader := -1
	await(w.t, limit, "the fleet is whole", func(ctx context.Context) (err error) {
		leader, err = w.leader(ctx, []int{first, second, follower})
		return err
	})
	return leader
}

// await tries every 20 ms until it works, and returns how long that took.
func await(t *testing.T, limit time.Duration, what string, try func(ctx context.Context) error) time.Duration {
	t.Helper()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	often := time.NewTicker(20 * time.Millisecond)
	defer often.Stop()
	var last error
	for {
		err := try(ctx)
		if err == nil {
			return time.Since(begun)
		}
		if ctx.Err() == nil || last == nil { // else it tells of our own haste
			last = err
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s: %v", limit, what, last)
		case <-often.C:
		}
	}
}

// mark changes a header rule through a node and waits until every one of the nodes uses it.
func (w *world) mark(through int, nodes []int, limit time.Duration) time.Duration {
	w.t.Helper()
	w.marks++
	value := fmt.Sprint("mark-", w.marks)
	return w.change(nodes, limit, func(ctx context.Context) error {
		_, err := w.nodes[through].Client().ChangeGroup(ctx, w.group.ID, adminapi.GroupPatch{
			HeaderRules: &[]adminapi.HeaderRule{{Name: "X-Mark", Action: "set", Value: value}},
		}, 0)
		return err
	}, func(ctx context.Context, i int) error {
		text, err := w.echo(ctx, i)
		if err == nil && !strings.Contains(text, value) {
			err = fmt.Errorf("node %d does not use it", i+1)
		}
		return err
	})
}

// change makes a change, as often as it is refused, and waits until every one of the nodes shows it. The time counts from when
// it was asked for.
func (w *world) change(nodes []int, limit time.Duration, change func(ctx context.Context) error, shows func(ctx context.Context, i int) error) time.Duration {
	w.t.Helper()
	changed := false
	return await(w.t, limit, "a change is in use on every node", func(ctx context.Context) error {
		if !changed {
			if err := change(ctx); err != nil {
				return err
			}
			changed = true
		}
		for _, i := range nodes {
			if err := shows(ctx, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// echo is what the provider received of a request through a node.
func (w *world) echo(ctx context.Context, i int) (string, error) {
	status, text, err := request(ctx, http.DefaultClient, w.nodes[i].URL+"/proxy/fleet/echo/probe", testenv.AuthKey)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, text)
	}
	return text, err
}

// count asks the fleet's database, past the fleet, for one number.
func (w *world) count(query string) string {
	w.t.Helper()
	text, err := w.store.SQL(w.t.Context(), database, query)
	must(w.t, err)
	return strings.TrimSpace(text)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pause lets a fault last.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(context.Cause(t.Context()))
	}
}
