package sqlstore

import (
	"encoding/json"
	"strings"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// keyMatch is what a key has to be like, as conditions on key_row.
type keyMatch struct {
	state  fleet.KeyState // stored
	filter fleet.KeyFilter
	ids    []fleet.KeyID    // of which a key has one; none for any key
	acted  []fleet.KeyState // stored; none for any
	hashes [][]byte         // digests, of which a key has one; none for any key
	at     int64            // the present, by the database's clock
}

func (m *keyMatch) isZero() bool {
	return m.state == "" && len(m.acted) == 0 && len(m.ids) == 0 && m.hashes == nil && m.filter.IsZero()
}

// apply adds the conditions. Texts from people are cleaned like stored ones, so that they can match.
func (m *keyMatch) apply(sel *bun.SelectQuery, s *Store) {
	if m.state != "" {
		sel.Where("key_row.state = ?", string(m.state))
	}
	if len(m.ids) > 0 {
		sel.Where("key_row.id IN (?)", bun.List(m.ids))
	}
	if len(m.acted) > 0 {
		sel.Where("key_row.state IN (?)", bun.List(m.acted))
	}
	if m.hashes != nil {
		sel.Where("key_row.hash IN (?)", bun.List(m.hashes))
	}
	f := &m.filter
	m.states(sel, s)
	if f.Reason != "" {
		reason := clean(f.Reason, maxKeyReason)
		spelled, _ := json.Marshal(reason) // as in the column; a string always marshals
		sel.Where("(key_row.reason = ? OR key_row.cooldowns <> '' AND "+s.dialect.contains("key_row.cooldowns")+")", reason, `"r":`+string(spelled))
	}
	if f.Notes != "" {
		// Both by the database, which may not know the case of all letters.
		sel.Where("key_row.notes <> ''").Where("LOWER(key_row.notes) LIKE LOWER(?) ESCAPE '!'", likePattern(clean(f.Notes, maxKeyNotes)))
	}
	if f.Tag != "" {
		tag, _ := json.Marshal(clean(f.Tag, maxKeyTag)) // as in the column; a string always marshals
		sel.Where("key_row.tags <> ''").Where(s.dialect.contains("key_row.tags"), string(tag))
	}
	if !f.CreatedFrom.IsZero() {
		sel.Where("key_row.created_at >= ?", s.stamp(f.CreatedFrom))
	}
	if !f.CreatedTo.IsZero() {
		sel.Where("key_row.created_at < ?", s.stamp(f.CreatedTo))
	}
	m.used(sel)
}

// states adds that a key has one of the states as they are shown.
func (m *keyMatch) states(sel *bun.SelectQuery, s *Store) {
	if len(m.filter.States) == 0 {
		return
	}
	stored, whole := storedStates(m.filter.States)
	if whole {
		sel.Where("key_row.state IN (?)", bun.List(stored))
		return
	}
	var ways []string
	var args []any
	for _, state := range m.filter.States {
		switch state {
		case fleet.KeyActive:
			ways, args = append(ways, "key_row.state = 'active' AND (key_row.cooldowns = '' OR "+s.dialect.restsUntil+" <= ?)"), append(args, m.at)
		case fleet.KeyCooling:
			ways, args = append(ways, "key_row.state = 'active' AND key_row.cooldowns <> '' AND "+s.dialect.restsUntil+" > ?"), append(args, m.at)
		default:
			ways, args = append(ways, "key_row.state = ?"), append(args, string(state))
		}
	}
	sel.Where("("+strings.Join(ways, " OR ")+")", args...)
}

// used adds what is asked for of the last use.
func (m *keyMatch) used(sel *bun.SelectQuery) {
	const usage = "EXISTS (SELECT 1 FROM key_usage AS used WHERE used.key_id = key_row.id"
	if m.filter.NeverUsed {
		sel.Where("NOT " + usage + ")")
	}
	if used, condition, args := usedBetween(&m.filter, "used"); used {
		sel.Where(usage+" AND "+condition+")", args...)
	}
}

// usedBetween is what a filter says of the time of the last use, as a condition on key_usage, and whether it says anything. The
// times come from request records, which keep the time of their node.
func usedBetween(f *fleet.KeyFilter, table string) (says bool, condition string, args []any) {
	if !f.UsedFrom.IsZero() {
		condition, args = table+".last_used_at >= ?", append(args, micros(f.UsedFrom))
	}
	if !f.UsedTo.IsZero() {
		if condition != "" {
			condition += " AND "
		}
		condition, args = condition+table+".last_used_at < ?", append(args, micros(f.UsedTo))
	}
	return condition != "", condition, args
}
