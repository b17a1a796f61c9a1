package backup

import (
	"context"
	"fmt"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// Running is the configuration of a running installation, with what is its own.
type Running struct {
	Document
	// byName are the groups as the API gave them.
	byName           map[string]adminapi.Group
	settingsRevision int64
}

// readTries is how often settings and groups are read until both are of the same revision. Changes are made by people.
const readTries = 5

// Read gets the configuration of an installation through the admin API, as it stood at one moment. The errors are the client's, or
// one that says that it does not hold still.
func Read(ctx context.Context, client *adminclient.Client) (*Running, error) {
	for range readTries {
		system, err := client.Settings(ctx, true)
		if err != nil {
			return nil, err
		}
		groups, err := client.GroupsInClear(ctx)
		if err != nil {
			return nil, err
		}
		if system.Revision != groups.Revision {
			continue
		}
		return running(system, groups), nil
	}
	return nil, fmt.Errorf("the configuration changed %d times while it was read; try again when nobody changes it", readTries)
}

func running(system adminapi.SettingList, groups adminapi.GroupList) *Running {
	r := &Running{Document: Document{Settings: map[string]string{}}, byName: make(map[string]adminapi.Group, len(groups.Groups)), settingsRevision: system.SettingsRevision}
	for _, s := range system.Settings {
		// One that was set to its default is taken for not set: both have the same effect.
		if text := canonical(s.Name, s.Value); s.Level != adminapi.LevelDefault && !isDefault(s.Name, text) {
			r.Settings[s.Name] = text
		}
	}
	names := make(map[string]string, len(groups.Groups))
	for _, g := range groups.Groups {
		names[g.ID] = g.Name
	}
	for _, g := range groups.Groups {
		r.byName[g.Name] = g
		r.Groups = append(r.Groups, groupOf(g, names))
	}
	r.sort()
	return r
}

// Group finds a group by its name, as the API gave it.
func (r *Running) Group(name string) (adminapi.Group, bool) {
	g, ok := r.byName[name]
	return g, ok
}

// canonical is the text of a value; one of a setting that only a newer server knows is taken as it is.
func canonical(name string, value any) string {
	text, fault := settings.Normalize(name, value, false)
	if fault != nil {
		return fmt.Sprint(value)
	}
	return text
}

func groupOf(g adminapi.Group, names map[string]string) Group {
	out := Group{Group: fleet.Group{
		Name: g.Name, DisplayName: g.DisplayName, Description: g.Description, Kind: fleet.GroupKind(g.Kind), Channel: fleet.Channel(g.Channel), Sort: g.Sort,
		ModelRedirectStrict: g.ModelRedirectStrict, Validation: fleet.Validation(g.Validation),
	}}
	for _, u := range g.Upstreams {
		out.Upstreams = append(out.Upstreams, fleet.Upstream(u))
	}
	for _, key := range g.ProxyKeys {
		out.ProxyKeys = append(out.ProxyKeys, secret.New(key))
	}
	for _, o := range g.ParamOverrides {
		override := fleet.ParamOverride{Path: o.Path}
		if !o.Remove {
			override.Value = compact(o.Value)
		}
		out.ParamOverrides = append(out.ParamOverrides, override)
	}
	for _, h := range g.HeaderRules {
		out.HeaderRules = append(out.HeaderRules, fleet.HeaderRule{Name: h.Name, Action: fleet.HeaderAction(h.Action), Value: h.Value})
	}
	for _, r := range g.ModelRedirects {
		out.ModelRedirects = append(out.ModelRedirects, fleet.ModelRedirect(r))
	}
	for _, m := range g.Members {
		out.Members = append(out.Members, Member{Group: names[m.GroupID], Weight: m.Weight, Tier: m.Tier})
	}
	if len(g.Settings) > 0 {
		out.Settings = make(map[string]string, len(g.Settings))
		for name, value := range g.Settings {
			out.Settings[name] = canonical(name, value)
		}
	}
	return out
}

// inputOf is a group as the API takes it; ids are those of its members.
func inputOf(g Group, ids map[string]string) adminapi.GroupInput {
	in := adminapi.GroupInput{
		Name: g.Name, DisplayName: g.DisplayName, Description: g.Description, Kind: string(g.Kind), Channel: string(g.Channel), Sort: &g.Sort,
		Upstreams: []adminapi.Upstream{}, ProxyKeys: []string{}, ParamOverrides: []adminapi.ParamOverride{}, HeaderRules: []adminapi.HeaderRule{},
		ModelRedirects: []adminapi.ModelRedirect{}, ModelRedirectStrict: g.ModelRedirectStrict, Validation: adminapi.Validation(g.Validation),
		Members: []adminapi.Member{}, Settings: make(map[string]any, len(g.Settings)),
	}
	for _, u := range g.Upstreams {
		in.Upstreams = append(in.Upstreams, adminapi.Upstream(u))
	}
	for _, key := range g.ProxyKeys {
		in.ProxyKeys = append(in.ProxyKeys, key.Reveal())
	}
	for _, o := range g.ParamOverrides {
		in.ParamOverrides = append(in.ParamOverrides, adminapi.ParamOverride{Path: o.Path, Value: o.Value, Remove: o.Value == nil})
	}
	for _, h := range g.HeaderRules {
		in.HeaderRules = append(in.HeaderRules, adminapi.HeaderRule{Name: h.Name, Action: string(h.Action), Value: h.Value})
	}
	for _, r := range g.ModelRedirects {
		in.ModelRedirects = append(in.ModelRedirects, adminapi.ModelRedirect(r))
	}
	for _, m := range g.Members {
		in.Members = append(in.Members, adminapi.Member{GroupID: ids[m.Group], Weight: m.Weight, Tier: m.Tier})
	}
	for name, value := range g.Settings {
		in.Settings[name] = value
	}
	return in
}

// patchOf is a group as a patch that sets everything; dropped are the overrides that it loses.
func patchOf(in adminapi.GroupInput, dropped []string) adminapi.GroupPatch {
	for _, name := range dropped {
		in.Settings[name] = nil
	}
	return adminapi.GroupPatch{
		Name: &in.Name, DisplayName: &in.DisplayName, Description: &in.Description, Channel: &in.Channel, Sort: in.Sort,
		Upstreams: &in.Upstreams, ProxyKeys: &in.ProxyKeys, ParamOverrides: &in.ParamOverrides, HeaderRules: &in.HeaderRules,
		ModelRedirects: &in.ModelRedirects, ModelRedirectStrict: &in.ModelRedirectStrict,
		Validation: &adminapi.ValidationPatch{
			Off: &in.Validation.Off, Model: &in.Validation.Model, Path: &in.Validation.Path, Payload: &in.Validation.Payload,
		},
		Members: &in.Members, Settings: in.Settings,
	}
}
