package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/proxy"
	"gpt-load/internal/secret"
	"gpt-load/internal/snapshot"
	"gpt-load/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const proxyKey = "sk-proxy-key-of-the-tests"

// rig is the data plane with real HTTP on both sides: a client, the handler in net/http's server, a scripted provider.
type rig struct {
	t        *testing.T
	provider *fakeprovider.Provider
	handler  *proxy.Handler
	pools    *keypool.Pools
	url      string // of the gateway
	records  *recordKeeper
	changes  *changeKeeper
	logs     *observer.ObservedLogs
	client   *http.Client
}

// group is the standard group of most tests: one upstream, quick limits.
func (r *rig) group(id fleet.GroupID, channel fleet.Channel, change ...func(*fleet.Group)) fleet.Group {
	g := fleet.Group{
		ID: id, Name: fmt.Sprintf("g%d", id), Kind: fleet.KindStandard, Channel: channel,
		Upstreams: []fleet.Upstream{{URL: r.provider.BaseURL(), Weight: 1}},
		Settings:  map[string]string{"cooldown_wait_seconds": "0"},
	}
	for _, c := range change {
		c(&g)
	}
	return g
}

func set(name, value string) func(*fleet.Group) {
	return func(g *fleet.Group) { g.Settings[name] = value }
}

// newRig starts provider and gateway. configure is called when the provider's address is known; keys fills the
// pool of each standard group with that many keys, named key-{group}-{n}.
func newRig(t *testing.T, keys int, configure func(r *rig) []fleet.Group) *rig {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	r := &rig{
		t: t, provider: fakeprovider.Serve(t, fakeprovider.Options{}), pools: keypool.NewPools(),
		records: newRecordKeeper(), changes: &changeKeeper{}, logs: logs,
		client: &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	holder, routes := &snapshot.Holder{}, &proxy.Routes{}
	groups := configure(r)
	snap, faults := snapshot.Compile(1, map[string]string{"proxy_keys": proxyKey}, groups, func(k secret.Text) string { return "fp-" + k.Tail() })
	if len(faults) > 0 {
		t.Fatalf("the test's own configuration: %v", faults)
	}
	routes.Sync(snap.Groups())
	holder.Store(snap)
	for _, g := range groups {
		if g.Kind == fleet.KindStandard {
			pool := r.pools.Ensure(g.ID)
			for i := 1; i <= keys; i++ {
				pool.Put(fleet.Key{ID: keyID(g.ID, i), GroupID: g.ID, State: fleet.KeyActive, Value: secret.New(keyValue(g.ID, i))})
			}
		}
	}
	transports := upstream.NewTransports(upstream.Options{})
	r.handler = proxy.New(proxy.Options{
		Snapshots: holder, Pools: r.pools, Routes: routes, Transports: transports, Recorder: r.records, Journal: r.changes,
		MaxConcurrent: 2000, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, Log: zap.New(core),
	})
	server := httptest.NewServer(r.handler)
	r.url = server.URL
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		server.Close()
		transports.Close()
	})
	return r
}

func keyID(group fleet.GroupID, n int) fleet.KeyID { return fleet.KeyID(int64(group)*1000 + int64(n)) }

func keyValue(group fleet.GroupID, n int) string {
	return fmt.Sprintf("key-%d-%d-of-the-provider", group, n)
}

// states lists the keys that are not usable as at first: state and reason, or cool-downs.
func (r *rig) states(group fleet.GroupID, keys int) map[int]string {
	changed := map[int]string{}
	for i := 1; i <= keys; i++ {
		key, ok := r.pools.Get(group).Get(keyID(group, i), time.Now())
		if !ok {
			r.t.Fatalf("key %d is gone", i)
		}
		switch {
		case key.State != fleet.KeyActive:
			changed[i] = string(key.State) + ":" + key.Reason
		case len(key.Cooldowns) > 0:
			changed[i] = "cooling:" + key.Cooldowns[0].Model
		case key.Failures > 0:
			changed[i] = fmt.Sprintf("failures:%d", key.Failures)
		}
	}
	return changed
}

// answer is what the client got.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body: an aborted transfer
}

func (r *rig) send(method, path, body string, header ...string) answer {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+proxyKey)
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] == "" {
			request.Header.Del(header[i])
			continue
		}
		request.Header.Set(header[i], header[i+1])
	}
	response, err := r.client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: string(data), err: err}
}

func chat(model string, stream bool) string {
	return fmt.Sprintf(`{"model":%q,"stream":%v,"messages":[{"role":"user","content":"hello"}]}`, model, stream)
}

// recordKeeper collects records and lets tests wait for them.
type recordKeeper struct {
	mu      sync.Mutex
	records []fleet.RequestRecord
	changed chan struct{}
}

func newRecordKeeper() *recordKeeper { return &recordKeeper{changed: make(chan struct{})} }

func (k *recordKeeper) Acquire() *fleet.RequestRecord { return &fleet.RequestRecord{} }

func (k *recordKeeper) Record(r *fleet.RequestRecord) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.records = append(k.records, *r)
	close(k.changed)
	k.changed = make(chan struct{})
}

// wait returns the records when there are n of them.
func (k *recordKeeper) wait(t *testing.T, n int) []fleet.RequestRecord {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		k.mu.Lock()
		got, changed := k.records, k.changed
		k.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d records, want %d", len(got), n)
		}
	}
}

type changeKeeper struct {
	mu      sync.Mutex
	changes []fleet.KeyChange
}

func (k *changeKeeper) Add(c fleet.KeyChange) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changes = append(k.changes, c)
}
