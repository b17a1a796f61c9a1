package fleet_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// lostLimit bounds the time until a change is in use on every node although its message was lost.
const lostLimit = 10 * time.Second

// TestRedisFrozen stops Redis where it is: connections stay open and nothing answers. What an operator takes out of use
// meanwhile is out of use everywhere all the same.
func TestRedisFrozen(t *testing.T) {
	d := startDrill(t)
	d.loseKey(0)
	must(t, d.redis.Freeze())
	pause(t, 3*time.Second)
	everywhere := []int{first, second, follower}
	t.Logf("without Redis: settings on every node after %v", d.mark(follower, everywhere, lostLimit).Round(time.Millisecond))
	t.Logf("without Redis: a revoked proxy key refused on every node after %v", d.revoke(follower).Round(time.Millisecond))
	t.Logf("without Redis: a disabled key unused on every node after %v", d.disable(follower).Round(time.Millisecond))
	must(t, d.redis.Thaw())
	d.recovered()
	d.finish()
}

// revoke gives the group a second proxy key and takes it away again, through a node.
func (d *drill) revoke(through int) time.Duration {
	t := d.world.t
	t.Helper()
	const passing = "sk-passing-proxy-key-0123456789"
	put := func(keys ...string) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := d.nodes[through].Client().ChangeGroup(ctx, d.group.ID, adminapi.GroupPatch{ProxyKeys: &keys}, 0)
			return err
		}
	}
	answers := func(want int) func(ctx context.Context, i int) error {
		return func(ctx context.Context, i int) error {
			status, _, err := request(ctx, http.DefaultClient, d.nodes[i].URL+"/proxy/fleet/echo/probe", passing)
			if err == nil && status != want {
				err = fmt.Errorf("node %d answers %d, not %d", i+1, status, want)
			}
			return err
		}
	}
	everywhere := []int{first, second, follower}
	d.change(everywhere, lostLimit, put(testenv.AuthKey, passing), answers(http.StatusOK))
	return d.change(everywhere, lostLimit, put(testenv.AuthKey), answers(http.StatusUnauthorized))
}

// disable takes the only key of a group of its own out of use, through a node.
func (d *drill) disable(through int) time.Duration {
	t := d.world.t
	t.Helper()
	group := d.lonely(through)
	return d.change([]int{first, second, follower}, lostLimit, func(ctx context.Context) error {
		_, err := d.nodes[through].Client().DisableKeys(ctx, group.ID, adminapi.KeySelection{State: adminapi.KeyActive})
		return err
	}, d.answers("lonely", http.StatusServiceUnavailable))
}

// lonely makes the group "lonely", with one key, through a node, and returns when every node serves it.
func (w *world) lonely(through int) adminapi.Group {
	w.t.Helper()
	admin := w.nodes[through].Client()
	group, err := admin.CreateGroup(w.t.Context(), adminapi.GroupInput{
		Name: "lonely", Channel: adminapi.ChannelOpenAI, Upstreams: []adminapi.Upstream{{URL: w.upstream, Weight: 1}},
		Settings: map[string]any{"cooldown_wait_seconds": 0},
	})
	must(w.t, err)
	_, err = admin.AddKeys(w.t.Context(), group.ID, adminapi.KeyInput{Keys: []string{lonelyKey}})
	must(w.t, err)
	w.change([]int{first, second, follower}, lostLimit, func(context.Context) error { return nil }, w.answers("lonely", http.StatusOK))
	return group
}

const lonelyKey = "sk-provider-key-lonely-abcdefgh"

// answers asks a group through a node and wants a status.
func (w *world) answers(group string, want int) func(ctx context.Context, i int) error {
	return func(ctx context.Context, i int) error {
		status, _, err := request(ctx, http.DefaultClient, w.nodes[i].URL+"/proxy/"+group+"/echo/probe", testenv.AuthKey)
		if err == nil && status != want {
			err = fmt.Errorf("node %d answers %d, not %d", i+1, status, want)
		}
		return err
	}
}

// TestRedisKilled ends Redis and starts it again with what it had.
func TestRedisKilled(t *testing.T) {
	d := startDrill(t)
	d.loseKey(0)
	must(t, d.redis.Kill())
	pause(t, 12*time.Second)
	must(t, d.redis.Restart(t.Context()))
	d.recovered()
	d.finish()
}

// TestRedisEmpty ends Redis and starts another in its place, which knows nothing.
func TestRedisEmpty(t *testing.T) {
	d := startDrill(t)
	must(t, d.redis.RestartEmpty(t.Context()))
	d.recovered()
	d.finish()
}

// TestRedisFlushed makes Redis forget everything, ten times, while it runs.
func TestRedisFlushed(t *testing.T) {
	d := startDrill(t)
	d.changes = 10
	for range d.changes {
		_, err := d.redis.Do(t.Context(), "FLUSHALL")
		must(t, err)
		pause(t, time.Second)
	}
	d.recovered()
	d.finish()
}

// TestLinkCut takes the network between one node and Redis away, from a follower and then from the leader, whose lead
// another takes over.
func TestLinkCut(t *testing.T) {
	d := startDrill(t)
	d.loseKey(0)
	d.links[follower].Cut()
	pause(t, 8*time.Second)
	must(t, d.links[follower].Heal())
	d.recovered()
	d.links[first].Cut()
	d.awaitTakeover(second)
	pause(t, 5*time.Second)
	must(t, d.links[first].Heal())
	d.recovered()
	d.finish()
}
