package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"gpt-load/internal/config"
	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/maintenance"
	"gpt-load/internal/proxy"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/secret"
	"gpt-load/internal/snapshot"
	"gpt-load/internal/sqlstore"
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

	store      *sqlstore.Store
	box        *secret.Box
	snapshots  *snapshot.Holder
	loader     *snapshot.Loader
	pools      *keypool.Pools
	journal    *keypool.Writer
	routes     *proxy.Routes
	transports *upstream.Transports
	records    *requestlog.Recorder
	proxy      *proxy.Handler
	jobs       *maintenance.Runner
	server     *http.Server
	// endRequests ends the contexts of all requests.
	endRequests context.CancelCauseFunc
}

// Run starts a node, serves until ctx ends, shuts down and returns. An error says what to change in the words of
// the configuration.
func Run(ctx context.Context, o Options) (err error) {
	n := &node{Options: o, started: time.Now()}
	defer keepHeapHeadroom()()
	if err := n.open(ctx); err != nil {
		return errors.Join(err, n.close())
	}
	defer func() { err = errors.Join(err, n.close()) }()
	listener, err := net.Listen("tcp", o.Config.Addr())
	if err != nil {
		return fmt.Errorf("listening on %s (HOST, PORT): %w", o.Config.Addr(), err)
	}
	return n.serve(ctx, listener)
}

// open builds everything up to the point where requests could be served.
func (n *node) open(ctx context.Context) error {
	if err := n.openStore(ctx); err != nil {
		return err
	}
	n.transports = upstream.NewTransports(upstream.Options{BlockPrivate: n.Config.BlockPrivateUpstreams, EnvProxy: n.Config.EnvProxy})
	n.routes = &proxy.Routes{}
	n.pools = keypool.NewPools()
	if err := n.loadKeys(ctx); err != nil {
		return err
	}
	n.snapshots = &snapshot.Holder{}
	n.loader = snapshot.NewLoader(n.store, n.snapshots, n.fingerprint, n.apply, n.Log)
	if err := n.loader.Reload(ctx, 0); err != nil {
		return fmt.Errorf("loading settings and groups: %w", err)
	}
	if err := n.openRecords(); err != nil {
		return err
	}
	n.journal = keypool.NewWriter(n.store, n.Log.Named("keys"))
	var crossOrigin func(http.Header, *http.Request) bool
	if n.Config.CORS.Enabled {
		crossOrigin = n.cors().Apply
	}
	n.proxy = proxy.New(proxy.Options{
		Snapshots: n.snapshots, Pools: n.pools, Routes: n.routes, Transports: n.transports,
		Recorder: n.records, Journal: n.journal, MaxConcurrent: n.Config.MaxConcurrentRequests,
		ReadTimeout: n.Config.ReadTimeout, WriteTimeout: n.Config.WriteTimeout,
		TrustedProxies: n.Config.TrustedProxies, CrossOrigin: crossOrigin, Log: n.Log.Named("proxy"),
	})
	n.openJobs()
	return n.openServer()
}

func (n *node) openStore(ctx context.Context) error {
	store, err := sqlstore.Open(ctx, n.Config.DatabaseDSN.Reveal(), sqlstore.Options{Logger: n.Log.Named("store")})
	if err != nil {
		return err
	}
	n.store = store
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	install, err := store.Install(ctx)
	if err != nil {
		return err
	}
	if n.box, err = secret.NewBox(n.Config.EncryptionKey, install.Salt); err != nil {
		return err
	}
	if err := store.Unlock(ctx, n.box); err != nil {
		return err
	}
	return n.seed(ctx)
}

// seed gives a new installation its first proxy key: AUTH_KEY, as GPT-Load 1.x does.
func (n *node) seed(ctx context.Context) error {
	revision, err := n.store.Revision(ctx)
	if err != nil || revision > 0 {
		return err
	}
	_, err = n.store.SaveSettings(ctx, map[string]string{"proxy_keys": n.Config.AuthKey.Reveal()}, nil)
	return err
}

