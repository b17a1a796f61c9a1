package cluster_test

import (
	"testing"

	"go.uber.org/goleak"

	"gpt-load/internal/testenv"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testenv.WithServers(m), goleak.IgnoreAnyFunction(testenv.ServerGoroutine))
}
