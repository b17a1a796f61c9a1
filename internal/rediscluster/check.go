package rediscluster

import (
	"context"
	"errors"

	"github.com/redis/rueidis"

	"gpt-load/internal/fleet"
)

// What calls are for, in words, as the log and errors name them.
const (
	checking   = "checking Redis"
	listening  = "listening to the other nodes"
	publishing = "telling the other nodes"
	competing  = "competing for the lead"
	renewing   = "renewing the lead"
	announcing = "announcing this node"
	listing    = "listing the nodes"
	leaving    = "taking this node off the list"
	sending    = "sending request records to the leader"
	awaiting   = "waiting for the leader to store request records"
	receiving  = "receiving request records"
	confirming = "confirming request records"
)

// checkScript writes, because a replica answers everything else, and is a script, because the fleet needs those.
var checkScript = rueidis.NewLuaScript(`return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])`)

// Check says whether the fleet can use Redis, within two seconds: nil, or an error with what to do about it. Its code is
// fleet.CodeInvalid when only another setting helps - a wrong password, a read-only replica, missing rights - and
// fleet.CodeUnavailable when Redis is away.
func (c *Client) Check(ctx context.Context) error {
	_, err := call(ctx, c, checking, callTimeout, func(ctx context.Context, redis rueidis.Client) (struct{}, error) {
		const milliseconds = "10000"
		return struct{}{}, checkScript.Exec(ctx, redis, []string{c.key("check")}, []string{string(c.node), milliseconds}).Error()
	})
	if err == nil {
		// Rights on channels are not those on keys.
		if reason := c.health.refusal(listening); reason != "" {
			return fleet.NewError(fleet.CodeInvalid, checking+": "+listening+": "+reason, nil)
		}
		return nil
	}
	var known *fleet.Error
	if errors.As(err, &known) && judge(known.Cause).setting {
		return fleet.NewError(fleet.CodeInvalid, known.Message, known.Cause)
	}
	return err
}
