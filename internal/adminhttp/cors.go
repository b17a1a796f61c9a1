package adminhttp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gpt-load/internal/fleet"
)

// CORS is which other origins may call from a browser, exactly as configured. The zero value allows none.
type CORS struct {
	Enabled          bool
	AllowedOrigins   []string // scheme://host[:port], or "*" alone for any
	AllowedMethods   []string
	AllowedHeaders   []string // "*" allows whatever the browser asks for
	AllowCredentials bool
}

const anything = "*"

func (c CORS) check() error {
	if c.Enabled && c.AllowCredentials && slices.Contains(c.AllowedOrigins, anything) {
		return fleet.NewError(fleet.CodeInvalid, "ALLOWED_ORIGINS=* with ALLOW_CREDENTIALS=true would let every web site act with an administrator's session; name the origins, or set ALLOW_CREDENTIALS=false", nil)
	}
	return nil
}

// trust lets the named origins write with a session cookie, which only ALLOW_CREDENTIALS makes browsers send.
func (c CORS) trust(origins *http.CrossOriginProtection) error {
	if !c.Enabled || !c.AllowCredentials {
		return nil
	}
	var faults []error
	for _, origin := range c.AllowedOrigins {
		if err := origins.AddTrustedOrigin(origin); err != nil {
			faults = append(faults, fmt.Errorf("ALLOWED_ORIGINS: %q is not an origin such as https://console.example.com: %w", origin, err))
		}
	}
	return errors.Join(faults...)
}

// Apply sets the headers of https://fetch.spec.whatwg.org/#http-cors-protocol and tells whether the request is a
// preflight, which ends here.
func (c CORS) Apply(h http.Header, r *http.Request) (preflight bool) {
	if !c.Enabled {
		return false
	}
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	preflight = r.Method == http.MethodOptions && origin != "" && r.Header.Get("Access-Control-Request-Method") != ""
	switch {
	case origin == "":
		return false
	case slices.Contains(c.AllowedOrigins, anything):
		h.Set("Access-Control-Allow-Origin", anything)
	case slices.Contains(c.AllowedOrigins, origin):
		h.Set("Access-Control-Allow-Origin", origin)
	default:
		return preflight // without the header the browser refuses
	}
	if c.AllowCredentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if !preflight {
		h.Set("Access-Control-Expose-Headers", "ETag, Retry-After, X-Request-Id")
		return false
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(c.AllowedMethods, ", "))
	headers := strings.Join(c.AllowedHeaders, ", ")
	if headers == anything {
		// The wildcard of the protocol leaves Authorization out, so what the browser asks for is named back.
		headers = r.Header.Get("Access-Control-Request-Headers")
		h.Add("Vary", "Access-Control-Request-Headers")
	}
	if headers != "" {
		h.Set("Access-Control-Allow-Headers", headers)
	}
	h.Set("Access-Control-Max-Age", "600")
	return preflight
}
