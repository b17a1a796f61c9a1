package node

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

const (
	// attachPause is between two tries to reach a database that is away.
	attachPause = time.Second
	// copyPatience is how long a follower that has a local copy waits for the schema before it serves from that.
	copyPatience = 3 * time.Second
)

// connect gives the node its first configuration. While a database server is away that is the local copy; a node without
// one waits, because orchestrators start everything at once. It returns the errors that waiting would not mend.
func (n *node) connect(ctx context.Context) error {
	for waiting := false; ; waiting = true {
		err := n.attach(ctx, n.hasLocalCopy(ctx))
		if err == nil || !n.mayComeBack(err) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch served, copyErr := n.serveLocalCopy(ctx); {
		case copyErr != nil:
			return copyErr
		case served:
			n.Log.Warn("the database is away; the node serves from its local copy of the configuration", zap.Int64("revision", n.snapshots.Load().Revision), zap.Error(err))
			return nil
		case !waiting:
			n.Log.Warn("the database is away, and there is no local copy of the configuration; the node starts when it answers", zap.Error(err))
		}
		if !sleep(ctx, attachPause) {
			return ctx.Err()
		}
	}
}

// reattach keeps trying to reach the database behind a local copy.
func (n *node) reattach(ctx context.Context) error {
	for {
		select {
		case <-n.attached:
			return nil
		default:
		}
		err := n.attach(ctx, false)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			n.Log.Info("the database answers; the node serves from it")
			return nil
		case !n.mayComeBack(err):
			return err
		}
		if !sleep(ctx, attachPause) {
			return nil
		}
	}
}

// mayComeBack reports whether an error is that of a database server that is away: an SQLite file is nothing to wait for.
func (n *node) mayComeBack(err error) bool {
	return n.store.Shared() && fleet.CodeOf(err) == fleet.CodeUnavailable
}

// attach brings the node to the database: schema, secrets, keys, configuration. hasty says that there is another way to
// serve.
func (n *node) attach(ctx context.Context, hasty bool) error {
	if err := n.openSchema(ctx, hasty); err != nil {
		return err
	}
	if err := n.unlock(ctx, n.store); err != nil {
		return err
	}
	if err := n.store.AnnounceNode(ctx, n.use()); err != nil {
		return err
	}
	if err := n.seed(ctx); err != nil {
		return err
	}
	n.source.current.Store(n.store)
	if err := n.load(ctx); err != nil {
		return err
	}
	close(n.attached)
	return nil
}

// openSchema makes the database fit this version; a follower waits for a candidate to do so.
func (n *node) openSchema(ctx context.Context, hasty bool) error {
	if !n.Config.IsSlave {
		return n.store.Migrate(ctx)
	}
	if hasty {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, copyPatience)
		defer cancel()
	}
	return n.store.AwaitSchema(ctx)
}

// seed gives a new installation its first proxy key: AUTH_KEY, as GPT-Load 1.x does.
func (n *node) seed(ctx context.Context) error {
	if n.Config.IsSlave {
		return nil
	}
	revision, err := n.store.Revision(ctx)
	if err != nil || revision > 0 {
		return err
	}
	_, err = n.store.SaveSettings(ctx, map[string]string{"proxy_keys": n.Config.AuthKey.Reveal()}, nil)
	return err
}

// load reads keys and configuration. The keys come first: a group must not serve before it has them.
func (n *node) load(ctx context.Context) error {
	if err := n.feed.Load(ctx); err != nil {
		return fmt.Errorf("loading the provider keys: %w", err)
	}
	if err := n.loader.Reload(ctx, 0); err != nil {
		return fmt.Errorf("loading settings and groups: %w", err)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
