package testenv

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if how := os.Getenv(orphanEnv); how != "" {
		orphan(how)
		return
	}
	goleak.VerifyTestMain(WithServers(m))
}
