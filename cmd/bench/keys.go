package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// What the administration of keys promises.
const (
	manyKeys       = 1_000_000
	manyLimit      = 60 * time.Second
	fileKeys       = 100_000
	fileLimit      = 5 * time.Second
	residentLimit  = 300 << 20 // bytes, of the node that imports and serves
	deleteLimit    = 30 * time.Second
	pageLimit      = 300 * time.Millisecond
	keyFlowRate    = 100 // proxied requests a second beside the imports
	keyFlowWindow  = 15 * time.Second
	validatedKeys  = 100_000
	validationWait = 100 * time.Millisecond // that the provider takes for each test
	validationAt   = 200                    // key_validation_concurrency
	// validationShare is how much of the concurrency's full speed a validation has to reach.
	validationShare = 0.8
)

// benchFile imports into an SQLite file.
func benchFile(ctx context.Context, r *report, s settings) (err error) {
	r.title(fmt.Sprintf("%d keys into SQLite, encryption on", fileKeys))
	k, err := startKeys(ctx, s, false)
	defer func() { err = errors.Join(err, k.stop()) }()
	if err != nil {
		return err
	}
	run, err := k.importKeys(ctx, "bench", 0, fileKeys, 0)
	if err != nil {
		return err
	}
	r.promise(fmt.Sprintf("upload and import, at most %v", fileLimit), run.took <= fileLimit, "%.1f s, %.0f MB resident", run.took.Seconds(), megabytes(run.resident))
	return nil
}

// benchMillion imports into PostgreSQL, beside requests, and works on what is there then.
func benchMillion(ctx context.Context, r *report, s settings) (err error) {
	keys := manyKeys
	if s.quick {
		keys /= 10
	}
	r.title(fmt.Sprintf("%d keys into PostgreSQL, encryption on, beside %d requests a second through the same node", keys, keyFlowRate))
	k, err := startKeys(ctx, s, true)
	defer func() { err = errors.Join(err, k.stop()) }()
	if err != nil {
		return err
	}
	if err := k.measureImports(ctx, r, keys); err != nil {
		return fmt.Errorf("%w\n%s", err, k.node.Logs())
	}
	if err := k.measurePages(ctx, r); err != nil {
		return err
	}
	return k.measureDeletion(ctx, r)
}

// benchValidation tests keys at a provider that takes its time.
func benchValidation(ctx context.Context, r *report, s settings) (err error) {
	keys := validatedKeys
	if s.quick {
		keys /= 10
	}
	full := float64(validationAt) / validationWait.Seconds()
	r.title(fmt.Sprintf("validation of %d keys, %d at a time, at a provider that takes %v", keys, validationAt, validationWait))
	k, err := startKeys(ctx, s, true)
	defer func() { err = errors.Join(err, k.stop()) }()
	if err != nil {
		return err
	}
	provider, err := startSlowProvider(ctx)
	if err != nil {
		return err
	}
	defer provider.close()
	g, err := k.admin.CreateGroup(ctx, adminapi.GroupInput{
		Name: "slow", Channel: adminapi.ChannelOpenAI, Upstreams: []adminapi.Upstream{{URL: provider.url, Weight: 1}},
		Settings: map[string]any{"key_validation_concurrency": validationAt, "max_idle_conns": 2 * validationAt, "max_idle_conns_per_host": 2 * validationAt},
	})
	if err != nil {
		return err
	}
	if _, err := k.importKeys(ctx, g.ID, 0, keys, 0); err != nil {
		return err
	}
	run, err := k.operation(ctx, func() (adminapi.Operation, error) {
		return k.admin.StartOperation(ctx, g.ID, adminapi.OperationInput{Kind: adminapi.OperationValidation})
	})
	if err != nil {
		return err
	}
	if run.last.Counts["ok"] != int64(keys) {
		return fmt.Errorf("of %d keys the validation says %v", keys, run.last.Counts)
	}
	speed := float64(keys) / run.took.Seconds()
	r.promise(fmt.Sprintf("tests a second, %.0f %% of %.0f", validationShare*100, full), speed >= validationShare*full, "%.0f, at most %d at a time", speed, provider.most())
	r.promise("never more at a time than configured", provider.most() <= validationAt, "%d", provider.most())
	return nil
}

