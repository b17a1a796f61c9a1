package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/proxy"
)

// dialer makes connections to upstreams, through a proxy where one is set, within one timeout for all of it.
type dialer struct {
	timeout  time.Duration
	proxy    *url.URL // from the configuration
	proxyErr error
	env      func(*url.URL) (*url.URL, error)
	tls      *tls.Config
	guard    bool
	resolver *net.Resolver

	toUpstream net.Dialer // checks every address when guard is set
	toProxy    net.Dialer // proxies are the operator's own and may stand anywhere
}

func newDialer(c TransportConfig, o Options, sessions tls.ClientSessionCache) *dialer {
	d := &dialer{timeout: c.ConnectTimeout, env: o.EnvProxy, guard: o.BlockPrivate, resolver: o.Resolver}
	if d.resolver == nil {
		d.resolver = net.DefaultResolver
	}
	if !c.ProxyURL.IsEmpty() {
		var err error
		if d.proxy, err = url.Parse(c.ProxyURL.Reveal()); err != nil || d.proxy.Host == "" {
			d.proxyErr = errors.New("proxy_url is not a URL such as http://user:password@host:port") // never quote it
		}
	}
	d.tls = &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs, ClientSessionCache: sessions,
		NextProtos: []string{"h2", "http/1.1"},
	}
	if c.Protocol == ProtocolHTTP1 {
		d.tls.NextProtos = []string{"http/1.1"}
	}
	d.toProxy = net.Dialer{KeepAlive: keepAlivePeriod, Resolver: o.Resolver}
	d.toUpstream = d.toProxy
	if o.BlockPrivate {
		d.toUpstream.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return checkAddress(address)
		}
	}
	return d
}

// proxyFor gives the proxy for a destination, nil for none.
func (d *dialer) proxyFor(scheme, host string) (*url.URL, error) {
	if d.proxyErr != nil || d.proxy != nil {
		return d.proxy, d.proxyErr
	}
	if d.env == nil {
		return nil, nil
	}
	u, err := d.env(&url.URL{Scheme: scheme, Host: host})
	if err != nil {
		return nil, errors.New("HTTP_PROXY or HTTPS_PROXY is not a URL such as http://user:password@host:port")
	}
	return u, nil
}

// dialPlain connects to an http upstream; it is http.Transport's DialContext.
func (d *dialer) dialPlain(ctx context.Context, _, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	conn, err := d.connect(ctx, "http", address)
	if err != nil {
		return nil, err
	}
	return bodyConn{conn}, nil
}

// dialTLS connects to an https upstream; it is http.Transport's DialTLSContext.
func (d *dialer) dialTLS(ctx context.Context, _, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	conn, err := d.connect(ctx, "https", address)
	if err != nil {
		return nil, err
	}
	return d.handshake(ctx, conn, address, d.tls.NextProtos)
}

// dialRoute connects for http1.
func (d *dialer) dialRoute(ctx context.Context, to route) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	if to.relay != nil {
		return d.toRelay(ctx, to.relay)
	}
	address, scheme := to.address(), "http"
	if to.secured {
		scheme = "https"
	}
	conn, err := d.connect(ctx, scheme, address)
	if err != nil {
		return nil, err
	}
	if to.secured {
		return d.secure(ctx, newLink(conn), address)
	}
	return newLink(conn), nil
}

// secure puts TLS for HTTP/1.1 on a link.
func (d *dialer) secure(ctx context.Context, below *link, address string) (*link, error) {
	below.records.counted = true
	secured, err := d.handshake(ctx, below, address, []string{"http/1.1"})
	if err != nil {
		return nil, err
	}
	return &link{Conn: secured, below: below}, nil
}

// dialProxy connects to the proxy of relayed requests.
func (d *dialer) dialProxy(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	conn, err := d.toProxy.DialContext(ctx, network, address)
	if err != nil {
		return nil, d.failed(address, "proxy", err)
	}
	return conn, nil
}

// connect gives a byte stream to an address, directly or through the proxy.
func (d *dialer) connect(ctx context.Context, scheme, address string) (net.Conn, error) {
	via, err := d.proxyFor(scheme, address)
	if err != nil {
		return nil, d.failed(address, "proxy", err)
	}
	if via == nil {
		conn, err := d.toUpstream.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, d.failed(address, "dial", err)
		}
		return conn, nil
	}
	if err := d.checkDestination(ctx, address); err != nil {
		return nil, err
	}
	if isSOCKS(via) {
		return d.throughSOCKS(ctx, via, address)
	}
	return d.throughHTTP(ctx, via, address)
}

