package gptload1

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gpt-load/internal/fleet"
)

// Plan is what of a 1.x database comes along. Applying it twice must change nothing the second time: a group is its name,
// a key its value within its group.
type Plan struct {
	Source Source
	// Settings are the system settings that differ from their defaults here, in canonical text by the names of
	// internal/settings. Some are secret, as in Groups: a plan is not for a log.
	Settings map[string]string
	// Groups stand in the order of creation: standard groups before the aggregates that name them.
	Groups []Group
	// Notices say what does not come along as it stands.
	Notices []Notice
}

// Source says which database was read.
type Source struct {
	Product    string // SQLite, PostgreSQL or MySQL
	Generation string // the 1.x releases whose tables look like this, such as "1.4 or later"
	Encrypted  bool   // whether key values are
}

// Group is one group to create, or to find by its name.
type Group struct {
	SourceID   int64  // in the 1.x database, where its keys are found by it
	SourceName string // differs from Name where 1.x allows what is not allowed here
	// Group is valid as it stands but for Members. ID, Members, Revision and times are zero.
	fleet.Group
	// Members are those of an aggregate, by name.
	Members []Member
	Keys    KeyTally
}

// Member is one group inside an aggregate.
type Member struct {
	Name   string // Group.Name of a group that stands before in the plan
	Weight int    // 0 to 1000
	Tier   int
}

// WithMembers gives the group with the ids of its members in place, which stand by name in ids once they are created.
// CodeNotFound names a member that is not there.
func (g Group) WithMembers(ids map[string]fleet.GroupID) (fleet.Group, error) {
	out := g.Group
	for _, m := range g.Members {
		id, ok := ids[m.Name]
		if !ok {
			return fleet.Group{}, fleet.NewError(fleet.CodeNotFound, fmt.Sprintf("the member %q of the aggregate %q is not there", m.Name, g.Name), nil)
		}
		out.Members = append(out.Members, fleet.Member{GroupID: id, Weight: m.Weight, Tier: m.Tier})
	}
	return out, nil
}

// Keys is the sum over all groups.
func (p *Plan) Keys() KeyTally {
	var sum KeyTally
	for _, g := range p.Groups {
		sum.Active += g.Keys.Active
		sum.Invalid += g.Keys.Invalid
		sum.Duplicates += g.Keys.Duplicates
		sum.LeftOut += g.Keys.LeftOut
	}
	return sum
}

func (p *Plan) notice(group string, notices ...Notice) {
	for _, n := range notices {
		n.Group = group
		p.Notices = append(p.Notices, n)
	}
}

// Plan reads the whole database, every key included, and changes nothing. It takes 5 to 10 s for a million keys. Errors:
// CodeInvalid when the encryption key is wrong, missing or superfluous, CodeUnavailable when the database goes away.
func (d *Database) Plan(ctx context.Context) (*Plan, error) {
	plan := &Plan{Source: Source{Product: d.address.product(), Generation: d.generation()}}
	if err := d.planSettings(ctx, plan); err != nil {
		return nil, err
	}
	sources, err := d.sourceGroups(ctx)
	if err != nil {
		return nil, err
	}
	members, err := d.sourceMembers(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := d.countKeys(ctx, plan)
	if err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		plan.notice("", notice(groupsTable, Noted, "the 1.x database has no groups"))
	}
	conversions := convertGroups(sources, members)
	known := make(map[int64]bool, len(sources))
	for _, c := range conversions {
		known[c.source.id] = true
		plan.notice(c.source.name, c.notices...)
		plan.addKeys(c, keys[c.source.id])
	}
	for _, id := range slices.Sorted(maps.Keys(keys)) {
		if !known[id] {
			plan.notice("", notice(keysTable, LeftOut, "%s of the group with id %d, which is not there; not imported", plural(keys[id].tally.Total(), "key"), id))
		}
	}
	return plan, nil
}

// addKeys puts a converted group into the plan, or says what becomes of the keys of one that does not come along.
func (p *Plan) addKeys(c *conversion, keys *groupKeys) {
	if keys == nil {
		keys = &groupKeys{}
	}
	switch n := keys.tally.Total(); {
	case c.leftOut:
		if n > 0 {
			p.notice(c.source.name, notice(keysTable, LeftOut, "%s of this group: not imported", plural(n, "key")))
		}
		return
	case c.group.Kind == fleet.KindAggregate:
		if n > 0 {
			p.notice(c.source.name, notice(keysTable, LeftOut, "%s in an aggregate, which 1.x never uses; not imported", plural(n, "key")))
		}
		keys = &groupKeys{}
	}
	p.notice(c.source.name, keys.notices(c.source.name)...)
	p.Groups = append(p.Groups, Group{
		SourceID: c.source.id, SourceName: c.source.name, Group: c.group, Members: c.members, Keys: keys.tally,
	})
}

