package main

import (
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	var l latencies
	if got := l.quantile(0.99); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for i := 200; i > 0; i-- {
		l = append(l, time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 100, 0.99: 198, 0.991: 199, 1: 200} {
		if got := l.quantile(q); got != want {
			t.Errorf("%v of 1 to 200: %v, want %v", q, got, want)
		}
	}
	if l[0] != 200 {
		t.Error("the order of the measurements changed")
	}
}

// TestPerRecord: what the time without a flood costs is taken away.
func TestPerRecord(t *testing.T) {
	m := recordsMeasurement{idleCPU: map[string]float64{"leader": 0.01}, busyCPU: map[string]float64{"leader": 0.06}}
	if got := m.perRecord("leader"); got < 9.99 || got > 10.01 {
		t.Errorf("%v µs, want 10", got)
	}
}
