package testenv

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// TCPProxy is a link to a server that can be cut.
type TCPProxy struct {
	target string
	port   *portReservation
	life   sync.WaitGroup // every goroutine

	mu       sync.Mutex
	cut      bool
	closed   bool
	changed  chan struct{} // closed and made anew whenever cut or closed changes
	listener net.Listener  // nil while refusing
	conns    map[net.Conn]bool
}

// StartTCPProxy starts a proxy on a port of its own that forwards to target, a host:port.
func StartTCPProxy(target string) (*TCPProxy, error) {
	port, err := reservePort()
	if err != nil {
		return nil, err
	}
	p := &TCPProxy{target: target, port: port, changed: make(chan struct{}), conns: map[net.Conn]bool{}}
	if err := p.Heal(); err != nil {
		port.release()
		return nil, err
	}
	return p, nil
}

// NewTCPProxy is StartTCPProxy for the length of a test.
func NewTCPProxy(tb testing.TB, target string) *TCPProxy {
	tb.Helper()
	p, err := StartTCPProxy(target)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

// Addr is where clients connect, host:port. It stays the same whatever happens to the link.
func (p *TCPProxy) Addr() string { return p.port.address() }

// Cut stops forwarding, as a network does that loses every packet: connections stay open and nothing passes in either
// direction, their ends included; what is under way arrives after Heal. New connections are accepted, since the kernel
// does that, and lead nowhere.
func (p *TCPProxy) Cut() { p.set(func() { p.cut = true }) }

// Refuse resets all connections and refuses new ones, as a host does whose server is gone.
func (p *TCPProxy) Refuse() {
	p.set(func() {
		p.cut = false
		p.drop()
	})
}

// Heal forwards again, after Cut or Refuse.
func (p *TCPProxy) Heal() error {
	var err error
	p.set(func() {
		p.cut = false
		if p.listener != nil || p.closed {
			return
		}
		var listener net.Listener
		if listener, err = net.Listen("tcp", p.Addr()); err == nil {
			p.listener = listener
			p.life.Go(func() { p.accept(listener) })
		}
	})
	return err
}

// Close ends the proxy and its connections, and waits until nothing of it is left.
func (p *TCPProxy) Close() {
	p.set(func() {
		p.closed = true
		p.drop()
	})
	p.life.Wait()
	p.port.release()
}

// set changes the state and wakes those who wait for it.
func (p *TCPProxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

// drop ends the listener and all connections; mu is held.
func (p *TCPProxy) drop() {
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for conn := range p.conns {
		reset(conn)
	}
}

// reset ends a connection by RST rather than FIN, without waiting for what was not sent.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// hold returns when the link forwards.
func (p *TCPProxy) hold() {
	for {
		p.mu.Lock()
		wait, changed := p.cut && !p.closed, p.changed
		p.mu.Unlock()
		if !wait {
			return
		}
		<-changed
	}
}

func (p *TCPProxy) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // drop closed it
		}
		if p.register(conn, listener) {
			p.life.Go(func() { p.forward(conn, listener) })
		}
	}
}

// register remembers a connection that was made through listener, if the link still stands; otherwise it resets it.
func (p *TCPProxy) register(conn net.Conn, listener net.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != listener {
		reset(conn)
		return false
	}
	p.conns[conn] = true
	return true
}

func (p *TCPProxy) forget(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

func (p *TCPProxy) forward(client net.Conn, listener net.Listener) {
	defer p.forget(client)
	p.hold()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		reset(client)
		return
	}
	if !p.register(server, listener) {
		return
	}
	defer p.forget(server)
	var back sync.WaitGroup
	back.Go(func() { p.pass(client, server) })
	p.pass(server, client)
	back.Wait()
}

// pass carries bytes one way until the sender ends, and then the end.
func (p *TCPProxy) pass(to, from net.Conn) {
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		p.hold()
		if n > 0 {
			if _, err := to.Write(piece[:n]); err != nil {
				reset(from)
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = to.(*net.TCPConn).CloseWrite()
			return
		case err != nil:
			reset(to)
			return
		}
	}
}
