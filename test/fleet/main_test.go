package fleet_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gpt-load/internal/testenv"
)

// binary has no race detector: its pauses would be taken for those of the fleet.
var binary string

// exact holds figures to their limits.
var exact = flag.Bool("exact", false, "hold latencies and times to their limits, not to ten times as much")

// limited is a limit of a figure for the machine this runs on.
func limited(limit time.Duration) time.Duration {
	if *exact {
		return limit
	}
	return 10 * limit
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gpt-load-fleet-")
	if err == nil {
		binary, err = testenv.Build(context.Background(), dir, false)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, errors.Join(err, os.RemoveAll(dir)))
		os.Exit(1)
	}
	goleak.VerifyTestMain(testenv.WithServers(m), goleak.IgnoreAnyFunction(testenv.ServerGoroutine),
		goleak.Cleanup(func(code int) {
			if err := os.RemoveAll(dir); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			os.Exit(code)
		}))
}
