package node

import (
	"context"
	"sync/atomic"
	"time"

	"gpt-load/internal/cluster"
	"gpt-load/internal/fleet"
	"gpt-load/internal/metrics"
	"gpt-load/internal/tracing"
)

// storeHealth remembers how the last look at the database went: every node polls the revision every few seconds.
type storeHealth struct {
	up       atomic.Bool
	took     atomic.Int64 // nanoseconds
	revision atomic.Int64 // the newest that this node has heard of
}

func (h *storeHealth) looked(ctx context.Context, revision int64, took time.Duration, err error) {
	if err != nil && ctx.Err() != nil {
		return // somebody gave up waiting, which says nothing of the database
	}
	h.up.Store(err == nil)
	h.took.Store(int64(took))
	if err == nil {
		h.heard(revision)
	}
}

// heard notes a revision of the configuration that exists.
func (h *storeHealth) heard(revision int64) {
	for known := h.revision.Load(); revision > known; known = h.revision.Load() {
		if h.revision.CompareAndSwap(known, revision) {
			return
		}
	}
}

// readings tells a scrape what the node knows of itself, from the first moment on.
func (n *node) readings() metrics.Readings {
	r := metrics.Readings{
		Ready: ready(n.checks()), Draining: n.leaving.Load(), Role: string(n.role()), Leading: n.lease.Leading(),
		InFlight: n.proxy.InFlight(), Queued: n.proxy.Queued(), Places: int64(n.Config.MaxConcurrentRequests), Overloaded: n.proxy.Overloaded(),
		Records: n.records.Stats(), AccessLogDropped: n.accessLog.Dropped(), StreamWaiting: -1,
		ConfigurationKnown: n.storeHealth.revision.Load(), KeyRevision: n.feed.Revision(),
		StoreUp: n.storeHealth.up.Load(), StoreTook: time.Duration(n.storeHealth.took.Load()), FromLocalCopy: n.servingFrom() == cluster.ServingFromLocalCopy,
		ClockOffset: -n.store.ClockOffset(),
	}
	if n.redis != nil {
		r.Redis, r.RedisUp = true, n.redis.Up()
		if waiting, known := n.redis.StreamLength(); known && r.Leading {
			r.StreamWaiting = waiting
		}
	}
	if current := n.snapshots.Load(); current != nil {
		r.ConfigurationRevision = current.Revision
		now := time.Now()
		for _, g := range current.Groups() {
			if pool := n.pools.Get(g.ID); pool != nil && g.Kind == fleet.KindStandard {
				r.Keys = append(r.Keys, metrics.GroupKeys{Group: g.ID, Counts: pool.Counts(now), Invalid: pool.InvalidReasons()})
			}
		}
	}
	return r
}

// openTracing makes the tracer where there is to be one.
func (n *node) openTracing(ctx context.Context) (err error) {
	t := n.Config.Tracing
	if t.Endpoint == nil {
		return nil
	}
	n.tracer, err = tracing.New(ctx, tracing.Options{
		Endpoint: t.Endpoint, Headers: t.Headers, Ratio: t.Ratio, Service: t.Service, Version: n.Version, Node: string(n.id), Log: n.Log.Named("tracing"),
	})
	return err
}