func isSOCKS(u *url.URL) bool { return u.Scheme == "socks5" || u.Scheme == "socks5h" }

// throughSOCKS lets a SOCKS5 proxy connect (RFC 1928, RFC 1929). The host name goes to the proxy unresolved.
func (d *dialer) throughSOCKS(ctx context.Context, via *url.URL, address string) (net.Conn, error) {
	var auth *proxy.Auth
	if via.User != nil {
		password, _ := via.User.Password()
		auth = &proxy.Auth{User: via.User.Username(), Password: password}
	}
	proxyAddress := hostWithPort(via.Host, "1080")
	socks, err := proxy.SOCKS5("tcp", proxyAddress, auth, &d.toProxy)
	if err != nil {
		return nil, d.failed(address, "SOCKS5 proxy", err)
	}
	conn, err := d.toProxy.DialContext(ctx, "tcp", proxyAddress)
	if err != nil {
		return nil, d.failed(address, "SOCKS5 proxy", err)
	}
	// On a connection of ours: what DialContext gives hides the socket.
	on := socks.(interface {
		DialWithConn(ctx context.Context, conn net.Conn, network, address string) (net.Addr, error)
	})
	if _, err := on.DialWithConn(ctx, conn, "tcp", address); err != nil {
		_ = conn.Close()
		return nil, d.failed(address, "SOCKS5 proxy", err)
	}
	return conn, nil
}

// toRelay connects to an http or https proxy.
func (d *dialer) toRelay(ctx context.Context, via *url.URL) (*link, error) {
	port := "80"
	if via.Scheme == "https" {
		port = "443"
	}
	address := hostWithPort(via.Host, port)
	conn, err := d.toProxy.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, d.failed(address, "proxy", err)
	}
	if via.Scheme == "https" {
		return d.secure(ctx, newLink(conn), address)
	}
	return newLink(conn), nil
}

// throughHTTP opens a tunnel with CONNECT (RFC 9110 section 9.3.6).
func (d *dialer) throughHTTP(ctx context.Context, via *url.URL, address string) (net.Conn, error) {
	conn, err := d.toRelay(ctx, via)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = openTunnel(conn, via, address)
	if !stop() && err == nil {
		err = ctx.Err() // the deadline may be set at this very moment: the connection cannot be trusted
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, d.failed(address, "proxy", err)
	}
	return conn, nil
}

// maxTunnelAnswer bounds the header with which a proxy answers CONNECT.
const maxTunnelAnswer = 64 << 10

func openTunnel(conn net.Conn, via *url.URL, address string) error {
	request := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: make(http.Header),
	}
	request.Header.Set("User-Agent", "") // none
	if via.User != nil {
		request.Header.Set("Proxy-Authorization", credentials(via.User))
	}
	if err := request.Write(conn); err != nil {
		return err
	}
	answer := bufio.NewReader(io.LimitReader(conn, maxTunnelAnswer))
	response, err := http.ReadResponse(answer, request) //nolint:bodyclose // the connection is the body, and the caller closes it
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the proxy answered CONNECT with %d", response.StatusCode)
	}
	if answer.Buffered() > 0 {
		return errors.New("the proxy sent data before the upstream could")
	}
	return nil
}

// credentials are those of a proxy's URL as a header carries them (RFC 7617).
func credentials(user *url.Userinfo) string {
	password, _ := user.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
}

// handshake puts TLS on a connection and closes it when that does not work.
func (d *dialer) handshake(ctx context.Context, conn net.Conn, address string, protocols []string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	c := d.tls.Clone()
	c.ServerName = strings.TrimSuffix(host, ".")
	c.NextProtos = protocols
	c.DynamicRecordSizingDisabled = true // it is for pages that render in parts; a request is of use when it is whole
	secured := tls.Client(conn, c)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, d.failed(address, "TLS handshake", err)
	}
	return secured, nil
}

// failed makes a ConnectError; the end of the connect timeout says so, whatever form it came in.
func (d *dialer) failed(address, step string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		err = &timeoutError{after: d.timeout}
	}
	return &ConnectError{Address: address, Step: step, Err: err}
}

// hostWithPort adds a port to a URL's host when it names none.
func hostWithPort(host, port string) string {
	u := url.URL{Host: host}
	if u.Port() != "" {
		return host
	}
	return net.JoinHostPort(u.Hostname(), port)
}
