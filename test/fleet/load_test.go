package fleet_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/testenv"
)

const (
	// loadRate is how many requests each node gets in a second.
	loadRate = 40
	// loadTimeout is how long a client waits.
	loadTimeout = time.Minute
)

// chat is what every request of the load sends.
var chat = `{"model":"gpt-drill","messages":[{"role":"user","content":"` + strings.Repeat("Tell me more. ", 70) + `"}]}`

// result is what became of one request.
type result struct {
	id     int // its record has the path /echo/load-{id}
	node   int
	due    time.Time // when it was to be sent; latency counts from here
	ended  time.Time
	status int
	err    error
}

func (r result) took() time.Duration { return r.ended.Sub(r.due) }
func (r result) ok() bool            { return r.err == nil && r.status == http.StatusOK }

// load asks every node at a steady rate, whatever happens to the requests before, and remembers each answer.
type load struct {
	w      *world
	client *http.Client
	all    sync.WaitGroup // requests under way
	stops  []chan struct{}
	loops  sync.WaitGroup

	mu       sync.Mutex
	next     int
	results  []result
	controls []result // requests to the provider without a node in between
	outages  []outage
}

// outage is a time in which a node was dead or frozen. Clients do not go on asking it, as a load balancer would see to; what
// is under way when it begins is their loss.
type outage struct {
	node       int
	killed     bool      // else frozen
	from, till time.Time // till is when it could be asked again
}

// startLoad begins with all nodes.
func (w *world) startLoad() *load {
	l := &load{
		w: w, stops: make([]chan struct{}, len(w.nodes)+1),
		client: &http.Client{Timeout: loadTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true}},
	}
	w.t.Cleanup(l.stop)
	for i := range w.nodes {
		l.send(i)
	}
	l.every(control, l.askProvider)
	return l
}

// control is the place of the provider among what is asked.
const control = 3

// send begins to ask a node.
func (l *load) send(node int) { l.every(node, func(due time.Time) { l.ask(node, due) }) }

// every asks at the steady rate until l leaves the place.
func (l *load) every(place int, ask func(due time.Time)) {
	stop := make(chan struct{})
	l.stops[place] = stop
	l.loops.Go(func() {
		tick := time.NewTicker(time.Second / loadRate)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case due := <-tick.C:
				l.all.Go(func() { ask(due) })
			}
		}
	})
}

// askProvider measures what the machine itself does to a request.
func (l *load) askProvider(due time.Time) {
	r := result{node: control, due: due}
	r.status, _, r.err = request(context.Background(), l.client, l.w.upstream+"/echo/control", "")
	r.ended = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.controls = append(l.controls, r)
}

// leave no longer asks a node.
func (l *load) leave(node int) {
	if l.stops[node] != nil {
		close(l.stops[node])
		l.stops[node] = nil
	}
}

// stop ends the load and waits for the answers that are due.
func (l *load) stop() {
	for i := range l.stops {
		l.leave(i)
	}
	l.loops.Wait()
	l.all.Wait()
	l.client.CloseIdleConnections()
}

func (l *load) ask(node int, due time.Time) {
	l.mu.Lock()
	l.next++
	r := result{id: l.next, node: node, due: due}
	l.mu.Unlock()
	// Not the test's context: a test that fails must not make requests fail.
	r.status, _, r.err = request(context.Background(), l.client, fmt.Sprintf("%s/proxy/fleet/echo/load-%d", l.w.nodes[node].URL, r.id), testenv.AuthKey)
	r.ended = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results = append(l.results, r)
}

// request asks once and reads the answer to its end.
func request(ctx context.Context, client *http.Client, url, key string) (status int, text string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(chat))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+key)
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

// kill ends a node by SIGKILL in the middle of its requests.
func (l *load) kill(node int) {
	l.w.t.Helper()
	l.fall(outage{node: node, killed: true, from: time.Now()})
	must(l.w.t, l.w.nodes[node].Kill())
	l.leave(node)
}

// freeze stops a node where it is, in the middle of its requests.
func (l *load) freeze(node int) {
	l.w.t.Helper()
	l.fall(outage{node: node, from: time.Now()})
	must(l.w.t, l.w.nodes[node].Freeze())
	l.leave(node)
}

func (l *load) fall(o outage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outages = append(l.outages, o)
}

// restart starts a killed node again, and asks it.
func (l *load) restart(node int) {
	l.w.t.Helper()
	must(l.w.t, l.w.nodes[node].Restart(context.WithoutCancel(l.w.t.Context())))
	l.rise(node)
}