// keysBench is one node with encryption, and what it talks to.
type keysBench struct {
	dir      *testenv.Dir
	postgres *testenv.PostgresServer
	upstream *process
	node     *testenv.Node
	admin    *adminclient.Client
	group    adminapi.Group // "bench", with benchKeys keys
}

// startKeys starts a node on PostgreSQL or on SQLite. What it returns must be stopped, also with an error.
func startKeys(ctx context.Context, s settings, postgres bool) (*keysBench, error) {
	k := &keysBench{}
	var err error
	if k.dir, err = testenv.MakeDir(); err != nil {
		return k, err
	}
	binary := s.binary
	if binary == "" {
		if binary, err = testenv.Build(ctx, k.dir.Path, false); err != nil {
			return k, err
		}
	}
	env := []string{"ENCRYPTION_KEY=" + rand.Text(), "LOG_LEVEL=info"}
	if postgres {
		if k.postgres, err = testenv.StartPostgres(ctx, filepath.Join(k.dir.Path, "postgres")); err != nil {
			return k, err
		}
		if err := k.postgres.CreateDatabase(ctx, fleetDatabase); err != nil {
			return k, err
		}
		env = append(env, "DATABASE_DSN="+k.postgres.DSN(fleetDatabase))
	}
	if k.upstream, err = startRole(ctx, "upstream", ""); err != nil {
		return k, err
	}
	dir := filepath.Join(k.dir.Path, "node")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return k, err
	}
	if k.node, err = testenv.StartNode(ctx, binary, dir, env...); err != nil {
		return k, err
	}
	k.admin = k.node.Client()
	k.group, err = createGroup(ctx, k.node, k.upstream.addr)
	return k, err
}

func (k *keysBench) stop() error {
	var errs []error
	if k.node != nil {
		errs = append(errs, k.node.Stop())
	}
	if k.upstream != nil {
		errs = append(errs, k.upstream.stop())
	}
	if k.postgres != nil {
		errs = append(errs, k.postgres.Stop())
	}
	if k.dir != nil {
		errs = append(errs, k.dir.Remove())
	}
	return errors.Join(errs...)
}

// operated is what an operation took.
type operated struct {
	last     adminapi.Operation
	took     time.Duration
	resident int64 // most of the node meanwhile, in bytes
	// CPU of the node and of PostgreSQL meanwhile.
	node, postgres time.Duration
}

// cpu is the CPU time of the node and of PostgreSQL, with what its backends that ended used.
func (k *keysBench) cpu() (node, postgres time.Duration) {
	if k.postgres != nil {
		postgres = familyCPU(k.postgres.PID(), true)
	}
	return familyCPU(k.node.PID(), false), postgres
}

// operation begins an operation and waits for its end.
func (k *keysBench) operation(ctx context.Context, begin func() (adminapi.Operation, error)) (run operated, err error) {
	watched, end := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for watched.Err() == nil {
			if now, err := proxyOf(k.node).resident(); err == nil {
				run.resident = max(run.resident, now)
			}
			_ = pause(watched, 100*time.Millisecond)
		}
	})
	node, postgres := k.cpu()
	begun := time.Now()
	run.last, err = begin()
	if err == nil {
		run.last, err = k.admin.WaitOperation(ctx, run.last.ID, nil)
	}
	run.took = time.Since(begun)
	run.node, run.postgres = k.cpu()
	run.node, run.postgres = run.node-node, run.postgres-postgres
	end()
	watching.Wait()
	if err == nil && run.last.State != adminapi.OperationSucceeded {
		err = fmt.Errorf("operation %s of the kind %s is %s: %s", run.last.ID, run.last.Kind, run.last.State, run.last.Error)
	}
	return run, err
}

