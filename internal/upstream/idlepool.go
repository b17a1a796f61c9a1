package upstream

import (
	"slices"
	"sync"
	"time"
)

// idlePool keeps connections between exchanges, the last used first.
type idlePool struct {
	timeout          time.Duration
	most, mostARoute int

	mu     sync.Mutex
	routes map[route][]*http1Conn // oldest first
	total  int
	closed bool
	sweep  *time.Timer // runs while something is idle
}

// take returns a connection to a route that can be used, or nil.
func (p *idlePool) take(to route) *http1Conn {
	for {
		c := p.pop(to)
		if c == nil || c.quiet() {
			return c
		}
		_ = c.socket.Close()
	}
}

func (p *idlePool) pop(to route) *http1Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.routes[to]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	list[len(list)-1] = nil
	p.routes[to] = list[:len(list)-1]
	p.total--
	return c
}

// put keeps a connection, or closes it when its route has its share. When the pool is full the connection that has
// been idle longest makes room: routes that are asked no more would keep those that are out of it.
func (p *idlePool) put(c *http1Conn) {
	if surplus := p.keep(c); surplus != nil {
		surplus.close() // without the lock: over TLS it writes
	}
}

// keep returns the connection that is not kept, or nil.
func (p *idlePool) keep(c *http1Conn) (surplus *http1Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.most <= 0 || len(p.routes[c.to]) >= p.mostARoute {
		return c
	}
	if p.total >= p.most {
		surplus = p.evict()
	}
	c.idleUntil = time.Now().Add(p.timeout)
	if p.routes == nil {
		p.routes = make(map[route][]*http1Conn)
	}
	p.routes[c.to] = append(p.routes[c.to], c)
	p.total++
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.timeout, p.expire)
	}
	return surplus
}

// evict takes out the connection that expires first. It looks at one of each route, the oldest.
func (p *idlePool) evict() *http1Conn {
	var oldest route
	found := false
	for to, list := range p.routes {
		if len(list) > 0 && (!found || list[0].idleUntil.Before(p.routes[oldest][0].idleUntil)) {
			oldest, found = to, true
		}
	}
	list := p.routes[oldest]
	c := list[0]
	p.total--
	if p.routes[oldest] = slices.Delete(list, 0, 1); len(list) == 1 {
		delete(p.routes, oldest)
	}
	return c
}

// expire closes what has been idle for too long, and comes again while something is left.
func (p *idlePool) expire() {
	for _, c := range p.expired() {
		c.close()
	}
}

func (p *idlePool) expired() (over []*http1Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var next time.Time
	for to, list := range p.routes {
		kept := list[:0]
		for _, c := range list {
			if !c.idleUntil.After(now) {
				over = append(over, c)
				p.total--
				continue
			}
			if next.IsZero() || c.idleUntil.Before(next) {
				next = c.idleUntil
			}
			kept = append(kept, c)
		}
		clear(list[len(kept):])
		if len(kept) == 0 {
			delete(p.routes, to)
		} else {
			p.routes[to] = kept
		}
	}
	p.sweep = nil
	if !next.IsZero() && !p.closed {
		p.sweep = time.AfterFunc(max(next.Sub(now), time.Millisecond), p.expire)
	}
	return over
}

// close closes every idle connection; those in use are closed when they come back.
func (p *idlePool) close() {
	p.mu.Lock()
	routes := p.routes
	p.closed, p.routes, p.total = true, nil, 0
	if p.sweep != nil {
		p.sweep.Stop()
		p.sweep = nil
	}
	p.mu.Unlock()
	for _, list := range routes {
		for _, c := range list {
			c.close()
		}
	}
}
