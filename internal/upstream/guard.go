package upstream

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// privateRanges are the addresses that BLOCK_PRIVATE_UPSTREAMS refuses: all that IANA's special-purpose
// registries (RFC 6890) do not call globally reachable, and multicast. The metadata services of the clouds
// (169.254.169.254, fd00:ec2::254, 100.100.100.200) are in them.
var privateRanges = func() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4",
		"::/127", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
		"fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}()

// Addresses of these ranges carry an IPv4 address that a gateway would connect to.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the last 32 bits
	sixToFour  = netip.MustParsePrefix("2002::/16")    // RFC 3056: bits 16 to 47
	compatible = netip.MustParsePrefix("::/96")        // RFC 4291 section 2.5.5.1: the last 32 bits
)

func isPrivate(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, r := range privateRanges {
		if r.Contains(a) {
			return true
		}
	}
	if !a.Is6() {
		return false
	}
	b := a.As16()
	switch {
	case nat64.Contains(a), compatible.Contains(a):
		return isPrivate(netip.AddrFrom4([4]byte(b[12:16])))
	case sixToFour.Contains(a):
		return isPrivate(netip.AddrFrom4([4]byte(b[2:6])))
	}
	return false
}

// checkAddress refuses a literal address with port.
func checkAddress(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s is not an IP address with port", ErrBlockedAddress, address)
	}
	return checkIP(ap.Addr(), "")
}

func checkIP(a netip.Addr, host string) error {
	switch {
	case !isPrivate(a):
		return nil
	case host == "" || host == a.String():
		return fmt.Errorf("%w: %s is a loopback, link-local or private address", ErrBlockedAddress, a)
	default:
		return fmt.Errorf("%w: %s is %s, a loopback, link-local or private address", ErrBlockedAddress, host, a)
	}
}

// checkDestination checks, before a proxy is asked to connect to it, every address that a destination has. A
// name that cannot be resolved here cannot be checked, so it is refused.
func (d *dialer) checkDestination(ctx context.Context, address string) error {
	if !d.guard {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return d.refused(address, checkIP(a, host))
	}
	addresses, err := d.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return d.failed(address, "look up the address to check it for BLOCK_PRIVATE_UPSTREAMS", err)
	}
	for _, a := range addresses {
		if err := checkIP(a, host); err != nil {
			return d.refused(address, err)
		}
	}
	return nil
}

func (d *dialer) refused(address string, err error) error {
	if err == nil {
		return nil
	}
	return &ConnectError{Address: address, Step: "check the address", Err: err}
}
