package rediscluster

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"gpt-load/internal/testenv"
)

// calls is how INFO tells how often a command was called.
var calls = regexp.MustCompile(`(?m)^cmdstat_([a-z|]+):calls=(\d+)`)

// TestAnIdleFleetAsksLittle: what a leader and another candidate send while nothing happens.
func TestAnIdleFleetAsksLittle(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	leader := newCandidate(t, server.DSN(), defaultLeaseTimes)
	await(t, "the lead", leader.leads)
	leaderFor(t, leader.node, newDatabase())
	other := newCandidate(t, server.DSN(), defaultLeaseTimes)
	for _, c := range []*candidate{leader, other} {
		await(t, "the subscription", listenOn(t, c.node).subscribed)
	}
	redisDo(t, server, "CONFIG", "RESETSTAT")
	begin := time.Now()
	var sent map[string]int
	eventually(t, "the leader renewed its lease and read the stream several times", func() bool {
		sent = make(map[string]int)
		for _, match := range calls.FindAllStringSubmatch(redisDo(t, server, "INFO", "commandstats"), -1) {
			if command := match[1]; command != "info" {
				sent[command], _ = strconv.Atoi(match[2])
			}
		}
		return sent["pexpire"] >= 2 && sent["xread"] >= 4 // pexpire: the script that renews
	})
	seconds := time.Since(begin).Seconds()
	total := 0
	for _, n := range sent {
		total += n
	}
	rate := float64(total) / seconds / 2
	t.Logf("%.1f commands a node and second: %v in %.1f s", rate, sent, seconds)
	if rate > 10 {
		t.Errorf("%.1f commands a node and second", rate)
	}
}
