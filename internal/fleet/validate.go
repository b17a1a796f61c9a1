package fleet

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a group. They keep one group's compiled form small enough to be rebuilt and sent whole.
const (
	MaxGroupName      = 64   // bytes
	MaxDisplayName    = 128  // characters
	MaxDescription    = 2000 // characters
	MaxUpstreams      = 100
	MaxUpstreamURL    = 2048 // bytes
	MaxWeight         = 1000
	MaxMembers        = 100
	MaxTier           = 10
	MaxGroupProxyKeys = 1000
	MaxProxyKey       = 512 // bytes
	MaxParamOverrides = 100
	MaxParamValue     = 64 << 10 // bytes of raw JSON
	MaxHeaderRules    = 100
	MaxHeaderName     = 256  // bytes
	MaxHeaderValue    = 8192 // bytes
	MaxModelRedirects = 500
	MaxModelName      = 256      // bytes
	MaxProbePath      = 2048     // bytes
	MaxProbePayload   = 64 << 10 // bytes
	MaxSort           = 1_000_000
)

// HeaderVariables are what the value of a header rule may hold as ${NAME}.
var HeaderVariables = []string{"CLIENT_IP", "GROUP_NAME", "API_KEY", "TIMESTAMP_MS", "TIMESTAMP_S"}

// GroupRules is what validation needs to know besides the group itself.
type GroupRules struct {
	// Groups are all the groups there are; the one with the ID of the group that is validated stands for its
	// present form.
	Groups []Group
	// CheckParamPath returns an error that names limit and remedy when a text is no path of a param override.
	CheckParamPath func(path string) error
}

// ValidateGroup returns everything that is wrong with g, each with the field, the limit and the remedy; nothing
// means that g may be stored. Setting overrides are the settings table's own (settings.Normalize). It does no I/O.
func ValidateGroup(g Group, rules GroupRules) []FieldError {
	v := groupValidator{g: g, rules: rules}
	v.identity()
	v.upstreams()
	v.proxyKeys()
	v.paramOverrides()
	v.headerRules()
	v.redirects()
	v.validation()
	v.members()
	return v.faults
}

type groupValidator struct {
	g      Group
	rules  GroupRules
	faults []FieldError
}

