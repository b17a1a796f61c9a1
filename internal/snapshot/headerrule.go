package snapshot

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"gpt-load/internal/fleet"
)

// HeaderRule is a compiled header rule.
type HeaderRule struct {
	name   string
	remove bool
	parts  []part
}

// part is literal text or one variable.
type part struct {
	literal  string
	variable string
}

// Variables are what a header rule may put into a value.
type Variables struct {
	ClientIP  string
	GroupName string
	APIKey    string
	Now       time.Time
}

func compileRules(rules []fleet.HeaderRule) []HeaderRule {
	var compiled []HeaderRule
	for _, r := range rules {
		compiled = append(compiled, HeaderRule{
			name:   textproto.CanonicalMIMEHeaderKey(r.Name),
			remove: r.Action == fleet.HeaderRemove,
			parts:  splitTemplate(r.Value),
		})
	}
	return compiled
}

func splitTemplate(value string) []part {
	var parts []part
	for value != "" {
		start := strings.Index(value, "${")
		end := -1
		if start >= 0 {
			end = strings.IndexByte(value[start:], '}')
		}
		if end < 0 {
			return append(parts, part{literal: value})
		}
		if start > 0 {
			parts = append(parts, part{literal: value[:start]})
		}
		parts = append(parts, part{variable: value[start+2 : start+end]})
		value = value[start+end+1:]
	}
	return parts
}

// Apply changes the headers in place.
func (r HeaderRule) Apply(h http.Header, v Variables) {
	if r.remove {
		delete(h, r.name)
		return
	}
	var b strings.Builder
	for _, p := range r.parts {
		switch p.variable {
		case "":
			b.WriteString(p.literal)
		case "CLIENT_IP":
			b.WriteString(v.ClientIP)
		case "GROUP_NAME":
			b.WriteString(v.GroupName)
		case "API_KEY":
			b.WriteString(v.APIKey)
		case "TIMESTAMP_MS":
			b.WriteString(strconv.FormatInt(v.Now.UnixMilli(), 10))
		case "TIMESTAMP_S":
			b.WriteString(strconv.FormatInt(v.Now.Unix(), 10))
		}
	}
	h[r.name] = []string{b.String()}
}
