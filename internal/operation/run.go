package operation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

const (
	// atOnce is how many operations one node works on at the same time. They share the database with everything else.
	atOnce = 4
	// pollPause is how often a node looks for an operation that another one began or left; it is varied by a quarter.
	pollPause = 2 * time.Second
	// prunePause is how often old operations are looked for.
	prunePause = 10 * time.Minute
	// Pauses between tries while the database is away, and how long it may be.
	shortestRetry = time.Second
	longestRetry  = 10 * time.Second
	mostAway      = 10 * time.Minute
)

// Why the context of a worker ends before its time.
var (
	errCanceled = errors.New("canceled by an operator")
	errLost     = errors.New("taken over by another node")
)

// Run is one operation in the hands of its worker.
type Run struct {
	Operation
	store Store
	claim Claim
}

// Claim is what steps are done with.
func (r *Run) Claim() Claim { return r.claim }

// Next is the progress with some more keys gone through, counted by what became of them. It does not change r.
func (r *Run) Next(done int, position int64, counts map[string]int64) Progress {
	p := r.Progress
	p.Counts = maps.Clone(p.Counts)
	if p.Counts == nil {
		p.Counts = make(map[string]int64, len(counts))
	}
	for word, n := range counts {
		p.Counts[word] += n
	}
	p.Done += int64(done)
	p.Position = position
	return p
}

// Keep takes over the progress of a step that is committed, with the piece of the result that went with it.
func (r *Run) Keep(p Progress, result []byte) {
	if len(result) > 0 {
		p.Chunks, p.Bytes = p.Chunks+1, p.Bytes+int64(len(result))
	}
	r.Progress = p
}

// Advance stores a step that changed no keys.
func (r *Run) Advance(ctx context.Context, p Progress, result []byte) error {
	if err := r.store.AdvanceOperation(ctx, r.claim, p, result); err != nil {
		return err
	}
	r.Keep(p, result)
	return nil
}

// Run works on operations, this node's and those that others leave, until ctx ends and every worker has returned. It always
// returns nil: what goes wrong with an operation is said there.
func (s *Service) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, atOnce)
	prune := time.NewTimer(rand.N(prunePause)) // #nosec G404 -- spreads load, guards nothing
	defer prune.Stop()
	poll := time.NewTimer(rand.N(pollPause)) // #nosec G404 -- as above
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-prune.C:
			prune.Reset(prunePause)
			s.prune(ctx)
		case <-s.wake:
		case <-poll.C:
		}
		s.claimAll(ctx, &running, slots)
		poll.Reset(pollPause*3/4 + rand.N(pollPause/2)) // #nosec G404 -- as above
	}
}

// claimAll begins as many operations as there are, and as there is room for.
func (s *Service) claimAll(ctx context.Context, running *sync.WaitGroup, slots chan struct{}) {
	for {
		select {
		case slots <- struct{}{}:
		default:
			return
		}
		o, ok, err := s.Store.ClaimOperation(ctx, s.Node)
		if err != nil || !ok {
			<-slots
			return // a database that is away is told of by others
		}
		running.Go(func() {
			defer s.wakeUp() // there is room again
			defer func() { <-slots }()
			s.work(ctx, o)
		})
	}
}

func (s *Service) prune(ctx context.Context) {
	for {
		n, err := s.Store.PruneOperations(ctx)
		if err != nil && ctx.Err() == nil {
			s.Log.Warn("old operations could not be deleted; that is tried again", zap.Error(err))
		}
		if err != nil || n == 0 {
			return
		}
	}
}

// work does one operation, and says how it ended.
func (s *Service) work(ctx context.Context, o Operation) {
	claim := Claim{ID: o.ID, Number: o.Claim}
	log := s.Log.With(zap.Int64("operation", int64(o.ID)), zap.String("kind", string(o.Kind)), zap.String("group", o.GroupName))
	log.Info("an operation begins", zap.Int64("done_before", o.Done), zap.Int64("claim", o.Claim))
	inner, end := context.WithCancelCause(ctx)
	var holding sync.WaitGroup
	holding.Go(func() { s.hold(inner, claim, end) })
	err := s.try(inner, o, claim)
	cause := context.Cause(inner)
	end(nil)
	holding.Wait()

	alone, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	var said error
	switch {
	case errors.Is(cause, errLost) || errors.Is(err, errLost):
		log.Warn("an operation was taken over by another node")
		return
	case err == nil:
		said = s.Store.FinishOperation(alone, claim, Succeeded, "")
		log.Info("an operation is done", zap.Duration("took", time.Since(o.StartedAt)))
	case errors.Is(cause, errCanceled):
		said = s.Store.FinishOperation(alone, claim, Canceled, "")
		log.Info("an operation was canceled")
	case ctx.Err() != nil:
		said = s.Store.ReleaseOperation(alone, claim)
		log.Info("an operation is left to another node, because this one ends")
	default:
		said = s.Store.FinishOperation(alone, claim, Failed, told(err))
		log.Warn("an operation failed", zap.Error(err))
	}
	if said != nil {
		log.Warn("the end of an operation could not be stored; a node takes it over", zap.Error(said))
	}
}

// told is what people are told of an error.
func told(err error) string {
	var known *fleet.Error
	if errors.As(err, &known) && known.Code != fleet.CodeInternal {
		return known.Error()
	}
	return "a defect; the log of the node has the cause"
}

// hold says again and again that the node lives, and ends the work when it is not wanted or not ours any more.
func (s *Service) hold(ctx context.Context, claim Claim, end context.CancelCauseFunc) {
	ticker := time.NewTicker(heartbeatPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		switch canceled, err := s.Store.HoldOperation(ctx, claim); {
		case ctx.Err() != nil:
			return
		case err != nil && fleet.CodeOf(err) == fleet.CodeConflict:
			end(errLost)
		case err == nil && canceled:
			end(errCanceled)
		}
	}
}

// try runs the worker, and again from where the operation stands while the database is away.
func (s *Service) try(ctx context.Context, o Operation, claim Claim) error {
	worker := s.workers[o.Kind]
	if worker == nil {
		return fleet.NewError(fleet.CodeInvalid, fmt.Sprintf("this version of GPT-Load does not know operations of the kind %s", o.Kind), nil)
	}
	pause, away := shortestRetry, time.Time{}
	for {
		begun := o.Done
		err := s.guarded(ctx, worker, &Run{Operation: o, store: s.Store, claim: claim})
		if err == nil || ctx.Err() != nil || fleet.CodeOf(err) != fleet.CodeUnavailable {
			return err
		}
		for {
			if away.IsZero() {
				away = time.Now()
			}
			if time.Since(away) > mostAway {
				return err
			}
			if !rest(ctx, pause) {
				return ctx.Err()
			}
			pause = min(2*pause, longestRetry)
			now, readErr := s.Store.Operation(ctx, o.ID)
			if readErr != nil {
				continue
			}
			if now.Claim != claim.Number || now.State != Running {
				return errLost
			}
			o = now
			break
		}
		if o.Done > begun {
			pause, away = shortestRetry, time.Time{}
		}
	}
}

// guarded turns a panic of a worker into an error: it must not take the proxy down.
func (s *Service) guarded(ctx context.Context, worker Worker, r *Run) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			// The value may quote what it stumbled over, a key for one. Its type and the stack say enough.
			s.Log.Error("panic in an operation", zap.String("type", fmt.Sprintf("%T", fault)), zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("panic of type %T", fault)
		}
	}()
	return worker(ctx, r)
}

// rest waits and returns false when ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
