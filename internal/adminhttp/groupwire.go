package adminhttp

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
	"gpt-load/pkg/adminapi"
)

// wireGroup turns a group into what the API shows of it.
func (a *API) wireGroup(g fleet.Group, reveal bool) adminapi.Group {
	return adminapi.Group{
		ID: idText(g.ID), Name: g.Name, DisplayName: g.DisplayName, Description: g.Description,
		Kind: string(g.Kind), Channel: string(g.Channel), Sort: g.Sort, ProxyPath: proxyPath(g),
		Upstreams:           mapped(g.Upstreams, func(u fleet.Upstream) adminapi.Upstream { return adminapi.Upstream(u) }),
		ProxyKeys:           mapped(g.ProxyKeys, func(t secret.Text) string { return shown(t, reveal) }),
		ParamOverrides:      mapped(g.ParamOverrides, wireOverride),
		HeaderRules:         mapped(g.HeaderRules, wireHeaderRule),
		ModelRedirects:      mapped(g.ModelRedirects, func(r fleet.ModelRedirect) adminapi.ModelRedirect { return adminapi.ModelRedirect(r) }),
		ModelRedirectStrict: g.ModelRedirectStrict,
		Validation:          adminapi.Validation(g.Validation),
		Members:             mapped(g.Members, wireMember),
		Settings:            wireOverrides(g.Settings, reveal),
		KeyCounts:           a.countKeys(g),
		Revision:            g.Revision, CreatedAt: wireTime(g.CreatedAt), UpdatedAt: wireTime(g.UpdatedAt),
	}
}

// mapped never returns nil, so that an empty list is [] on the wire.
func mapped[From, To any](from []From, convert func(From) To) []To {
	to := make([]To, len(from))
	for i, f := range from {
		to[i] = convert(f)
	}
	return to
}

func wireTime(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Millisecond)
}

func shown(t secret.Text, reveal bool) string {
	if reveal {
		return t.Reveal()
	}
	return mask(t)
}

func wireOverride(o fleet.ParamOverride) adminapi.ParamOverride {
	return adminapi.ParamOverride{Path: o.Path, Value: o.Value, Remove: o.Value == nil}
}

func wireHeaderRule(r fleet.HeaderRule) adminapi.HeaderRule {
	return adminapi.HeaderRule{Name: r.Name, Action: string(r.Action), Value: r.Value}
}

func wireMember(m fleet.Member) adminapi.Member {
	return adminapi.Member{GroupID: idText(m.GroupID), Weight: m.Weight, Tier: m.Tier}
}

func wireOverrides(overrides map[string]string, reveal bool) map[string]any {
	shown := make(map[string]any, len(overrides))
	for name, text := range overrides {
		if d, ok := settings.Find(name); ok { // a name that an older release knew is not shown
			shown[name] = wireValue(d, text, reveal)
		}
	}
	return shown
}

// countKeys is the live view of this node; an aggregate counts its members' keys.
func (a *API) countKeys(g fleet.Group) adminapi.KeyCounts {
	if g.Kind != fleet.KindAggregate {
		return adminapi.KeyCounts(a.Pools.Counts(g.ID))
	}
	var sum adminapi.KeyCounts
	for _, m := range g.Members {
		c := a.Pools.Counts(m.GroupID)
		sum.Active += c.Active
		sum.Cooling += c.Cooling
		sum.Invalid += c.Invalid
		sum.Disabled += c.Disabled
	}
	return sum
}

// groupChange collects what an input sets, and every fault that shows before the group as a whole is looked at.
type groupChange struct {
	group  fleet.Group
	faults []fleet.FieldError
}

func (c *groupChange) fault(field, message string) {
	c.faults = append(c.faults, fleet.FieldError{Field: field, Message: message})
}

