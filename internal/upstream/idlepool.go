package upstream

import (
	"slices"
	"sync"
	"time"
)

// idlePool keeps connections between exchanges, the last used first.
type idlePool struct {
	timeout         time.Duration
	most, mostAHost int

	mu     sync.Mutex
	hosts  map[string][]*plainConn // oldest first
	total  int
	closed bool
	sweep  *time.Timer // runs while something is idle
}

// take returns a connection to address that can be used, or nil.
func (p *idlePool) take(address string) *plainConn {
	for {
		c := p.pop(address)
		if c == nil || c.idle() {
			return c
		}
		_ = c.conn.Close()
	}
}

func (p *idlePool) pop(address string) *plainConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.hosts[address]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	list[len(list)-1] = nil
	p.hosts[address] = list[:len(list)-1]
	p.total--
	return c
}

// put keeps a connection, or closes it when its address has its share. When the pool is full the connection that has
// been idle longest makes room: addresses that are asked no more would keep those that are out of it.
func (p *idlePool) put(c *plainConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.most <= 0 || len(p.hosts[c.address]) >= p.mostAHost {
		_ = c.conn.Close()
		return
	}
	if p.total >= p.most {
		p.evict()
	}
	c.idleUntil = time.Now().Add(p.timeout)
	if p.hosts == nil {
		p.hosts = make(map[string][]*plainConn)
	}
	p.hosts[c.address] = append(p.hosts[c.address], c)
	p.total++
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.timeout, p.expire)
	}
}

// evict closes the connection that expires first. It looks at one of each address, the oldest.
func (p *idlePool) evict() {
	var oldest string
	for address, list := range p.hosts {
		if len(list) > 0 && (oldest == "" || list[0].idleUntil.Before(p.hosts[oldest][0].idleUntil)) {
			oldest = address
		}
	}
	list := p.hosts[oldest]
	_ = list[0].conn.Close()
	p.total--
	if p.hosts[oldest] = slices.Delete(list, 0, 1); len(list) == 1 {
		delete(p.hosts, oldest)
	}
}

// expire closes what has been idle for too long, and comes again while something is left.
func (p *idlePool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var next time.Time
	for address, list := range p.hosts {
		kept := list[:0]
		for _, c := range list {
			if !c.idleUntil.After(now) {
				_ = c.conn.Close()
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
			delete(p.hosts, address)
		} else {
			p.hosts[address] = kept
		}
	}
	p.sweep = nil
	if !next.IsZero() && !p.closed {
		p.sweep = time.AfterFunc(max(next.Sub(now), time.Millisecond), p.expire)
	}
}

// close closes every idle connection; those in use are closed when they come back.
func (p *idlePool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, list := range p.hosts {
		for _, c := range list {
			_ = c.conn.Close()
		}
	}
	p.hosts, p.total = nil, 0
	if p.sweep != nil {
		p.sweep.Stop()
		p.sweep = nil
	}
}
