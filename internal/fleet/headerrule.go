package fleet

import (
	"slices"
	"strconv"
	"strings"
)

// fixedHeaders cannot be set or removed by a rule, in lower case: those of the connection (RFC 9110 section
// 7.6.1 and the old Keep-Alive and Proxy-Connection), and Host and Content-Length, which follow from the upstream
// address and the body.
var fixedHeaders = []string{
	"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	"host", "content-length",
}

func (v *groupValidator) headerRules() {
	if !v.atMost("header_rules", len(v.g.HeaderRules), MaxHeaderRules) {
		return
	}
	seen := make(map[string]bool, len(v.g.HeaderRules))
	for i, r := range v.g.HeaderRules {
		field := "header_rules[" + strconv.Itoa(i) + "]"
		name := strings.ToLower(r.Name)
		switch {
		case name == "":
			v.fault(field+".name", "is needed")
		case len(name) > MaxHeaderName:
			v.fault(field+".name", "has %d bytes; the limit is %d", len(name), MaxHeaderName)
		case strings.ContainsFunc(name, func(c rune) bool { return !isTokenChar(c) }):
			v.fault(field+".name", "%q is not a header name; use letters, digits and !#$%%&'*+-.^_`|~", clip(r.Name))
		case slices.Contains(fixedHeaders, name):
			v.fault(field+".name", "%s follows from the connection and cannot be changed by a rule", r.Name)
		case seen[name]:
			v.fault(field+".name", "%s stands there twice; keep one rule for each header", r.Name)
		}
		seen[name] = true
		switch r.Action {
		case HeaderSet:
			v.headerValue(field+".value", r.Value)
		case HeaderRemove:
			if r.Value != "" {
				v.fault(field+".value", "has no meaning with remove; leave it out")
			}
		default:
			v.fault(field+".action", "must be set or remove, not %q", clip(string(r.Action)))
		}
	}
}

func (v *groupValidator) headerValue(field, value string) {
	if len(value) > MaxHeaderValue {
		v.fault(field, "has %d bytes; the limit is %d", len(value), MaxHeaderValue)
		return
	}
	// RFC 9110 section 5.5: no CR, LF or NUL; other control characters but the tab are not worth the doubt.
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		v.fault(field, "holds a line break or another control character, which no header can carry; take it out")
	}
	for rest := value; ; {
		_, after, found := strings.Cut(rest, "${")
		if !found {
			return
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed || !slices.Contains(HeaderVariables, name) {
			v.fault(field, "${%s} is not a variable; there are ${%s}", clip(name), strings.Join(HeaderVariables, "}, ${"))
			return
		}
		rest = behind
	}
}

// isTokenChar is tchar of RFC 9110 section 5.6.2.
func isTokenChar(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c < 0x7f && strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}
