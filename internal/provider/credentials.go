package provider

import (
	"net/http"
	"net/url"
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// Spot is a place in a request where a credential may stand.
type Spot uint8

// The spots. SpotAPIKey is Azure's "api-key" header, SpotQuery is Google's "?key=".
const (
	SpotNone Spot = iota
	SpotBearer
	SpotXAPIKey
	SpotXGoogAPIKey
	SpotAPIKey
	SpotQuery
)

// Canonical names: net/http canonicalises on arrival, so that plain map access finds them without the work of Get.
const (
	headerAuthorization = "Authorization"
	headerXAPIKey       = "X-Api-Key"
	headerXGoogAPIKey   = "X-Goog-Api-Key"
	headerAPIKey        = "Api-Key"
)

const (
	bearerScheme = "Bearer "
	queryKey     = "key"
)

// maxCredentials bounds what one request can make the gateway compare. Real clients send one or two.
const maxCredentials = 16

// Credential is a value that a client put where a key may stand. Value is not a secret.Text because it is what
// anybody may send: it becomes a secret when it turns out to be one of ours.
type Credential struct {
	Spot  Spot
	Value string
}

// Credentials appends every candidate of the request to dst, at most 16 in all, in the order Authorization, x-api-key,
// x-goog-api-key, api-key, ?key=; repeated headers and members included, empty values left out. Nothing is
// allocated when dst has room and no query value is escaped.
func Credentials(dst []Credential, h http.Header, rawQuery string) []Credential {
	for _, value := range h[headerAuthorization] {
		if token, ok := bearerToken(value); ok {
			dst = appendCredential(dst, SpotBearer, token)
		}
	}
	for _, value := range h[headerXAPIKey] {
		dst = appendCredential(dst, SpotXAPIKey, value)
	}
	for _, value := range h[headerXGoogAPIKey] {
		dst = appendCredential(dst, SpotXGoogAPIKey, value)
	}
	for _, value := range h[headerAPIKey] {
		dst = appendCredential(dst, SpotAPIKey, value)
	}
	for rest := rawQuery; rest != ""; {
		var member string
		member, rest, _ = strings.Cut(rest, "&")
		if name, value, _ := strings.Cut(member, "="); isQueryKey(name) {
			dst = appendCredential(dst, SpotQuery, unescapeQueryKey(value))
		}
	}
	return dst
}

func appendCredential(dst []Credential, spot Spot, value string) []Credential {
	value = strings.Trim(value, " \t")
	if value == "" || len(dst) >= maxCredentials {
		return dst
	}
	return append(dst, Credential{Spot: spot, Value: value})
}

// bearerToken reads "Bearer x"; RFC 9110 makes the scheme's name case-insensitive and allows several spaces.
func bearerToken(value string) (string, bool) {
	value = strings.TrimLeft(value, " \t")
	if len(value) < len(bearerScheme) || !strings.EqualFold(value[:len(bearerScheme)-1], "bearer") {
		return "", false
	}
	if c := value[len(bearerScheme)-1]; c != ' ' && c != '\t' {
		return "", false
	}
	return value[len(bearerScheme):], true
}

// isQueryKey compares the decoded name: "k%65y=x" is a key for the provider too, so it has to be found and removed.
func isQueryKey(name string) bool {
	if name == queryKey {
		return true
	}
	if strings.IndexByte(name, '%') < 0 || len(name) > 3*len(queryKey) {
		return false
	}
	decoded, err := url.PathUnescape(name)
	return err == nil && decoded == queryKey
}

// unescapeQueryKey leaves '+' alone: no key holds a space, but many hold a plus that a client forgot to escape. A
// value with a broken escape is taken as it stands.
func unescapeQueryKey(value string) string {
	if strings.IndexByte(value, '%') < 0 {
		return value
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return value
	}
	return decoded
}

// StripCredentials deletes the credential headers from h in place and returns the query without its key members.
// The other members keep their order and spelling; a query without a key is returned as it is.
func StripCredentials(h http.Header, rawQuery string) string {
	delete(h, headerAuthorization)
	delete(h, headerXAPIKey)
	delete(h, headerXGoogAPIKey)
	delete(h, headerAPIKey)
	for start := 0; start < len(rawQuery); {
		end := memberEnd(rawQuery, start)
		name, _, _ := strings.Cut(rawQuery[start:end], "=")
		if isQueryKey(name) {
			return stripQueryKeys(rawQuery, start)
		}
		start = end + 1
	}
	return rawQuery
}

// stripQueryKeys rebuilds the query; everything before byte from is known to be free of keys.
func stripQueryKeys(rawQuery string, from int) string {
	var kept strings.Builder
	kept.Grow(len(rawQuery))
	kept.WriteString(strings.TrimSuffix(rawQuery[:from], "&"))
	first := from == 0
	for start := from; start <= len(rawQuery); {
		end := memberEnd(rawQuery, start)
		member := rawQuery[start:end]
		name, _, _ := strings.Cut(member, "=")
		if !isQueryKey(name) {
			if !first {
				kept.WriteByte('&')
			}
			kept.WriteString(member)
			first = false
		}
		start = end + 1
	}
	return kept.String()
}

func memberEnd(rawQuery string, start int) int {
	if i := strings.IndexByte(rawQuery[start:], '&'); i >= 0 {
		return start + i
	}
	return len(rawQuery)
}

// SetCredential puts the provider key into h, or into the query that it returns. client is the spot where the
// admitted client's key stood: where the provider accepts two styles the client's is kept, since some
// features hang on it (newer Anthropic SDKs send Bearer, older ones x-api-key; Azure clients send api-key); everywhere else the
// channel's own is used. path is the one below /proxy/{group}; rawQuery is what StripCredentials returned, and
// comes back unchanged unless the key goes into the query.
func SetCredential(ch fleet.Channel, path string, h http.Header, rawQuery string, client Spot, key secret.Text) string {
	value := key.Reveal()
	switch credentialSpot(ch, path, client) {
	case SpotXAPIKey:
		h[headerXAPIKey] = []string{value}
	case SpotXGoogAPIKey:
		h[headerXGoogAPIKey] = []string{value}
	case SpotAPIKey:
		h[headerAPIKey] = []string{value}
	case SpotQuery:
		if rawQuery == "" {
			return queryKey + "=" + url.QueryEscape(value)
		}
		return rawQuery + "&" + queryKey + "=" + url.QueryEscape(value)
	default:
		h[headerAuthorization] = []string{bearerScheme + value}
	}
	return rawQuery
}

// credentialSpot decides the style. OpenAI's dialect is Bearer on every channel.
func credentialSpot(ch fleet.Channel, path string, client Spot) Spot {
	switch ch {
	case fleet.ChannelAnthropic:
		if client == SpotBearer || FormatOf(ch, path) != FormatAnthropic {
			return SpotBearer
		}
		return SpotXAPIKey
	case fleet.ChannelGemini:
		if FormatOf(ch, path) != FormatGemini {
			return SpotBearer
		}
		if client == SpotQuery {
			return SpotQuery
		}
		return SpotXGoogAPIKey
	default:
		if client == SpotAPIKey {
			return SpotAPIKey
		}
		return SpotBearer
	}
}
