package snapshot

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// Source is where the configuration stands.
type Source interface {
	Revision(ctx context.Context) (int64, error)
	Settings(ctx context.Context) (map[string]string, error)
	Groups(ctx context.Context) ([]fleet.Group, error)
}

// pollInterval bounds how long a missed change stays unseen. The poll reads one number.
const pollInterval = 5 * time.Second

// Loader reads the configuration and swaps it in.
type Loader struct {
	source      Source
	holder      *Holder
	fingerprint func(secret.Text) string
	// applied runs after each swap, with the old snapshot (nil at first) and the new one.
	applied func(ctx context.Context, old, current *Snapshot) error
	log     *zap.Logger

	mu sync.Mutex // one reload at a time
}

// NewLoader makes a loader. applied may be nil.
func NewLoader(source Source, holder *Holder, fingerprint func(secret.Text) string, applied func(ctx context.Context, old, current *Snapshot) error, log *zap.Logger) *Loader {
	return &Loader{source: source, holder: holder, fingerprint: fingerprint, applied: applied, log: log}
}

// Reload brings the node to at least the given revision (0: whatever the store has now). When it returns nil, the
// next request sees the change.
func (l *Loader) Reload(ctx context.Context, atLeast int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.holder.Load()
	if old != nil && atLeast > 0 && old.Revision >= atLeast {
		return nil
	}
	// The revision is read first: rows that change between the reads carry a later one, and the next reload takes them.
	revision, err := l.source.Revision(ctx)
	if err != nil {
		return err
	}
	if old != nil && revision == old.Revision {
		return nil
	}
	system, err := l.source.Settings(ctx)
	if err != nil {
		return err
	}
	groups, err := l.source.Groups(ctx)
	if err != nil {
		return err
	}
	current, faults := Compile(revision, system, groups, l.fingerprint)
	for _, f := range faults {
		l.log.Warn("a stored setting is not valid and was left out", zap.String("field", f.Field), zap.String("why", f.Message))
	}
	if l.applied != nil {
		if err := l.applied(ctx, old, current); err != nil {
			return err
		}
	}
	l.holder.Store(current)
	l.log.Info("configuration in use", zap.Int64("revision", revision), zap.Int("groups", len(groups)))
	return nil
}

// Run polls for newer revisions until ctx ends.
func (l *Loader) Run(ctx context.Context) error {
	failing := false
	timer := time.NewTimer(jittered())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		err := l.Reload(ctx, 0)
		if err != nil && ctx.Err() == nil && !failing {
			l.log.Warn("reading the configuration: the last one keeps serving", zap.Error(err))
		}
		if err == nil && failing {
			l.log.Info("the configuration can be read again")
		}
		failing = err != nil
		timer.Reset(jittered())
	}
}

func jittered() time.Duration {
	return pollInterval*3/4 + rand.N(pollInterval/2) // #nosec G404 -- spreads load, guards nothing
}
