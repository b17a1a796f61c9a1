package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"gpt-load/internal/accesslog"
	"gpt-load/internal/adminhttp"
	"gpt-load/internal/cluster"
	"gpt-load/internal/config"
	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/maintenance"
	"gpt-load/internal/metrics"
	"gpt-load/internal/operation"
	"gpt-load/internal/proxy"
	"gpt-load/internal/rediscluster"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/secret"
	"gpt-load/internal/snapshot"
	"gpt-load/internal/sqlstore"
	"gpt-load/internal/tracing"
	"gpt-load/internal/upstream"
)

// Options are what a node is started with.
type Options struct {
	Config  config.Config
	Version string
	Log     *zap.Logger
	// Listening is called once with the address in use, when requests are served. It may be nil.
	Listening func(addr net.Addr)
}

// node holds the parts of one process.
type node struct {
	Options
	started time.Time
	leaving atomic.Bool

	id         cluster.NodeID
	address    string               // where it listens, for people
	redis      *rediscluster.Client // nil on a single node
	lease      cluster.Lease
	bus        cluster.Bus
	membership cluster.Membership
	tidings    *tidings

	store     *sqlstore.Store
	localCopy *sqlstore.Store // nil where there is none
	source    source
	attached  chan struct{} // closed when the node serves from the database
	snapshots *snapshot.Holder
	loader    *snapshot.Loader
	pools     *keypool.Pools
	feed      *keypool.Feed
	journal   *keypool.Writer // of verdicts, to the database
	verdicts  *keypool.Writer // of verdicts, to the other nodes
	// What the bus told to look for.
	staleConfiguration, staleKeys chan struct{}
	// When the last of it was told, in nanoseconds since the epoch; 0 once it is in use.
	toldConfiguration, toldKeys atomic.Int64
	roleChanged                 chan struct{}
	routes                      *proxy.Routes
	transports                  *upstream.Transports
	records                     *requestlog.Recorder
	metrics                     *metrics.Metrics
	tracer                      *tracing.Tracer // nil when it is off
	accessLog                   *accesslog.Log  // nil when it is off
	storeHealth                 storeHealth
	proxy                       *proxy.Handler
	jobs                        *maintenance.Runner
	operations                  *operation.Service
	admin                       *adminhttp.API
	server                      *http.Server
	// endRequests ends the contexts of all requests.
	endRequests context.CancelCauseFunc
}

// Run starts a node, serves until ctx ends, shuts down and returns. An error says what to change in the words of
// the configuration.
func Run(ctx context.Context, o Options) (err error) {
	n := newNode(o)
	defer keepHeapHeadroom()()
	if err := n.open(ctx); err != nil {
		return errors.Join(err, n.close())
	}
	defer func() { err = errors.Join(err, n.close()) }()
	endMetrics, err := n.serveMetrics()
	if err != nil {
		return err
	}
	defer endMetrics() // the last to go before the parts that it reads
	// Before the port is open: a load balancer takes a refused connection to another node, and an answer to the client.
	if err := n.connect(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to end while it waited
		}
		return err
	}
	listener, err := net.Listen("tcp", o.Config.Addr())
	if err != nil {
		return fmt.Errorf("listening on %s (HOST, PORT): %w", o.Config.Addr(), err)
	}
	return n.serve(ctx, listener)
}

func newNode(o Options) *node {
	n := &node{
		Options: o, started: time.Now(), id: cluster.NewNodeID(), attached: make(chan struct{}),
		staleConfiguration: make(chan struct{}, 1), staleKeys: make(chan struct{}, 1),
		roleChanged: make(chan struct{}, 1), metrics: metrics.New(o.Version),
	}
	n.source.health = &n.storeHealth
	return n
}

