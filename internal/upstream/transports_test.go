package upstream_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/secret"
	"gpt-load/internal/upstream"
)

// config has timeouts that a busy machine keeps.
var config = upstream.TransportConfig{
	ConnectTimeout: 10 * time.Second, IdleConnTimeout: 10 * time.Second, ResponseHeaderTimeout: 10 * time.Second,
	MaxIdleConns: 10, MaxIdleConnsPerHost: 5,
}

func transports(t *testing.T, o upstream.Options) *upstream.Transports {
	t.Helper()
	made := upstream.NewTransports(o)
	t.Cleanup(made.Close)
	return made
}

// serve starts an upstream that answers with its protocol and what it was asked for.
func serve(t *testing.T, secured bool, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	if handler == nil {
		handler = func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto+" "+r.RequestURI) }
	}
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = quiet
	if secured {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

func trust(servers ...*httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, s := range servers {
		if s.Certificate() != nil {
			pool.AddCert(s.Certificate())
		}
	}
	return pool
}

// get makes a request and returns the answer's text.
func get(t *testing.T, rt http.RoundTripper, target string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return resp.Status, err
	}
	return string(body), err
}

func mustGet(t *testing.T, rt http.RoundTripper, target string) string {
	t.Helper()
	text, err := get(t, rt, target)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	return text
}

func TestTransportsAreShared(t *testing.T) {
	t.Parallel()
	ts := transports(t, upstream.Options{})
	other := config
	other.ProxyURL = secret.New("http://proxy.example:3128")
	first := ts.For(config)
	if ts.For(config) != first || ts.For(other) == first {
		t.Error("the cache mixes configurations up")
	}
	var wg sync.WaitGroup
	made := make([]http.RoundTripper, 20)
	for i := range made {
		wg.Go(func() {
			c := config
			c.MaxIdleConns = 1000
			made[i] = ts.For(c)
		})
	}
	wg.Wait()
	if slices.ContainsFunc(made, func(rt http.RoundTripper) bool { return rt != made[0] }) {
		t.Error("two transports of one configuration")
	}
	ts.Retain([]upstream.TransportConfig{config})
	if ts.For(config) != first {
		t.Error("a transport in use was dropped")
	}
	ts.Close()
	if ts.For(config) == first {
		t.Error("a dropped transport came back")
	}
}

func TestRetainClosesIdleConnections(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed) // of the one connection that there is
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	ts := transports(t, upstream.Options{})
	for range 3 {
		mustGet(t, ts.For(config), server.URL)
	}
	ts.Retain(nil)
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the idle connection is still open")
	}
}

// A transport adds nothing, follows nothing and keeps the bytes of the path.
func TestRequestsPassAsTheyAre(t *testing.T) {
	t.Parallel()
	var got http.Header
	server := serve(t, false, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		got.Set("Request-Uri", r.RequestURI)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	u, _ := url.Parse(server.URL)
	u.Opaque = "//" + u.Host + "/v1/a%2Fb//c?x=%20+&x"
	req := (&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{"User-Agent": nil, "X-Twice": {"1", "2"}}}).WithContext(t.Context())
	resp, err := transports(t, upstream.Options{}).For(config).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect || resp.Header.Get("Location") != "/elsewhere" {
		t.Errorf("the redirect came as %s to %q", resp.Status, resp.Header.Get("Location"))
	}
	if uri := got.Get("Request-Uri"); !strings.HasSuffix(uri, "/v1/a%2Fb//c?x=%20+&x") {
		t.Errorf("the path arrived as %s", uri)
	}
	got.Del("Request-Uri")
	if len(got) != 1 || !slices.Equal(got["X-Twice"], []string{"1", "2"}) {
		t.Errorf("the header arrived as %v", got)
	}
}

