package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gpt-load/internal/cluster"
	"gpt-load/internal/fleet"
	"gpt-load/internal/rediscluster"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
)

const (
	floodSources = 4 // busy nodes
	floodRate    = 5000
	floodTick    = 10 * time.Millisecond
)

// flood is the record side of several nodes: spools that deliver through Redis, as a node's does.
type flood struct {
	store     *sqlstore.Store
	clients   []*rediscluster.Client
	recorders []*requestlog.Recorder
	stop      context.CancelFunc // of what hands over records
	producers sync.WaitGroup
	end       context.CancelFunc // of the recorders
	services  sync.WaitGroup

	on         atomic.Bool
	handedOver atomic.Int64
}

// openFlood starts the spools. Nothing is handed over before on is set. What it returns must be closed, also with an error.
func (f *benchFleet) openFlood(ctx context.Context) (*flood, error) {
	producing, stop := context.WithCancel(ctx)
	writing, end := context.WithCancel(context.WithoutCancel(ctx))
	flood := &flood{stop: stop, end: end}
	group, err := strconv.ParseInt(f.group.ID, 10, 64)
	if err != nil {
		return flood, err
	}
	if flood.store, err = sqlstore.Open(ctx, f.postgres.DSN(fleetDatabase), sqlstore.Options{}); err != nil {
		return flood, err
	}
	for i := range floodSources {
		client, err := rediscluster.Open(rediscluster.Options{DSN: secret.New(f.redis.DSN()), Node: cluster.NewNodeID()})
		if err != nil {
			return flood, err
		}
		flood.clients = append(flood.clients, client)
		recorder, err := requestlog.Open(requestlog.Options{
			Dir:      filepath.Join(f.dir.Path, fmt.Sprintf("flood-%d", i+1)),
			Sink:     client.RecordSink(flood.store),
			Interval: func() time.Duration { return time.Minute }, // the default of the settings
		})
		if err != nil {
			return flood, err
		}
		flood.recorders = append(flood.recorders, recorder)
		flood.services.Go(func() { _ = recorder.Run(writing) }) // it returns nil
		flood.producers.Go(func() { flood.produce(producing, recorder, i, fleet.GroupID(group)) })
	}
	return flood, nil
}

// produce hands over the share of one source while the flood is on. What a late tick owes, the next one pays. Each source
// begins a second after the one before, so that their batches do not come together, as those of nodes do not.
func (f *flood) produce(ctx context.Context, recorder *requestlog.Recorder, source int, group fleet.GroupID) {
	const rate = floodRate / floodSources
	tick := time.NewTicker(floodTick)
	defer tick.Stop()
	last, due := time.Now(), float64(-source*rate)
	for n := int64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		if f.on.Load() {
			due += rate * now.Sub(last).Seconds()
		}
		last = now
		for ; due >= 1; due-- {
			fillRecord(recorder, group, int64(source)+n)
			f.handedOver.Add(1)
			n++
		}
	}
}

// waiting is how many records that were handed over the leader has not confirmed.
func (f *flood) waiting() (n int64) {
	for _, recorder := range f.recorders {
		s := recorder.Stats()
		n += s.Recorded - s.Delivered
	}
	return n
}

// finish ends the flood, waits until the spools have delivered what they can, and returns how many records they have not.
func (f *flood) finish() (missing int64) {
	f.stop()
	f.producers.Wait()
	f.end()
	f.services.Wait()
	for _, recorder := range f.recorders {
		missing += recorder.Stats().Dropped.Total()
	}
	return missing + f.waiting()
}

func (f *flood) close() error {
	f.finish()
	var errs []error
	for _, recorder := range f.recorders {
		errs = append(errs, recorder.Close())
	}
	for _, client := range f.clients {
		client.Close()
	}
	if f.store != nil {
		errs = append(errs, f.store.Close())
	}
	return errors.Join(errs...)
}

// fillRecord records a request as proxied ones look: some models and proxy keys, the keys of the group by turns, one attempt,
// a failure now and then.
func fillRecord(recorder *requestlog.Recorder, group fleet.GroupID, n int64) {
	now := time.Now()
	r := recorder.Acquire()
	r.ID, r.StartedAt, r.Duration, r.TimeToFirstByte = fleet.NewRecordID(now), now, 1200*time.Millisecond, 300*time.Millisecond
	r.GroupID, r.GroupName = group, "bench"
	r.ProxyKeyFingerprint, r.ClientIP, r.UserAgent = floodFingerprints[n%3], "192.0.2.17", "OpenAI/Python 1.99.1"
	r.Method, r.Path, r.Stream = "POST", "/v1/chat/completions", n%2 == 0
	r.ModelAsked = floodModels[n%5]
	r.ModelSent = r.ModelAsked
	r.Status, r.Class, r.RequestBytes, r.ResponseBytes = 200, fleet.ClassOK, 1500, 4200
	if n%100 == 0 {
		r.Status, r.Class, r.Error = 502, fleet.ClassUpstream, "the upstream closed the connection before its answer was complete"
	}
	r.Attempts = append(r.Attempts, fleet.Attempt{
		// The keys of a new database have the ids from 1.
		GroupID: r.GroupID, KeyID: fleet.KeyID(1 + n%benchKeys), KeyTail: "k3yZ", Upstream: "api.example.com:443",
		Status: r.Status, Class: r.Class, Duration: 1190 * time.Millisecond,
	})
	recorder.Record(r)
}

var (
	floodFingerprints = []string{"0f1e2d3c4b5a", "a1b2c3d4e5f6", "123456abcdef"}
	floodModels       = []string{"gpt-bench", "gpt-bench-mini", "gpt-bench-nano", "gpt-bench-pro", "text-embedding-bench"}
)
