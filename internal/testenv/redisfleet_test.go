package testenv

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestSentinels: they promote a replica when the master is gone, and the former master comes back into the set.
func TestSentinels(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := NewSentinels(t, SentinelOptions{Password: "secret"})
	first, err := s.Master(ctx)
	if err != nil || first != s.Servers[0] {
		t.Fatalf("the master is %v, %v", first, err)
	}
	if want := "redis://:secret@" + s.Sentinels[0].Address() + "/0?master_set=gpt-load&addr="; !strings.HasPrefix(s.DSN(), want) {
		t.Errorf("the DSN is %s", s.DSN())
	}
	if _, err := first.Do(ctx, "SET", "note", "remembered"); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Do(ctx, "WAIT", "1", "1000"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	must(t, first.Kill())
	must(t, poll(ctx, func() error {
		master, err := s.Master(ctx)
		if err != nil {
			return err
		}
		if master == first {
			return fmt.Errorf("the dead server still counts as master")
		}
		_, err = master.Do(ctx, "SET", "other", "written")
		return err
	}))
	t.Logf("first write to the new master %s after the kill", time.Since(begin).Round(time.Millisecond))
	if note, err := s.Servers[1].Do(ctx, "GET", "note"); err != nil || note != "remembered" {
		t.Errorf("the new master answered %q, %v", note, err)
	}
	must(t, first.Restart(ctx))
	// Whichever is master in the end: on a loaded machine the Sentinels may change their mind once more.
	must(t, poll(ctx, func() error {
		master, err := s.Master(ctx)
		if err != nil {
			return err
		}
		replica := s.Servers[0]
		if master == replica {
			replica = s.Servers[1]
		}
		if _, err := master.Do(ctx, "SET", "last", "written"); err != nil {
			return err
		}
		if err := replica.synced(ctx); err != nil {
			return err
		}
		last, err := replica.Do(ctx, "GET", "last")
		if err == nil && last != "written" {
			err = fmt.Errorf("the replica answered %q", last)
		}
		return err
	}))
}

// TestRedisCluster: slots are shared, and a replica takes over for its master.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := NewRedisCluster(t, RedisClusterOptions{Replicas: 1})
	if len(c.Masters) != 3 || len(c.Replicas) != 3 || strings.Count(c.DSN(), "addr=") != 5 {
		t.Fatalf("the cluster is %s", c.DSN())
	}
	answered, moved := 0, 0
	for _, master := range c.Masters {
		_, err := master.Do(ctx, "SET", "note", "remembered")
		switch {
		case err == nil:
			answered++
		case strings.HasPrefix(err.Error(), "MOVED"):
			moved++
		default:
			t.Error(err)
		}
	}
	if answered != 1 || moved != 2 {
		t.Errorf("%d servers took the key and %d sent the client elsewhere, not 1 and 2", answered, moved)
	}
	begin := time.Now()
	must(t, c.Masters[0].Kill())
	must(t, poll(ctx, func() error {
		role, err := c.Replicas[0].Do(ctx, "ROLE")
		if err == nil && !strings.HasPrefix(role, "master") {
			err = fmt.Errorf("the replica is still %q", role)
		}
		return err
	}))
	t.Logf("the replica took over %s after the kill", time.Since(begin).Round(time.Millisecond))
}
