package upstream_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"gpt-load/internal/upstream"
)

func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"127.0.0.1": true, "127.255.255.254": true, "0.0.0.0": true, "0.1.2.3": true, "10.0.0.1": true, "172.16.0.1": true,
		"172.31.255.255": true, "192.168.1.1": true, "169.254.169.254": true, "100.64.0.1": true, "100.100.100.200": true,
		"100.127.255.255": true, "192.0.0.8": true, "198.18.0.1": true, "224.0.0.1": true, "240.0.0.1": true, "255.255.255.255": true,
		"::": true, "::1": true, "fe80::1": true, "fe80::1%eth0": true, "fc00::1": true, "fd00:ec2::254": true, "fec0::1": true, "ff02::1": true,
		"::ffff:127.0.0.1": true, "::ffff:10.0.0.1": true, "::7f00:1": true, "64:ff9b::7f00:1": true, "64:ff9b::a9fe:a9fe": true,
		"64:ff9b:1::1": true, "2002:7f00:1::1": true, "2002:a00:1::1": true, "2001:db8::1": true, "2001::1": true, "100::1": true,

		"1.1.1.1": false, "8.8.8.8": false, "11.0.0.1": false, "172.15.0.1": false, "172.32.0.1": false, "100.63.255.255": false,
		"100.128.0.1": false, "192.167.0.1": false, "169.253.0.1": false, "223.255.255.255": false, "2606:4700::1111": false,
		"2a00:1450:4001::200e": false, "::ffff:8.8.8.8": false, "64:ff9b::808:808": false, "2002:808:808::1": false,
	} {
		if got := upstream.IsPrivate(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: private %v, want %v", text, got, want)
		}
	}
}

// blocking gives options that block private addresses and resolve names from a table.
func blocking(t *testing.T, n names) upstream.Options {
	t.Helper()
	return upstream.Options{BlockPrivate: true, Resolver: n.resolver(t)}
}

func TestPrivateUpstreamsAreBlockedAtTheDial(t *testing.T) {
	t.Parallel()
	server := serve(t, false, nil)
	secured := serve(t, true, nil)
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	o := blocking(t, names{"inside.example": {"127.0.0.1"}, "inside6.example": {"::1", "fd00::1"}})
	o.RootCAs = trust(secured)
	rt := transports(t, o).For(config)
	for _, target := range []string{
		server.URL, secured.URL, "http://localhost" + port, "http://inside.example" + port, "https://inside.example" + port,
		"http://inside6.example" + port, "http://[::ffff:127.0.0.1]" + port, "http://0.0.0.0" + port, "http://169.254.169.254/latest",
	} {
		got, err := get(t, rt, target)
		if !errors.Is(err, upstream.ErrBlockedAddress) || !upstream.Unreachable(err) || upstream.Silent(err) {
			t.Errorf("%s: %q, %v", target, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), "BLOCK_PRIVATE_UPSTREAMS") {
			t.Errorf("%v does not name the setting", err)
		}
	}
	// Off by default.
	mustGet(t, transports(t, upstream.Options{}).For(config), server.URL)
}

func TestPrivateUpstreamsAreBlockedBeforeTheProxy(t *testing.T) {
	t.Parallel()
	plain, secured := serve(t, false, nil), serve(t, true, nil)
	o := blocking(t, names{
		"inside.example": {"10.1.2.3"}, "mixed.example": {"8.8.8.8", "10.1.2.3"}, "mixed6.example": {"8.8.8.8", "fd00::1"},
		"outside.example": {"8.8.8.8"}, "example.com": {"8.8.4.4", "2606:4700::1111"},
	})
	o.RootCAs = trust(secured)
	relay, relayServer := startHTTPProxy(t, plain.Listener.Addr().String(), false)
	tunnel, tunnelServer := startHTTPProxy(t, secured.Listener.Addr().String(), false)
	socks := startSOCKS(t, secured.Listener.Addr().String())
	proxies := []string{
		withUser(relayServer.URL, proxyUserinfo), withUser(tunnelServer.URL, proxyUserinfo), "socks5://" + proxyUserinfo + socks.listener.Addr().String(),
	}
	for _, proxy := range proxies {
		rt := through(t, proxy, o)
		for _, host := range []string{"inside.example", "mixed.example", "mixed6.example", "10.1.2.3", "[::1]", "127.0.0.1:8080", "169.254.169.254"} {
			for _, scheme := range []string{"http://", "https://"} {
				if got, err := get(t, rt, scheme+host); !errors.Is(err, upstream.ErrBlockedAddress) {
					t.Errorf("%s%s: %q, %v", scheme, host, got, err)
				}
			}
		}
		// A name that cannot be checked is refused.
		if _, err := get(t, rt, "https://unknown.example"); err == nil || !strings.Contains(err.Error(), "BLOCK_PRIVATE_UPSTREAMS") {
			t.Errorf("unknown name: %v", err)
		}
	}
	if n := len(relay.all()) + len(tunnel.all()) + len(socks.all()); n > 0 {
		t.Errorf("proxies were asked %d times", n)
	}
	// The proxies themselves stand on a loopback address, and lead outside.
	if got := mustGet(t, through(t, proxies[0], o), "http://outside.example/x"); got != "HTTP/1.1 /x" {
		t.Errorf("relayed: %s", got)
	}
	for _, proxy := range proxies[1:] {
		if got := mustGet(t, through(t, proxy, o), "https://example.com/x"); got != "HTTP/1.1 /x" {
			t.Errorf("tunnelled: %s", got)
		}
	}
}
