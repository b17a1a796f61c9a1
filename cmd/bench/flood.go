package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
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

// flood is the record side of several nodes: spools that deliver through Redis, as a node's does. It is a process of its own, so
// that the client whose requests are measured does not share a scheduler with it.
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

// floodOrder is what the process of a flood is told, in the environment because it has passwords.
type floodOrder struct {
	Database, Redis string // DSNs
	Dir             string
	Group           int64
}

const floodVariable = "BENCH_FLOOD"

// floodState is what the process of a flood tells.
type floodState struct {
	HandedOver int64 // records
	Waiting    int64 // of them, those that the leader has not confirmed
	Dropped    int64
}

// openFlood starts the spools. Nothing is handed over before on is set. What it returns must be closed, also with an error.
func openFlood(ctx context.Context) (*flood, error) {
	producing, stop := context.WithCancel(ctx)
	writing, end := context.WithCancel(context.WithoutCancel(ctx))
	flood := &flood{stop: stop, end: end}
	var order floodOrder
	if err := json.Unmarshal([]byte(os.Getenv(floodVariable)), &order); err != nil {
		return flood, fmt.Errorf("%s: %w", floodVariable, err)
	}
	var err error
	if flood.store, err = sqlstore.Open(ctx, order.Database, sqlstore.Options{}); err != nil {
		return flood, err
	}
	for i := range floodSources {
		client, err := rediscluster.Open(rediscluster.Options{DSN: secret.New(order.Redis), Node: cluster.NewNodeID()})
		if err != nil {
			return flood, err
		}
		flood.clients = append(flood.clients, client)
		recorder, err := requestlog.Open(requestlog.Options{
			Dir:      filepath.Join(order.Dir, fmt.Sprintf("flood-%d", i+1)),
			Sink:     client.RecordSink(flood.store),
			Interval: func() time.Duration { return time.Minute }, // the default of the settings
		})
		if err != nil {
			return flood, err
		}
		flood.recorders = append(flood.recorders, recorder)
		flood.services.Go(func() { _ = recorder.Run(writing) }) // it returns nil
		flood.producers.Go(func() { flood.produce(producing, recorder, i, fleet.GroupID(order.Group)) })
	}
	return flood, nil
}

// playFlood serves the role of a flood: POST /on and /off, and /finish, which answers when everything is delivered.
func playFlood(ctx context.Context) (err error) {
	f, err := openFlood(ctx)
	defer func() { err = errors.Join(err, f.close()) }()
	if err != nil {
		return err
	}
	return serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/on", "/off":
			f.on.Store(r.URL.Path == "/on")
		case "/finish":
			f.finish()
		}
		_ = json.NewEncoder(w).Encode(f.state()) // a parent that is gone needs no answer
	}))
}

// floodControl is a flood as the measuring process sees it.
type floodControl struct{ *process }

// startFlood starts the process of a flood.
func (f *benchFleet) startFlood(ctx context.Context) (floodControl, error) {
	group, err := strconv.ParseInt(f.group.ID, 10, 64)
	if err != nil {
		return floodControl{}, err
	}
	order, err := json.Marshal(floodOrder{Database: f.postgres.DSN(fleetDatabase), Redis: f.redis.DSN(), Dir: f.dir.Path, Group: group})
	if err != nil {
		return floodControl{}, err
	}
	p, err := startRole(ctx, "flood", "", floodVariable+"="+string(order))
	return floodControl{p}, err
}

// tell sends an order, one of those of playFlood, or nothing, and returns what came of it.
func (c floodControl) tell(ctx context.Context, order string) (state floodState, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.addr+"/"+order, nil)
	if err != nil {
		return state, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return state, fmt.Errorf("telling the flood %q: %w", order, err)
	}
	return state, errors.Join(json.NewDecoder(answer.Body).Decode(&state), answer.Body.Close())
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

func (f *flood) state() floodState {
	state := floodState{HandedOver: f.handedOver.Load()}
	for _, recorder := range f.recorders {
		s := recorder.Stats()
		state.Waiting += s.Recorded - s.Delivered
		state.Dropped += s.Dropped.Total()
	}
	return state
}

// finish ends the flood and waits until the spools have delivered what they can.
func (f *flood) finish() {
	f.stop()
	f.producers.Wait()
	f.end()
	f.services.Wait()
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
