package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gpt-load/internal/secret"
)

// TransportConfig is what makes one transport different from another: groups with the same values share connections.
type TransportConfig struct {
	ConnectTimeout        time.Duration // TCP, proxy and TLS together
	IdleConnTimeout       time.Duration
	ResponseHeaderTimeout time.Duration // from the end of the request; 0 for none
	MaxIdleConns          int
	MaxIdleConnsPerHost   int
	ProxyURL              secret.Text // http, https or socks5; empty takes Options.EnvProxy
	Protocol              Protocol
}

// Protocol chooses the version of HTTP for https upstreams. Others are asked by HTTP/1.1.
type Protocol string

// The protocols; doc.go tells what ProtocolAuto does, and the empty string is the same.
const (
	ProtocolAuto  Protocol = "auto"
	ProtocolHTTP1 Protocol = "http1"
	ProtocolHTTP2 Protocol = "http2"
)

// transportKey is a TransportConfig to compare by.
type transportKey struct {
	connect, idle, header time.Duration
	conns, connsPerHost   int
	proxyURL              string
	protocol              Protocol
}

func (c TransportConfig) key() transportKey {
	return transportKey{c.ConnectTimeout, c.IdleConnTimeout, c.ResponseHeaderTimeout, c.MaxIdleConns, c.MaxIdleConnsPerHost, c.ProxyURL.Reveal(), c.Protocol}
}

// Options hold for all transports of a process.
type Options struct {
	// BlockPrivate refuses connections to loopback, link-local and private addresses, whatever name led there.
	BlockPrivate bool
	// EnvProxy gives the proxy for a URL as the environment says, nil for none. It may be nil itself.
	EnvProxy func(*url.URL) (*url.URL, error)
	Resolver *net.Resolver  // nil for the system's
	RootCAs  *x509.CertPool // nil for the system's
}

// Transports makes and keeps transports. It is safe for concurrent use.
type Transports struct {
	options  Options
	sessions tls.ClientSessionCache

	byConfig atomic.Pointer[map[transportKey]*transport]
	mu       sync.Mutex // held to change the map
}

// NewTransports makes an empty cache. It starts no goroutine.
func NewTransports(o Options) *Transports {
	t := &Transports{options: o, sessions: tls.NewLRUClientSessionCache(256)}
	t.byConfig.Store(&map[transportKey]*transport{})
	return t
}

