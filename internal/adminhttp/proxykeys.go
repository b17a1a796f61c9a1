package adminhttp

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/internal/provider"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
	"gpt-load/pkg/adminapi"
)

func (a *API) mountProxyKeys(api huma.API) {
	route(api, huma.Operation{
		OperationID: "list-proxy-keys", Method: http.MethodGet, Path: "/proxy-keys", Tags: []string{"proxy keys"},
		Summary:     "List the keys that clients use, with the groups that each opens and their addresses",
		Description: "They stand in the setting proxy_keys, which opens every group, and in groups; a key that stands in several places is listed once.",
	}, a.listProxyKeys)
}

type proxyKeyQuery struct {
	Reveal      bool   `query:"reveal" doc:"Show the keys in clear."`
	GroupID     string `query:"group_id" doc:"Only keys that open this group."`
	Fingerprint string `query:"fingerprint" doc:"Only the key of this fingerprint."`
	Limit       int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor      string `query:"cursor" doc:"next_cursor of the page before."`
}

func (a *API) listProxyKeys(ctx context.Context, in *proxyKeyQuery) (*answer[adminapi.ProxyKeyPage], error) {
	only, err := filterID[fleet.GroupID]("group_id", in.GroupID)
	if err != nil {
		return nil, err
	}
	system, err := a.Store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := a.Store.Groups(ctx)
	if err != nil {
		return nil, err
	}
	values, _ := settings.Resolve(system, nil) // a value that is not valid is not served either
	page := adminapi.ProxyKeyPage{ProxyKeys: []adminapi.ProxyKey{}, Groups: []adminapi.ClientGroup{}}
	page.BaseURL, page.BaseURLFrom = baseURL(ctx, values.AppURL)

	opened := make(map[fleet.GroupID]bool, len(groups))
	for _, k := range a.proxyKeys(values.ProxyKeys, groups) {
		wanted := k.fingerprint > in.Cursor && (in.Fingerprint == "" || in.Fingerprint == k.fingerprint)
		if !wanted || only != 0 && !slices.Contains(k.groups, only) {
			continue
		}
		if len(page.ProxyKeys) == in.Limit {
			page.NextCursor = page.ProxyKeys[in.Limit-1].Fingerprint
			break
		}
		shown := adminapi.ProxyKey{Fingerprint: k.fingerprint, Masked: mask(k.value), EveryGroup: k.everyGroup, GroupIDs: mapped(k.groups, idText)}
		if in.Reveal {
			shown.Value = k.value.Reveal()
		}
		page.ProxyKeys = append(page.ProxyKeys, shown)
		for _, id := range k.groups {
			opened[id] = true
		}
	}
	for _, g := range groups {
		if opened[g.ID] {
			page.Groups = append(page.Groups, clientGroup(g, page.BaseURL, versioned(g, groups)))
		}
	}
	return &answer[adminapi.ProxyKeyPage]{page}, nil
}

// proxyKey is a key of clients wherever it stands.
type proxyKey struct {
	value       secret.Text
	fingerprint string
	everyGroup  bool
	groups      []fleet.GroupID // that it opens, in the order of display
}

// proxyKeys gathers the keys in the order of their fingerprints, each once.
func (a *API) proxyKeys(system []secret.Text, groups []fleet.Group) []*proxyKey {
	all := make([]fleet.GroupID, len(groups))
	for i, g := range groups {
		all[i] = g.ID
	}
	var keys []*proxyKey
	known := make(map[string]*proxyKey)
	find := func(value secret.Text) *proxyKey {
		k, ok := known[value.Reveal()]
		if !ok {
			k = &proxyKey{value: value, fingerprint: a.Store.Fingerprint(value)}
			known[value.Reveal()], keys = k, append(keys, k)
		}
		return k
	}
	for _, value := range system {
		k := find(value)
		k.everyGroup, k.groups = true, all
	}
	for _, g := range groups {
		for _, value := range g.ProxyKeys {
			if k := find(value); !k.everyGroup {
				k.groups = append(k.groups, g.ID)
			}
		}
	}
	slices.SortFunc(keys, func(x, y *proxyKey) int { return cmp.Compare(x.fingerprint, y.fingerprint) })
	return keys
}

// baseURL is the public address: what the operator says, else that by which this request came.
func baseURL(ctx context.Context, setting string) (address, from string) {
	if setting != "" {
		return strings.TrimRight(setting, "/"), adminapi.BaseURLFromSetting
	}
	call := callOf(ctx)
	scheme := "http://"
	if call.secure {
		scheme = "https://"
	}
	return scheme + call.http.Host, adminapi.BaseURLFromRequest
}

// versioned reports whether all addresses behind a group that are in use end in a version, which paths then leave out.
func versioned(g fleet.Group, all []fleet.Group) bool {
	addresses := g.Upstreams
	for _, m := range g.Members {
		if i := slices.IndexFunc(all, func(other fleet.Group) bool { return other.ID == m.GroupID }); i >= 0 && m.Weight > 0 {
			addresses = append(addresses[:len(addresses):len(addresses)], all[i].Upstreams...)
		}
	}
	found := false
	for _, u := range addresses {
		if u.Weight == 0 {
			continue
		}
		if !provider.EndsInVersion(u.URL) {
			return false
		}
		found = true
	}
	return found
}

func clientGroup(g fleet.Group, base string, versioned bool) adminapi.ClientGroup {
	path := proxyPath(g)
	return adminapi.ClientGroup{
		ID: idText(g.ID), Name: g.Name, DisplayName: g.DisplayName, Kind: string(g.Kind), Channel: string(g.Channel),
		ProxyURL: base + path, SDKBaseURL: base + path + provider.SDKPath(g.Channel, versioned),
		Endpoints: mapped(provider.Endpoints(g.Channel, versioned), func(e provider.Endpoint) adminapi.Endpoint {
			return adminapi.Endpoint{Name: e.Name, Method: e.Method, Path: path + e.Path, URL: base + path + e.Path}
		}),
	}
}

// proxyPath is what a client puts before the provider's own path.
func proxyPath(g fleet.Group) string { return "/proxy/" + g.Name }
