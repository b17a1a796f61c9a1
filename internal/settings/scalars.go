package settings

import "gpt-load/internal/secret"

// ParseInt reads a whole number within both bounds, inclusive; unit is for the error's words and may be empty.
// The process configuration reads its numbers by the same rule.
func ParseInt(s string, lowest, highest int64, unit string) (int64, error) {
	return parseInt(s, lowest, highest, unit)
}

// ParseBool reads true, 1, yes, on and their opposites, without regard to case.
func ParseBool(s string) (bool, error) {
	var b bool
	err := parseBool(s, &b)
	return b, err
}

// ParseProxyURL reads the URL of an outgoing http, https or socks5 proxy. Its errors never quote the URL, which
// may hold a password.
func ParseProxyURL(s string) (secret.Text, error) {
	var t secret.Text
	err := parseProxyURL(s, &t)
	return t, err
}
