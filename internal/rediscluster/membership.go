package rediscluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"gpt-load/internal/cluster"
)

// membership is one hash: by node id, when it was last heard of by the clock of Redis, in milliseconds, and what it says.
type membership struct{ client *Client }

// wireMember is a member as it stands in Redis. Times are durations there: nobody's clock is right for all.
type wireMember struct {
	Role         cluster.Role `json:"role"`
	Version      string       `json:"version"`
	Address      string       `json:"address"`
	Ready        bool         `json:"ready"`
	ServingFrom  string       `json:"serving_from"`
	Revision     int64        `json:"revision"`
	KeyRevision  int64        `json:"key_revision"`
	InFlight     int64        `json:"in_flight"`
	SpoolWaiting int64        `json:"spool_waiting"`
	SpoolDropped int64        `json:"spool_dropped"`
	ClockOffset  int64        `json:"clock_offset_us"`
	Uptime       int64        `json:"uptime_ms"`
}

// announceScript also takes those off the list that were not heard of for long, or that come from the future of a Redis
// whose clock went back, or that listened before where this one does: a node that was killed and started again.
// ARGV: id, member, milliseconds, host, address.
var announceScript = rueidis.NewLuaScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local life = tonumber(ARGV[3])
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local at, text = string.match(all[i + 1], '^(%d+) (.*)$')
  at = tonumber(at)
  local gone = not at or math.abs(now - at) > life
  if not gone and string.match(all[i], '^(.*)%-') == ARGV[4] then
    local read, member = pcall(cjson.decode, text)
    gone = not read or ARGV[5] ~= '' and member.address == ARGV[5]
  end
  if gone then redis.call('HDEL', KEYS[1], all[i]) end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now) .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], life)
return 1`)

// membersScript returns the time of Redis in milliseconds and the value of the lease, empty when nobody has it, then ids and
// what was announced, in turns.
var membersScript = rueidis.NewLuaScript(`
local time = redis.call('TIME')
local all = redis.call('HGETALL', KEYS[1])
table.insert(all, 1, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
table.insert(all, 2, redis.call('GET', KEYS[2]) or '')
return all`)

func (m membership) key() string { return m.client.key("members") }

// Announce implements cluster.Membership.
func (m membership) Announce(ctx context.Context, member cluster.Member) error {
	text, err := json.Marshal(wireMember{
		Role: member.Role, Version: member.Version, Address: member.Address, Ready: member.Ready, ServingFrom: member.ServingFrom,
		Revision: member.Revision, KeyRevision: member.KeyRevision, InFlight: member.InFlight,
		SpoolWaiting: member.SpoolWaiting, SpoolDropped: member.SpoolDropped,
		ClockOffset: member.ClockOffset.Microseconds(), Uptime: time.Since(member.StartedAt).Milliseconds(),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", announcing, err)
	}
	_, err = call(ctx, m.client, announcing, callTimeout, func(ctx context.Context, redis rueidis.Client) (struct{}, error) {
		life := strconv.FormatInt(cluster.MemberTimeout.Milliseconds(), 10)
		args := []string{string(member.ID), string(text), life, host(member.ID), member.Address}
		return struct{}{}, announceScript.Exec(ctx, redis, []string{m.key()}, args).Error()
	})
	return err
}

// host is what comes before the random part of an id.
func host(id cluster.NodeID) string {
	return string(id)[:max(0, strings.LastIndexByte(string(id), '-'))]
}

// Members implements cluster.Membership. Only who has the lease is called the leader: one that died says so for as long as it
// is listed.
func (m membership) Members(ctx context.Context) ([]cluster.Member, error) {
	answer, err := call(ctx, m.client, listing, callTimeout, func(ctx context.Context, redis rueidis.Client) ([]string, error) {
		return membersScript.Exec(ctx, redis, []string{m.key(), m.client.key("lease")}, nil).AsStrSlice()
	})
	if err != nil {
		return nil, err
	}
	now, here := answer[0], time.Now()
	holder, _, _ := strings.Cut(answer[1], "/")
	var members []cluster.Member
	for i := 2; i+1 < len(answer); i += 2 {
		member, ok := readMember(answer[i], answer[i+1], now, here)
		if !ok {
			continue
		}
		if member.Role == cluster.RoleLeader && string(member.ID) != holder {
			member.Role = cluster.RoleCandidate
		}
		members = append(members, member)
	}
	slices.SortFunc(members, func(a, b cluster.Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return members, nil
}

// readMember turns an entry into a member whose times are by this node's clock, where it is now here. It returns false for
// one that is too old, or from the future of a Redis whose clock went back, or that no node wrote.
func readMember(id, entry, now string, here time.Time) (cluster.Member, bool) {
	at, text, _ := strings.Cut(entry, " ")
	age, ok := millisecondsBetween(at, now)
	var w wireMember
	if !ok || age.Abs() > cluster.MemberTimeout || json.Unmarshal([]byte(text), &w) != nil {
		return cluster.Member{}, false
	}
	seen := here.Add(-max(0, age))
	return cluster.Member{
		ID: cluster.NodeID(id), Role: w.Role, Version: w.Version, Address: w.Address, Ready: w.Ready, ServingFrom: w.ServingFrom,
		Revision: w.Revision, KeyRevision: w.KeyRevision, InFlight: w.InFlight,
		SpoolWaiting: w.SpoolWaiting, SpoolDropped: w.SpoolDropped,
		ClockOffset: time.Duration(w.ClockOffset) * time.Microsecond,
		StartedAt:   seen.Add(-time.Duration(w.Uptime) * time.Millisecond), SeenAt: seen,
	}, true
}

func millisecondsBetween(from, to string) (time.Duration, bool) {
	a, errA := strconv.ParseInt(from, 10, 64)
	b, errB := strconv.ParseInt(to, 10, 64)
	return time.Duration(b-a) * time.Millisecond, errA == nil && errB == nil
}

// Leave implements cluster.Membership.
func (m membership) Leave(ctx context.Context, id cluster.NodeID) error {
	_, err := call(ctx, m.client, leaving, callTimeout, func(ctx context.Context, redis rueidis.Client) (struct{}, error) {
		return struct{}{}, redis.Do(ctx, redis.B().Hdel().Key(m.key()).Field(string(id)).Build()).Error()
	})
	return err
}
