package node

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/proxy"
)

// ErrInterrupted is the cause with which the context of Run ends when somebody at a terminal ended it: no load balancer has to
// notice first.
var ErrInterrupted = errors.New("interrupted")

const (
	// progressPause is between two lines of the log that tell how far a shutdown is.
	progressPause = 5 * time.Second
	// farewell is how long requests that are ended get to tell their clients why.
	farewell = time.Second
)

// leave makes the node unready and lets everybody know. It goes on serving whatever comes.
func (n *node) leave() {
	n.leaving.Store(true)
	n.admin.Leave()       // their clients go to another node, and nobody waits for them
	signal(n.roleChanged) // the other nodes are to see it at once
	n.Log.Info("shutting down", zap.Int64("requests_in_flight", n.proxy.InFlight()),
		zap.Duration("still_accepting", n.Config.ShutdownDelay), zap.Duration("budget", n.Config.GracefulShutdownTimeout))
}

// awaitEndpoints goes on accepting requests until load balancers have noticed that /readyz says no: closing the port earlier
// would refuse what they still send. A node that is alone does not wait, for nobody else could take its requests.
func (n *node) awaitEndpoints(ctx context.Context) {
	if ctx.Err() == nil || errors.Is(context.Cause(ctx), ErrInterrupted) || !n.Config.Fleet() || n.Config.ShutdownDelay == 0 {
		return // a service failed, or nobody is there who has to notice
	}
	settled := make(chan struct{})
	timer := time.AfterFunc(n.Config.ShutdownDelay, func() { close(settled) })
	defer timer.Stop()
	n.tellProgress("still accepting requests, until load balancers have noticed", settled)
}

// drain closes the port and lets requests end within the budget; then it ends them.
func (n *node) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), n.Config.GracefulShutdownTimeout)
	defer cancel()
	var err error
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		err = n.server.Shutdown(ctx)
	}()
	n.tellProgress("requests are ending; no new ones are accepted", drained)
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

// tellProgress writes a line every few seconds until done.
func (n *node) tellProgress(what string, done <-chan struct{}) {
	ticker, begun := time.NewTicker(progressPause), time.Now()
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			n.Log.Info(what, zap.Int64("requests_in_flight", n.proxy.InFlight()), zap.Duration("for", time.Since(begun).Round(time.Second)))
		}
	}
}
