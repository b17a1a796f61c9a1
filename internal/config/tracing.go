package config

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"gpt-load/internal/secret"
)

func parseEndpoint(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("must be an http or https URL, such as http://collector:4318")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must have no credentials, query or fragment; credentials go into OTEL_EXPORTER_OTLP_HEADERS")
	}
	return u, nil
}

// parseHeaders reads the form of the OpenTelemetry specification: pairs as in the header baggage.
func parseHeaders(t secret.Text) (map[string]secret.Text, error) {
	headers := map[string]secret.Text{}
	for pair := range strings.SplitSeq(t.Reveal(), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		if !found || name == "" || checkTokens([]string{name}) != nil {
			return nil, errors.New("must be name=value pairs, parted by commas; a name has only what names of HTTP headers may have")
		}
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if err != nil || strings.ContainsFunc(decoded, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, errors.New("has a value that is not percent-encoded as it should be, or that holds control characters: that of " + name)
		}
		headers[name] = secret.New(decoded)
	}
	return headers, nil
}

func parseRatio(s string) (float64, error) {
	ratio, err := strconv.ParseFloat(s, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		return 0, errors.New("must be a number from 0 to 1, such as 0.1 for a tenth of the requests")
	}
	return ratio, nil
}
