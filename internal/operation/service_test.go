package operation_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/operation"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a store that several nodes use.
type world struct {
	t     *testing.T
	store *sqlstore.Store
	group fleet.Group
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	s, err := sqlstore.Open(ctx, filepath.Join(t.TempDir(), "gpt-load.db"), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	install, err := s.Install(ctx)
	if err != nil {
		t.Fatal(err)
	}
	box, err := secret.NewBox(secret.New("correct horse"), install.Salt)
	if err == nil {
		err = s.Unlock(ctx, box)
	}
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.CreateGroup(ctx, fleet.Group{
		Name: "g", Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI, Upstreams: []fleet.Upstream{{URL: "https://api.openai.com", Weight: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, store: s, group: g}
}

// node makes a service on the store; it works on operations until the function that comes with it is called.
func (w *world) node(name string, store operation.Store, change ...func(*operation.Service)) (s *operation.Service, end func()) {
	s = operation.NewService(operation.ServiceOptions{Store: store, Node: name, Log: zaptest.NewLogger(w.t)})
	for _, c := range change {
		c(s)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) }) // always nil
	end = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	w.t.Cleanup(end)
	return s, end
}

// until reads an operation again and again until it is as wanted.
func (w *world) until(id operation.ID, what string, wanted func(operation.Operation) bool) operation.Operation {
	w.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		o, err := w.store.Operation(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		if wanted(o) {
			return o
		}
		select {
		case <-deadline.C:
			w.t.Fatalf("operation %d is not %s but %+v", id, what, o)
		case <-tick.C:
		}
	}
}

func (w *world) ended(id operation.ID) operation.Operation {
	w.t.Helper()
	return w.until(id, "at its end", func(o operation.Operation) bool { return o.State.Ended() })
}

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "sk-key-%06d\n", i)
	}
	return b.String()
}

// stalling lets a number of steps of imports through, and then none until the node ends.
type stalling struct {
	*sqlstore.Store
	mu      sync.Mutex
	steps   int
	stalled chan struct{}
}

func (s *stalling) ImportKeys(ctx context.Context, c operation.Claim, group fleet.GroupID, keys []keyfile.Key, record func([]bool) (operation.Progress, []byte)) error {
	s.mu.Lock()
	s.steps--
	last := s.steps == -1
	stop := s.steps < 0
	s.mu.Unlock()
	if stop {
		if last {
			close(s.stalled)
		}
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Store.ImportKeys(ctx, c, group, keys, record)
}

// TestTakenOver ends the node that works on an import: another one goes on where it stood, and the result has each entry once.
func TestTakenOver(t *testing.T) {
	w := newWorld(t)
	slow := &stalling{Store: w.store, steps: 3, stalled: make(chan struct{})}
	first, end := w.node("first", slow)
	o, err := first.Upload(t.Context(), operation.Operation{GroupID: w.group.ID}, strings.NewReader(lines(4000)+"bad\x01key\nsk-key-000001\n"))
	if err != nil {
		t.Fatal(err)
	}
	<-slow.stalled
	end()
	if left := w.until(o.ID, "waiting", func(o operation.Operation) bool { return o.State == operation.Waiting }); left.Done != 1500 {
		t.Errorf("left at %d entries", left.Done)
	}
	second, _ := w.node("second", w.store)
	done := w.ended(o.ID)
	if done.State != operation.Succeeded || done.Node != "second" || done.Done != 4002 || done.Claim != 2 ||
		done.Counts[operation.Added] != 4000 || done.Counts[operation.Duplicate] != 1 || done.Counts[operation.Rejected] != 1 {
		t.Errorf("done: %+v", done)
	}
	var result strings.Builder
	if err := second.WriteResult(t.Context(), done, &result); err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSuffix(result.String(), "\n"), "\n")
	if len(all) != 4002 || all[0] != `{"line":1,"entry":1,"outcome":"added"}` || !strings.HasPrefix(all[4000], `{"line":4001,"entry":4001,"outcome":"rejected","reason":"holds`) {
		t.Errorf("the result has %d lines: %s ... %s", len(all), all[0], all[len(all)-1])
	}
}

