package upstream

import (
	"net/url"
	"time"

	"gpt-load/internal/fleet"
)

// addressPolicy: three faults in a row, or one that says that nothing can be reached there, rest an address
// for a second; every failed probe doubles that, up to a minute.
var addressPolicy = policy{faultsToRest: 3, firstRest: time.Second, maxRest: time.Minute, probeLease: 10 * time.Minute}

// Address is one upstream address of a group. It stays the same value while the configuration names it.
type Address struct {
	text string
	url  *url.URL
	node node[*Address]
}

// URL is the parsed base address. It must not be modified.
func (a *Address) URL() *url.URL { return a.url }

// Host is the host and port, as records show it.
func (a *Address) Host() string { return a.url.Host }

// Choice is an address chosen for one attempt. One of Success, Fault and Release is to be called once the
// attempt's verdict is known.
type Choice struct {
	*Address
	// Again says that this request failed here before and that no other address serves: wait a moment first.
	Again bool

	ring  *ring[*Address]
	probe uint64
}

// Success reports that the address answered as a provider does, whatever it said of the key or the request.
func (c Choice) Success(_ time.Time) { c.ring.success(&c.node) }

// Fault reports that the address, or the way to it, failed. err is the transport's error, nil when an answer
// such as 503 came.
func (c Choice) Fault(err error, now time.Time) {
	c.ring.fault(turn[*Address]{&c.node, c.probe}, Unreachable(err), now.UnixNano())
}

// Release reports that the attempt ended without telling anything of the address, as when the client left.
func (c Choice) Release() { c.ring.release(turn[*Address]{&c.node, c.probe}) }

// Balancer chooses among the upstream addresses of one group. It is safe for concurrent use.
type Balancer struct {
	ring      *ring[*Address]
	addresses []*Address // guarded by ring.mu
}

// NewBalancer makes a balancer. Addresses with a weight of 0 are off, and so is text that is no absolute URL.
func NewBalancer(upstreams []fleet.Upstream) *Balancer {
	b := &Balancer{ring: newRing[*Address](addressPolicy)}
	b.Update(upstreams)
	return b
}

// Update sets the addresses. Those that stay keep their health.
func (b *Balancer) Update(upstreams []fleet.Upstream) {
	b.ring.mu.Lock()
	defer b.ring.mu.Unlock()
	known := make(map[string]*Address, len(b.addresses))
	for _, a := range b.addresses {
		known[a.text] = a
	}
	addresses := make([]*Address, 0, len(upstreams))
	nodes := make([]*node[*Address], 0, len(upstreams))
	for _, u := range upstreams {
		a := known[u.URL]
		if a == nil {
			parsed, err := url.Parse(u.URL)
			if err != nil || parsed.Host == "" {
				continue
			}
			a = &Address{text: u.URL, url: parsed}
			a.node.value = a
		}
		delete(known, u.URL) // an address that is named twice counts as two
		a.node.weight = u.Weight
		addresses = append(addresses, a)
		nodes = append(nodes, &a.node)
	}
	b.addresses = addresses
	b.ring.replace(nodes)
}

// Choose gives the address for the next attempt of a request: one that rested and is due for its probe, else
// the one whose turn it is. Addresses in avoid (which may be nil) that failed come after those, then the resting
// one that returns first: a rest never makes a request fail. Silent ones never come again. It returns false
// when none is left.
func (b *Balancer) Choose(avoid *Avoid, now time.Time) (Choice, bool) {
	at := now.UnixNano()
	fresh := func(a *Address) bool { return !avoid.has(a) }
	if chosen, ok := b.ring.choose(fresh, at); ok {
		return b.choice(chosen, avoid), true
	}
	if avoid.len() > 0 {
		if chosen, ok := b.ring.choose(avoid.allows, at); ok {
			return b.choice(chosen, avoid), true
		}
	}
	if chosen, ok := b.ring.soonest(fresh); ok {
		return b.choice(chosen, avoid), true
	}
	if chosen, ok := b.ring.soonest(avoid.allows); ok {
		return b.choice(chosen, avoid), true
	}
	return Choice{}, false
}

func (b *Balancer) choice(chosen turn[*Address], avoid *Avoid) Choice {
	a := chosen.node.value
	return Choice{Address: a, Again: avoid.has(a), ring: b.ring, probe: chosen.probe}
}

// AddressStatus is the health of one address for people to see.
type AddressStatus struct {
	URL    string
	Weight int
	// Resting says that the address gets nothing but probes; RestsUntil is when the next may go.
	Resting    bool
	RestsUntil time.Time
	Faults     int // in a row, before the rest
}

// Status lists the addresses in the order of the configuration.
func (b *Balancer) Status(_ time.Time) []AddressStatus {
	b.ring.mu.Lock()
	defer b.ring.mu.Unlock()
	list := make([]AddressStatus, 0, len(b.addresses))
	for _, a := range b.addresses {
		s := AddressStatus{URL: a.text, Weight: a.node.weight, Faults: a.node.faults, Resting: a.node.rest > 0}
		if s.Resting {
			s.RestsUntil = time.Unix(0, a.node.until).UTC()
		}
		list = append(list, s)
	}
	return list
}
