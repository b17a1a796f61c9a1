package backup

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/jsonbody"
	"gpt-load/internal/secret"
)

// Action is what a change does.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// Change is one difference between what is wanted and what runs.
type Change struct {
	Action Action
	// Setting is the name of a setting, or empty; then it is about Group.
	Setting string
	Group   string
	// Lines show the difference, each with a sign before it: + - or a space. Secrets are masked.
	Lines []string
	// LosesKeys is how many provider keys a deleted group takes with it.
	LosesKeys int

	from, to         *Group // of a group; nil where there is none
	hadValue, toText *string
}

// Plan is everything that has to be changed, in the order in which it is shown: settings, then groups, each by name.
type Plan struct {
	Changes []Change
	// Unchanged and Kept count the groups that are as they are wanted, and those that nobody asked for.
	Unchanged, Kept int
	// Notes say what a file left out and an installation does not have either.
	Notes []string

	running *Running
}

// Options say how far a plan goes.
type Options struct {
	// Prune deletes groups and resets settings that are not wanted.
	Prune bool
}

// PlanChanges compares what is wanted with what runs. Errors: *FileError for what the admin API would refuse.
func PlanChanges(want *Document, have *Running, o Options) (*Plan, error) {
	p := &Plan{running: have}
	want = p.complete(want)
	if err := check(want, have, o); err != nil {
		return nil, err
	}
	want.sort() // behind check, which names places of the file
	p.settings(want, o)
	wanted := make(map[string]bool, len(want.Groups))
	for i := range want.Groups {
		to := &want.Groups[i]
		wanted[to.Name] = true
		p.group(have.find(to.Name), to)
	}
	for i := range have.Groups {
		g := &have.Groups[i]
		switch {
		case wanted[g.Name]:
		case o.Prune:
			p.group(g, nil)
		default:
			p.Kept++
		}
	}
	slices.SortStableFunc(p.Changes, func(a, b Change) int { return strings.Compare(a.Group, b.Group) })
	return p, nil
}

// Empty reports whether nothing differs.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

// Count is the number of changes of groups, and of settings as updates, with an action.
func (p *Plan) Count(action Action) int {
	n := 0
	for _, c := range p.Changes {
		if c.Action == action {
			n++
		}
	}
	return n
}

func (d *Document) find(name string) *Group {
	i := slices.IndexFunc(d.Groups, func(g Group) bool { return g.Name == name })
	if i < 0 {
		return nil
	}
	return &d.Groups[i]
}

