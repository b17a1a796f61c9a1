package upstream_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// These are small but real servers: an http proxy, a SOCKS5 proxy and a DNS server.

// quiet drops what net/http says of the handshakes that these tests break on purpose.
var quiet = log.New(io.Discard, "", 0)

// proxyUser and proxyPassword hold what has to be escaped in a URL.
const (
	proxyUser     = "us:er"
	proxyPassword = "p@ss/word"
	proxyUserinfo = "us%3Aer:p%40ss%2Fword@"
)

// seen collects what a proxy was asked for.
type seen struct {
	mu       sync.Mutex
	requests []string
	clients  []string // addresses that the requests came from: one for each connection
}

func (s *seen) add(r string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
}

// connections counts those on which requests came.
func (s *seen) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(slices.Compact(slices.Sorted(slices.Values(s.clients))))
}

func (s *seen) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// httpProxy relays absolute requests and opens tunnels, for the right credentials only. Whatever host is asked
// for, it connects to target.
type httpProxy struct {
	seen
	target string
	relays http.Transport
}

func (p *httpProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.add(r.Method + " " + r.RequestURI)
	p.mu.Lock()
	p.clients = append(p.clients, r.RemoteAddr)
	p.mu.Unlock()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(proxyUser+":"+proxyPassword))
	if r.Header.Get("Proxy-Authorization") != want {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method == http.MethodConnect {
		p.tunnel(w)
		return
	}
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Host = p.target
	out.Header.Del("Proxy-Authorization")
	resp, err := p.relays.RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

func (p *httpProxy) tunnel(w http.ResponseWriter) {
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	// Hijacked before the client may speak, so that nothing it says is in a buffer.
	near, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, err = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	}
	if err != nil {
		_ = far.Close()
		return
	}
	splice(near, far)
}

func splice(near, far net.Conn) {
	var wg sync.WaitGroup
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		wg.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].Close()
			_ = pair[1].Close()
		})
	}
	wg.Wait()
}

func startHTTPProxy(t *testing.T, target string, secured bool) (*httpProxy, *httptest.Server) {
	t.Helper()
	p := &httpProxy{target: target}
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = quiet
	if secured {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		p.relays.CloseIdleConnections()
	})
	return p, server
}

// socksProxy speaks as much of RFC 1928 and RFC 1929 as a CONNECT with a password needs.
type socksProxy struct {
	seen
	target   string
	listener net.Listener
	wg       sync.WaitGroup
}

func startSOCKS(t *testing.T, target string) *socksProxy {
	t.Helper()
	p := &socksProxy{target: target, listener: listen(t)}
	p.wg.Go(func() {
		for {
			conn, err := p.listener.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() {
				if err := p.serve(conn); err != nil {
					p.add("error: " + err.Error())
					_ = conn.Close()
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.wg.Wait()
	})
	return p
}

func (p *socksProxy) serve(conn net.Conn) error {
	in := bufio.NewReader(conn)
	if _, err := readN(in, 2, true); err != nil { // version, methods
		return err
	}
	if _, err := conn.Write([]byte{5, 2}); err != nil { // user name and password
		return err
	}
	user, err := readN(in, 2, true)
	if err != nil {
		return err
	}
	password, err := readN(in, 1, true)
	if err != nil {
		return err
	}
	if string(user) != proxyUser || string(password) != proxyPassword {
		_, _ = conn.Write([]byte{1, 1})
		return errors.New("wrong credentials")
	}
	if _, err := conn.Write([]byte{1, 0}); err != nil {
		return err
	}
	if _, err := readN(in, 3, false); err != nil { // version, command, reserved
		return err
	}
	kind, err := in.ReadByte()
	if err != nil || kind != 3 {
		return fmt.Errorf("address of type %d, want a name: %w", kind, err)
	}
	host, err := readN(in, 1, true)
	if err != nil {
		return err
	}
	port, err := readN(in, 2, false)
	if err != nil {
		return err
	}
	p.add(fmt.Sprintf("%s:%d", host, int(port[0])<<8|int(port[1])))
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		return err
	}
	if _, err := conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil {
		return err
	}
	splice(conn, far)
	return nil
}

// readN reads n bytes; when counted, the last of them says how many follow, and those are returned.
func readN(r io.Reader, n int, counted bool) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil || !counted {
		return b, err
	}
	rest := make([]byte, b[n-1])
	_, err := io.ReadFull(r, rest)
	return rest, err
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// silentServer takes connections and never says a word.
func silentServer(t *testing.T) string {
	t.Helper()
	l := listen(t)
	var (
		mu    sync.Mutex
		conns []net.Conn
		wg    sync.WaitGroup
	)
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	return l.Addr().String()
}

// names answers DNS queries from a table.
type names map[string][]string

func (n names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buffer := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer := n.answer(buffer[:size]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		wg.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (n names) answer(query []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	addresses, known := n[strings.TrimSuffix(q.Name.String(), ".")]
	m.Response, m.Additionals = true, nil
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
	for _, text := range addresses {
		switch a := netip.MustParseAddr(text); {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// silentResolver never gets an answer.
var silentResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}}
