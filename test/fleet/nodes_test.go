package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// takeoverLimit bounds the time from the death of the leader until another leads.
const takeoverLimit = 10 * time.Second

// TestFollowerKilled ends a follower in the middle of its requests and starts it again.
func TestFollowerKilled(t *testing.T) {
	d := startDrill(t)
	d.kill(follower)
	pause(t, 5*time.Second)
	d.restart(follower)
	d.recovered()
	d.finish()
}

// TestLeaderKilled ends the leader in the middle of its requests; another leads, and the first comes back.
func TestLeaderKilled(t *testing.T) {
	d := startDrill(t)
	d.loseKey(0)
	d.kill(first)
	d.awaitTakeover(second)
	d.restart(first)
	d.recovered()
	d.finish()
}

// awaitTakeover waits until a candidate leads, as it says itself.
func (d *drill) awaitTakeover(place int) {
	t := d.world.t
	t.Helper()
	took := await(t, takeoverLimit, "another leads", func(ctx context.Context) error {
		self, err := d.self(ctx, place)
		if err == nil && self.Role != "leader" {
			err = fmt.Errorf("it is a %s", self.Role)
		}
		return err
	})
	t.Logf("node %d leads after %v", place+1, took.Round(time.Millisecond))
}

// TestAllKilledInTurn ends the follower, then the leader, then the one that leads after it, each as soon as the fleet has got
// over the last.
func TestAllKilledInTurn(t *testing.T) {
	d := startDrill(t)
	d.kill(follower)
	pause(t, time.Second)
	d.kill(first) // only one is left
	d.awaitTakeover(second)
	d.restart(follower)
	d.restart(first)
	pause(t, time.Second)
	d.kill(second)
	d.awaitTakeover(first)
	d.restart(second)
	d.recovered()
	d.finish()
}

// TestLeaderFrozen stops the leader where it is for 30 seconds. When it goes on, it must not take itself for the leader.
func TestLeaderFrozen(t *testing.T) {
	d := startDrill(t)
	d.loseKey(0)
	d.freeze(first)
	d.awaitTakeover(second)
	pause(t, time.Until(d.harmed.Add(30*time.Second)))
	d.thaw(first)
	d.recovered()
	d.finish()
}