// TestKilled is about a node that ends without a word: what holds its claim falls silent.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	o, err := w.store.CreateOperation(t.Context(), operation.Operation{Kind: operation.Export, GroupID: w.group.ID, State: operation.Waiting, Options: operation.Options{Format: keyfile.CSV}})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := w.store.ClaimOperation(t.Context(), "killed"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	w.node("second", w.store)
	begun := time.Now()
	done := w.ended(o.ID)
	if done.State != operation.Succeeded || done.Node != "second" {
		t.Errorf("done: %+v", done)
	}
	if took := time.Since(begun); took < operation.HeartbeatTimeout/2 || took > 2*operation.HeartbeatTimeout {
		t.Errorf("it was taken over after %v", took)
	}
}

// away is a store whose database is away for some calls.
type away struct {
	*sqlstore.Store
	mu    sync.Mutex
	calls int
}

func (a *away) ImportKeys(ctx context.Context, c operation.Claim, group fleet.GroupID, keys []keyfile.Key, record func([]bool) (operation.Progress, []byte)) error {
	a.mu.Lock()
	a.calls++
	n := a.calls
	a.mu.Unlock()
	switch n {
	case 2: // it is undone
		return fleet.NewError(fleet.CodeUnavailable, "away", nil)
	case 3: // it is committed, and the answer is lost
		return errors.Join(a.Store.ImportKeys(ctx, c, group, keys, record), fleet.NewError(fleet.CodeUnavailable, "away", nil))
	}
	return a.Store.ImportKeys(ctx, c, group, keys, record)
}

func TestDatabaseAway(t *testing.T) {
	w := newWorld(t)
	s, _ := w.node("node", &away{Store: w.store})
	o, err := s.Upload(t.Context(), operation.Operation{GroupID: w.group.ID}, strings.NewReader(lines(2000)))
	if err != nil {
		t.Fatal(err)
	}
	if done := w.ended(o.ID); done.State != operation.Succeeded || done.Counts[operation.Added] != 2000 || done.Counts[operation.Duplicate] != 0 {
		t.Errorf("done: %+v", done)
	}
}

func TestWorkersThatFail(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		worker operation.Worker
		says   string
	}{
		"panic":  {func(context.Context, *operation.Run) error { panic("sk-canary") }, "a defect; the log of the node has the cause"},
		"defect": {func(context.Context, *operation.Run) error { return errors.New("sk-canary") }, "a defect; the log of the node has the cause"},
		"known":  {func(context.Context, *operation.Run) error { return fleet.NewError(fleet.CodeInvalid, "it is so", nil) }, "it is so"},
	} {
		s, end := w.node(name, w.store, func(s *operation.Service) { s.Handle(operation.Validation, c.worker) })
		o, err := s.Start(t.Context(), operation.Operation{Kind: operation.Validation, GroupID: w.group.ID})
		if err != nil {
			t.Fatal(err)
		}
		if done := w.ended(o.ID); done.State != operation.Failed || done.Error != c.says {
			t.Errorf("%s: %+v", name, done)
		}
		end()
	}
}

func TestUploadsThatFail(t *testing.T) {
	w := newWorld(t)
	s, _ := w.node("node", w.store)
	for name, file := range map[string]io.Reader{
		"broken":    io.MultiReader(strings.NewReader(lines(30_000)), &failing{}),
		"cut array": strings.NewReader(`["sk-canary", "b`),
		"nothing":   strings.NewReader("\n# nothing\n"),
	} {
		if _, err := s.Upload(t.Context(), operation.Operation{GroupID: w.group.ID}, file); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
	page, _, err := s.List(t.Context(), operation.Query{})
	if err != nil || len(page) != 3 {
		t.Fatal(len(page), err)
	}
	for _, o := range page {
		if o.State != operation.Failed || !strings.HasSuffix(o.Error, "nothing was changed") {
			t.Errorf("left: %+v", o)
		}
		if piece, err := w.store.Chunk(t.Context(), o.ID, operation.Input, 0); piece != nil || err != nil {
			t.Errorf("the file is still there, %v", err)
		}
	}
	if counts, err := w.store.CountKeys(t.Context(), w.group.ID); err != nil || len(counts) != 0 {
		t.Errorf("keys were added: %v, %v", counts, err)
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errors.New("the line broke") }