// countKeys opens every key once and counts them by the group's id.
func (d *Database) countKeys(ctx context.Context, plan *Plan) (map[int64]*groupKeys, error) {
	var all sealings
	byGroup := make(map[int64]*groupKeys)
	of := func(id int64) *groupKeys {
		g := byGroup[id]
		if g == nil {
			g = &groupKeys{}
			byGroup[id] = g
		}
		return g
	}
	// Keys in clear are worth a word only between encrypted ones, which may come later.
	inClearIn := make(map[int64]*groupKeys)
	err := d.eachStoredKey(ctx, "", func(s storedKey) error {
		all[s.sealing]++
		of(s.group).add(s)
		if s.sealing == inClear && !s.leftOut && d.opener.aead != nil {
			g := inClearIn[s.group]
			if g == nil {
				g = &groupKeys{}
				inClearIn[s.group] = g
			}
			g.add(storedKey{id: s.id, faults: []keyFault{keyClearText}})
		}
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	if err := all.check(d.opener.aead != nil); err != nil {
		return nil, err
	}
	plan.Source.Encrypted = all[opened] > 0
	if plan.Source.Encrypted {
		for id, g := range inClearIn {
			of(id).addCounts(g)
		}
	}
	return byGroup, d.countDuplicates(ctx, of)
}

// countDuplicates counts the rows whose value stands in the group already. Before 1.1 a unique index kept them out, since
// then only the program does.
func (d *Database) countDuplicates(ctx context.Context, of func(int64) *groupKeys) error {
	if !d.has(keysTable, "key_hash") {
		return nil
	}
	hash, group := d.quote("key_hash"), d.quote("group_id")
	statement := "SELECT " + group + " AS group_id, COUNT(*) - COUNT(DISTINCT " + hash + ") AS duplicates FROM " + d.quote(keysTable) +
		" WHERE " + hash + " <> '' GROUP BY " + group + " HAVING COUNT(*) > COUNT(DISTINCT " + hash + ")"
	return d.query(ctx, "counting duplicate keys", statement, func(r row) error {
		id, _ := r.integer("group_id")
		n, _ := r.integer("duplicates")
		of(id).tally.Duplicates = int(n)
		return nil
	})
}

// sourceGroup is a row of groups, texts as they stand.
type sourceGroup struct {
	id                                                              int64
	name, displayName, description, kind, channel                   string
	sort                                                            int64
	upstreams, overrides, config, headerRules, redirects, proxyKeys string
	testModel, endpoint                                             string
	strict                                                          bool
}

func (d *Database) sourceGroups(ctx context.Context) ([]sourceGroup, error) {
	var groups []sourceGroup
	p := page{doing: "reading the groups", table: groupsTable, rows: groupPageRows, fields: d.fieldsOf(
		groupsTable, "name", "display_name", "description", "group_type", "channel_type", "sort", "upstreams", "param_overrides", "config",
		"header_rules", "model_redirect_rules", "model_redirect_strict", "proxy_keys", "test_model", "validation_endpoint",
	)}
	err := d.pages(ctx, p, func(id int64, r row) error {
		g := sourceGroup{
			id: id, name: strings.TrimSpace(r.text("name")), displayName: r.text("display_name"), description: r.text("description"),
			kind: strings.TrimSpace(r.text("group_type")), channel: strings.TrimSpace(r.text("channel_type")),
			upstreams: r.text("upstreams"), overrides: r.text("param_overrides"), config: r.text("config"), headerRules: r.text("header_rules"),
			redirects: r.text("model_redirect_rules"), strict: r.boolean("model_redirect_strict"), proxyKeys: r.text("proxy_keys"),
			testModel: strings.TrimSpace(r.text("test_model")), endpoint: strings.TrimSpace(r.text("validation_endpoint")),
		}
		g.sort, _ = r.integer("sort")
		groups = append(groups, g)
		return nil
	}, nil)
	// The order in which groups are shown here decides nothing else.
	slices.SortStableFunc(groups, func(a, b sourceGroup) int { return cmp.Or(cmp.Compare(a.sort, b.sort), cmp.Compare(a.id, b.id)) })
	return groups, err
}

// sourceMember is a row of group_sub_groups.
type sourceMember struct{ group, weight int64 }

// sourceMembers gives the members by the aggregate's id.
func (d *Database) sourceMembers(ctx context.Context) (map[int64][]sourceMember, error) {
	members := make(map[int64][]sourceMember)
	if d.columns[membersTable] == nil {
		return members, nil
	}
	p := page{
		doing: "reading the members of aggregates", table: membersTable, rows: pageRows,
		fields: d.fieldsOf(membersTable, "group_id", "sub_group_id", "weight"),
	}
	err := d.pages(ctx, p, func(_ int64, r row) error {
		aggregate, _ := r.integer("group_id")
		var m sourceMember
		m.group, _ = r.integer("sub_group_id")
		m.weight, _ = r.integer("weight")
		members[aggregate] = append(members[aggregate], m)
		return nil
	}, nil)
	return members, err
}
