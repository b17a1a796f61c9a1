//go:build unix

package sqlstore_test

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime is what the process has used of the processors so far, its collector and the kernel's part included.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
