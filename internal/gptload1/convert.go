package gptload1

import (
	"slices"

	"gpt-load/internal/fleet"
	"gpt-load/internal/jsonbody"
	"gpt-load/internal/secret"
)

// conversion is one group of 1.x on its way to one of ours.
type conversion struct {
	source    sourceGroup
	group     fleet.Group
	addresses []int // of group.Upstreams, their numbers in the source
	members   []Member
	notices   []Notice
	leftOut   bool
}

func (c *conversion) say(notices ...Notice) { c.notices = append(c.notices, notices...) }

func (c *conversion) leaveOut(field, format string, args ...any) {
	c.leftOut = true
	c.say(notice(field, LeftOut, format, args...))
}

// convertGroups gives standard groups first, then aggregates, each in the order of the sources.
func convertGroups(sources []sourceGroup, members map[int64][]sourceMember) []*conversion {
	names := groupNames(sources)
	var standard, aggregates []*conversion
	for _, source := range sources {
		c := &conversion{source: source}
		c.identity(names[source.id])
		if c.group.Kind == fleet.KindAggregate {
			aggregates = append(aggregates, c)
			continue
		}
		c.standard()
		standard = append(standard, c)
	}
	for _, c := range aggregates {
		c.aggregate(members[c.source.id], standard, aggregates)
	}
	for _, c := range standard {
		if m := members[c.source.id]; len(m) > 0 {
			c.say(notice(membersTable, LeftOut, "%s of a group that is no aggregate; they are left out", plural(len(m), "member")))
		}
	}
	return append(standard, aggregates...)
}

func (c *conversion) identity(name string) {
	s := c.source
	c.group = fleet.Group{
		Name: name, DisplayName: s.displayName, Description: s.description, Kind: fleet.KindStandard, Channel: fleet.Channel(s.channel), Sort: clampSort(s.sort),
	}
	if name != s.name {
		c.say(notice("name", Changed, "is not allowed here as it stands; the group becomes %q, and its clients must use /proxy/%s", name, name))
	}
	switch s.kind {
	case "", string(fleet.KindStandard):
	case string(fleet.KindAggregate):
		c.group.Kind = fleet.KindAggregate
	default:
		c.say(notice("group_type", Changed, "%q is not known, and 1.x takes it for standard; so it becomes standard", clip(s.kind)))
	}
	for _, key := range splitKeys(s.proxyKeys) {
		c.group.ProxyKeys = append(c.group.ProxyKeys, secret.New(key))
	}
}

// clampSort keeps an absurd place within int32; validation brings it into its bounds.
func clampSort(n int64) int { return int(min(max(n, -1<<31), 1<<31-1)) }

func (c *conversion) standard() {
	s, g := c.source, &c.group
	var said []Notice
	g.Upstreams, c.addresses, said = parseUpstreams(s.upstreams)
	c.say(said...)
	g.ParamOverrides, said = parseParamOverrides(s.overrides)
	c.say(said...)
	g.HeaderRules, said = parseHeaderRules(s.headerRules)
	c.say(said...)
	g.ModelRedirects, said = parseRedirects(s.redirects)
	c.say(said...)
	g.Settings, said = groupSettings(s.config)
	c.say(said...)
	g.Validation = fleet.Validation{Model: s.testModel, Path: s.endpoint}
	if g.ModelRedirectStrict = s.strict; s.strict && len(g.ModelRedirects) == 0 {
		g.ModelRedirectStrict = false
		c.say(notice("model_redirect_strict", Changed, "is on without any redirect, which has no effect in 1.x and would refuse every model here; it is switched off"))
	}
	if len(g.ModelRedirects) > 0 && slices.ContainsFunc(g.ParamOverrides, func(o fleet.ParamOverride) bool { return o.Path == "model" }) {
		c.say(notice("param_overrides", Noted, "sets model, and there are redirects: 1.x redirects what the override set, here the override comes last"))
	}
	c.repair(nil)
}

// aggregateColumns are what 1.x keeps for an aggregate and never uses: the member that serves has its own.
func (s sourceGroup) aggregateColumns() map[string]string {
	return map[string]string{
		"param_overrides": s.overrides, "header_rules": s.headerRules, "model_redirect_rules": s.redirects, "config": s.config, "upstreams": s.upstreams,
	}
}

func (c *conversion) aggregate(members []sourceMember, standard, aggregates []*conversion) {
	columns := c.source.aggregateColumns()
	for _, name := range []string{"upstreams", "param_overrides", "header_rules", "model_redirect_rules", "config"} {
		if hasContent(columns[name]) {
			c.say(notice(name, LeftOut, "has no effect for an aggregate in 1.x; it is left out"))
		}
	}
	if c.source.strict {
		c.say(notice("model_redirect_strict", LeftOut, "has no effect for an aggregate in 1.x; it is left out"))
	}
	// Ids of 1.x stand for those that the groups will have, so that the rules for members can be applied.
	others := make([]fleet.Group, 0, len(standard)+len(aggregates))
	for _, other := range slices.Concat(standard, aggregates) {
		if !other.leftOut && other != c {
			g := other.group
			g.ID = fleet.GroupID(other.source.id)
			others = append(others, g)
		}
	}
	for _, m := range members {
		weight := m.weight
		if bounded := min(max(weight, 0), fleet.MaxWeight); bounded != weight {
			c.say(notice(membersTable, Changed, "the weight %d of the group with id %d is out of bounds; it becomes %d", weight, m.group, bounded))
			weight = bounded
		}
		c.group.Members = append(c.group.Members, fleet.Member{GroupID: fleet.GroupID(m.group), Weight: int(weight), Tier: 1})
	}
	c.repair(others)
	var served []fleet.Group
	for _, m := range c.group.Members {
		g := others[slices.IndexFunc(others, func(g fleet.Group) bool { return g.ID == m.GroupID })]
		c.members = append(c.members, Member{Name: g.Name, Weight: m.Weight, Tier: m.Tier})
		if m.Weight > 0 {
			served = append(served, g)
		}
	}
	c.group.Members = nil
	c.inherit(served)
	if len(c.members) == 0 && !c.leftOut {
		c.say(notice(membersTable, Noted, "the aggregate has no members, so it serves nothing until some are added"))
	}
}

// asked are the settings that here count of the group that is asked, an aggregate, and in 1.x of the member that serves.
var asked = []string{"max_retries", "request_timeout", "enable_request_body_logging"}

// inherit gives an aggregate what all its members agree on, so that its requests are treated as they were.
func (c *conversion) inherit(members []fleet.Group) {
	if len(members) == 0 {
		return
	}
	for _, name := range asked {
		first, set := members[0].Settings[name]
		same := !slices.ContainsFunc(members, func(g fleet.Group) bool {
			value, ok := g.Settings[name]
			return ok != set || value != first
		})
		switch {
		case !same:
			c.say(notice("config."+name, Noted, "differs among the members; 1.x took that of the member that served, here the aggregate's own counts, which is the system's"))
		case set:
			if c.group.Settings == nil {
				c.group.Settings = make(map[string]string)
			}
			c.group.Settings[name] = first
			c.say(notice("config."+name, Changed, "is %s in every member; the aggregate gets it too, because here its own counts", first))
		}
	}
}

func checkParamPath(path string) error {
	_, err := jsonbody.ParsePath(path)
	return err
}
