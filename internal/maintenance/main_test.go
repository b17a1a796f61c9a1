package maintenance

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = errors.New("the database is away")

func observed() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zap.InfoLevel)
	return zap.New(core), logs
}

// after lets d pass in a synctest bubble and waits until everything it woke has settled.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// start runs the jobs and returns what ends them and waits.
func start(log *zap.Logger, jobs ...Job) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = NewRunner(log, jobs...).Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}
