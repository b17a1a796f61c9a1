package maintenance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Job is work that is done again and again.
type Job struct {
	Name string
	// Pause is between the end of one run and the beginning of the next; it is varied by a tenth.
	Pause time.Duration
	// Run does the work once. It returns soon after ctx ended.
	Run func(ctx context.Context) error
}

// longestStart bounds how long a job waits for its first run.
const longestStart = 30 * time.Second

// Runner runs jobs side by side.
type Runner struct {
	jobs []Job
	log  *zap.Logger
}

// NewRunner makes a runner. Job names are for the log.
func NewRunner(log *zap.Logger, jobs ...Job) *Runner { return &Runner{jobs: jobs, log: log} }

// Run runs every job until ctx ends and all have returned. It always returns nil: what goes wrong in a job is logged.
func (r *Runner) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, job := range r.jobs {
		running.Go(func() { r.repeat(ctx, job) })
	}
	running.Wait()
	return nil
}

func (r *Runner) repeat(ctx context.Context, job Job) {
	log := r.log.With(zap.String("job", job.Name))
	timer := time.NewTimer(rand.N(min(job.Pause, longestStart) + 1))
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := guarded(log, func() error { return job.Run(ctx) })
		switch {
		case ctx.Err() != nil:
			return // what it says now is about the end, not about the job
		case err != nil && !failing:
			failing = true
			log.Warn("a maintenance job has a problem and is tried again", zap.Duration("pause", job.Pause), zap.Error(err))
		case err == nil && failing:
			failing = false
			log.Info("a maintenance job works again")
		}
		timer.Reset(vary(job.Pause))
	}
}

// guarded turns a panic of run into an error: a defect in a job must not take the proxy down. Every goroutine of a job
// needs it.
func guarded(log *zap.Logger, run func() error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			// The value may quote what it stumbled over, a key for one. Its type and the stack say enough.
			log.Error("panic in a maintenance job", zap.String("type", fmt.Sprintf("%T", fault)), zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("panic of type %T", fault)
		}
	}()
	return run()
}

// vary returns d, a tenth more or less.
func vary(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

// sleep waits for d and returns false when ctx ended first.
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
