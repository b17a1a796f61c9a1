package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
)

const maxListed = 1000 // entries of one list

// checkKeyPrefix keeps braces out, which name hash slots in a Redis Cluster, and what patterns and shells read.
func checkKeyPrefix(s string) error {
	const longest = 64
	odd := strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	})
	if s == "" || len(s) > longest || odd {
		return fmt.Errorf("must be 1 to %d letters, digits, and any of . _ -, not %q", longest, clip(s))
	}
	return nil
}

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }

func rangeText(lowest, highest int64, unit string) string {
	return strings.TrimSpace(fmt.Sprintf("%d to %d %s", lowest, highest, unit))
}

func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// splitList splits at commas and drops empty parts and repeats.
func splitList(s string) []string {
	var parts []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return parts
}

func parseChoice(s string, of []string, into *string) error {
	s = strings.ToLower(s)
	if !slices.Contains(of, s) {
		return fmt.Errorf("must be %s, not %q", orList(of), clip(s))
	}
	*into = s
	return nil
}

// parseHost takes what net.Listen can: an address, or a name without port, path or scheme.
func parseHost(s string, into *string) error {
	host := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
	}
	if _, err := netip.ParseAddr(host); err != nil && (!httpguts.ValidHostHeader(s) || strings.ContainsAny(s, ":/[]@ ")) {
		return fmt.Errorf("must be an address such as 0.0.0.0 or ::1, or a host name, not %q; the port goes into PORT", clip(s))
	}
	*into = host
	return nil
}

func parseLocation(s string) (*time.Location, error) {
	// POSIX writes names of the database as ":Europe/Berlin"; some systems set TZ so.
	location, err := time.LoadLocation(strings.TrimPrefix(s, ":"))
	if err != nil {
		return time.UTC, fmt.Errorf("must be a name of the IANA time zone database, such as Asia/Shanghai, Europe/Berlin or UTC, not %q", clip(s))
	}
	return location, nil
}

func parsePrefixes(parts []string) ([]netip.Prefix, error) {
	if len(parts) > maxListed {
		return nil, fmt.Errorf("%d ranges; the limit is %d", len(parts), maxListed)
	}
	prefixes := make([]netip.Prefix, 0, len(parts))
	for _, part := range parts {
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(part); err == nil {
				addr = addr.Unmap().WithZone("")
				prefix = netip.PrefixFrom(addr, addr.BitLen())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("must list addresses and CIDR ranges such as 10.0.0.0/8, not %q", clip(part))
		}
		if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

// parseProxy also takes host:port, which curl reads as an http proxy.
func parseProxy(t secret.Text) (secret.Text, error) {
	s := t.Reveal()
	if s != "" && !strings.Contains(s, "://") {
		s = "http://" + s
	}
	return settings.ParseProxyURL(s)
}

// parseNoProxy refuses what could never match anything, so that a typing mistake does not send a request
// through the proxy unnoticed.
func parseNoProxy(parts []string, into *string) error {
	if len(parts) > maxListed {
		return fmt.Errorf("%d hosts; the limit is %d", len(parts), maxListed)
	}
	for _, part := range parts {
		if strings.Contains(part, "://") || strings.ContainsAny(part, " \t@?#") {
			return fmt.Errorf("must list hosts such as localhost, .example.com or 10.0.0.0/8, not %q", clip(part))
		}
		if _, err := netip.ParsePrefix(part); err != nil && strings.Contains(part, "/") {
			return fmt.Errorf("holds %q, which is no CIDR range such as 10.0.0.0/8", clip(part))
		}
	}
	*into = strings.Join(parts, ",")
	return nil
}

func checkOrigins(origins []string) error {
	for _, origin := range origins {
		if origin == "*" {
			if len(origins) > 1 {
				return errors.New("must be * alone or a list of origins, not both")
			}
			continue
		}
		u, err := url.Parse(origin)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			return fmt.Errorf("must list origins such as https://app.example.com, without a path or a final slash, not %q", clip(origin))
		}
	}
	return nil
}

// checkTokens holds for method names and header names alike: both are tokens (RFC 9110, section 5.6.2).
func checkTokens(tokens []string) error {
	for _, token := range tokens {
		if token == "*" && len(tokens) > 1 {
			return errors.New("must be * alone or a list of names, not both")
		}
		if !httpguts.ValidHeaderFieldName(token) {
			return fmt.Errorf("holds %q, which HTTP does not allow as a name", clip(token))
		}
	}
	return nil
}

func checkAuthKey(t secret.Text) error {
	if t.Len() > maxKeyBytes {
		return fmt.Errorf("has %d bytes; the limit is %d", t.Len(), maxKeyBytes)
	}
	if strings.ContainsFunc(t.Reveal(), func(r rune) bool { return r <= ' ' || r == 0x7f || r == ',' }) {
		return errors.New("must not hold spaces, control characters or commas: an HTTP header carries it, and lists are separated by commas")
	}
	return nil
}

func checkEncryptionKey(t secret.Text) error {
	const limit = 4096
	if t.Len() > limit {
		return fmt.Errorf("has %d bytes; the limit is %d", t.Len(), limit)
	}
	return nil
}

// checkDatabaseDSN refuses what no store takes by its scheme, so that it is reported beside the other faults; whoever
// opens the database reads the rest. Neither quotes a DSN: it may hold a password.
func checkDatabaseDSN(t secret.Text) error {
	scheme, _, found := strings.Cut(strings.TrimSpace(t.Reveal()), "://")
	if !found || strings.ContainsAny(scheme, "@/=( ") { // a path, or "://" inside a password or a parameter
		return nil
	}
	if !slices.Contains([]string{"sqlite", "postgres", "postgresql", "mysql"}, strings.ToLower(scheme)) {
		return errors.New("names a kind of database that is not known; it must be " + databaseForms)
	}
	return nil
}

// checkRedisDSN is checkDatabaseDSN for Redis.
func checkRedisDSN(t secret.Text) error {
	if t.IsEmpty() {
		return nil
	}
	scheme, _, found := strings.Cut(strings.TrimSpace(t.Reveal()), "://")
	if !found || !slices.Contains([]string{"redis", "rediss", "unix"}, strings.ToLower(scheme)) {
		return errors.New("must be " + redisForms)
	}
	return nil
}

// clip keeps a wrong value in a message short.
func clip(s string) string {
	const limit = 60
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