// For returns the transport of a configuration. It never follows redirects, asks for no compression of its own
// and takes no lock when the configuration is known.
func (t *Transports) For(c TransportConfig) http.RoundTripper {
	key := c.key()
	if known := (*t.byConfig.Load())[key]; known != nil {
		return known
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := (*t.byConfig.Load())[key]; known != nil {
		return known
	}
	made := newTransport(c, t.options, t.sessions)
	next := maps.Clone(*t.byConfig.Load())
	next[key] = made
	t.byConfig.Store(&next)
	return made
}

// Retain drops every transport whose configuration is not in used. Requests that are under way end normally;
// idle connections are closed.
func (t *Transports) Retain(used []TransportConfig) {
	keep := make(map[transportKey]bool, len(used))
	for _, c := range used {
		keep[c.key()] = true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next := make(map[transportKey]*transport, len(used))
	var dropped []*transport
	for key, made := range *t.byConfig.Load() {
		if keep[key] {
			next[key] = made
		} else {
			dropped = append(dropped, made)
		}
	}
	t.byConfig.Store(&next)
	for _, made := range dropped {
		made.closeIdle()
	}
}

// Close closes all idle connections and forgets the transports.
func (t *Transports) Close() { t.Retain(nil) }

// transport sends a request the way that its scheme and the proxy ask for.
type transport struct {
	// direct speaks to the upstream itself, over a tunnel where there is a proxy.
	direct *http.Transport
	// relayed hands plain http requests to an http proxy in absolute form, as RFC 9112 section 3.2.2 asks.
	// Many proxies refuse to tunnel to port 80.
	relayed *http.Transport
	// http1 is the short way for requests whose body is in memory.
	http1    *http1
	dialer   *dialer
	protocol Protocol
	only2    sync.Map // hosts that refused HTTP/1.1
}

const (
	// maxResponseHeader bounds what an upstream can make us hold before the body. Real headers have a few KiB.
	maxResponseHeader = 1 << 20
	keepAlivePeriod   = 30 * time.Second
	// An HTTP/2 connection that a middlebox dropped silently would swallow requests until their timeouts.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second
)

func newTransport(c TransportConfig, o Options, sessions tls.ClientSessionCache) *transport {
	d := newDialer(c, o, sessions)
	direct := newHTTPTransport(c)
	direct.DialContext = d.dialPlain
	direct.DialTLSContext = d.dialTLS
	direct.TLSClientConfig = d.tls.Clone()
	direct.ForceAttemptHTTP2 = c.Protocol != ProtocolHTTP1

	relayed := newHTTPTransport(c)
	relayed.DialContext = d.dialProxy
	relayed.TLSClientConfig = d.tls.Clone() // for a proxy that speaks TLS itself
	relayed.TLSClientConfig.NextProtos = []string{"http/1.1"}
	relayed.ForceAttemptHTTP2 = false
	relayed.Proxy = func(r *http.Request) (*url.URL, error) { return d.proxyFor(r.URL.Scheme, r.URL.Host) }
	short := &http1{
		dial: d.dialRoute, headerTimeout: c.ResponseHeaderTimeout,
		idle: idlePool{timeout: c.IdleConnTimeout, most: c.MaxIdleConns, mostARoute: c.MaxIdleConnsPerHost},
	}
	return &transport{direct: direct, relayed: relayed, http1: short, dialer: d, protocol: c.Protocol}
}

// newHTTPTransport keeps net/http's buffers of 4 KiB each way. Larger ones were measured to gain nothing for bodies
// of known length, which go past them; and 32 KiB each way would be all the memory that one of 2,000 streams may have.
func newHTTPTransport(c TransportConfig) *http.Transport {
	return &http.Transport{
		DisableCompression:     true, // bodies pass as they are
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           c.MaxIdleConns,
		MaxIdleConnsPerHost:    c.MaxIdleConnsPerHost,
		IdleConnTimeout:        c.IdleConnTimeout,
		TLSHandshakeTimeout:    c.ConnectTimeout,
		ResponseHeaderTimeout:  c.ResponseHeaderTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return t.secured(r)
	}
	if r.URL.Scheme != "http" {
		return t.direct.RoundTrip(r) // which says what it thinks of it
	}
	proxy, err := t.dialer.proxyFor("http", r.URL.Host)
	if err == nil && (proxy == nil || isSOCKS(proxy)) {
		if t.http1.takes(r) {
			return t.http1.roundTrip(r, route{host: r.URL.Host})
		}
		return t.direct.RoundTrip(r)
	}
	if err == nil {
		err = t.dialer.checkDestination(r.Context(), hostWithPort(r.URL.Host, "80"))
	}
	if err != nil {
		if r.Body != nil {
			err = errors.Join(err, r.Body.Close())
		}
		return nil, err
	}
	if t.http1.takes(r) {
		return t.http1.roundTrip(r, route{relay: proxy})
	}
	return t.relayed.RoundTrip(inAbsoluteForm(r))
}

// secured sends a request over TLS. What http1 does not take goes over net/http, which offers the server all versions
// that the setting allows.
func (t *transport) secured(r *http.Request) (*http.Response, error) {
	if t.protocol == ProtocolHTTP2 || !t.http1.takes(r) {
		return t.direct.RoundTrip(r)
	}
	if t.protocol == ProtocolHTTP1 {
		return t.http1.roundTrip(r, route{secured: true, host: r.URL.Host})
	}
	if _, known := t.only2.Load(r.URL.Host); known {
		return t.direct.RoundTrip(r)
	}
	response, err := t.http1.roundTrip(r, route{secured: true, host: r.URL.Host})
	if err != nil && refusesHTTP1(err) {
		t.only2.Store(r.URL.Host, nil)
		return t.direct.RoundTrip(r)
	}
	return response, err
}

// inAbsoluteForm completes a request whose path is kept byte for byte in URL.Opaque: net/http writes that as it is.
func inAbsoluteForm(r *http.Request) *http.Request {
	if !strings.HasPrefix(r.URL.Opaque, "/") || strings.HasPrefix(r.URL.Opaque, "//") {
		return r
	}
	target := *r.URL
	target.Opaque = "//" + target.Host + target.Opaque
	r = r.WithContext(r.Context())
	r.URL = &target
	return r
}

func (t *transport) closeIdle() {
	t.direct.CloseIdleConnections()
	t.relayed.CloseIdleConnections()
	t.http1.idle.close()
}
