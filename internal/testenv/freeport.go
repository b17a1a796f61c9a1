package testenv

import "testing"

// FreePort reserves a free TCP port of 127.0.0.1 for the length of a test, for what this package does not start.
func FreePort(tb testing.TB) int {
	tb.Helper()
	port, err := reservePort()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(port.release)
	return port.number
}