func (v *groupValidator) fault(field, format string, args ...any) {
	v.faults = append(v.faults, FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// atMost reports whether a list is within its bound, and says so when it is not.
func (v *groupValidator) atMost(field string, n, limit int) bool {
	if n > limit {
		v.fault(field, "has %d entries; the limit is %d", n, limit)
	}
	return n <= limit
}

func (v *groupValidator) identity() {
	g := v.g
	if message := groupNameFault(g.Name); message != "" {
		v.fault("name", "%s", message)
	}
	for _, other := range v.rules.Groups {
		if other.ID != g.ID && strings.EqualFold(other.Name, g.Name) {
			v.fault("name", "another group has the name %q; names that differ only in case count as the same", other.Name)
		}
	}
	v.text("display_name", g.DisplayName, MaxDisplayName)
	v.text("description", g.Description, MaxDescription)
	if g.Kind != KindStandard && g.Kind != KindAggregate {
		v.fault("kind", "must be standard or aggregate, not %q", clip(string(g.Kind)))
	}
	if !slices.Contains(Channels, g.Channel) {
		v.fault("channel", "must be one of openai, openai-response, gemini and anthropic, not %q", clip(string(g.Channel)))
	}
	if g.Sort < -MaxSort || g.Sort > MaxSort {
		v.fault("sort", "must be from %d to %d", -MaxSort, MaxSort)
	}
	for _, other := range v.rules.Groups {
		if other.ID != g.ID || g.ID == 0 {
			continue
		}
		if other.Kind != g.Kind {
			v.fault("kind", "cannot be changed; make another group")
		}
		if parents := parentsOf(g.ID, v.rules.Groups); other.Channel != g.Channel && len(parents) > 0 {
			v.fault("channel", "cannot be changed while the group is a member of %s, whose members share one channel; take it out there first", strings.Join(parents, ", "))
		}
	}
}

func groupNameFault(name string) string {
	allowed := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	switch {
	case name == "":
		return "is needed: 1 to 64 of a-z, 0-9, - _ and ."
	case len(name) > MaxGroupName:
		return fmt.Sprintf("has %d bytes; the limit is %d", len(name), MaxGroupName)
	case name == "." || name == "..":
		return "would be taken for a path segment; use letters or digits"
	case strings.ContainsFunc(name, func(r rune) bool { return !allowed(r) }):
		if lower := strings.ToLower(name); !strings.ContainsFunc(lower, func(r rune) bool { return !allowed(r) }) {
			return fmt.Sprintf("must be lower case, because names that differ only in case count as the same; use %q", lower)
		}
		return fmt.Sprintf("may hold only a-z, 0-9, - _ and ., not all of %q; free text belongs in display_name", clip(name))
	}
	return ""
}

// text checks a text for people: UTF-8 without control characters but line breaks and tabs.
func (v *groupValidator) text(field, text string, limit int) {
	if n := utf8.RuneCountInString(text); n > limit {
		v.fault(field, "has %d characters; the limit is %d", n, limit)
	}
	bad := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }
	if !utf8.ValidString(text) || strings.ContainsFunc(text, bad) {
		v.fault(field, "must be UTF-8 without control characters")
	}
}

func (v *groupValidator) weight(field string, weight int) {
	if weight < 0 || weight > MaxWeight {
		v.fault(field, "must be from 0 to %d, not %d; 0 switches it off", MaxWeight, weight)
	}
}

func (v *groupValidator) upstreams() {
	g := v.g
	if g.Kind == KindAggregate {
		if len(g.Upstreams) > 0 {
			v.fault("upstreams", "an aggregate has none; its members have")
		}
		return
	}
	if !v.atMost("upstreams", len(g.Upstreams), MaxUpstreams) {
		return
	}
	on := false
	seen := make(map[string]bool, len(g.Upstreams))
	for i, u := range g.Upstreams {
		field := "upstreams[" + strconv.Itoa(i) + "]"
		if message := upstreamURLFault(u.URL); message != "" {
			v.fault(field+".url", "%s", message)
		} else if seen[u.URL] {
			v.fault(field+".url", "stands there twice; give one entry the weights of both")
		}
		seen[u.URL] = true
		v.weight(field+".weight", u.Weight)
		on = on || u.Weight > 0
	}
	if !on {
		v.fault("upstreams", "needs at least one address with a weight above 0, such as {\"url\": \"https://api.openai.com\", \"weight\": 1}")
	}
}

// upstreamURLFault never quotes the URL: it may hold a password.
func upstreamURLFault(text string) string {
	const remedy = "; write it as https://host[:port][/path]"
	u, err := url.Parse(text)
	switch {
	case text == "":
		return "is needed" + remedy
	case len(text) > MaxUpstreamURL:
		return fmt.Sprintf("has %d bytes; the limit is %d", len(text), MaxUpstreamURL)
	case err != nil, u.Hostname() == "", strings.ContainsAny(text, " \\"):
		return "is not a URL" + remedy
	case u.Scheme != "http" && u.Scheme != "https":
		return "must have the scheme http or https" + remedy
	case u.User != nil:
		return "must not hold a user or password; credentials belong in keys or header rules"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(text, "#"):
		return "must not have a query or fragment" + remedy
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "must have a port from 1 to 65535" + remedy
		}
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return "must not have . or .. in its path" + remedy
		}
	}
	return ""
}

func (v *groupValidator) proxyKeys() {
	if !v.atMost("proxy_keys", len(v.g.ProxyKeys), MaxGroupProxyKeys) {
		return
	}
	seen := make(map[string]bool, len(v.g.ProxyKeys))
	for i, key := range v.g.ProxyKeys {
		field := "proxy_keys[" + strconv.Itoa(i) + "]"
		switch text := key.Reveal(); {
		case text == "":
			v.fault(field, "is empty")
		case len(text) > MaxProxyKey:
			v.fault(field, "has %d bytes; the limit is %d", len(text), MaxProxyKey)
		case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == ',' || r == utf8.RuneError }):
			v.fault(field, "holds a space, a comma or a control character; use printable characters without them")
		case seen[text]:
			v.fault(field, "stands there twice")
		}
		seen[key.Reveal()] = true
	}
}

func (v *groupValidator) paramOverrides() {
	if !v.atMost("param_overrides", len(v.g.ParamOverrides), MaxParamOverrides) {
		return
	}
	seen := make(map[string]bool, len(v.g.ParamOverrides))
	for i, o := range v.g.ParamOverrides {
		field := "param_overrides[" + strconv.Itoa(i) + "]"
		if err := v.rules.CheckParamPath(o.Path); err != nil {
			v.fault(field+".path", "%s", err)
		} else if seen[o.Path] {
			v.fault(field+".path", "stands there twice; keep one")
		}
		seen[o.Path] = true
		if o.Value == nil {
			continue
		}
		if len(o.Value) > MaxParamValue {
			v.fault(field+".value", "has %d bytes; the limit is %d", len(o.Value), MaxParamValue)
		} else if !json.Valid(o.Value) {
			v.fault(field+".value", "must be one JSON value")
		}
	}
}

