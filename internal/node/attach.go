package node

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

const (
	// attachPause is between two tries to reach a database that is away.
	attachPause = time.Second
	// attachPatience bounds a follower's wait for a candidate to migrate, before it looks for a local copy.
	attachPatience = 10 * time.Second
)

// connect gives the node its first configuration. While a database server is away the node waits: orchestrators start
// everything at once. It returns the errors that waiting would not mend.
func (n *node) connect(ctx context.Context) error {
	for waiting := false; ; waiting = true {
		err := n.attach(ctx)
		if err == nil || !n.mayComeBack(err) {
			return err
		}
		if !waiting && ctx.Err() == nil {
			n.Log.Warn("the database is away; the node starts when it answers", zap.Error(err))
		}
		if !sleep(ctx, attachPause) {
			return ctx.Err()
		}
	}
}

// mayComeBack reports whether an error is that of a database server that is away: an SQLite file is nothing to wait for.
func (n *node) mayComeBack(err error) bool {
	return n.store.Shared() && fleet.CodeOf(err) == fleet.CodeUnavailable
}

// attach brings the node to the database: schema, secrets, keys, configuration.
func (n *node) attach(ctx context.Context) error {
	if err := n.openSchema(ctx); err != nil {
		return err
	}
	install, err := n.store.Install(ctx)
	if err != nil {
		return err
	}
	box, err := secret.NewBox(n.Config.EncryptionKey, install.Salt)
	if err != nil {
		return err
	}
	if err := n.store.Unlock(ctx, box); err != nil {
		return err
	}
	n.box.Store(box)
	if err := n.seed(ctx); err != nil {
		return err
	}
	if err := n.load(ctx); err != nil {
		return err
	}
	close(n.attached)
	return nil
}

// openSchema makes the database fit this version; a follower waits for a candidate to do so.
func (n *node) openSchema(ctx context.Context) error {
	if !n.Config.IsSlave {
		return n.store.Migrate(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, attachPatience)
	defer cancel()
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
