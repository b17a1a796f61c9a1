package keypool

import "unsafe"

// Lanes is the number of lanes, for tests of their bound.
func (p *Pool) Lanes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lanes)
}

// StringOver makes a string that shares the memory of b, as scanners do.
func StringOver(b []byte) string { return unsafe.String(&b[0], len(b)) }