// thaw lets a frozen node go on, and asks it at once.
func (l *load) thaw(node int) {
	l.w.t.Helper()
	must(l.w.t, l.w.nodes[node].Thaw())
	l.rise(node)
}

func (l *load) rise(node int) {
	l.mu.Lock()
	for i := range l.outages {
		if o := &l.outages[i]; o.node == node && o.till.IsZero() {
			o.till = time.Now()
		}
	}
	l.mu.Unlock()
	l.send(node)
}

// hit reports whether a request was under way at a node that was dead or frozen then.
func (l *load) hit(r result) bool {
	return slices.ContainsFunc(l.outages, func(o outage) bool {
		return o.node == r.node && !r.ended.Before(o.from) && (o.till.IsZero() || r.due.Before(o.till))
	})
}

// lastBreath reports whether a node answered r within the 100 ms before it was killed.
func (l *load) lastBreath(r result) bool {
	return slices.ContainsFunc(l.outages, func(o outage) bool {
		return o.killed && o.node == r.node && r.ended.After(o.from.Add(-100*time.Millisecond)) && r.due.Before(o.from.Add(time.Second))
	})
}

// between gives the latencies of the requests that were due from a time on and before another, but for those that an outage of
// their node hit; and those of the requests to the provider itself in the same time.
func (l *load) between(from, to time.Time) (through, direct latencies) {
	l.mu.Lock()
	defer l.mu.Unlock()
	within := func(r result) bool { return !r.due.Before(from) && r.due.Before(to) }
	for _, r := range l.results {
		if within(r) && !l.hit(r) {
			through = append(through, r.took())
		}
	}
	for _, r := range l.controls {
		if within(r) {
			direct = append(direct, r.took())
		}
	}
	slices.Sort(through)
	slices.Sort(direct)
	return through, direct
}

// latencies are sorted.
type latencies []time.Duration

func (l latencies) quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(int(q*float64(len(l))), len(l)-1)]
}

func (l latencies) String() string {
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("%d requests, p50 %.2f, p99 %.2f, max %.2f ms", len(l), milliseconds(l.quantile(0.5)), milliseconds(l.quantile(0.99)), milliseconds(l.quantile(1)))
}

// judge looks at every request and, in the database, at every record. It is for after stop.
func (l *load) judge(t *testing.T) {
	t.Helper()
	answered, unanswered := map[string]result{}, map[string]bool{}
	failed := 0
	for _, r := range l.results {
		path := fmt.Sprint("/echo/load-", r.id)
		switch {
		case r.ok():
			answered[path] = r
		case l.hit(r):
			unanswered[path] = true
		default:
			if failed++; failed <= 5 {
				t.Errorf("request %d to node %d, due %s, after %v: status %d, %v", r.id, r.node+1, r.due.Format("15:04:05.000"), r.took(), r.status, r.err)
			}
		}
	}
	t.Logf("%d requests answered, %d failed, %d failed with their node", len(answered), failed, len(unanswered))
	l.awaitRecords(t, answered, unanswered)
}

// awaitRecords waits until each answer has its record, and complains about what is there twice or should not be.
func (l *load) awaitRecords(t *testing.T, answered map[string]result, unanswered map[string]bool) {
	t.Helper()
	var lost, extra int
	took := await(t, 30*time.Second, "every answer has its record", func(ctx context.Context) error {
		lost, extra = 0, 0
		text, err := l.w.store.SQL(ctx, database, `SELECT path FROM request_records WHERE path LIKE '/echo/load-%';`)
		if err != nil {
			return err
		}
		stored := map[string]bool{}
		for path := range strings.Lines(text) {
			path = strings.TrimSpace(path)
			if stored[path] {
				t.Fatalf("two records of %s", path)
			}
			stored[path] = true
			if _, ok := answered[path]; !ok {
				if !unanswered[path] {
					t.Fatalf("a record of %s, which nobody got an answer to", path)
				}
				extra++
			}
		}
		missing := 0
		for path, r := range answered {
			if !stored[path] {
				if l.lastBreath(r) {
					lost++
				} else {
					missing++
				}
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d have none", missing, len(answered))
		}
		return nil
	})
	t.Logf("%d records, none twice, complete %v after the last answer; %d of the last 100 ms of killed nodes are lost; %d are of requests that died",
		len(answered)-lost+extra, took.Round(time.Millisecond), lost, extra)
	records, sums := l.w.count(`SELECT count(*) FROM request_records;`), l.w.count(`SELECT sum(requests) FROM hourly_stats;`)
	if records != sums {
		t.Errorf("%s records, and sums of %s", records, sums)
	}
}
