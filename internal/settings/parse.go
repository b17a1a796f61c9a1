package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"gpt-load/internal/secret"
)

// Bounds of the text settings.
const (
	maxTextBytes    = 64 << 10 // of any text setting
	maxProxyKeys    = 1000     // in one list
	maxProxyKeyLen  = 512      // bytes of one proxy key
	maxPatterns     = 50
	minPatternRunes = 3 // shorter words would match innocent bodies
)

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }

func parseInt(s string, lowest, highest int64, unit string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n < lowest || n > highest {
		if unit != "" {
			unit = " " + unit
		}
		return 0, fmt.Errorf("must be a whole number from %d to %d%s, not %q", lowest, highest, unit, clip(s))
	}
	return n, nil
}

func parseBool(s string, into *bool) error {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true", "1", "yes", "on":
		*into = true
	case "false", "0", "no", "off":
		*into = false
	default:
		return fmt.Errorf("must be true or false, not %q", clip(s))
	}
	return nil
}

func parseBaseURL(s string, into *string) error {
	s = strings.TrimRight(strings.TrimSpace(s), "/")
	if s != "" {
		u, err := url.Parse(s)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return errors.New("must be an http or https URL without user, query or fragment, such as https://llm.example.com")
		}
	}
	*into = s
	return nil
}

// parseProxyURL never quotes its input: it may hold a password.
func parseProxyURL(s string, into *secret.Text) error {
	s = strings.TrimSpace(s)
	if s != "" {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" {
			return errors.New("must be a URL such as http://user:password@host:port")
		}
		switch u.Scheme {
		case "http", "https", "socks5", "socks5h":
		default:
			return errors.New("must have the scheme http, https or socks5")
		}
	}
	*into = secret.New(s)
	return nil
}

func parseProtocol(s string, into *string) error {
	s = strings.TrimSpace(s)
	switch s {
	case "auto", "http1", "http2":
		*into = s
		return nil
	}
	return fmt.Errorf("must be auto, http1 or http2, not %q", clip(s))
}

func parseKeyList(s string, into *[]secret.Text) error {
	seen := make(map[string]bool)
	var keys []secret.Text
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" || seen[part] {
			continue
		}
		if len(part) > maxProxyKeyLen {
			return fmt.Errorf("a key has %d bytes; the limit is %d", len(part), maxProxyKeyLen)
		}
		if strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return errors.New("a key holds a space or a control character; HTTP headers cannot carry it")
		}
		seen[part] = true
		keys = append(keys, secret.New(part))
	}
	if len(keys) > maxProxyKeys {
		return fmt.Errorf("%d keys; the limit is %d", len(keys), maxProxyKeys)
	}
	*into = keys
	return nil
}

func parsePatterns(s string, into *[]string) error {
	var patterns []string
	for part := range strings.SplitSeq(s, ",") {
		part = strings.ToLower(strings.TrimSpace(part))
		if part == "" {
			continue
		}
		if len([]rune(part)) < minPatternRunes {
			return fmt.Errorf("%q is shorter than %d characters and would match innocent errors", part, minPatternRunes)
		}
		patterns = append(patterns, part)
	}
	if len(patterns) > maxPatterns {
		return fmt.Errorf("%d patterns; the limit is %d", len(patterns), maxPatterns)
	}
	*into = patterns
	return nil
}

// textOf turns a value from JSON (string, json.Number, float64, bool) into the text that the table reads.
func textOf(value any) (string, error) {
	switch v := value.(type) {
	case string:
		if len(v) > maxTextBytes {
			return "", fmt.Errorf("has %d bytes; the limit is %d", len(v), maxTextBytes)
		}
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case json.Number:
		return v.String(), nil
	}
	return "", errors.New("must be a string, a number or a boolean")
}
