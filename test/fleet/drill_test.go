package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
)

const (
	// quietTime is how long the fleet runs undisturbed before the harm, to compare with.
	quietTime = 6 * time.Second
	// addedLimit bounds how much slower the 99th percentile becomes after the first second.
	addedLimit = 5 * time.Millisecond
	// convergence bounds the time from the end of a fault until all nodes agree again.
	convergence = 5 * time.Second
)

// drill is harm done to a fleet under load.
type drill struct {
	*world
	*load
	begun, harmed, healed time.Time
	logs                  []int // lengths of the nodes' logs when the harm was done
	dead                  int   // the provider key that died with the harm; -1 for none
	changes               int   // how often the harm is done, and so a node may say the same
}

// startDrill puts load on a fleet and returns after some time without harm.
func startDrill(t *testing.T) *drill {
	t.Helper()
	return startDrillOn(t, newWorld(t))
}

func startDrillOn(t *testing.T, w *world) *drill {
	t.Helper()
	d := &drill{world: w, load: w.startLoad(), dead: -1, changes: 1}
	pause(t, 2*time.Second) // connections are made, the first records are written
	d.begun = time.Now()
	pause(t, quietTime)
	for _, n := range w.nodes {
		d.logs = append(d.logs, len(n.Logs()))
	}
	d.harmed = time.Now()
	return d
}

// loseKey lets the provider refuse a key from now on. No client notices, and in the end the database knows.
func (d *drill) loseKey(i int) {
	d.dead = i
	d.provider.Script(fakeprovider.Rule{Match: fakeprovider.Match{Key: providerKey(i)}, Then: fakeprovider.Then{Fault: "401"}})
}

// awaitDead waits until the database has the key that died as invalid, and every node its revision.
func (d *drill) awaitDead() {
	t := d.world.t
	t.Helper()
	await(t, limited(convergence), "the dead key is invalid on every node", func(ctx context.Context) error {
		for _, n := range d.nodes {
			group, err := n.Client().Group(ctx, d.group.ID, false)
			if err != nil {
				return err
			}
			if c := group.KeyCounts; c.Invalid != 1 || c.Active != keyCount-1 {
				return fmt.Errorf("%+v", c)
			}
		}
		return nil
	})
}

// recovered is called when a fault has ended: within seconds all nodes agree on one leader, use what is changed through any
// of them, and records flow.
func (d *drill) recovered() {
	t := d.world.t
	t.Helper()
	d.healed = time.Now()
	whole := await(t, limited(convergence), "all nodes agree", func(ctx context.Context) error {
		_, err := d.leader(ctx, []int{first, second, follower})
		return err
	})
	if d.dead >= 0 {
		d.awaitDead()
	}
	spread := d.mark(follower, []int{first, second, follower}, limited(convergence))
	records := await(t, limited(convergence), "records flow", func(ctx context.Context) error {
		for i := range d.nodes {
			self, err := d.self(ctx, i)
			if err != nil {
				return err
			}
			// What a node gathers in a second or two before it sends, and what is on its way.
			if self.RecordsWaiting > 4*loadRate {
				return fmt.Errorf("%d records wait at node %d", self.RecordsWaiting, i+1)
			}
		}
		return nil
	})
	took := time.Since(d.healed)
	t.Logf("converged %v after recovery (members %v, a change on every node %v, records %v)", took.Round(time.Millisecond),
		whole.Round(time.Millisecond), spread.Round(time.Millisecond), records.Round(time.Millisecond))
	if limit := limited(convergence); took > limit {
		t.Errorf("converged %v after recovery; the limit is %v", took, limit)
	}
}

// finish ends the load some seconds later and judges what clients, operator and database saw.
func (d *drill) finish() {
	t := d.world.t
	t.Helper()
	over := time.Now()
	pause(t, quietTime/2)
	d.stop()
	d.judgeLatency(over)
	d.judge(t)
	d.judgeLogs()
}

// judgeLatency compares the requests from the second after the harm until it was over with those before and after. What becomes
// worse on the way to the provider itself in the same time is the machine's doing; a request through a node is two such ways
// and the node's own.
func (d *drill) judgeLatency(over time.Time) {
	t := d.world.t
	t.Helper()
	show := func(when string, from, to time.Time) (through, direct time.Duration) {
		all, control := d.between(from, to)
		t.Logf("%-17s %v (to the provider itself: p99 %v)", when, all, control.quantile(0.99))
		return all.quantile(0.99), control.quantile(0.99)
	}
	before, machineBefore := show("before:", d.begun, d.harmed)
	show("the first second:", d.harmed, d.harmed.Add(time.Second))
	hurt, machine := show("after it:", d.harmed.Add(time.Second), over)
	after, machineAfter := show("when it was over:", over, time.Now())
	added := hurt - max(before, after)
	machine = max(0, machine-max(machineBefore, machineAfter))
	t.Logf("p99 is %v worse, that of the machine %v", added, machine)
	if limit := limited(addedLimit); added > limit+3*machine {
		t.Errorf("p99 is %v worse; the limit is %v", added, limit)
	}
}

// logLine is a line of a node's log.
type logLine struct {
	Level   string `json:"level"`
	Message string `json:"message"`
	Job     string `json:"job"` // of the leader; each has a state of its own
	What    string `json:"what"`
	Reason  string `json:"reason"`
}

// judgeLogs shows what the operator reads and allows each node one line for each change of state. Nodes that were started
// again say what they say at a start.
func (d *drill) judgeLogs() {
	t := d.world.t
	t.Helper()
	for i, n := range d.nodes {
		logs := n.Logs()[d.logs[i]:]
		count := map[string]int{}
		for line := range strings.Lines(logs) {
			var l logLine
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Errorf("node %d prints %q", i+1, line)
				continue
			}
			text := strings.TrimSpace(l.Level + " " + l.Message + " " + l.Job)
			if count[text]++; count[text] <= 3 && !slices.Contains(eachTime, text) {
				t.Logf("node %d: %s (%s, %s)", i+1, text, l.What, l.Reason)
			}
		}
		for text, n := range count {
			if n > d.changes && !slices.Contains(eachTime, text) {
				t.Errorf("node %d says %d times: %s", i+1, n, text)
			}
		}
	}
}

// eachTime are the lines of what a drill does several times by its own will.
var eachTime = []string{"info configuration in use", "info admin request"}
