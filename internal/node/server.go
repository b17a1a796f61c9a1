package node

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"

	"gpt-load/internal/adminhttp"
	"gpt-load/internal/cluster"
	"gpt-load/internal/config"
	"gpt-load/internal/fleet"
	"gpt-load/internal/jsonbody"
	"gpt-load/internal/keypool"
	"gpt-load/internal/proxy"
	"gpt-load/internal/webui"
)

// openServer mounts the data plane and the control plane on one listener.
func (n *node) openServer() error {
	admin, err := adminhttp.New(adminhttp.Options{
		AuthKey: n.Config.AuthKey, Logger: n.Log.Named("admin"), Store: n.store, Pools: livePools{n}, Tester: tester{n.proxy},
		Reloader: reloader{n}, Nodes: n, Operations: n.operations, Ready: n.checks, CheckParamPath: checkParamPath, Version: n.Version,
		Secrets:        adminhttp.Secrets{EncryptionKey: n.Config.EncryptionKey, MetricsToken: n.Config.Metrics.Token, Weakness: config.Weakness},
		CORS:           n.cors(),
		TrustedProxies: n.Config.TrustedProxies, StartedAt: n.started, NodeName: string(n.id),
	})
	if err != nil {
		return err
	}
	n.admin = admin
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	admin.Mount(e)
	n.mountMetrics(e)
	mountConsole(e)
	// The data plane stands before echo's router, which knows eleven methods, and gets net/http's own writer.
	e.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if len(c.Request().TransferEncoding) > 0 {
				// A Content-Length beside it is ignored and hidden by net/http. Who forwarded the request may have
				// gone by it and take what follows for another request's (RFC 9112, section 6.1).
				c.Response().Header().Set(echo.HeaderConnection, "close")
			}
			if n.leaving.Load() {
				c.Response().Header().Set(echo.HeaderConnection, "close")
			}
			if !strings.HasPrefix(c.Request().URL.Path, proxy.Prefix) {
				return next(c)
			}
			n.proxy.ServeHTTP(c.Response().Writer, c.Request())
			return nil
		}
	})
	requests, end := context.WithCancelCause(context.Background())
	n.endRequests = end
	n.server = &http.Server{
		Handler:     e,
		BaseContext: func(net.Listener) context.Context { return requests },
		// No ReadTimeout: net/http would take it for a client that left, in the middle of a long answer. The data plane
		// and the control plane each bound the reading of their bodies.
		ReadHeaderTimeout: n.Config.ReadTimeout,
		WriteTimeout:      n.Config.WriteTimeout, // the data plane moves it with progress
		IdleTimeout:       n.Config.IdleTimeout,
		MaxHeaderBytes:    1 << 20,
		ErrorLog:          zap.NewStdLog(n.Log.Named("http")),
	}
	return nil
}

// mountConsole lets the web console have the pages that nothing else serves.
func mountConsole(e *echo.Echo) {
	console := webui.New()
	e.Match([]string{http.MethodGet, http.MethodHead}, "/*", func(c echo.Context) error {
		if strings.HasPrefix(c.Request().URL.Path, "/api/") || !console.Serves(c.Request()) {
			return echo.ErrNotFound
		}
		console.ServeHTTP(c.Response(), c.Request())
		return nil
	})
}

func (n *node) cors() adminhttp.CORS {
	c := n.Config.CORS
	return adminhttp.CORS{
		Enabled: c.Enabled, AllowedOrigins: c.AllowedOrigins, AllowedMethods: c.AllowedMethods,
		AllowedHeaders: c.AllowedHeaders, AllowCredentials: c.AllowCredentials,
	}
}

func checkParamPath(path string) error {
	_, err := jsonbody.ParsePath(path)
	return err
}

// journals hands verdicts to the other nodes, and what lasts of them to the database.
type journals struct{ n *node }

// Add implements proxy.Journal.
func (j journals) Add(c fleet.KeyChange) {
	j.n.verdicts.Add(c)
	if kept, lasts := keypool.Lasting(c); lasts {
		j.n.journal.Add(kept)
	}
	j.n.admin.KeysChanged(c.GroupID, c)
}

func ready(checks []adminhttp.Check) bool {
	for _, c := range checks {
		if !c.Ready {
			return false
		}
	}
	return true
}

// checks says what must be ready before a load balancer sends requests here. The store is none of it: requests are
// served from memory.
func (n *node) checks() []adminhttp.Check {
	schema := adminhttp.Check{Name: "schema", Ready: true}
	configuration := adminhttp.Check{Name: "configuration", Ready: n.snapshots.Load() != nil}
	accepting := adminhttp.Check{Name: adminhttp.CheckAccepting, Ready: !n.leaving.Load()}
	select {
	case <-n.attached:
	default:
		if n.servingFrom() == cluster.ServingFromLocalCopy {
			configuration.Message = "the database is away since the start; the node serves from its local copy"
		} else {
			schema.Ready, schema.Message = false, "the database has not answered yet, or not with the schema of this version"
		}
	}
	if !accepting.Ready {
		accepting.Message = "the node is shutting down"
	}
	return []adminhttp.Check{schema, configuration, accepting}
}

// livePools gives the control plane its view of the pools.
type livePools struct{ n *node }

func (l livePools) Counts(group fleet.GroupID) fleet.KeyCounts {
	if pool := l.n.pools.Get(group); pool != nil {
		return pool.Counts(time.Now())
	}
	return fleet.KeyCounts{}
}

func (l livePools) Live(group fleet.GroupID, id fleet.KeyID) (fleet.Key, bool) {
	if pool := l.n.pools.Get(group); pool != nil {
		return pool.Get(id, time.Now())
	}
	return fleet.Key{}, false
}

func (l livePools) KeysChanged(_ context.Context, group fleet.GroupID, added []fleet.Key, changes []fleet.KeyChange, removed []fleet.KeyID) {
	pool := l.n.pools.Ensure(group)
	pool.Put(added...)
	for _, change := range changes {
		pool.Apply(change)
		// A verdict from before may still wait to be written; the operator's word is newer and replaces it there.
		l.n.journal.Add(change)
	}
	pool.Remove(removed...)
	l.n.admin.KeysChanged(group, changes...)
	signal(l.n.tidings.keys)
}

// tester lets the control plane and the jobs test keys through the data plane.
type tester struct{ handler *proxy.Handler }

func (t tester) TestKey(ctx context.Context, group fleet.GroupID, key fleet.KeyID) (adminhttp.TestResult, error) {
	r, err := t.handler.TestKey(ctx, group, key)
	return adminhttp.TestResult{OK: r.OK, Status: r.Status, Class: r.Class, Reason: r.Reason, Evidence: r.Evidence, Duration: r.Duration}, err
}

func (tester) Preview(g fleet.Group, system map[string]string, s adminhttp.Sample) (adminhttp.Preview, error) {
	p, err := proxy.PreviewOf(g, system, proxy.Sample(s))
	return adminhttp.Preview(p), err
}

// reloader makes a committed change serve before the control plane answers.
type reloader struct{ n *node }

func (r reloader) Changed(ctx context.Context, revision int64) error {
	signal(r.n.tidings.configuration)
	err := r.n.loader.Reload(ctx, revision)
	if err != nil {
		r.n.Log.Warn("a change is stored but not in use yet; the node keeps trying", zap.Int64("revision", revision), zap.Error(err))
	}
	return err
}
