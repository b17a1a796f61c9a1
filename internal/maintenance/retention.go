package maintenance

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// RecordStore is what retention needs of the database. Each call is one short transaction unless it says otherwise.
type RecordStore interface {
	// DeleteRecordsBefore deletes at most limit of the records that started before t, with their attempts and
	// captured bodies, and returns how many.
	DeleteRecordsBefore(ctx context.Context, t time.Time, limit int) (deleted int, err error)
	// DeleteStatsBefore deletes some of the hourly sums before t and returns how many; 0 when there are none left.
	DeleteStatsBefore(ctx context.Context, t time.Time) (deleted int, err error)
	// TrimStats deletes some of the sums by the minute and by provider key that are past their time, which no setting changes, and
	// returns how many; 0 when there are none left.
	TrimStats(ctx context.Context) (deleted int, err error)
	// ReclaimSpace gives at most pages free pages back to the file system and returns how many; 0 when there are none.
	ReclaimSpace(ctx context.Context, pages int) (freed int, err error)
	// SweepDeletedGroups deletes, in short transactions, the keys of deleted groups that a deletion cut short left behind.
	SweepDeletedGroups(ctx context.Context) error
	// ForgetDeletedKeys forgets some of the keys that were deleted before t and returns how many; 0 when there are none
	// left. A node that has not heard of them by then reads all keys again.
	ForgetDeletedKeys(ctx context.Context, t time.Time) (forgotten int, err error)
	// SweepKeyUsage deletes some of what is counted of keys that are gone and returns how many; 0 when there is nothing left.
	SweepKeyUsage(ctx context.Context) (deleted int, err error)
	// PruneAudit deletes some events: acts of administrators from before acts, automatic ones from before automatic or beyond the newest
	// most. It returns how many; 0 when there are none left.
	PruneAudit(ctx context.Context, acts, automatic time.Time, most int) (deleted int, err error)
	// ForgetSources forgets how far some of the spools came that delivered nothing since t, and returns how many; 0 when there
	// are none left.
	ForgetSources(ctx context.Context, t time.Time) (forgotten int, err error)
}

const (
	retentionPause = 15 * time.Minute
	deleteChunk    = 2000 // records in one transaction
	reclaimChunk   = 2000 // pages, 8 MiB of SQLite's
	// shortestRest is between two chunks. They also rest as long as the last one took, so that other writers have at
	// least half of the database's time.
	shortestRest = 20 * time.Millisecond
	// statsKept is how long hourly sums stay at least: a year and a month, so that a month can be compared with the
	// same one a year before. A longer retention of records keeps them as long.
	statsKept = 400 * 24 * time.Hour
	// deletionsKept is how long deletions of keys are remembered for nodes that were away.
	deletionsKept = 24 * time.Hour
	// sourcesKept is how long a node may be away with records in its spool. In a container each start has a new spool.
	sourcesKept = 90 * 24 * time.Hour
	// actsKept is how long events stay that an administrator made. automaticKept and mostAutomatic bound those that come by
	// themselves: a provider that retires every key every hour must not push out who changed what.
	actsKept      = statsKept
	automaticKept = 90 * 24 * time.Hour
	mostAutomatic = 1_000_000
)

// Retention deletes records that are older than the retention time, and what is left of deleted groups.
type Retention struct {
	store RecordStore
	keep  func() time.Duration
	log   *zap.Logger
}

// NewRetention makes the job. keep is asked at each run for the setting request_log_retention_days; 0 keeps for ever.
func NewRetention(store RecordStore, keep func() time.Duration, log *zap.Logger) *Retention {
	return &Retention{store: store, keep: keep, log: log}
}

// Job is what the Runner runs.
func (r *Retention) Job() Job { return Job{Name: "retention", Pause: retentionPause, Run: r.runOnce} }

func (r *Retention) runOnce(ctx context.Context) error {
	if err := r.store.SweepDeletedGroups(ctx); err != nil {
		return fmt.Errorf("deleting the keys of deleted groups: %w", err)
	}
	if err := r.deletedKeys(ctx); err != nil {
		return err
	}
	if err := r.events(ctx); err != nil {
		return err
	}
	if _, err := chunks(ctx, "forgetting spools that are gone", func(ctx context.Context) (int, error) {
		return r.store.ForgetSources(ctx, time.Now().Add(-sourcesKept))
	}); err != nil {
		return err
	}
	if _, err := chunks(ctx, "deleting old statistics by minute and key", r.store.TrimStats); err != nil {
		return err
	}
	// Space before records: also that of an earlier run that was stopped, and of what an operator deleted.
	if _, err := chunks(ctx, "returning free space", r.reclaim); err != nil {
		return err
	}
	keep := r.keep()
	if keep <= 0 {
		return nil
	}
	begun := time.Now()
	records, err := chunks(ctx, "deleting old request records", func(ctx context.Context) (int, error) {
		return r.store.DeleteRecordsBefore(ctx, begun.Add(-keep), deleteChunk)
	})
	if err != nil {
		return err
	}
	stats, err := chunks(ctx, "deleting old statistics", func(ctx context.Context) (int, error) {
		return r.store.DeleteStatsBefore(ctx, begun.Add(-max(keep, statsKept)))
	})
	if err != nil || records+stats == 0 {
		return err
	}
	pages, err := chunks(ctx, "returning free space", r.reclaim)
	r.log.Info("old request records were deleted", zap.Int("records", records), zap.Int("hourly_sums", stats),
		zap.Int("pages_returned", pages), zap.Duration("took", time.Since(begun)))
	return err
}

// deletedKeys clears away what deletions of keys leave.
func (r *Retention) deletedKeys(ctx context.Context) error {
	heard := time.Now().Add(-deletionsKept)
	_, err := chunks(ctx, "forgetting deleted keys", func(ctx context.Context) (int, error) {
		return r.store.ForgetDeletedKeys(ctx, heard)
	})
	if err == nil {
		_, err = chunks(ctx, "deleting the usage of keys that are gone", r.store.SweepKeyUsage)
	}
	return err
}

// events deletes what the audit log does not keep.
func (r *Retention) events(ctx context.Context) error {
	at := time.Now()
	_, err := chunks(ctx, "deleting old events", func(ctx context.Context) (int, error) {
		return r.store.PruneAudit(ctx, at.Add(-actsKept), at.Add(-automaticKept), mostAutomatic)
	})
	return err
}

func (r *Retention) reclaim(ctx context.Context) (int, error) {
	return r.store.ReclaimSpace(ctx, reclaimChunk)
}

// chunks calls work, resting in between, until it has nothing left to do, and returns the sum of what it did.
func chunks(ctx context.Context, doing string, work func(context.Context) (int, error)) (sum int, err error) {
	for {
		begun := time.Now()
		n, err := work(ctx)
		sum += n
		if err != nil {
			return sum, fmt.Errorf("%s: %w", doing, err)
		}
		if n == 0 {
			return sum, nil
		}
		if !sleep(ctx, max(shortestRest, time.Since(begun))) {
			return sum, ctx.Err()
		}
	}
}