func (v *groupValidator) redirects() {
	g := v.g
	if !v.atMost("model_redirects", len(g.ModelRedirects), MaxModelRedirects) {
		return
	}
	seen := make(map[string]bool, len(g.ModelRedirects))
	for i, r := range g.ModelRedirects {
		field := "model_redirects[" + strconv.Itoa(i) + "]"
		v.modelName(field+".from", r.From, true)
		v.modelName(field+".to", r.To, true)
		if seen[r.From] {
			v.fault(field+".from", "stands there twice; a model can go to one target only")
		}
		seen[r.From] = true
	}
	if g.ModelRedirectStrict && len(g.ModelRedirects) == 0 {
		v.fault("model_redirect_strict", "would refuse every model; add redirects first (from and to may be the same name)")
	}
}

func (v *groupValidator) modelName(field, name string, needed bool) {
	switch {
	case name == "":
		if needed {
			v.fault(field, "is needed: 1 to %d bytes", MaxModelName)
		}
	case len(name) > MaxModelName:
		v.fault(field, "has %d bytes; the limit is %d", len(name), MaxModelName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		v.fault(field, "must be UTF-8 without control characters")
	case strings.TrimSpace(name) != name:
		v.fault(field, "begins or ends with a space, and models are matched exactly; take it away")
	}
}

func (v *groupValidator) validation() {
	val := v.g.Validation
	v.modelName("validation.model", val.Model, false)
	if val.Path != "" {
		u, err := url.ParseRequestURI(val.Path)
		switch {
		case len(val.Path) > MaxProbePath:
			v.fault("validation.path", "has %d bytes; the limit is %d", len(val.Path), MaxProbePath)
		case !strings.HasPrefix(val.Path, "/") || strings.HasPrefix(val.Path, "//"):
			v.fault("validation.path", "must start with one /, such as /v1/chat/completions")
		case err != nil, u.Host != "", strings.ContainsAny(val.Path, "# "):
			v.fault("validation.path", "must be a path and, if needed, a query, such as /v1/models?limit=1")
		}
	}
	if len(val.Payload) > MaxProbePayload {
		v.fault("validation.payload", "has %d bytes; the limit is %d", len(val.Payload), MaxProbePayload)
	} else if val.Payload != "" && !json.Valid([]byte(val.Payload)) {
		v.fault("validation.payload", "must be one JSON value, or empty for the channel's own")
	}
}

func (v *groupValidator) members() {
	g := v.g
	if g.Kind != KindAggregate {
		if len(g.Members) > 0 {
			v.fault("members", "only an aggregate has them; make a group of the kind aggregate")
		}
		return
	}
	if !v.atMost("members", len(g.Members), MaxMembers) {
		return
	}
	seen := make(map[GroupID]bool, len(g.Members))
	for i, m := range g.Members {
		field := "members[" + strconv.Itoa(i) + "]"
		at := slices.IndexFunc(v.rules.Groups, func(other Group) bool { return other.ID == m.GroupID })
		switch {
		case at < 0:
			v.fault(field+".group_id", "there is no group %d", m.GroupID)
		case v.rules.Groups[at].Kind == KindAggregate:
			v.fault(field+".group_id", "%q is an aggregate itself; name its members instead", v.rules.Groups[at].Name)
		case v.rules.Groups[at].Channel != g.Channel:
			v.fault(field+".group_id", "%q speaks %s, this aggregate %s; members share the channel", v.rules.Groups[at].Name, v.rules.Groups[at].Channel, g.Channel)
		case seen[m.GroupID]:
			v.fault(field+".group_id", "%q stands there twice; give one entry the weights of both", v.rules.Groups[at].Name)
		}
		seen[m.GroupID] = true
		v.weight(field+".weight", m.Weight)
		if m.Tier < 1 || m.Tier > MaxTier {
			v.fault(field+".tier", "must be from 1 to %d, not %d; tier 1 serves first", MaxTier, m.Tier)
		}
	}
}

// parentsOf names the aggregates that have id as a member, quoted.
func parentsOf(id GroupID, groups []Group) []string {
	var names []string
	for _, g := range groups {
		if slices.ContainsFunc(g.Members, func(m Member) bool { return m.GroupID == id }) {
			names = append(names, strconv.Quote(g.Name))
		}
	}
	return names
}

// clip keeps an error about a huge value readable.
func clip(s string) string {
	const longest = 80
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}
