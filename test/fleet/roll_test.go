package fleet_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gpt-load/internal/testenv"
)

// The form of TestRoll in `./task test` is small; `./task roll` has the figures that are promised.
var (
	rollStreams = flag.Int("roll-streams", 100, "live streams of TestRoll")
	rollRate    = flag.Int("roll-rate", 60, "requests a second of TestRoll")
)

const (
	// rollDelay is what the nodes wait until HAProxy has noticed; it looks once a second.
	rollDelay = 4
	// A stream of the roll takes five seconds, and is followed by the next one.
	rollChunks, rollGap = 50, 100 * time.Millisecond
)

// roll is the traffic that must not notice that nodes are replaced.
type roll struct {
	w      *world
	url    string
	client *http.Client
	all    sync.WaitGroup
	ctx    context.Context // ends when no new requests are to be sent

	requests, streams, live atomic.Int64
	mu                      sync.Mutex
	faults                  []string
}

// TestRoll replaces the nodes of a fleet one after the other, as orchestrators do: SIGTERM, an end in good order, a new process, under
// live streams and steady requests through a load balancer that checks health. Nobody may notice.
func TestRoll(t *testing.T) {
	delay := fmt.Sprint("SERVER_SHUTDOWN_DELAY=", rollDelay)
	w := newWorldOf(t, testenv.NewPostgres(t), binary, func(int) []string {
		return []string{delay, "SERVER_GRACEFUL_SHUTDOWN_TIMEOUT=300", "MAX_CONCURRENT_REQUESTS=3000"}
	})
	addresses := make([]string, len(w.nodes))
	for i, n := range w.nodes {
		addresses[i] = strings.TrimPrefix(n.URL, "http://")
	}
	balancer := testenv.NewHAProxy(t, addresses)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r := &roll{w: w, url: balancer.URL, ctx: ctx, client: &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 4000}}}
	defer r.client.CloseIdleConnections()
	for i := range *rollStreams {
		r.all.Go(func() { r.stream(i) })
	}
	r.all.Go(r.ask)
	await(t, time.Minute, "every stream is live", func(context.Context) error {
		if live := r.live.Load(); live < int64(*rollStreams)*9/10 { // some are between two
			return fmt.Errorf("%d of %d are", live, *rollStreams)
		}
		return nil
	})
	for i, n := range w.nodes {
		begun, live := time.Now(), r.live.Load()
		must(t, n.Restart(context.WithoutCancel(t.Context())))
		t.Logf("node %d: ended under %d live streams and started again in %v", i+1, live, time.Since(begun).Round(time.Millisecond))
		await(t, time.Minute, "the balancer sends requests to the new process", func(ctx context.Context) error {
			up, err := balancer.Up(ctx)
			if err == nil && len(up) != len(w.nodes) {
				err = fmt.Errorf("only to %v", up)
			}
			return err
		})
		pause(t, time.Second) // it gets its share
	}
	stop()
	r.all.Wait()
	requests, streams := r.requests.Load(), r.streams.Load()
	t.Logf("%d requests and %d streams; %d failed", requests, streams, len(r.faults))
	for _, fault := range r.faults[:min(len(r.faults), 10)] {
		t.Error(fault)
	}
	for i, n := range w.nodes {
		if strings.Contains(n.Logs(), "requests were cut") {
			t.Errorf("node %d cut requests", i+1)
		}
	}
	w.awaitWhole(time.Minute)
	await(t, time.Minute, "every answer has its record", func(context.Context) error {
		if records := w.count(`SELECT count(*) FROM request_records WHERE path LIKE '/echo/roll-%' OR path = '/v1/chat/completions';`); records != fmt.Sprint(requests+streams) {
			return fmt.Errorf("%s records of %d requests and %d streams", records, requests, streams)
		}
		return nil
	})
}

// ask sends requests at a steady rate until the roll is over.
func (r *roll) ask() {
	tick := time.NewTicker(time.Second / time.Duration(*rollRate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
			r.all.Go(func() {
				r.requests.Add(1)
				status, text, err := request(context.Background(), r.client, fmt.Sprintf("%s/proxy/fleet/echo/roll-%d", r.url, n), testenv.AuthKey)
				if err != nil || status != http.StatusOK {
					r.fault("request %d: %d %.200s, %v", n, status, text, err)
				}
			})
		}
	}
}

// stream reads one stream after the other to its end.
func (r *roll) stream(i int) {
	const body = `{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`
	// They begin one after the other, so that there are always some in every part of their lives.
	if !rest(r.ctx, time.Duration(i)*rollChunks*rollGap/time.Duration(*rollStreams)) {
		return
	}
	for r.ctx.Err() == nil {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, r.url+"/proxy/fleet/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			r.fault("%v", err)
			return
		}
		request.Header.Set("Authorization", "Bearer "+testenv.AuthKey)
		request.Header.Set("X-Fake-Chunks", fmt.Sprint(rollChunks))
		request.Header.Set("X-Fake-Gap", rollGap.String())
		r.streams.Add(1)
		answer, err := r.client.Do(request)
		if err != nil {
			r.fault("stream %d: %v", i, err)
			continue
		}
		r.live.Add(1)
		text, err := io.ReadAll(answer.Body)
		r.live.Add(-1)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || !strings.HasSuffix(string(text), "data: [DONE]\n\n") || strings.Count(string(text), "data: ") < rollChunks {
			r.fault("stream %d: %d, %d bytes, %v", i, answer.StatusCode, len(text), err)
		}
	}
}

func (r *roll) fault(format string, arguments ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, arguments...))
	slices.Sort(r.faults)
}

// rest waits and returns false when ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
