package sqlstore

import (
	"slices"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// keyWalk is a way along an index over keys, or over what is counted of them: in the order of a column, the largest value first,
// and of ids.
type keyWalk struct {
	column    string // empty for the order of ids alone
	ascending bool   // of ids; a walk with a column goes down
	usage     bool   // along key_usage, from which it goes on to the keys, of whatever group they are
	where     string // what the index is made for; empty for all keys of the group
	args      []any  // of where
	also      string // what belongs to the walk and is looked for on the way
}

// complete reports whether everything on the way belongs to the walk.
func (w *keyWalk) complete() bool { return !w.usage && w.also == "" }

// keyWalks chooses what to walk along for a query, and what of its filter is left to look for on the way.
func (s *Store) keyWalks(q *fleet.KeyQuery) (walks []keyWalk, rest keyMatch) {
	rest = keyMatch{filter: q.Filter, at: s.stamp(now())}
	switch q.Sort {
	case fleet.KeysLastUsed:
		rest.state = q.State
		return lastUsedWalks(&rest.filter), rest
	case fleet.KeysFailures:
		rest.state = q.State
		return []keyWalk{{column: "key_row.failures", where: "key_row.failures > 0"}, {also: "key_row.failures = 0"}}, rest
	case fleet.KeysWeight:
		rest.state = q.State
		return []keyWalk{{column: "key_row.weight", where: "key_row.weight > 1"}, {also: "key_row.weight <= 1"}}, rest
	}
	walk := keyWalk{ascending: q.Sort != fleet.KeysNewest}
	states, whole := storedStates(q.Filter.States)
	switch {
	case q.Group == 0:
		rest.state = q.State
	case q.State == "" && s.dialect.restIndex && slices.Equal(q.Filter.States, []fleet.KeyState{fleet.KeyCooling}):
		walk.where = "key_row.cooldowns <> ''"
	case q.State != "":
		walk.where, walk.args = "key_row.state = ?", []any{string(q.State)}
	case len(states) == 1:
		walk.where, walk.args = "key_row.state = ?", []any{states[0]}
		if whole {
			rest.filter.States = nil
		}
	}
	return []keyWalk{walk}, rest
}

// lastUsedWalks are the keys that were used and then the others, as far as a filter lets them; what it says of the use is not left
// to look for.
func lastUsedWalks(f *fleet.KeyFilter) (walks []keyWalk) {
	used, condition, args := usedBetween(f, "u")
	if !f.NeverUsed {
		walks = append(walks, keyWalk{column: "u.last_used_at", usage: true, where: condition, args: args})
	}
	if !used {
		walks = append(walks, keyWalk{also: "NOT EXISTS (SELECT 1 FROM key_usage AS u WHERE u.key_id = key_row.id)"})
	}
	f.UsedFrom, f.UsedTo, f.NeverUsed = time.Time{}, time.Time{}, false
	return walks
}

// storedStates are the stored states of shown ones, and whether all keys that stand so are meant.
func storedStates(shown []fleet.KeyState) (stored []string, whole bool) {
	whole = slices.Contains(shown, fleet.KeyActive) == slices.Contains(shown, fleet.KeyCooling)
	for _, state := range shown {
		if state == fleet.KeyCooling {
			state = fleet.KeyActive
		}
		if !slices.Contains(stored, string(state)) {
			stored = append(stored, string(state))
		}
	}
	return stored, whole
}

// id is the column of ids.
func (w *keyWalk) id() string {
	if w.usage {
		return "u.key_id"
	}
	return "key_row.id"
}

// value is what places on the walk have beside the id.
func (w *keyWalk) value() string {
	if w.column == "" {
		return "0"
	}
	return w.column
}

// index reads what the walk goes along, without the keys behind it.
func (w *keyWalk) index(sel *bun.SelectQuery, group fleet.GroupID) *bun.SelectQuery {
	table := "provider_keys AS key_row"
	if w.usage {
		table, group = "key_usage AS u", 0
	}
	return w.within(sel.TableExpr(table), group)
}

// belongs adds what makes a key one of the walk and of the group.
func (w *keyWalk) belongs(sel *bun.SelectQuery, group fleet.GroupID) {
	w.within(sel, group)
	if w.also != "" {
		sel.Where(w.also)
	}
	sel.Where(orphans)
}

// within adds what the index of the walk knows.
func (w *keyWalk) within(sel *bun.SelectQuery, group fleet.GroupID) *bun.SelectQuery {
	if group != 0 {
		sel.Where("key_row.group_id = ?", int64(group))
	}
	if w.where != "" {
		sel.Where(w.where, w.args...)
	}
	return sel
}

func (w *keyWalk) order(sel *bun.SelectQuery) *bun.SelectQuery {
	if w.column != "" {
		sel.OrderExpr(w.column + " DESC")
	}
	if w.ascending {
		return sel.OrderExpr(w.id())
	}
	return sel.OrderExpr(w.id() + " DESC")
}

// behind bounds a look to what comes after a place.
func (w *keyWalk) behind(sel *bun.SelectQuery, d *dialect, p walkPlace) {
	less := "<"
	if w.ascending {
		less = ">"
	}
	w.compare(sel, d, p, less, less)
}

// upTo bounds a look to what comes before a place, and that itself.
func (w *keyWalk) upTo(sel *bun.SelectQuery, d *dialect, p walkPlace) {
	if w.ascending {
		w.compare(sel, d, p, "<", "<=")
		return
	}
	w.compare(sel, d, p, ">", ">=")
}

func (w *keyWalk) compare(sel *bun.SelectQuery, d *dialect, p walkPlace, strict, last string) {
	switch {
	case w.column == "":
		sel.Where(w.id()+" "+last+" ?", p.id)
	case d.rowOrder:
		sel.Where("("+w.column+", "+w.id()+") "+last+" (?, ?)", p.value, p.id)
	default:
		sel.Where("("+w.column+" "+strict+" ? OR "+w.column+" = ? AND "+w.id()+" "+last+" ?)", p.value, p.value, p.id)
	}
}
