package adminhttp

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Bounds of the brake on guessing AUTH_KEY. 30 guesses an hour from one address make a key of even 20 random bits
// last four years against it; the few free ones are for people who mistype.
const (
	freeGuesses      = 5
	firstGuessDelay  = time.Second
	longestDelay     = 2 * time.Minute
	guessMemory      = time.Hour // after this long without a wrong key an address is forgotten
	guessedAddresses = 4096      // remembered at most; the one that guessed least lately goes first
)

// guessLimiter remembers which addresses sent wrong keys to this node; with n nodes behind a load balancer an address has n times as
// many guesses. Behind a proxy that TRUSTED_PROXIES does not name all clients are one address. It is safe for concurrent use.
type guessLimiter struct {
	now func() time.Time

	mu        sync.Mutex
	byAddress map[netip.Prefix]*list.Element // of *guesser
	latest    *list.List                     // the latest guesser first
}

type guesser struct {
	from  netip.Prefix
	wrong int
	last  time.Time
	until time.Time // refused before this
}

func newGuessLimiter(now func() time.Time) *guessLimiter {
	return &guessLimiter{now: now, byAddress: make(map[netip.Prefix]*list.Element), latest: list.New()}
}

// network is what counts as one guesser: an IPv4 address, or an IPv6 /64, which one customer has whole.
func network(address netip.Addr) netip.Prefix {
	bits := 64
	if address.Is4() {
		bits = 32
	}
	prefix, _ := address.Prefix(bits) // the zero Addr gives the zero Prefix: one bucket for what has no address
	return prefix
}

// wait is how long an address must wait before a key of its is looked at again; 0 means now. The caller holds the lock.
func (g *guessLimiter) wait(from netip.Prefix, now time.Time) time.Duration {
	element, ok := g.byAddress[from]
	if !ok {
		return 0
	}
	return max(0, element.Value.(*guesser).until.Sub(now))
}

// failed takes in a wrong key. When the address must wait, that is returned and the key counts for nothing: it was as good as not
// looked at. Both happen at once, so that many guesses at the same moment are no more than one after the other.
func (g *guessLimiter) failed(address netip.Addr) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, from := g.now(), network(address)
	element, ok := g.byAddress[from]
	if ok {
		g.latest.MoveToFront(element) // who keeps guessing is not forgotten
	}
	if wait := g.wait(from, now); wait > 0 {
		return wait
	}
	if !ok {
		if g.latest.Len() >= guessedAddresses {
			g.forget(g.latest.Back())
		}
		element = g.latest.PushFront(&guesser{from: from})
		g.byAddress[from] = element
	}
	entry := element.Value.(*guesser)
	if now.Sub(entry.last) > guessMemory {
		entry.wrong = 0
	}
	entry.wrong++
	entry.last = now
	if over := entry.wrong - freeGuesses; over >= 0 {
		// Past 7 doublings the bound holds anyway, and shifting further would overflow.
		entry.until = now.Add(min(firstGuessDelay<<min(over, 7), longestDelay))
	}
	return 0
}

// passed takes in the right key. When the address must wait, that is returned and changes nothing.
func (g *guessLimiter) passed(address netip.Addr) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := network(address)
	if wait := g.wait(from, g.now()); wait > 0 {
		return wait
	}
	if element, ok := g.byAddress[from]; ok {
		g.forget(element)
	}
	return 0
}

func (g *guessLimiter) forget(element *list.Element) {
	delete(g.byAddress, element.Value.(*guesser).from)
	g.latest.Remove(element)
}
