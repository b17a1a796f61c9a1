package main

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"gpt-load/internal/node"
)

// TestObey: the first signal ends the context, the second one the process.
func TestObey(t *testing.T) {
	for _, c := range []struct {
		first, second os.Signal
		cause         error
		code          int
	}{
		{syscall.SIGTERM, syscall.SIGTERM, errTerminated, 143},
		{os.Interrupt, os.Interrupt, node.ErrInterrupted, 130},
		{os.Interrupt, syscall.SIGTERM, node.ErrInterrupted, 143},
	} {
		ctx, end := context.WithCancelCause(t.Context())
		signals, exited := make(chan os.Signal), make(chan int, 1)
		go obey(signals, end, func(code int) { exited <- code })
		signals <- c.first
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), c.cause) {
			t.Errorf("%v: %v", c.first, context.Cause(ctx))
		}
		signals <- c.second
		if code := <-exited; code != c.code {
			t.Errorf("%v, %v: exit code %d", c.first, c.second, code)
		}
	}
}
