package adminhttp

import (
	"cmp"
	"context"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/internal/provider"
	"gpt-load/pkg/adminapi"
)

// Sample is a client's request that is only looked at.
type Sample struct {
	Method      string
	Path, Query string // below the group, escaped
	Header      http.Header
	Body        []byte
	ClientIP    string
}

// Preview is what a group makes of a request.
type Preview struct {
	ModelAsked, ModelSent string
	Stream                bool
	Refusal               *provider.GatewayError // when set, nothing below is

	Method, URL string
	Header      http.Header // credentials masked
	Body        []byte
}

func (a *API) mountPreview(api huma.API) {
	route(api, huma.Operation{
		OperationID: "preview-request", Method: http.MethodPost, Path: "/groups/{id}/preview", Tags: []string{"groups"},
		Summary: "Show what an upstream would get of a request",
		Description: "The request goes through redirects, overrides and header rules by the code that serves, and is not sent. " +
			"changes tries what is not saved yet. An aggregate sends what its members do: preview one of them.",
	}, a.previewRequest)
}

func (a *API) previewRequest(ctx context.Context, in *struct {
	GroupRef
	Body adminapi.PreviewInput
},
) (*answer[adminapi.Preview], error) {
	g, err := a.group(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if in.Body.Changes != nil {
		change := groupChange{group: g}
		change.apply(*in.Body.Changes)
		rules, err := a.rulesNow(ctx)
		if err != nil {
			return nil, err
		}
		if err := change.check(rules); err != nil {
			return nil, err
		}
		g = change.group
	}
	sample, err := sampleOf(g.Channel, &in.Body)
	if err != nil {
		return nil, err
	}
	sample.ClientIP = callOf(ctx).client.String()
	system, err := a.Store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.Tester.Preview(g, system, sample)
	if err != nil {
		return nil, err
	}
	shown := adminapi.Preview{ModelAsked: p.ModelAsked, ModelSent: p.ModelSent, Stream: p.Stream, Method: p.Method, URL: p.URL, Headers: p.Header, Body: string(p.Body)}
	if p.Header == nil {
		shown.Headers = map[string][]string{}
	}
	if p.Refusal != nil {
		shown.Refusal = &adminapi.PreviewRefusal{Status: p.Refusal.Status, Code: p.Refusal.Code, Message: p.Refusal.Message}
	}
	return &answer[adminapi.Preview]{shown}, nil
}

// sampleOf fills what is left out with the request that tests keys of the channel.
func sampleOf(channel fleet.Channel, in *adminapi.PreviewInput) (Sample, error) {
	if in.Path != "" {
		u, err := url.ParseRequestURI(in.Path)
		if err != nil || !strings.HasPrefix(in.Path, "/") || u.Host != "" || strings.ContainsAny(in.Path, "# ") {
			return Sample{}, invalid("path", "must be a path and, if needed, a query, such as /v1/models?limit=1")
		}
	}
	probe := provider.ProbeFor(channel, fleet.Validation{Model: in.Model, Path: in.Path, Payload: string(in.Body)})
	s := Sample{Method: cmp.Or(in.Method, probe.Method), Header: probe.Header}
	s.Path, s.Query, _ = strings.Cut(probe.Path, "?")
	if s.Method != http.MethodGet {
		s.Body = probe.Body
	} else {
		delete(s.Header, "Content-Type")
	}
	for name, value := range in.Headers {
		if name == "" || strings.ContainsAny(name, " \r\n:") || strings.ContainsAny(value, "\r\n\x00") {
			return Sample{}, invalid("headers", "hold a name or value that no HTTP header can carry")
		}
		s.Header[textproto.CanonicalMIMEHeaderKey(name)] = []string{value}
	}
	return s, nil
}
