package upstream_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/secret"
	"gpt-load/internal/upstream"
)

// through gives a round tripper that goes through a proxy.
func through(t *testing.T, proxy string, o upstream.Options) http.RoundTripper {
	t.Helper()
	c := config
	c.ProxyURL = secret.New(proxy)
	return transports(t, o).For(c)
}

// withUser puts credentials into a URL.
func withUser(u, userinfo string) string { return strings.Replace(u, "://", "://"+userinfo, 1) }

func TestHTTPProxies(t *testing.T) {
	t.Parallel()
	plain, secured := serve(t, false, nil), serve(t, true, nil)
	for _, tls := range []bool{false, true} {
		relay, relayServer := startHTTPProxy(t, plain.Listener.Addr().String(), tls)
		tunnel, tunnelServer := startHTTPProxy(t, secured.Listener.Addr().String(), tls)
		o := upstream.Options{RootCAs: trust(secured, relayServer)}

		rt := through(t, withUser(relayServer.URL, proxyUserinfo), o)
		if got := mustGet(t, rt, "http://upstream.example/x?y"); got != "HTTP/1.1 /x?y" {
			t.Errorf("relayed: %s", got)
		}
		request := post(t.Context(), "http://other.example/x", "body", true, true)
		if got, err := converse(t, rt, request); got != "HTTP/1.1 /x" || err != nil {
			t.Errorf("relayed: %s, %v", got, err)
		}
		if got := relay.all(); !slices.Equal(got, []string{"GET http://upstream.example/x?y", "POST http://other.example/x"}) {
			t.Errorf("the proxy saw %v", got)
		}
		if n := relay.connections(); n != 1 {
			t.Errorf("%d connections to the proxy for two requests", n)
		}
		if request.URL.Opaque != "" || request.Header["Proxy-Authorization"] != nil {
			t.Error("the request was changed")
		}
		// The certificate of httptest names example.com.
		rt = through(t, withUser(tunnelServer.URL, proxyUserinfo), o)
		for range 2 {
			if got := mustGet(t, rt, "https://example.com/x"); got != "HTTP/1.1 /x" {
				t.Errorf("tunnelled: %s", got)
			}
		}
		if got := tunnel.all(); !slices.Equal(got, []string{"CONNECT example.com:443"}) {
			t.Errorf("the proxy saw %v", got)
		}
	}
}

func TestAProxyThatRefuses(t *testing.T) {
	t.Parallel()
	_, server := startHTTPProxy(t, "127.0.0.1:1", false)
	wrong := withUser(server.URL, "user:wrong-canary@")
	_, err := get(t, through(t, wrong, upstream.Options{}), "https://example.com")
	if err == nil || !upstream.Unreachable(err) || !strings.Contains(err.Error(), "407") {
		t.Errorf("%v", err)
	}
	noSecret(t, err)
	if got, err := get(t, through(t, wrong, upstream.Options{}), "http://example.com"); err != nil || !strings.HasPrefix(got, "407") {
		t.Errorf("a relayed request gives the proxy's answer, not %q, %v", got, err)
	}
	socks := startSOCKS(t, "127.0.0.1:1")
	_, err = get(t, through(t, "socks5://user:wrong-canary@"+socks.listener.Addr().String(), upstream.Options{}), "https://example.com")
	if err == nil || !upstream.Unreachable(err) {
		t.Errorf("%v", err)
	}
	noSecret(t, err)
}

func noSecret(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("a password stands in %q", err)
	}
}

func TestSOCKSProxies(t *testing.T) {
	t.Parallel()
	plain, secured := serve(t, false, nil), serve(t, true, nil)
	forPlain, forSecured := startSOCKS(t, plain.Listener.Addr().String()), startSOCKS(t, secured.Listener.Addr().String())
	o := upstream.Options{RootCAs: trust(secured)}
	rt := through(t, "socks5://"+proxyUserinfo+forPlain.listener.Addr().String(), o)
	if got := mustGet(t, rt, "http://upstream.example/x"); got != "HTTP/1.1 /x" {
		t.Errorf("plain: %s", got)
	}
	rt = through(t, "socks5h://"+proxyUserinfo+forSecured.listener.Addr().String(), o)
	if got := mustGet(t, rt, "https://example.com/x"); got != "HTTP/1.1 /x" {
		t.Errorf("secured: %s", got)
	}
	if got := append(forPlain.all(), forSecured.all()...); !slices.Equal(got, []string{"upstream.example:80", "example.com:443"}) {
		t.Errorf("the proxies saw %v", got)
	}
}

func TestTheEnvironmentsProxy(t *testing.T) {
	t.Parallel()
	plain, secured := serve(t, false, nil), serve(t, true, nil)
	tunnel, server := startHTTPProxy(t, secured.Listener.Addr().String(), false)
	u, err := url.Parse(withUser(server.URL, proxyUserinfo))
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	o := upstream.Options{RootCAs: trust(secured), EnvProxy: func(target *url.URL) (*url.URL, error) {
		asked = append(asked, target.Scheme+"://"+target.Hostname())
		if target.Scheme == "https" {
			return u, nil
		}
		return nil, nil
	}}
	rt := transports(t, o).For(config)
	mustGet(t, rt, plain.URL)
	mustGet(t, rt, "https://example.com")
	if got := tunnel.all(); !slices.Equal(got, []string{"CONNECT example.com:443"}) {
		t.Errorf("the proxy saw %v", got)
	}
	if !slices.Contains(asked, "http://127.0.0.1") || !slices.Contains(asked, "https://example.com") {
		t.Errorf("asked for %v", asked)
	}
}

func TestAProxyURLThatIsNone(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"http://user:canary@bad host", "canary"} {
		for _, target := range []string{"http://upstream.example", "https://upstream.example"} {
			_, err := get(t, through(t, bad, upstream.Options{}), target)
			if err == nil || !strings.Contains(err.Error(), "proxy_url") {
				t.Errorf("%v", err)
			}
			noSecret(t, err)
		}
	}
}

// A request that never reaches a transport must still close its body.
func TestBodiesAreClosed(t *testing.T) {
	t.Parallel()
	body := &closing{Reader: bytes.NewReader([]byte("x"))}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://upstream.example", body)
	resp, err := through(t, "canary", upstream.Options{}).RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if err == nil || !body.closed {
		t.Errorf("%v, closed %v", err, body.closed)
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}
