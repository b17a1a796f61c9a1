package adminhttp

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientOf finds the client's address and whether it came by TLS. Forwarding headers count only from trusted proxies, and
// X-Forwarded-For is walked from its near end: the first address that is not a trusted proxy is the client, whatever it
// claims itself. What stands beyond an entry that is no address was written by nobody we trust.
func (a *API) clientOf(r *http.Request) (client netip.Addr, secure bool) {
	client, _ = parseHop(r.RemoteAddr)
	secure = r.TLS != nil
	if !a.trusted(client) {
		return client, secure
	}
	secure = secure || cameByTLS(r.Header.Values("X-Forwarded-Proto"))
	// Nothing is split: the header may be a megabyte of commas.
	for _, line := range slices.Backward(r.Header.Values("X-Forwarded-For")) {
		for more := true; more; {
			hop := line
			if cut := strings.LastIndexByte(line, ','); cut >= 0 {
				line, hop = line[:cut], line[cut+1:]
			} else {
				more = false
			}
			address, ok := parseHop(strings.TrimSpace(hop))
			if !ok {
				return client, secure
			}
			if client = address; !a.trusted(client) {
				return client, secure
			}
		}
	}
	return client, secure
}

// cameByTLS reads X-Forwarded-Proto. Of a list, which proxies make that append to what they got, the first entry is that of
// the client's own connection; a client that lies there harms its own cookie only.
func cameByTLS(lines []string) bool {
	if len(lines) == 0 {
		return false
	}
	first, _, _ := strings.Cut(lines[0], ",")
	return strings.EqualFold(strings.TrimSpace(first), "https")
}

// parseHop reads an address with or without a port; some proxies write one.
func parseHop(text string) (netip.Addr, bool) {
	const longest = 64 // an IPv6 address with zone and port
	if len(text) > longest {
		return netip.Addr{}, false
	}
	bare := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare = text[1 : len(text)-1]
	}
	address, err := netip.ParseAddr(bare)
	if err != nil {
		host, _, splitErr := net.SplitHostPort(text)
		if splitErr != nil {
			return netip.Addr{}, false
		}
		if address, err = netip.ParseAddr(host); err != nil {
			return netip.Addr{}, false
		}
	}
	return address.Unmap().WithZone(""), true
}

func (a *API) trusted(address netip.Addr) bool {
	return slices.ContainsFunc(a.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(address) })
}
