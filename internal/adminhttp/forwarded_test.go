package adminhttp

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestClientOf(t *testing.T) {
	a := &API{Options: Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}}
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy":                       {"203.0.113.7:1234", nil, "203.0.113.7"},
		"no proxy, but a header":         {"203.0.113.7:1234", []string{"198.51.100.1"}, "203.0.113.7"},
		"a proxy":                        {"10.0.0.1:1234", []string{"198.51.100.1"}, "198.51.100.1"},
		"a proxy that says nothing":      {"10.0.0.1:1234", nil, "10.0.0.1"},
		"what the client claims":         {"10.0.0.1:1234", []string{"127.0.0.1, 10.9.9.9, 198.51.100.1"}, "198.51.100.1"},
		"two proxies":                    {"10.0.0.1:1234", []string{"192.0.2.1, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		"two lines":                      {"10.0.0.1:1234", []string{"192.0.2.1, 198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		"proxies only":                   {"10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"junk at the near end":           {"10.0.0.1:1234", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		"junk behind a proxy":            {"10.0.0.1:1234", []string{"198.51.100.1, <script>, 10.0.0.2"}, "10.0.0.2"},
		"nothing between commas":         {"10.0.0.1:1234", []string{"198.51.100.1,,10.0.0.2"}, "10.0.0.2"},
		"empty":                          {"10.0.0.1:1234", []string{""}, "10.0.0.1"},
		"with ports":                     {"10.0.0.1:1234", []string{"198.51.100.1:80, 10.0.0.2:8080"}, "198.51.100.1"},
		"IPv6":                           {"[fd00::1]:1234", []string{"2001:db8::5"}, "2001:db8::5"},
		"IPv6 in brackets":               {"[fd00::1]:1234", []string{"[2001:db8::5]"}, "2001:db8::5"},
		"IPv6 with a port":               {"[fd00::1]:1234", []string{"[2001:db8::5]:80"}, "2001:db8::5"},
		"half a bracket":                 {"[fd00::1]:1234", []string{"[2001:db8::5"}, "fd00::1"},
		"IPv4 in IPv6 is that IPv4":      {"[::ffff:10.0.0.1]:1234", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		"a proxy as IPv4 in IPv6":        {"10.0.0.1:1234", []string{"198.51.100.1, ::ffff:10.0.0.2"}, "198.51.100.1"},
		"a zone makes no other address":  {"[fd00::1]:1234", []string{"fe80::1%eth0"}, "fe80::1"},
		"a host name":                    {"10.0.0.1:1234", []string{"localhost"}, "10.0.0.1"},
		"a number that is no address":    {"10.0.0.1:1234", []string{"3405803783"}, "10.0.0.1"},
		"octal is refused, not misread":  {"10.0.0.1:1234", []string{"0313.0.113.7"}, "10.0.0.1"},
		"an entry without end":           {"10.0.0.1:1234", []string{strings.Repeat("1", 100_000)}, "10.0.0.1"},
		"a peer that has no address":     {"@", []string{"198.51.100.1"}, "invalid IP"},
		"a peer without a port":          {"10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		"spaces and tabs around entries": {"10.0.0.1:1234", []string{" 192.0.2.1 ,\t198.51.100.1\t"}, "198.51.100.1"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.forwarded
		if got, _ := a.clientOf(r); got.String() != c.want {
			t.Errorf("%s: the client is %s, want %s", name, got, c.want)
		}
	}
}

func TestForwardedProtocol(t *testing.T) {
	a := &API{Options: Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	for name, c := range map[string]struct {
		peer  string
		proto []string
		want  bool
	}{
		"a proxy says so":         {"10.0.0.1:1", []string{"https"}, true},
		"in capitals":             {"10.0.0.1:1", []string{"HTTPS"}, true},
		"a proxy says otherwise":  {"10.0.0.1:1", []string{"http"}, false},
		"proxies that append":     {"10.0.0.1:1", []string{"https, http"}, true},
		"plain at the first":      {"10.0.0.1:1", []string{"http, https"}, false},
		"nobody says so":          {"10.0.0.1:1", nil, false},
		"the client itself":       {"203.0.113.7:1", []string{"https"}, false},
		"something else entirely": {"10.0.0.1:1", []string{"httpsx"}, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-Proto"] = c.proto
		if _, got := a.clientOf(r); got != c.want {
			t.Errorf("%s: TLS is %v", name, got)
		}
	}
}

// A header of a megabyte, which the server lets through, must cost a megabyte of reading and no more.
func TestForwardedWithoutEndIsCheap(t *testing.T) {
	a := &API{Options: Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "10.0.0.1:1"
	r.Header.Set("X-Forwarded-For", strings.Repeat("10.0.0.2,", 1<<20/9))
	begun := time.Now()
	allocations := testing.AllocsPerRun(3, func() { a.clientOf(r) })
	if took := time.Since(begun); took > 5*time.Second || allocations > 10 {
		t.Errorf("it took %v and %v allocations", took, allocations)
	}
}
