package maintenance

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

func TestJobsRunSideBySideAndNeverTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running, runs, others := 0, 0, 0
		stop := start(
			zap.NewNop(),
			Job{Name: "slow", Pause: time.Minute, Run: func(context.Context) error {
				running++
				runs++
				if running > 1 {
					t.Error("the job overlaps itself")
				}
				<-time.After(10 * time.Minute) // far longer than its pause
				running--
				return nil
			}},
			Job{Name: "quick", Pause: time.Minute, Run: func(context.Context) error { others++; return nil }},
		)
		after(time.Hour)
		stop()
		if runs != 6 || others < 54 || others > 68 {
			t.Errorf("the slow job ran %d times in an hour, the quick one %d times", runs, others)
		}
	})
}

func TestOneLogLineOnFailureAndOneOnRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		var healthy atomic.Bool
		stop := start(log, Job{Name: "j", Pause: time.Minute, Run: func(context.Context) error {
			if healthy.Load() {
				return nil
			}
			return errAway
		}})
		after(20 * time.Minute)
		if logs.Len() != 1 || logs.All()[0].ContextMap()["job"] != "j" {
			t.Errorf("while failing: %v", logs.All())
		}
		healthy.Store(true)
		after(20 * time.Minute)
		stop()
		if logs.Len() != 2 {
			t.Errorf("after recovery: %v", logs.All())
		}
	})
}

func TestAPanicIsAFailureWithoutItsValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		runs := 0
		stop := start(log, Job{Name: "j", Pause: time.Minute, Run: func(context.Context) error {
			runs++
			panic("sk-secret")
		}})
		after(10 * time.Minute)
		stop()
		if runs < 5 {
			t.Errorf("%d runs: a panic stopped the job", runs)
		}
		for _, entry := range logs.All() {
			if text, _ := entry.ContextMap()["error"].(string); text == "sk-secret" {
				t.Error("the value of a panic stands in the log")
			}
		}
	})
}

func TestTheEndOfTheContextIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		stop := start(log, Job{Name: "j", Pause: time.Minute, Run: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		after(time.Hour)
		begun := time.Now()
		stop()
		if time.Since(begun) > 0 || logs.Len() != 0 {
			t.Errorf("ended after %v with log %v", time.Since(begun), logs.All())
		}
	})
}
