package node

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
)

// The local copy is an SQLite file with the configuration and the keys of a database server, from which the node can
// start while the server is away. Secrets stand in it as they do in the database, sealed by ENCRYPTION_KEY; without one
// there is no copy.
const (
	localCopyName = "configuration.db" // in DATA_DIR
	// copyPause bounds how old a copy is; what changed since the last one is all that is read and written.
	copyPause = time.Second
	// copyShare keeps copying below a twentieth of the time, also during an import of a million keys.
	copyShare = 20
)

// source is the store that settings, groups and keys are read from: the database, or the local copy while that is away.
type source struct {
	current atomic.Pointer[sqlstore.Store]
	health  *storeHealth
}

// Revisions, Revision, Settings, Groups, EachKey, KeysSince and Key are those of the store in use.

func (s *source) Revisions(ctx context.Context) (fleet.Revisions, error) {
	return s.current.Load().Revisions(ctx)
}

func (s *source) Revision(ctx context.Context) (int64, error) {
	begun := time.Now()
	revision, err := s.current.Load().Revision(ctx)
	s.health.looked(ctx, revision, time.Since(begun), err)
	return revision, err
}

func (s *source) Settings(ctx context.Context) (map[string]string, error) {
	return s.current.Load().Settings(ctx)
}

func (s *source) Groups(ctx context.Context) ([]fleet.Group, error) {
	return s.current.Load().Groups(ctx)
}

func (s *source) EachKey(ctx context.Context, group fleet.GroupID, each func([]fleet.Key) error) error {
	return s.current.Load().EachKey(ctx, group, each)
}

func (s *source) KeysSince(ctx context.Context, revision int64, limit int) (fleet.KeyDelta, bool, error) {
	return s.current.Load().KeysSince(ctx, revision, limit)
}

func (s *source) Key(ctx context.Context, id fleet.KeyID) (fleet.Key, error) {
	return s.current.Load().Key(ctx, id)
}

// openLocalCopy opens the file where there is to be one. A file that cannot be used is a reason to log, not to stop.
func (n *node) openLocalCopy(ctx context.Context) {
	if !n.store.Shared() || n.Config.EncryptionKey.IsEmpty() {
		return
	}
	path := filepath.Join(n.Config.DataDir, localCopyName)
	saved, err := sqlstore.Open(ctx, path, sqlstore.Options{Logger: zap.NewNop()})
	if err == nil {
		if err = saved.Migrate(ctx); err != nil {
			_ = saved.Close()
		}
	}
	if err != nil {
		n.Log.Warn("there is no local copy of the configuration: the node could not start while the database is away", zap.String("file", path), zap.Error(err))
		return
	}
	n.localCopy = saved
}

// hasLocalCopy reports whether there is a local copy with something in it.
func (n *node) hasLocalCopy(ctx context.Context) bool {
	if n.localCopy == nil {
		return false
	}
	empty, err := n.localCopy.Empty(ctx)
	return err == nil && !empty
}

// serveLocalCopy serves from the local copy, if there is one. Its errors are those that waiting for the database would
// not mend, such as another ENCRYPTION_KEY.
func (n *node) serveLocalCopy(ctx context.Context) (bool, error) {
	if !n.hasLocalCopy(ctx) {
		return false, nil
	}
	if err := n.unlock(ctx, n.localCopy); err != nil {
		return false, fmt.Errorf("opening the local copy of the configuration: %w", err)
	}
	n.source.current.Store(n.localCopy)
	if err := n.load(ctx); err != nil {
		return false, err
	}
	return true, nil
}

// unlock opens the secrets of a store.
func (n *node) unlock(ctx context.Context, store *sqlstore.Store) error {
	install, err := store.Install(ctx)
	if err != nil {
		return err
	}
	box, err := secret.NewBox(n.Config.EncryptionKey, install.Salt)
	if err != nil {
		return err
	}
	if old, set := n.Config.OldEncryption(); set {
		before, err := secret.NewBox(old, install.Salt)
		if err != nil {
			return err
		}
		box = box.Beside(before)
	}
	return store.Unlock(ctx, box)
}

// keepLocalCopy brings the local copy to what the database holds, again and again, until ctx ends.
func (n *node) keepLocalCopy(ctx context.Context) error {
	if n.localCopy == nil {
		return nil
	}
	select {
	case <-n.attached:
	case <-ctx.Done():
		return nil
	}
	failing := false
	copied := fleet.Revisions{Configuration: -1}
	for {
		begun := time.Now()
		if serving := n.serving(); serving != copied {
			err := n.store.CopyTo(ctx, n.localCopy)
			switch {
			case ctx.Err() != nil:
				return nil
			case err == nil:
				copied = serving
			case fleet.CodeOf(err) != fleet.CodeUnavailable && !failing:
				n.Log.Warn("the local copy of the configuration cannot be written", zap.Error(err))
			}
			failing = err != nil
		}
		if !sleep(ctx, max(copyPause, (copyShare-1)*time.Since(begun))) {
			return nil
		}
	}
}

// serving are the revisions in use.
func (n *node) serving() fleet.Revisions {
	return fleet.Revisions{Configuration: n.snapshots.Load().Revision, Keys: n.feed.Revision()}
}