func (n *node) loadKeys(ctx context.Context) error {
	begun, count := time.Now(), 0
	err := n.store.EachKey(ctx, 0, func(keys []fleet.Key) error {
		for start := 0; start < len(keys); {
			end := start + 1
			for end < len(keys) && keys[end].GroupID == keys[start].GroupID {
				end++
			}
			n.pools.Ensure(keys[start].GroupID).Put(keys[start:end]...)
			start = end
		}
		count += len(keys)
		return nil
	})
	if err != nil {
		return fmt.Errorf("loading the provider keys: %w", err)
	}
	n.Log.Info("provider keys loaded", zap.Int("keys", count), zap.Duration("took", time.Since(begun)))
	return nil
}

func (n *node) openRecords() (err error) {
	n.records, err = requestlog.Open(requestlog.Options{
		Dir: filepath.Join(n.Config.DataDir, "spool"), Sink: n.store, Logger: n.Log.Named("records"),
		Interval: func() time.Duration { return n.snapshots.Load().System.RequestLogWriteInterval },
	})
	return err
}

// apply brings the stateful parts to a new snapshot, before requests see it.
func (n *node) apply(_ context.Context, old, current *snapshot.Snapshot) error {
	n.routes.Sync(current.Groups())
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
	return nil
}

func (n *node) fingerprint(key secret.Text) string { return n.box.Hash(key)[:12] }

// serve runs every service until ctx ends or one of them fails, and then shuts down in order.
func (n *node) serve(ctx context.Context, listener net.Listener) error {
	// Services end by contexts of their own, one after the other: writers must outlive those who write.
	jobsCtx, stopJobs := context.WithCancel(context.WithoutCancel(ctx))
	writersCtx, stopWriters := context.WithCancel(context.WithoutCancel(ctx))
	defer stopJobs()
	defer stopWriters()
	failed, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	guard := func(name string, run func() error) func() error {
		return func() error {
			if err := run(); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
				stop(err)
				return err
			}
			return nil
		}
	}
	var jobs, writers, http errgroup.Group
	writers.Go(guard("key states", func() error { return n.journal.Run(writersCtx) }))
	writers.Go(guard("request records", func() error { return n.records.Run(writersCtx) }))
	jobs.Go(guard("configuration", func() error { return n.loader.Run(jobsCtx) }))
	jobs.Go(guard("maintenance", func() error { return n.jobs.Run(jobsCtx) }))
	http.Go(guard("http server", func() error { return ignoreClosed(n.server.Serve(listener)) }))
	n.Log.Info("ready", zap.String("address", listener.Addr().String()), zap.String("version", n.Version), zap.Duration("took", time.Since(n.started)))
	if n.Listening != nil {
		n.Listening(listener.Addr())
	}

	<-failed.Done()
	n.leaving.Store(true)
	n.Log.Info("shutting down", zap.Int64("requests_in_flight", n.proxy.InFlight()), zap.Duration("budget", n.Config.GracefulShutdownTimeout))
	err := n.drain()
	stopJobs()
	err = errors.Join(err, http.Wait(), jobs.Wait())
	stopWriters()
	return errors.Join(err, writers.Wait())
}

// farewell is how long requests that are ended get to tell their clients why.
const farewell = time.Second

// drain lets requests end within the budget, and then ends them.
func (n *node) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), n.Config.GracefulShutdownTimeout)
	defer cancel()
	err := n.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		n.Log.Warn("requests were cut at the end of SERVER_GRACEFUL_SHUTDOWN_TIMEOUT", zap.Int64("requests", n.proxy.InFlight()))
		n.endRequests(proxy.ErrStopping)
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		if n.server.Shutdown(ctx) != nil {
			return n.server.Close()
		}
		return nil
	}
	return err
}

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
	if n.records != nil {
		errs = append(errs, n.records.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}