// open builds everything. It talks to no server: see connect.
func (n *node) open(ctx context.Context) (err error) {
	if n.store, err = sqlstore.Open(ctx, n.Config.DatabaseDSN.Reveal(), sqlstore.Options{Logger: n.Log.Named("store"), Node: string(n.id)}); err != nil {
		return err
	}
	n.source.current.Store(n.store)
	n.openLocalCopy(ctx)
	if err := n.openCluster(ctx); err != nil {
		return err
	}
	n.transports = upstream.NewTransports(upstream.Options{BlockPrivate: n.Config.BlockPrivateUpstreams, EnvProxy: n.Config.EnvProxy})
	n.routes = &proxy.Routes{}
	n.pools = keypool.NewPools()
	n.journal = keypool.NewWriter(n.store, n.Log.Named("keys"))
	n.feed = keypool.NewFeed(&n.source, n.pools, n.journal.Waits, n.Log.Named("keys"))
	n.feed.Observe(n.keysRead)
	n.snapshots = &snapshot.Holder{}
	n.loader = snapshot.NewLoader(&n.source, n.snapshots, n.fingerprint, n.apply, n.Log)
	if err := n.openRecords(); err != nil {
		return err
	}
	n.tidings = newTidings(n.bus)
	n.verdicts = keypool.NewTeller(n.tidings)
	var crossOrigin func(http.Header, *http.Request) bool
	if n.Config.CORS.Enabled {
		crossOrigin = n.cors().Apply
	}
	if a := n.Config.AccessLog; a.Format != "off" {
		secrets := n.Config.Secrets()
		n.accessLog = accesslog.New(accesslog.Options{
			JSON: a.Format == "json", Output: os.Stdout, Sample: a.Sample, Location: n.Config.Location, Log: n.Log.Named("access"),
			Redact: func(lines string) string { return secret.RedactLine(lines, secrets...) },
		})
	}
	if err := n.openTracing(ctx); err != nil {
		return err
	}
	n.proxy = proxy.New(proxy.Options{
		Snapshots: n.snapshots, Pools: n.pools, Routes: n.routes, Transports: n.transports,
		Recorder: n.records, Journal: journals{n}, MaxConcurrent: n.Config.MaxConcurrentRequests,
		ReadTimeout: n.Config.ReadTimeout, WriteTimeout: n.Config.WriteTimeout,
		TrustedProxies: n.Config.TrustedProxies, CrossOrigin: crossOrigin, Metrics: n.metrics, AccessLog: n.accessLog, Tracer: n.tracer, Leaving: n.leaving.Load, Log: n.Log.Named("proxy"),
	})
	n.openJobs()
	n.openOperations()
	n.metrics.Read(n.readings)
	return n.openServer()
}

func (n *node) openRecords() (err error) {
	sink := requestlog.Sink(n.store)
	if n.redis != nil {
		sink = n.redis.RecordSink(n.store)
	}
	n.records, err = requestlog.Open(requestlog.Options{
		Dir: filepath.Join(n.Config.DataDir, "spool"), Sink: sink, Logger: n.Log.Named("records"),
		Interval: func() time.Duration { return n.snapshots.Load().System.RequestLogWriteInterval },
	})
	return err
}

// apply brings the stateful parts to a new snapshot, before requests see it.
func (n *node) apply(_ context.Context, old, current *snapshot.Snapshot) error {
	n.routes.Sync(current.Groups())
	groups := make([]fleet.Group, len(current.Groups()))
	for i, g := range current.Groups() {
		groups[i] = g.Group
	}
	n.metrics.Sync(groups)
	used := make([]upstream.TransportConfig, 0, len(current.Groups()))
	for _, g := range current.Groups() {
		if g.Kind == fleet.KindStandard {
			n.pools.Ensure(g.ID)
			used = append(used, g.Transport)
		}
	}
	n.transports.Retain(used)
	if old != nil {
		for _, g := range old.Groups() {
			if _, stays := current.ByID(g.ID); !stays {
				n.pools.Delete(g.ID)
			}
		}
	}
	n.admin.ConfigurationChanged(current.Revision)
	return nil
}

