package adminhttp

import (
	"net/netip"
	"testing"
	"time"
)

func TestGuessLimiter(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	g := newGuessLimiter(func() time.Time { return now })
	one := netip.MustParseAddr("2001:db8::1")
	neighbour, other := netip.MustParseAddr("2001:db8::ffff"), netip.MustParseAddr("2001:db8:0:1::1")

	var waits []time.Duration
	for range 14 {
		now = now.Add(g.wait(one))
		g.failed(one)
		waits = append(waits, g.wait(one))
	}
	for i, want := range []time.Duration{0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 120, 120, 120} {
		if waits[i] != want*time.Second {
			t.Errorf("after wrong key %d the wait is %v, want %v", i+1, waits[i], want*time.Second)
		}
	}
	if g.wait(neighbour) == 0 || g.wait(other) != 0 {
		t.Errorf("an address of the same /64 waits %v, of another %v", g.wait(neighbour), g.wait(other))
	}
	now = now.Add(guessMemory + time.Second)
	if g.failed(one); g.wait(one) != 0 {
		t.Error("an old guess still counts")
	}
	for range freeGuesses {
		g.failed(one)
	}
	if g.passed(one); g.wait(one) != 0 {
		t.Error("the right key did not clear the count")
	}
	g.failed(netip.Addr{})
	if g.wait(netip.Addr{}) != 0 {
		t.Error("a client without an address waits after one wrong key")
	}
}

func TestGuessLimiterForgetsWhoGuessedLeastLately(t *testing.T) {
	g := newGuessLimiter(time.Now)
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for range freeGuesses {
		g.failed(address(0))
		g.failed(address(1))
	}
	for i := 2; i <= guessedAddresses; i++ {
		g.failed(address(i))
		if i == 100 {
			g.failed(address(0)) // guesses again, and stays
		}
	}
	if len(g.byAddress) != guessedAddresses || g.latest.Len() != guessedAddresses {
		t.Errorf("%d addresses, %d in the list", len(g.byAddress), g.latest.Len())
	}
	if g.wait(address(0)) == 0 || g.wait(address(1)) != 0 {
		t.Error("the wrong one was forgotten")
	}
}
