package adminhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"gpt-load/internal/adminhttp"
	"gpt-load/internal/cluster"
	"gpt-load/internal/fleet"
	"gpt-load/internal/jsonbody"
	"gpt-load/internal/keypool"
	bulk "gpt-load/internal/operation"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const authKey = "sk-admin-canary-0123456789abcdef"

// world is a control plane over a real database and real pools, with a tester and a reloader that a test scripts.
type world struct {
	t      *testing.T
	store  *sqlstore.Store
	pools  *keypool.Pools
	logs   *observer.ObservedLogs
	server *httptest.Server
	api    *adminhttp.API
	client *adminclient.Client // with AUTH_KEY as bearer
	// operations are worked on until the test ends.
	operations *bulk.Service

	mu        sync.Mutex
	now       time.Time
	revisions []int64 // what Changed was called with
	reloadErr error
	test      func(fleet.KeyID) (adminhttp.TestResult, error)
	checks    []adminhttp.Check
	self      cluster.Member
	members   []cluster.Member
	nodesErr  error
}

// Nodes implements adminhttp.Nodes.
func (w *world) Nodes(context.Context) (cluster.Member, []cluster.Member, error) {
	return w.self, w.members, w.nodesErr
}

func newWorld(t *testing.T, change ...func(*adminhttp.Options)) *world {
	t.Helper()
	w := &world{t: t, pools: keypool.NewPools(), now: time.Now(), checks: []adminhttp.Check{{Name: "configuration", Ready: true}}}
	w.store = openStore(t)
	core, logs := observer.New(zapcore.DebugLevel)
	w.logs = logs
	options := adminhttp.Options{
		AuthKey: secret.New(authKey), Logger: zap.New(core), Store: w.store, Pools: w, Tester: w, Reloader: w, Nodes: w,
		Ready:          func() []adminhttp.Check { return w.checks },
		Secrets:        adminhttp.Secrets{Weakness: weakness},
		CheckParamPath: func(path string) error { _, err := jsonbody.ParsePath(path); return err },
		Version:        "2.0.0-test", Clock: w.clock,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
	options.Operations = bulk.NewService(bulk.ServiceOptions{
		Store: w.store, Node: "node-1", Log: options.Logger, RefuseValue: adminhttp.RefuseKey, Settle: w.settle,
	})
	for _, c := range change {
		c(&options)
	}
	w.operations = options.Operations
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = w.operations.Run(ctx) }) // always nil
	t.Cleanup(func() {
		end()
		running.Wait()
	})
	api, err := adminhttp.New(options)
	if err != nil {
		t.Fatal(err)
	}
	w.api = api
	running.Go(func() { _ = api.Run(ctx) }) // always nil
	e := echo.New()
	api.Mount(e)
	w.server = httptest.NewServer(e)
	t.Cleanup(w.server.Close)
	w.client = w.newClient(adminclient.WithAuthKey(authKey))
	return w
}

// weakness calls weak what says so.
func weakness(t secret.Text) string {
	if strings.Contains(t.Reveal(), "weak") {
		return "it says so"
	}
	return ""
}