func TestProtocols(t *testing.T) {
	t.Parallel()
	plain, secured, only2 := serve(t, false, nil), serve(t, true, nil), serve(t, true, nil)
	// crypto/tls lets clients of HTTP/1.1 in although the server asks for HTTP/2. Others do not.
	only2.TLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, "h2") {
			return nil, nil
		}
		return &tls.Config{Certificates: only2.TLS.Certificates, NextProtos: []string{"other"}}, nil //nolint:gosec // a test
	}
	ts := transports(t, upstream.Options{RootCAs: trust(secured, only2)})
	for protocol, want := range map[upstream.Protocol]struct{ secured, only2 string }{
		"":                     {"HTTP/1.1 /s", "HTTP/2.0 /s"},
		upstream.ProtocolAuto:  {"HTTP/1.1 /s", "HTTP/2.0 /s"},
		upstream.ProtocolHTTP1: {"HTTP/1.1 /s", ""},
		upstream.ProtocolHTTP2: {"HTTP/2.0 /s", "HTTP/2.0 /s"},
	} {
		c := config
		c.Protocol = protocol
		rt := ts.For(c)
		for range 2 {
			if got := mustGet(t, rt, plain.URL+"/s"); got != "HTTP/1.1 /s" {
				t.Errorf("%s, plain: %s", protocol, got)
			}
			if got := mustGet(t, rt, secured.URL+"/s"); got != want.secured {
				t.Errorf("%s, secured: %s", protocol, got)
			}
			got, err := get(t, rt, only2.URL+"/s")
			if got != want.only2 || (err == nil) != (want.only2 != "") || err != nil && !upstream.Unreachable(err) {
				t.Errorf("%s, HTTP/2 only: %q, %v", protocol, got, err)
			}
		}
	}
	// An unknown authority is an address that cannot be reached.
	_, err := get(t, transports(t, upstream.Options{RootCAs: x509.NewCertPool()}).For(config), secured.URL)
	if err == nil || !upstream.Unreachable(err) || upstream.Silent(err) || !strings.Contains(err.Error(), "TLS handshake") {
		t.Errorf("unknown authority: %v", err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	l := listen(t)
	address := l.Addr().String()
	_ = l.Close()
	rt := transports(t, upstream.Options{}).For(config)
	for _, target := range []string{"http://" + address, "https://" + address} {
		_, err := get(t, rt, target)
		var c *upstream.ConnectError
		if !errors.As(err, &c) || c.Address != address || c.Timeout() || !upstream.Unreachable(err) || upstream.Silent(err) {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	silent := silentServer(t)
	short := config
	short.ConnectTimeout = 100 * time.Millisecond
	short.ResponseHeaderTimeout = time.Minute
	for name, test := range map[string]struct{ target, proxy string }{
		"TLS handshake":   {target: "https://" + silent},
		"name resolution": {target: "http://never.example"},
		"http proxy":      {target: "https://upstream.example", proxy: "http://" + silent},
		"https proxy":     {target: "https://upstream.example", proxy: "https://" + silent},
		"socks proxy":     {target: "https://upstream.example", proxy: "socks5://" + silent},
		"socks for http":  {target: "http://upstream.example", proxy: "socks5://" + silent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := short
			c.ProxyURL = secret.New(test.proxy)
			_, err := get(t, transports(t, upstream.Options{Resolver: silentResolver}).For(c), test.target)
			var connect *upstream.ConnectError
			if !errors.As(err, &connect) || !connect.Timeout() || !upstream.Silent(err) || !upstream.Unreachable(err) ||
				errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connect_timeout of 100ms") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestResponseHeaderTimeout(t *testing.T) {
	t.Parallel()
	short := config
	short.ResponseHeaderTimeout = 100 * time.Millisecond
	for _, secured := range []bool{false, true} {
		server := serve(t, secured, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		_, err := get(t, transports(t, upstream.Options{RootCAs: trust(server)}).For(short), server.URL)
		if err == nil || !upstream.Silent(err) || upstream.Unreachable(err) {
			t.Errorf("secured %v: %v", secured, err)
		}
	}
}

func TestTheRequestsOwnDeadlineIsNoSilence(t *testing.T) {
	t.Parallel()
	server := serve(t, false, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	resp, err := transports(t, upstream.Options{}).For(config).RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if upstream.Silent(err) || upstream.Unreachable(err) || upstream.Silent(nil) || upstream.Unreachable(nil) {
		t.Errorf("%v", err)
	}
}

func TestCancelledRequestsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	server := serve(t, true, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	resp, err := transports(t, upstream.Options{RootCAs: trust(server)}).For(config).RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) || upstream.Silent(err) {
		t.Errorf("%v", err)
	}
}
