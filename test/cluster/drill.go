package main

import (
	"context"
	"strings"
	"sync"
	"time"

	"gpt-load/internal/testenv"
)

// part is one process of the cluster.
type part struct {
	name, address string
	*testenv.Process
}

func (c *cluster) parts() []part {
	parts := []part{{"nginx", c.balancer.URL, &c.balancer.Process}}
	for _, n := range c.nodes {
		parts = append(parts, part{n.name, n.URL, &n.Process})
	}
	return append(parts,
		part{"postgres", c.postgres.Address(), &c.postgres.Process},
		part{"redis", c.redis.Address(), &c.redis.Process})
}

// describe prints what runs where, and what to try with it.
func (c *cluster) describe() {
	c.say("\nThe fleet is up. %s leads.\n", c.leader)
	for _, p := range c.parts() {
		c.say("  %-12s %-26s process %-8d log %s", p.name, p.address, p.PID(), p.LogFile())
	}
	c.say("  %-12s %s", "fakeprovider", c.fakeURL)
	c.say("%s\n", strings.NewReplacer(
		"$KEY_FILE", c.authKeyFile(), "$URL", c.balancer.URL, "$PROVIDER", c.fakeURL, "$AGAIN", c.restartAfter.String(),
	).Replace(`
The key of the admin API is in $KEY_FILE. In a second terminal:

  AUTH_KEY=$(cat $KEY_FILE)
  UPSTREAM=$PROVIDER
  PROVIDER_KEY=any-text
  curl -fsS $URL/api/v1/nodes -H "Authorization: Bearer $AUTH_KEY"    # who leads, who follows, who lags

Then make a group as under "Start" in README.md, with $URL as the address, and do harm while requests run:

  kill -9 PROCESS       any of them; it starts again after $AGAIN
  kill -STOP PROCESS    freezes it, kill -CONT PROCESS lets it go on; PostgreSQL and nginx with pkill -STOP -P PROCESS too

Ctrl-C ends all and removes their data.`))
}

// supervise starts again what ends, until ctx ends.
func (c *cluster) supervise(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range c.parts() {
		all.Go(func() { c.keepAlive(ctx, p) })
	}
	all.Wait()
}

func (c *cluster) keepAlive(ctx context.Context, p part) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.Ended():
		}
		if ctx.Err() != nil {
			return
		}
		c.say("%s has ended (%s); it starts again in %s", p.name, p.ExitState(), c.restartAfter)
		pause := time.NewTimer(c.restartAfter)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		switch err := p.Restart(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			c.say("%s did not start: %v", p.name, err)
		default:
			c.say("%s is back as process %d", p.name, p.PID())
		}
	}
}