func (n *node) fingerprint(key secret.Text) string { return n.source.current.Load().Fingerprint(key) }

// serve runs every service until ctx ends or one of them fails, and then shuts down in order.
func (n *node) serve(ctx context.Context, listener net.Listener) error {
	// Services end by contexts of their own, one after the other: writers must outlive those who write, and the leader's
	// work those whose records it brings to the database.
	var http, operations, jobs, writers, leading services
	failed, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	for _, s := range []*services{&http, &operations, &jobs, &writers, &leading} {
		*s = newServices(ctx, stop)
		defer s.cancel()
	}
	n.address = reachable(listener.Addr())
	http.run("http server", func(context.Context) error { return ignoreClosed(n.server.Serve(listener)) })
	if !n.Config.IsSlave {
		leading.run("leading", func(ctx context.Context) error { return n.lease.Run(ctx, n.lead) })
	}
	if n.accessLog != nil {
		writers.run("access log", n.accessLog.Run)
	}
	writers.run("key states", n.journal.Run)
	writers.run("request records", n.records.Run)
	jobs.run("database", n.reattach)
	jobs.run("local copy", n.keepLocalCopy)
	jobs.run("configuration", n.loader.Run)
	jobs.run("keys", n.feed.Run)
	jobs.run("bus", func(ctx context.Context) error { return n.bus.Run(ctx, n.receive, n.resync) })
	jobs.run("configuration by the bus", func(ctx context.Context) error {
		return follow(ctx, n.staleConfiguration, func(ctx context.Context) error { return n.loader.Reload(ctx, 0) }, n.propagated(metrics.KindConfiguration, &n.toldConfiguration))
	})
	jobs.run("keys by the bus", func(ctx context.Context) error {
		return follow(ctx, n.staleKeys, n.feed.CatchUp, n.propagated(metrics.KindKeys, &n.toldKeys))
	})
	jobs.run("tidings", n.tidings.run)
	jobs.run("verdicts for other nodes", n.verdicts.Run)
	operations.run("operations", n.workOnOperations)
	jobs.run("membership", n.announce)
	jobs.run("events", n.admin.Run)
	jobs.run("use of the database", n.announceUse)
	n.Log.Info("ready", zap.String("address", listener.Addr().String()), zap.String("node", string(n.id)), zap.String("role", string(n.role())),
		zap.String("version", n.Version), zap.Duration("took", time.Since(n.started)))
	if n.Listening != nil {
		n.Listening(listener.Addr())
	}

	<-failed.Done()
	n.leave()
	n.awaitEndpoints(ctx)
	// What an operation did not do by now another node goes on with, while requests end here.
	ended := operations.end()
	err := n.drain()
	return errors.Join(err, ended, http.wait(), jobs.end(), writers.end(), leading.end())
}

// services are goroutines that end together.
type services struct {
	ctx    context.Context
	cancel context.CancelFunc
	failed context.CancelCauseFunc // told of the first error
	group  *errgroup.Group
}

func newServices(ctx context.Context, failed context.CancelCauseFunc) services {
	s := services{failed: failed, group: &errgroup.Group{}}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

func (s *services) run(name string, run func(context.Context) error) {
	s.group.Go(func() error {
		if err := run(s.ctx); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
			s.failed(err)
			return err
		}
		return nil
	})
}

// end tells the services to end and waits for them.
func (s *services) end() error {
	s.cancel()
	return s.group.Wait()
}

func (s *services) wait() error { return s.group.Wait() }

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// close gives back what open took, in reverse. It may run on a node that opened only in part.
func (n *node) close() error {
	if n.transports != nil {
		n.transports.Close()
	}
	var errs []error
	n.tracer.Close()
	if n.records != nil {
		errs = append(errs, n.records.Close())
	}
	if n.redis != nil {
		n.redis.Close()
	}
	if n.localCopy != nil {
		errs = append(errs, n.localCopy.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}
