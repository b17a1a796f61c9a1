package upstream_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/upstream"
)

// peer is an upstream that sends bytes as a test wrote them down, well formed or not.
type peer struct {
	listener net.Listener
	scheme   string
	behave   func(*visit)
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	seen  []received
}

// received is a request as the peer read it, and the number of the connection that it came on.
type received struct {
	conn    int
	request string // line and header, in the order of the wire
	body    string
}

// visit is one request on a connection of the peer.
type visit struct {
	net.Conn
	peer   *peer
	number int // of the connection
	nth    int // request on it
	r      *bufio.Reader
	over   bool // the connection ends after this
}

// startPeer serves each request of each connection with behave, until it says that it is over.
func startPeer(t testing.TB, behave func(*visit)) *peer {
	t.Helper()
	return startPeerOver(t, "http", behave)
}

// identity is the certificate of peers over TLS, and of those who trust it.
var identity = sync.OnceValues(func() (*tls.Config, upstream.Options) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"upstream.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	known := x509.NewCertPool()
	known.AddCert(certificate)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, upstream.Options{RootCAs: known} //nolint:gosec // the default is TLS 1.2
})

// trusting are options under which peers over TLS are believed.
func trusting() upstream.Options {
	_, o := identity()
	return o
}

// startPeerOver is startPeer for "http" or "https".
func startPeerOver(t testing.TB, scheme string, behave func(*visit)) *peer {
	t.Helper()
	p := &peer{listener: listen(t), scheme: scheme, behave: behave}
	p.wg.Go(func() {
		for {
			conn, err := p.listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, conn) // the socket: TLS would wait for its own end
			number := len(p.conns)
			p.mu.Unlock()
			if scheme == "https" {
				config, _ := identity()
				conn = tls.Server(conn, config)
			}
			p.wg.Go(func() { p.serve(conn, number) })
		}
	})
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			_ = conn.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *peer) serve(conn net.Conn, number int) {
	defer func() { _ = conn.Close() }()
	v := &visit{Conn: conn, peer: p, number: number, r: bufio.NewReader(conn)}
	for v.nth = 1; !v.over; v.nth++ {
		if _, err := v.r.Peek(1); err != nil {
			return
		}
		p.behave(v)
	}
}

func (p *peer) address() string { return p.listener.Addr().String() }
func (p *peer) url() string     { return p.scheme + "://" + p.address() }

// requests are all that were read so far.
func (p *peer) requests() []received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]received(nil), p.seen...)
}

// readHeader takes the request's line and header as they stand on the wire.
func (v *visit) readHeader() string {
	var head strings.Builder
	for {
		line, err := v.r.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

// readRequest takes a request with its body and notes it.
func (v *visit) readRequest() {
	head := v.readHeader()
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	got := received{conn: v.number, request: head}
	if err == nil {
		// The body is read from our own buffer: ReadRequest's would keep bytes that belong to what follows.
		if n := request.ContentLength; n > 0 {
			body := make([]byte, n)
			k, _ := io.ReadFull(v.r, body)
			got.body = string(body[:k])
		}
	}
	v.peer.mu.Lock()
	v.peer.seen = append(v.peer.seen, got)
	v.peer.mu.Unlock()
}

func (v *visit) send(text string) { _, _ = io.WriteString(v, text) }

// reset ends the connection with RST instead of FIN.
func (v *visit) reset() {
	_ = v.tcp().SetLinger(0)
	_ = v.tcp().Close()
	v.over = true
}

// tcp is the socket.
func (v *visit) tcp() *net.TCPConn {
	if secured, ok := v.Conn.(*tls.Conn); ok {
		return secured.NetConn().(*net.TCPConn)
	}
	return v.Conn.(*net.TCPConn)
}

// awaitEnd waits until the other side has closed, and reports whether it did within the test's patience.
func (v *visit) awaitEnd() bool {
	_ = v.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, err := io.Copy(io.Discard, v.r)
	v.over = true
	return err == nil || !strings.Contains(err.Error(), "i/o timeout")
}

// answer is a simple complete answer.
func answerOf(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// last is the last request that came on a connection.
func (p *peer) last(conn int) received {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.seen) - 1; i >= 0; i-- {
		if p.seen[i].conn == conn {
			return p.seen[i]
		}
	}
	return received{}
}
