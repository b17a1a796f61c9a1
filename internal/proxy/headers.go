package proxy

import (
	"net/http"
	"net/textproto"
	"strings"
)

// hopByHop are the headers of one connection (RFC 9110 section 7.6.1 and its older lists), in canonical form.
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// forwarding are the headers that tell a provider where a request came from. Clients of this gateway did not ask
// for that.
var forwarding = []string{
	"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server",
	"X-Forwarded-Prefix", "X-Real-Ip",
}

// SessionCookie is the name of the console's session cookie, adminapi.SessionCookie (this package imports nothing of the
// control plane; a test holds them together). A browser sends it to every path of this host; it must not travel to a
// provider.
const SessionCookie = "gpt_load_session"

// stripHopByHop removes the headers of one connection, those that Connection names included, in place.
func stripHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// stripRequest removes, in place, what ends at the gateway, apart from credentials.
func stripRequest(h http.Header) {
	stripHopByHop(h)
	for _, name := range forwarding {
		delete(h, name)
	}
	// The body is already here, or streams without waiting: asking the upstream first would only cost a round trip.
	delete(h, "Expect")
	stripSessionCookie(h)
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // net/http would put its own name in
	}
}

func stripSessionCookie(h http.Header) {
	lines, ok := h["Cookie"]
	if !ok {
		return
	}
	kept := lines[:0]
	for _, line := range lines {
		if !strings.Contains(line, SessionCookie) {
			kept = append(kept, line)
			continue
		}
		var cookies []string
		for cookie := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(strings.TrimSpace(cookie), "=")
			if name != SessionCookie {
				cookies = append(cookies, strings.TrimSpace(cookie))
			}
		}
		if len(cookies) > 0 {
			kept = append(kept, strings.Join(cookies, "; "))
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

// moveResponseHeader moves the upstream's header into the response, without the headers of one connection.
func moveResponseHeader(into, from http.Header) {
	stripHopByHop(from)
	_, vary := into["Vary"] // the gateway answers browsers itself; two answers would contradict each other
	for name, values := range from {
		if vary && strings.HasPrefix(name, "Access-Control-") {
			continue
		}
		if vary && name == "Vary" {
			values = append(into[name], values...)
		}
		into[name] = values
	}
	for _, name := range []string{"Content-Type", "Date"} {
		if _, ok := from[name]; !ok {
			into[name] = nil // net/http would make one up
		}
	}
}