func asPatch(in adminapi.GroupInput) adminapi.GroupPatch {
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

// apply puts what a patch sets over the group.
func (c *groupChange) apply(p adminapi.GroupPatch) {
	g := &c.group
	set(&g.Name, p.Name)
	set(&g.DisplayName, p.DisplayName)
	set(&g.Description, p.Description)
	if p.Channel != nil {
		g.Channel = fleet.Channel(*p.Channel)
	}
	set(&g.Sort, p.Sort)
	if p.Upstreams != nil {
		g.Upstreams = mapped(*p.Upstreams, func(u adminapi.Upstream) fleet.Upstream {
			// People paste addresses with a slash at the end; the path that follows begins with one.
			return fleet.Upstream{URL: strings.TrimRight(strings.TrimSpace(u.URL), "/"), Weight: u.Weight}
		})
	}
	c.proxyKeys(p.ProxyKeys)
	c.overrides(p.ParamOverrides)
	if p.HeaderRules != nil {
		g.HeaderRules = mapped(*p.HeaderRules, func(r adminapi.HeaderRule) fleet.HeaderRule {
			return fleet.HeaderRule{Name: r.Name, Action: fleet.HeaderAction(r.Action), Value: r.Value}
		})
	}
	if p.ModelRedirects != nil {
		g.ModelRedirects = mapped(*p.ModelRedirects, func(r adminapi.ModelRedirect) fleet.ModelRedirect { return fleet.ModelRedirect(r) })
	}
	set(&g.ModelRedirectStrict, p.ModelRedirectStrict)
	if v := p.Validation; v != nil {
		set(&g.Validation.Off, v.Off)
		set(&g.Validation.Model, v.Model)
		set(&g.Validation.Path, v.Path)
		set(&g.Validation.Payload, v.Payload)
	}
	c.members(p.Members)
	c.settings(p.Settings)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func (c *groupChange) proxyKeys(keys *[]string) {
	if keys == nil {
		return
	}
	c.group.ProxyKeys = mapped(*keys, secret.New)
	for i, key := range *keys {
		if message := maskedFault(key); message != "" {
			c.fault("proxy_keys["+strconv.Itoa(i)+"]", message)
		}
	}
}

func (c *groupChange) overrides(overrides *[]adminapi.ParamOverride) {
	if overrides == nil {
		return
	}
	c.group.ParamOverrides = make([]fleet.ParamOverride, len(*overrides))
	for i, o := range *overrides {
		if (o.Value == nil) != o.Remove {
			c.fault("param_overrides["+strconv.Itoa(i)+"]", "needs either value or \"remove\": true")
		}
		c.group.ParamOverrides[i] = fleet.ParamOverride{Path: o.Path, Value: json.RawMessage(o.Value)}
	}
}

func (c *groupChange) members(members *[]adminapi.Member) {
	if members == nil {
		return
	}
	c.group.Members = make([]fleet.Member, len(*members))
	for i, m := range *members {
		id, ok := parseID[fleet.GroupID](m.GroupID)
		if !ok {
			c.fault("members["+strconv.Itoa(i)+"].group_id", "must be the id of a group, which is a positive number")
		}
		c.group.Members[i] = fleet.Member{GroupID: id, Weight: m.Weight, Tier: m.Tier}
	}
}

func (c *groupChange) settings(changes map[string]any) {
	overrides := maps.Clone(c.group.Settings)
	if overrides == nil {
		overrides = make(map[string]string)
	}
	values, reset, faults := settingChanges(changes, true)
	for _, f := range faults {
		c.fault("settings."+f.Field, f.Message)
	}
	maps.Copy(overrides, values)
	for _, name := range reset {
		delete(overrides, name)
	}
	c.group.Settings = overrides
}

// check returns every fault of the change and of the group that it makes, each field's first one only.
func (c *groupChange) check(rules fleet.GroupRules) error {
	said := make(map[string]bool)
	faults := slices.DeleteFunc(append(c.faults, fleet.ValidateGroup(c.group, rules)...), func(f fleet.FieldError) bool {
		again := said[f.Field]
		said[f.Field] = true
		return again
	})
	return fleet.InvalidFields(faults)
}