// importKeys imports so many new keys, numbered from first on, every invalid-th of them invalid unless that is 0.
func (k *keysBench) importKeys(ctx context.Context, group string, first, keys, invalid int) (operated, error) {
	if group == "bench" {
		group = k.group.ID
	}
	reader, writer := io.Pipe()
	go func() { _ = writer.CloseWithError(writeKeys(writer, first, keys, invalid)) }() // always nil
	run, err := k.operation(ctx, func() (adminapi.Operation, error) {
		return k.admin.ImportKeys(ctx, group, reader, adminclient.ImportOptions{})
	})
	_ = reader.Close() // always nil
	if err == nil && run.last.Counts["added"] != int64(keys) {
		err = fmt.Errorf("of %d keys the import says %v", keys, run.last.Counts)
	}
	return run, err
}

// writeKeys writes keys as long as those of the providers are, one a line.
func writeKeys(to io.Writer, first, keys, invalid int) error {
	block := make([]byte, 0, 64<<10)
	for i := first; i < first+keys; i++ {
		// An odd factor permutes the numbers, so that the keys are in no order.
		key := fmt.Sprintf("sk-many-%040x", uint64(i)*0x9e3779b97f4a7c15)
		if invalid > 0 && i%invalid == 0 {
			key = `{"key":"` + key + `","state":"invalid","reason":"invalid_api_key"}`
		}
		if block = append(append(block, key...), '\n'); len(block) > 60<<10 {
			if _, err := to.Write(block); err != nil {
				return err
			}
			block = block[:0]
		}
	}
	_, err := to.Write(block)
	return err
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// measureImports imports into an empty group and then into the same one, while requests go through the node.
func (k *keysBench) measureImports(ctx context.Context, r *report, keys int) error {
	client, body := newFlowClient(), chatBody(flowSize)
	defer client.CloseIdleConnections()
	flow := func(ctx context.Context, d time.Duration) (latencies, error) {
		return paced(ctx, client, proxyOf(k.node).addr, body, keyFlowRate, d)
	}
	burner, err := startBurner(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = burner.stop() }()                  // it has nothing to lose
	if _, err := flow(ctx, keyFlowWindow/3); err != nil { // buffers warm up
		return err
	}
	for i, name := range []string{"into an empty group", "into that group"} {
		before, err := flow(ctx, keyFlowWindow)
		if err != nil {
			return err
		}
		busy, end := context.WithCancel(ctx)
		var during latencies
		var flowErr error
		var flowing sync.WaitGroup
		flowing.Go(func() {
			for busy.Err() == nil && flowErr == nil {
				var some latencies
				some, flowErr = flow(ctx, time.Second)
				during = append(during, some...)
			}
		})
		run, err := k.importKeys(ctx, "bench", i*keys, keys, 5)
		end()
		flowing.Wait()
		if err := errors.Join(err, flowErr); err != nil {
			return err
		}
		after, err := flow(ctx, keyFlowWindow)
		if err != nil {
			return err
		}
		alike, err := besideBurner(ctx, burner, (run.node+run.postgres).Seconds()/run.took.Seconds(), flow)
		if err != nil {
			return err
		}
		r.promise(fmt.Sprintf("%s, at most %v", name, manyLimit), run.took <= manyLimit, "%.1f s, %.0f keys a second", run.took.Seconds(), float64(keys)/run.took.Seconds())
		r.promise(fmt.Sprintf("  resident, under %d MiB", residentLimit>>20), run.resident < residentLimit, "%.0f MiB", float64(run.resident)/(1<<20))
		r.figure("  CPU of a key, node and PostgreSQL", "%.1f and %.1f µs", micros(run.node)/float64(keys), micros(run.postgres)/float64(keys))
		reportFlow(r, before, after, during, alike)
	}
	return nil
}

// besideBurner measures requests beside a process that uses as many cores as the import did with PostgreSQL: they take turns, so
// it does so all the time, and the rest of more than one core once a second.
func besideBurner(ctx context.Context, b burnerControl, cores float64, flow func(context.Context, time.Duration) (latencies, error)) (latencies, error) {
	if err := b.burn(ctx, min(cores, 1), max(0, cores-1)); err != nil {
		return nil, err
	}
	took, err := flow(ctx, keyFlowWindow)
	return took, errors.Join(err, b.burn(ctx, 0, 0))
}

// reportFlow prints what requests took without the import, during it, and beside as much other work; benchRecords says why.
func reportFlow(r *report, before, after, during, alike latencies) {
	for _, q := range []float64{0.5, 0.99} {
		at := func(l latencies, from int) float64 { return micros(l.everySecond(from).quantile(q)) }
		quiet := func(from int) float64 { return (at(before, from) + at(after, from)) / 2 }
		r.figure(fmt.Sprintf("  p%.0f, answered at once: the import, to without", q*100), "%.0f to %.0f µs, %.2f", quiet(0), at(during, 0), at(during, 0)/quiet(0))
		if q < 0.99 {
			continue
		}
		r.figure("  p99, answered at once: as much CPU, to without", "%.0f to %.0f µs, %.2f", quiet(0), at(alike, 0), at(alike, 0)/quiet(0))
		real := at(during, 1) / quiet(1)
		r.promise(fmt.Sprintf("  p99, answered after %v, at most %.2f", thinkTime, worseLimit), real <= worseLimit, "%.0f to %.0f µs, %.2f", quiet(1), at(during, 1), real)
	}
}

// measurePages reads pages of keys from everywhere in the group.
func (k *keysBench) measurePages(ctx context.Context, r *report) error {
	for _, state := range []string{"", adminapi.KeyActive, adminapi.KeyInvalid, adminapi.KeyDisabled} {
		var took latencies
		filter := adminclient.KeyFilter{KeyFilter: adminapi.KeyFilter{State: state}, Limit: 100}
		for range 100 {
			begun := time.Now()
			page, err := k.admin.Keys(ctx, k.group.ID, filter)
			if err != nil {
				return err
			}
			took = append(took, time.Since(begun))
			filter.Cursor = page.NextCursor
		}
		name := "a page of keys"
		if state != "" {
			name += " that are " + state
		}
		p95 := took.quantile(0.95)
		r.promise(fmt.Sprintf("%s, p95 under %v", name, pageLimit), p95 < pageLimit, "%.1f ms", micros(p95)/1e3)
	}
	return nil
}

// measureDeletion deletes all invalid keys.
func (k *keysBench) measureDeletion(ctx context.Context, r *report) error {
	run, err := k.operation(ctx, func() (adminapi.Operation, error) {
		return k.admin.StartOperation(ctx, k.group.ID, adminapi.OperationInput{Kind: adminapi.OperationDeletion, State: adminapi.KeyInvalid})
	})
	if err != nil {
		return err
	}
	r.promise(fmt.Sprintf("deleting the invalid ones, at most %v", deleteLimit), run.took <= deleteLimit, "%.1f s for %d", run.took.Seconds(), run.last.Counts["deleted"])
	return nil
}

// slowProvider answers every test after validationWait.
type slowProvider struct {
	url    string
	server *http.Server
	ended  chan struct{}

	mu               sync.Mutex
	now, mostAtATime int
}

func startSlowProvider(ctx context.Context) (*slowProvider, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &slowProvider{url: "http://" + listener.Addr().String(), ended: make(chan struct{})}
	p.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		p.count(1)
		defer p.count(-1)
		_, _ = io.Copy(io.Discard, q.Body)
		if pause(ctx, validationWait) == nil {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answer(1<<10))
		}
	}), ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(p.ended)
		_ = p.server.Serve(listener)
	}()
	return p, nil
}

func (p *slowProvider) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now += n
	p.mostAtATime = max(p.mostAtATime, p.now)
}

func (p *slowProvider) most() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mostAtATime
}

func (p *slowProvider) close() {
	_ = p.server.Close()
	<-p.ended
}
