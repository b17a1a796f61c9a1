package proxy

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/internal/provider"
	"gpt-load/internal/secret"
	"gpt-load/internal/snapshot"
	"gpt-load/internal/upstream"
)

// Sample is a client's request that is only looked at.
type Sample struct {
	Method      string
	Path, Query string // below the group, escaped
	// Header may hold a credential, which then says where this client puts its key.
	Header   http.Header
	Body     []byte
	ClientIP string
}

// Preview is what a group makes of a request.
type Preview struct {
	ModelAsked, ModelSent string // empty when the request names none
	Stream                bool
	// Refusal is set when the group does not take the request. Then nothing below is set.
	Refusal *provider.GatewayError

	Method, URL string // by one of the upstreams
	Header      http.Header
	Body        []byte
}

// PreviewKey stands in a preview for the provider's key, and previewMask for other credentials.
const (
	PreviewKey  = "API_KEY"
	previewMask = "****"
)

// PreviewOf tells what an upstream would get of a client's request: it goes through redirects, overrides and header rules as
// every request does, and is not sent. The group need not be stored; it is CodeInvalid when it could not serve. No health of
// keys or addresses is looked at or changed.
func PreviewOf(g fleet.Group, system map[string]string, s Sample) (Preview, error) {
	if g.Kind == fleet.KindAggregate {
		return Preview{}, fleet.NewError(fleet.CodeInvalid, "an aggregate sends what its members make of a request; preview a member", nil)
	}
	compiled, faults := snapshot.Compile(0, system, []fleet.Group{g}, func(secret.Text) string { return "" })
	group, ok := compiled.ByID(g.ID)
	if !ok {
		return Preview{}, fleet.InvalidFields(faults)
	}
	address, ok := upstream.NewBalancer(g.Upstreams).Choose(nil, time.Now())
	if !ok {
		return Preview{}, fleet.NewError(fleet.CodeInvalid, "every upstream of the group has weight 0", nil)
	}
	if hasDotSegment(s.Path) {
		return Preview{Refusal: refusalOf(http.StatusBadRequest, "bad_path", "the path holds a dot segment, which could leave its place")}, nil
	}
	a := &ask{
		method: s.Method, path: s.Path, header: s.Header.Clone(), clientIP: s.ClientIP,
		body: &body{data: s.Body, whole: true, length: int64(len(s.Body))},
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	if sent := provider.Credentials(nil, a.header, s.Query); len(sent) > 0 {
		a.spot = sent[0].Spot
	}
	a.query = provider.StripCredentials(a.header, s.Query)
	stripRequest(a.header)
	a.findModel(group.Channel)
	p := a.prepare(group)
	preview := Preview{ModelAsked: a.model, ModelSent: p.model, Stream: a.stream, Refusal: p.refusal}
	if p.refusal != nil {
		return preview, nil
	}
	request := a.request(context.Background(), p, keypool.Pick{Value: secret.New(PreviewKey)}, address.Address, true)
	preview.Method, preview.Body, preview.Header = request.Method, p.data, shownHeader(request.Header)
	preview.URL = request.URL.RequestURI()
	if !strings.HasPrefix(request.URL.Opaque, "//") { // which already holds the host
		preview.URL = request.URL.Scheme + "://" + request.Host + preview.URL
	}
	return preview, nil
}

// credentialHeaders may carry a credential that a header rule or the client set beside the provider's key.
var credentialHeaders = []string{"Authorization", "Proxy-Authorization", "X-Api-Key", "X-Goog-Api-Key", "Api-Key", "Cookie"}

// shownHeader leaves out what only steers the transport, and masks credentials.
func shownHeader(h http.Header) http.Header {
	shown := make(http.Header, len(h))
	for name, values := range h {
		if len(values) == 0 {
			continue
		}
		shown[name] = slices.Clone(values)
		if !slices.Contains(credentialHeaders, name) {
			continue
		}
		for i, value := range values {
			scheme, credential, found := strings.Cut(value, " ")
			if !found || name == "Cookie" {
				scheme, credential = "", value
			}
			if credential != PreviewKey {
				shown[name][i] = strings.TrimLeft(scheme+" "+previewMask, " ")
			}
		}
	}
	return shown
}
