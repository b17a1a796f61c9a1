package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// outBuffer is what a request leaves through when it is small, in bytes: one record of TLS (RFC 8446 section 5.1).
const outBuffer = 16 << 10

var outBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, outBuffer)
	return &b
}}

// appendHead appends the request's line and header, or says why they cannot be sent: net/http's serialiser would put
// spaces for line breaks and let other control bytes through; its transport refuses both, and so does this. Values may
// be secret and are not quoted.
func appendHead(b []byte, r *http.Request, relay *url.URL) ([]byte, error) {
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	// A method is a token, as the name of a header is (RFC 9110 section 9.1).
	if !httpguts.ValidHeaderFieldName(method) {
		return b, fmt.Errorf("invalid method %q", method)
	}
	host, err := hostHeader(r)
	if err == nil && host == "" && relay != nil {
		err = errors.New("the request's Host is none")
	}
	if err != nil {
		return b, err
	}
	b = append(b, method...)
	b = append(b, ' ')
	if b, err = appendTarget(b, r, host, relay != nil); err != nil {
		return b, err
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)
	agent := "Go-http-client/1.1" // net/http's
	if values, ok := r.Header["User-Agent"]; ok {
		agent = ""
		if len(values) > 0 {
			agent = values[0]
		}
	}
	if agent != "" {
		b = appendField(b, "User-Agent", agent)
	}
	if r.Close && !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "close") {
		b = append(b, "Connection: close\r\n"...)
	}
	if r.ContentLength > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, r.ContentLength, 10)
		b = append(b, "\r\n"...)
	}
	authorized := relay != nil && relay.User != nil
	if authorized {
		b = appendField(b, "Proxy-Authorization", credentials(relay.User))
	}
	if b, err = appendHeader(b, r.Header, authorized); err != nil {
		return b, err
	}
	return append(b, "\r\n"...), nil
}

// appendHeader appends what the caller set, but for what was written already.
func appendHeader(b []byte, header http.Header, authorized bool) ([]byte, error) {
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) {
			return b, fmt.Errorf("invalid header field name %q", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return b, fmt.Errorf("invalid header field value for %q", name)
			}
		}
		if isFraming(name) || authorized && name == "Proxy-Authorization" {
			continue
		}
		for _, value := range values {
			b = appendField(b, name, value)
		}
	}
	return b, nil
}

// isFraming recognises, in any spelling, the headers that come from the request's fields: one that went out twice could
// make a server see another request than we sent.
func isFraming(name string) bool {
	switch len(name) {
	case len("Host"):
		return strings.EqualFold(name, "Host")
	case len("Trailer"):
		return strings.EqualFold(name, "Trailer")
	case len("User-Agent"):
		return name == "User-Agent"
	case len("Content-Length"):
		return strings.EqualFold(name, "Content-Length")
	case len("Transfer-Encoding"):
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, textproto.TrimString(value)...)
	return append(b, "\r\n"...)
}

// hostHeader is the Host of a request by net/http's rules: in ASCII, without a zone, and empty when it is none.
func hostHeader(r *http.Request) (string, error) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	host, err := httpguts.PunycodeHostPort(host)
	if err != nil {
		return "", err
	}
	if !httpguts.ValidHostHeader(host) {
		return "", nil
	}
	if end := strings.LastIndexByte(host, ']'); end > 0 && host[0] == '[' {
		if zone := strings.LastIndexByte(host[:end], '%'); zone > 0 {
			host = host[:zone] + host[end:]
		}
	}
	return host, nil
}

// appendTarget appends the target of the request line (RFC 9112 section 3.2), as url.URL.RequestURI makes it. A path in
// Opaque is kept byte for byte.
func appendTarget(b []byte, r *http.Request, host string, absolute bool) ([]byte, error) {
	begin, u := len(b), r.URL
	opaque := u.Opaque
	switch {
	case r.Method == http.MethodConnect && u.Path == "" && opaque == "":
		b = append(b, host...)
	case r.Method == http.MethodConnect && u.Path == "":
		b = append(b, opaque...)
	default:
		if opaque == "" {
			opaque = u.EscapedPath()
			if opaque == "" {
				opaque = "/"
			}
			if absolute {
				b = append(append(append(b, u.Scheme...), "://"...), host...)
			}
		} else if strings.HasPrefix(opaque, "//") {
			b = append(append(b, u.Scheme...), ':')
		} else if absolute && opaque[0] == '/' {
			b = append(append(append(b, u.Scheme...), "://"...), u.Host...)
		}
		b = append(b, opaque...)
		if u.ForceQuery || u.RawQuery != "" {
			b = append(append(b, '?'), u.RawQuery...)
		}
	}
	for _, c := range b[begin:] {
		if c <= ' ' || c == 0x7f {
			return b, errors.New("a space or control character in the request's path or query")
		}
	}
	return b, nil
}
