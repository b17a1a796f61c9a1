package rediscluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestHealthOfCallsTogether lets calls wait for a server that comes back: one is answered, the other has waited too long by
// then, and what it has to say is old.
func TestHealthOfCallsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zap.InfoLevel)
		h := health{log: zap.New(core)}
		late := judge(context.DeadlineExceeded)
		begin := func() time.Time {
			begun := time.Now()
			time.Sleep(time.Second)
			return begun
		}
		said := func(want int, when string) {
			t.Helper()
			if got := lines.Len(); got != want {
				t.Errorf("%s: %d lines, want %d: %v", when, got, want, lines.All())
			}
		}
		h.failed("announcing", begin(), late, context.DeadlineExceeded)
		h.failed("sending", begin(), late, context.DeadlineExceeded)
		said(1, "Redis is frozen")
		waiting := begin()
		h.succeeded("announcing")
		said(2, "Redis answers again")
		h.failed("sending", waiting, late, context.DeadlineExceeded)
		said(2, "a call of before gives up")
		h.failed("sending", begin(), late, context.DeadlineExceeded)
		said(3, "Redis is frozen again")
	})
}
