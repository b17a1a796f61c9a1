package node

import (
	"context"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/sqlstore"
)

// forgetPatience bounds the good-bye to the database.
const forgetPatience = 2 * time.Second

// use is what the database is told of this node.
func (n *node) use() sqlstore.NodeUse {
	return sqlstore.NodeUse{ID: string(n.id), Address: n.address, Version: n.Version}
}

// announceUse says in the database that this node uses it, and with which keys, until ctx ends: migrate-keys goes by it. An
// SQLite file says by itself that it is open, and is written once.
func (n *node) announceUse(ctx context.Context) error {
	select {
	case <-n.attached:
	case <-ctx.Done():
		return nil
	}
	if _, set := n.Config.OldEncryption(); set {
		n.Log.Info("ENCRYPTION_KEY_OLD is set: what was stored with it is read, too; it is not needed any more when `gpt-load migrate-keys --online` is done",
			zap.String("stored_with", n.storedWith()))
	}
	for n.store.Shared() && sleep(ctx, sqlstore.NodeUsePause) {
		// The errors are those of a database that is away, of which others tell.
		_ = n.store.AnnounceNode(ctx, n.use())
	}
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetPatience)
	defer cancel()
	_ = n.store.ForgetNode(ctx, string(n.id))
	return nil
}

// storedWith names the setting with the key that secrets are sealed with now.
func (n *node) storedWith() string {
	if n.store.WritesWithOther() {
		return "ENCRYPTION_KEY_OLD"
	}
	return "ENCRYPTION_KEY"
}
