package adminhttp

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func waitOf(g *guessLimiter, address netip.Addr) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wait(network(address), g.now())
}

func TestGuessLimiter(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	g := newGuessLimiter(func() time.Time { return now })
	one := netip.MustParseAddr("2001:db8::1")
	neighbour, other := netip.MustParseAddr("2001:db8::ffff"), netip.MustParseAddr("2001:db8:0:1::1")

	var waits []time.Duration
	for range 14 {
		now = now.Add(waitOf(g, one))
		g.failed(one)
		waits = append(waits, waitOf(g, one))
	}
	for i, want := range []time.Duration{0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 120, 120, 120} {
		if waits[i] != want*time.Second {
			t.Errorf("after wrong key %d the wait is %v, want %v", i+1, waits[i], want*time.Second)
		}
	}
	if waitOf(g, neighbour) == 0 || waitOf(g, other) != 0 {
		t.Errorf("an address of the same /64 waits %v, of another %v", waitOf(g, neighbour), waitOf(g, other))
	}
	now = now.Add(guessMemory + time.Second)
	if g.failed(one); waitOf(g, one) != 0 {
		t.Error("an old guess still counts")
	}
	for range freeGuesses {
		g.failed(one)
	}
	if wait := g.passed(one); wait != time.Second || waitOf(g, one) == 0 {
		t.Errorf("the right key was told to wait %v, and the wait is %v", wait, waitOf(g, one))
	}
	now = now.Add(time.Second)
	g.passed(one)
	for range freeGuesses - 1 {
		g.failed(one)
	}
	if waitOf(g, one) != 0 {
		t.Error("the right key did not clear the count")
	}
	g.failed(netip.Addr{})
	if waitOf(g, netip.Addr{}) != 0 {
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
	if waitOf(g, address(0)) == 0 || waitOf(g, address(1)) != 0 {
		t.Error("the wrong one was forgotten")
	}
}

// Guesses at the same moment must not all be looked at before the first of them counts.
func TestGuessesAtOnceCountOneByOne(t *testing.T) {
	g := newGuessLimiter(time.Now)
	address := netip.MustParseAddr("203.0.113.7")
	var looked atomic.Int64
	var all sync.WaitGroup
	start := make(chan struct{})
	for range 500 {
		all.Go(func() {
			<-start
			if g.failed(address) == 0 {
				looked.Add(1)
			}
		})
	}
	close(start)
	all.Wait()
	if n := looked.Load(); n != freeGuesses {
		t.Errorf("%d of 500 guesses at once were looked at, want %d", n, freeGuesses)
	}
}
