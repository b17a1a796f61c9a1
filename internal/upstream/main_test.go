package upstream_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is where the clocks of these tests stand at first.
var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
