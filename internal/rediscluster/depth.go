package rediscluster

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// depthPause is between two looks at the length of the record stream.
const depthPause = 5 * time.Second

// streamDepth is how long the stream was when the leader last looked.
type streamDepth struct {
	entries atomic.Int64
	at      atomic.Int64 // nanoseconds since the epoch; 0 is never
}

// StreamLength is how many batches of records waited in the stream a few seconds ago. known is false on a node that does not
// move them to the database, and while Redis does not say.
func (c *Client) StreamLength() (batches int64, known bool) {
	at := c.depth.at.Load()
	return c.depth.entries.Load(), at > 0 && time.Since(time.Unix(0, at)) < 4*depthPause
}

// Up reports whether Redis answered when it was last asked.
func (c *Client) Up() bool {
	c.health.mu.Lock()
	defer c.health.mu.Unlock()
	return !c.health.away
}

// measure looks at the stream where the last look is some time ago.
func (d *drainer) measure(ctx context.Context) {
	if time.Since(d.measured) < depthPause {
		return
	}
	d.measured = time.Now()
	key := d.client.key("records")
	entries, err := call(ctx, d.client, "looking at how many request records wait in Redis", callTimeout, func(ctx context.Context, redis rueidis.Client) (int64, error) {
		return redis.Do(ctx, redis.B().Xlen().Key(key).Build()).AsInt64()
	})
	if err == nil {
		d.client.depth.entries.Store(entries)
		d.client.depth.at.Store(time.Now().UnixNano())
	}
}
