package fakeprovider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// listening is the provider's own listener, which can be closed and opened again on the same port.
type listening struct {
	mu       sync.Mutex
	server   *http.Server
	listener net.Listener
	reserved reservation // keeps the port ours while the listener is closed
	address  string
	timer    *time.Timer // opens again after RefuseFor
	conns    map[net.Conn]http.ConnState
	serving  sync.WaitGroup
}

// Start listens on a free loopback port and returns the base URL without a trailing slash. It panics when it
// cannot, or is started twice: neither happens in a sound test. Close ends it.
func (p *Provider) Start() string {
	address, err := p.Listen("127.0.0.1:0")
	if err != nil {
		panic("fakeprovider: " + err.Error())
	}
	return address
}

// Listen listens on address (host:port, port 0 for a free one) and returns the base URL.
func (p *Provider) Listen(address string) (baseURL string, err error) {
	s := &p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return "", errors.New("the provider listens already")
	}
	s.reserved, s.address, err = reserve(address)
	if err != nil {
		return "", fmt.Errorf("reserve %s: %w", address, err)
	}
	s.conns = map[net.Conn]http.ConnState{}
	s.server = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: 30 * time.Second,
		ConnState:         s.note,
	}
	if err := s.open(); err != nil {
		s.server = nil
		s.reserved.release()
		return "", err
	}
	return "http://" + s.address, nil
}

// BaseURL is what Start returned, and empty before.
func (p *Provider) BaseURL() string {
	s := &p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return ""
	}
	return "http://" + s.address
}

// open listens and serves. The caller holds the lock.
func (s *listening) open() error {
	listener, err := s.reserved.listen(s.address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.address, err)
	}
	s.listener = listener
	server := s.server
	s.serving.Go(func() { _ = server.Serve(listener) }) // ends when the listener or the server is closed
	return nil
}

func (s *listening) note(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(s.conns, c)
	case http.StateNew, http.StateActive, http.StateIdle:
		s.conns[c] = state
	}
}

// Refuse closes the listener, so that new connections are refused, and closes idle connections. Calls in flight
// go on and their connections close behind them. The port stays ours. Accept, or the end of a positive d, undoes it.
func (p *Provider) Refuse(d time.Duration) {
	s := &p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return
	}
	s.server.SetKeepAlivesEnabled(false)
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
	}
	for c, state := range s.conns {
		if state != http.StateActive {
			_ = c.Close()
		}
	}
	s.stopTimer()
	if d > 0 {
		s.timer = time.AfterFunc(d, func() { _ = p.Accept() })
	}
}

// Accept opens the listener again after Refuse.
func (p *Provider) Accept() error {
	s := &p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopTimer()
	if s.server == nil || s.listener != nil {
		return nil
	}
	s.server.SetKeepAlivesEnabled(true)
	return s.open()
}

func (s *listening) stopTimer() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// ResetConnections resets (RST) every open connection, calls in flight included, as a dying provider does.
func (p *Provider) ResetConnections() {
	s := &p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		resetConn(c)
	}
}

// Close ends what hangs, stalls or is held, closes the listener and every connection, and waits for the
// listener's goroutine. Further calls do nothing.
func (p *Provider) Close() {
	p.closeOnce.Do(func() {
		close(p.closed)
		s := &p.server
		s.mu.Lock()
		server, reserved := s.server, s.reserved
		s.stopTimer()
		s.server, s.listener = nil, nil
		s.mu.Unlock()
		if server != nil {
			_ = server.Close()
			s.serving.Wait()
			reserved.release()
		}
	})
	// Handlers see closed and end; waiting for them keeps them from outliving the test that made them.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = p.AwaitIdle(ctx)
}

// resetConn closes c so that the peer sees RST: with a linger of 0 the kernel throws away what is unsent.
func resetConn(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