// complete puts the secrets that a file left out in place, as they are in the installation.
func (p *Plan) complete(file *Document) *Document {
	d := &Document{Settings: maps.Clone(file.Settings), Groups: slices.Clone(file.Groups), lines: file.lines}
	if d.Settings == nil {
		d.Settings = map[string]string{}
	}
	for _, name := range slices.Sorted(maps.Keys(file.omitted)) {
		if value, ok := p.running.Settings[name]; ok {
			d.Settings[name] = value
		} else {
			p.note("the setting %s is left out of the file and not set here either", name)
		}
	}
	for i := range d.Groups {
		p.completeGroup(&d.Groups[i])
	}
	return d
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

func (p *Plan) completeGroup(g *Group) {
	have := p.running.find(g.Name)
	if have == nil {
		have = &Group{}
	}
	if g.omitted.proxyKeys {
		if g.ProxyKeys = slices.Clone(have.ProxyKeys); len(g.ProxyKeys) == 0 {
			p.note("the proxy keys of %s are left out of the file, and there are none here", g.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.omitted.settings)) {
		value, ok := have.Settings[name]
		if !ok {
			p.note("the setting %s of %s is left out of the file and not set here either", name, g.Name)
			continue
		}
		if g.Settings = maps.Clone(g.Settings); g.Settings == nil {
			g.Settings = map[string]string{}
		}
		g.Settings[name] = value
	}
	if len(g.omitted.headers) == 0 {
		return
	}
	var rules []fleet.HeaderRule
	for _, rule := range g.HeaderRules {
		if g.omitted.headers[strings.ToLower(rule.Name)] {
			at := slices.IndexFunc(have.HeaderRules, func(h fleet.HeaderRule) bool {
				return strings.EqualFold(h.Name, rule.Name) && h.Action == fleet.HeaderSet
			})
			if at < 0 {
				p.note("the value of the header rule for %s of %s is left out of the file, and there is no such rule here: it is not made", clip(rule.Name), g.Name)
				continue
			}
			rule.Value = have.HeaderRules[at].Value
		}
		rules = append(rules, rule)
	}
	g.HeaderRules = rules
}

// check judges the groups as they will be, by the rules of the admin API.
func check(want *Document, have *Running, o Options) error {
	var faults []Fault
	seen := make(map[string]bool, len(want.Groups))
	for i, g := range want.Groups {
		place := want.placeOf(i)
		if name := strings.ToLower(g.Name); seen[name] && name != "" {
			faults = append(faults, want.faultAt(place+".name", "another group of the file has this name; names that differ only in case count as the same"))
		}
		seen[strings.ToLower(g.Name)] = true
	}
	if len(faults) > 0 {
		return &FileError{Faults: faults}
	}
	final, ids := finalGroups(want, have, o)
	rules := fleet.GroupRules{Groups: final, CheckParamPath: func(path string) error { _, err := jsonbody.ParsePath(path); return err }}
	for i, g := range want.Groups {
		faults = append(faults, checkGroup(want, i, g, have, ids, rules)...)
	}
	for _, g := range final[len(want.Groups):] { // those of the installation that stay: a member may change under them
		for _, f := range fleet.ValidateGroup(g, rules) {
			if strings.HasPrefix(f.Field, "members") {
				faults = append(faults, Fault{Message: fmt.Sprintf("the aggregate %s stays as it is, and would not be valid any more: %s", g.Name, f.Message)})
			}
		}
	}
	if len(faults) > 0 {
		return &FileError{Faults: faults}
	}
	return nil
}

// placeOf is where a group stands in its file; without a file, such as from GPT-Load 1.x, its name has to do.
func (d *Document) placeOf(group int) string {
	if d.lines == nil {
		return "group " + d.Groups[group].Name
	}
	return fmt.Sprintf("groups[%d]", group)
}

func checkGroup(want *Document, i int, g Group, have *Running, ids map[string]fleet.GroupID, rules fleet.GroupRules) []Fault {
	var faults []Fault
	place := want.placeOf(i)
	if old := have.find(g.Name); old != nil && old.Kind != g.Kind {
		faults = append(faults, want.faultAt(place+".kind", fmt.Sprintf("the group is there as %s, and a kind cannot be changed; delete it first, or take another name", old.Kind)))
	}
	judged := rules.Groups[i]
	for n, m := range g.Members {
		if _, ok := ids[m.Group]; !ok {
			faults = append(faults, want.faultAt(fmt.Sprintf("%s.members[%d].group", place, n), "there is no group of this name in the file, nor one that stays"))
		}
	}
	if len(faults) > 0 {
		judged.Members = nil
	}
	for _, f := range fleet.ValidateGroup(judged, rules) {
		faults = append(faults, want.faultAt(place+"."+strings.Replace(f.Field, ".group_id", ".group", 1), f.Message))
	}
	return faults
}

// finalGroups are the groups as they will be, first those that are wanted, with ids that hold for this only.
func finalGroups(want *Document, have *Running, o Options) ([]fleet.Group, map[string]fleet.GroupID) {
	var all []Group
	all = append(all, want.Groups...)
	if !o.Prune {
		for _, g := range have.Groups {
			if want.find(g.Name) == nil {
				all = append(all, g)
			}
		}
	}
	ids := make(map[string]fleet.GroupID, len(all))
	for i, g := range all {
		ids[g.Name] = fleet.GroupID(i + 1)
	}
	final := make([]fleet.Group, len(all))
	for i, g := range all {
		final[i] = g.Group
		final[i].ID = ids[g.Name]
		for _, m := range g.Members {
			final[i].Members = append(final[i].Members, fleet.Member{GroupID: ids[m.Group], Weight: m.Weight, Tier: m.Tier})
		}
	}
	return final, ids
}

func (p *Plan) settings(want *Document, o Options) {
	names := slices.Collect(maps.Keys(want.Settings))
	if o.Prune {
		for name := range p.running.Settings {
			if _, ok := want.Settings[name]; !ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		c := Change{Action: Update, Setting: name}
		if had, ok := p.running.Settings[name]; ok {
			c.hadValue = &had
		}
		if to, ok := want.Settings[name]; ok {
			c.toText = &to
		}
		if c.hadValue == nil && isDefault(name, *c.toText) || c.hadValue != nil && c.toText != nil && *c.hadValue == *c.toText {
			continue
		}
		c.Lines = difference(settingLines(name, c.hadValue, c.toText))
		p.Changes = append(p.Changes, c)
	}
}

func (p *Plan) group(from, to *Group) {
	c := Change{from: from, to: to}
	switch {
	case from == nil:
		c.Action, c.Group = Create, to.Name
	case to == nil:
		c.Action, c.Group = Delete, from.Name
		counts := p.running.byName[from.Name].KeyCounts
		if from.Kind == fleet.KindStandard {
			c.LosesKeys = counts.Active + counts.Cooling + counts.Invalid + counts.Disabled
		}
	case same(*from, *to):
		p.Unchanged++
		return
	default:
		c.Action, c.Group = Update, to.Name
	}
	c.Lines = difference(groupLines(from, to))
	p.Changes = append(p.Changes, c)
}

// same compares what both would be in a file, and the secrets themselves.
func same(a, b Group) bool {
	plainKeys := func(keys []secret.Text) []string {
		out := make([]string, len(keys))
		for i, k := range keys {
			out[i] = k.Reveal()
		}
		return out
	}
	if !slices.Equal(plainKeys(a.ProxyKeys), plainKeys(b.ProxyKeys)) || !maps.Equal(a.Settings, b.Settings) {
		return false
	}
	if !slices.EqualFunc(a.ParamOverrides, b.ParamOverrides, func(a, b fleet.ParamOverride) bool {
		return a.Path == b.Path && (a.Value == nil) == (b.Value == nil) && string(compact(a.Value)) == string(compact(b.Value))
	}) {
		return false
	}
	return slices.Equal(a.Upstreams, b.Upstreams) && slices.Equal(a.Members, b.Members) && slices.Equal(a.HeaderRules, b.HeaderRules) &&
		slices.Equal(a.ModelRedirects, b.ModelRedirects) && reflect.DeepEqual(scalarsOf(a), scalarsOf(b))
}

// scalarsOf is a group without its lists.
func scalarsOf(g Group) fleet.Group {
	return fleet.Group{
		Name: g.Name, DisplayName: g.DisplayName, Description: g.Description, Kind: g.Kind, Channel: g.Channel, Sort: g.Sort,
		ModelRedirectStrict: g.ModelRedirectStrict, Validation: g.Validation,
	}
}
