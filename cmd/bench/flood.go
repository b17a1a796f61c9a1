package main

import (
	"context"
	"fmt"
	"path/filepath"
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
	floodSources = 4 // busy nodes whose records arrive together
	floodRate    = 5000
	floodTick    = 10 * time.Millisecond
)

// flood is the record side of several nodes: spools that deliver through Redis, as a node's does.
type flood struct {
	dir     string
	store   *sqlstore.Store
	clients []*rediscluster.Client
	runs    int
}

func (f *benchFleet) openFlood(ctx context.Context) (*flood, error) {
	flood := &flood{dir: filepath.Join(f.dir.Path, "flood")}
	var err error
	if flood.store, err = sqlstore.Open(ctx, f.postgres.DSN(fleetDatabase), sqlstore.Options{}); err != nil {
		return flood, err
	}
	for range floodSources {
		client, err := rediscluster.Open(rediscluster.Options{DSN: secret.New(f.redis.DSN()), Node: cluster.NewNodeID()})
		if err != nil {
			return flood, err
		}
		flood.clients = append(flood.clients, client)
	}
	return flood, nil
}

func (f *flood) close() error {
	for _, client := range f.clients {
		client.Close()
	}
	if f.store == nil {
		return nil
	}
	return f.store.Close()
}

// flooded is what became of one flood.
type flooded struct {
	handedOver int64
	rate       float64       // records per second, handed over
	behind     int64         // records not in the database when the last one was handed over
	tail       time.Duration // from then until the spools were empty
	leftOver   int64         // records that were dropped, or still waited at the end
}

// run hands over floodRate records a second for d, through spools of their own, and waits until they are delivered.
func (f *flood) run(ctx context.Context, d time.Duration) (flooded, error) {
	f.runs++
	recorders := make([]*requestlog.Recorder, floodSources)
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var services sync.WaitGroup
	for i := range recorders {
		recorder, err := requestlog.Open(requestlog.Options{
			Dir:      filepath.Join(f.dir, fmt.Sprintf("%d-%d", f.runs, i)),
			Sink:     f.clients[i].RecordSink(f.store),
			Interval: func() time.Duration { return time.Minute }, // the default of the settings
		})
		if err != nil {
			return flooded{}, err
		}
		defer func() { _ = recorder.Close() }()
		recorders[i] = recorder
		services.Go(func() { _ = recorder.Run(writing) }) // it returns nil
	}
	begun := time.Now()
	var handedOver atomic.Int64
	var producers sync.WaitGroup
	for i, recorder := range recorders {
		producers.Go(func() { handedOver.Add(produce(ctx, recorder, i, d)) })
	}
	producers.Wait()
	took := time.Since(begun)
	result := flooded{handedOver: handedOver.Load(), rate: float64(handedOver.Load()) / took.Seconds()}
	for _, recorder := range recorders {
		result.behind += recorder.Stats().Recorded - recorder.Stats().Delivered
	}
	stop()
	services.Wait()
	result.tail = time.Since(begun) - took
	for _, recorder := range recorders {
		s := recorder.Stats()
		result.leftOver += s.Dropped.Total() + s.Rejected + s.Corrupt + s.Queued + s.Held + s.Spooled
	}
	return result, ctx.Err()
}

// produce hands over the share of one source and returns how many that were. What a late tick owes, the next one pays.
func produce(ctx context.Context, recorder *requestlog.Recorder, source int, d time.Duration) (count int64) {
	const rate = floodRate / floodSources
	tick := time.NewTicker(floodTick)
	defer tick.Stop()
	begun := time.Now()
	for total := int64(rate * d.Seconds()); count < total; {
		select {
		case <-ctx.Done():
			return count
		case <-tick.C:
		}
		for due := min(total, int64(rate*time.Since(begun).Seconds())); count < due; count++ {
			fillRecord(recorder, source, count)
		}
	}
	return count
}

// fillRecord records a request as proxied ones look: some groups, models and keys, one attempt, a failure now and then.
func fillRecord(recorder *requestlog.Recorder, source int, n int64) {
	now := time.Now()
	r := recorder.Acquire()
	r.ID, r.StartedAt, r.Duration, r.TimeToFirstByte = fleet.NewRecordID(now), now, 1200*time.Millisecond, 300*time.Millisecond
	r.GroupID, r.GroupName = fleet.GroupID(100+n%5), fmt.Sprintf("group-%d", n%5)
	r.ProxyKeyFingerprint, r.ClientIP, r.UserAgent = fmt.Sprintf("fingerprint%d", n%3), "192.0.2.17", "OpenAI/Python 1.99.1"
	r.Method, r.Path, r.Stream = "POST", "/v1/chat/completions", n%2 == 0
	r.ModelAsked = fmt.Sprintf("gpt-bench-%d", n%7)
	r.ModelSent = r.ModelAsked
	r.Status, r.Class, r.RequestBytes, r.ResponseBytes = 200, fleet.ClassOK, 1500, 4200
	if n%100 == 0 {
		r.Status, r.Class, r.Error = 502, fleet.ClassUpstream, "the upstream closed the connection before its answer was complete"
	}
	r.Attempts = append(r.Attempts, fleet.Attempt{
		GroupID: r.GroupID, KeyID: fleet.KeyID(1_000_000 + int64(source)*1000 + n%1000), KeyTail: "k3yZ", Upstream: "api.example.com:443",
		Status: r.Status, Class: r.Class, Duration: 1190 * time.Millisecond,
	})
	recorder.Record(r)
}