func openStore(t *testing.T) *sqlstore.Store {
	t.Helper()
	ctx := context.Background()
	s, err := sqlstore.Open(ctx, filepath.Join(t.TempDir(), "gpt-load.db"), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	install, err := s.Install(ctx)
	if err == nil {
		t.Fatal("an empty database has an install row")
	}
	if err := s.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if install, err = s.Install(ctx); err != nil {
		t.Fatal(err)
	}
	box, err := secret.NewBox(secret.New(""), install.Salt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(ctx, box); err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) newClient(options ...adminclient.Option) *adminclient.Client {
	w.t.Helper()
	return w.newNotedClient(nil, options...)
}

// newNotedClient makes a client that says which operations it called.
func (w *world) newNotedClient(note func(operation string, answer *http.Response), options ...adminclient.Option) *adminclient.Client {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	transport := &http.Transport{}
	w.t.Cleanup(transport.CloseIdleConnections)
	checked := &http.Client{Jar: jar, Transport: &documented{t: w.t, next: transport, api: document(w.t), note: note}}
	c, err := adminclient.New(w.server.URL, append([]adminclient.Option{adminclient.WithHTTPClient(checked)}, options...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Changed implements adminhttp.Reloader.
func (w *world) Changed(_ context.Context, revision int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revisions = append(w.revisions, revision)
	return w.reloadErr
}

func (w *world) lastRevision() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.revisions) == 0 {
		return 0
	}
	return w.revisions[len(w.revisions)-1]
}

// settle brings the pools to what the store holds.
func (w *world) settle(ctx context.Context) error {
	groups, err := w.store.Groups(ctx)
	for _, g := range groups {
		if err == nil && g.Kind == fleet.KindStandard {
			err = w.pools.Ensure(g.ID).Replace(func(put func([]fleet.Key) error) error { return w.store.EachKey(ctx, g.ID, put) })
		}
	}
	return err
}

// ended waits for the end of an operation that begins without an error.
func (w *world) ended(o adminapi.Operation, err error) adminapi.Operation {
	w.t.Helper()
	if err == nil {
		o, err = w.client.WaitOperation(w.t.Context(), o.ID, nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// Counts implements adminhttp.Pools.
func (w *world) Counts(group fleet.GroupID) fleet.KeyCounts {
	if pool := w.pools.Get(group); pool != nil {
		return pool.Counts(w.clock())
	}
	return fleet.KeyCounts{}
}

// Live implements adminhttp.Pools.
func (w *world) Live(group fleet.GroupID, id fleet.KeyID) (fleet.Key, bool) {
	if pool := w.pools.Get(group); pool != nil {
		return pool.Get(id, w.clock())
	}
	return fleet.Key{}, false
}

// KeysChanged implements adminhttp.Pools.
func (w *world) KeysChanged(_ context.Context, group fleet.GroupID, added []fleet.Key, changes []fleet.KeyChange, removed []fleet.KeyID) {
	pool := w.pools.Ensure(group)
	pool.Put(added...)
	for _, c := range changes {
		pool.Apply(c)
	}
	pool.Remove(removed...)
	w.api.KeysChanged(group, changes...)
}

// TestKey implements adminhttp.Tester.
func (w *world) TestKey(_ context.Context, _ fleet.GroupID, id fleet.KeyID) (adminhttp.TestResult, error) {
	return w.test(id)
}

func (w *world) group(in adminapi.GroupInput) adminapi.Group {
	w.t.Helper()
	g, err := w.client.CreateGroup(w.t.Context(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

func openai(name string) adminapi.GroupInput {
	return adminapi.GroupInput{
		Name: name, Channel: adminapi.ChannelOpenAI, Upstreams: []adminapi.Upstream{{URL: "https://api.openai.com", Weight: 1}},
	}
}

// refused checks that err is an answer of the API with a code, and returns a copy of it.
func refused(t *testing.T, err error, code adminapi.Code) adminclient.Error {
	t.Helper()
	var e *adminclient.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v, want an answer with code %s", err, code)
	}
	if e.RequestID == "" {
		t.Errorf("no request id in %v", e)
	}
	return *e
}

func fieldsOf(e adminclient.Error) []string {
	fields := make([]string, len(e.Details))
	for i, d := range e.Details {
		fields[i] = d.Field
	}
	return fields
}

// raw sends a request with AUTH_KEY unless the header says otherwise, for what the client would never send.
func (w *world) raw(method, path string, header http.Header, body string) (status int, answered http.Header, text string) {
	w.t.Helper()
	if !strings.HasPrefix(path, "/health") && !strings.HasPrefix(path, "//") {
		path = adminapi.Prefix + path
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+authKey)
	for name, values := range header {
		r.Header[name] = values
		if len(values) == 0 {
			r.Header.Del(name)
		}
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	answer, err := (&documented{t: w.t, next: transport, api: document(w.t)}).RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(content)
}
