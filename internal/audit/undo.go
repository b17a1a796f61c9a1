package audit

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"gpt-load/internal/fleet"
)

// Undo is what it takes to undo an event. One of its parts is set.
type Undo struct {
	// Settings are changed settings by name, JSON strings in clear; null stands for the default.
	Settings *Change `json:"settings,omitempty"`
	// Group is the changed fields of a group in clear, as GroupFields writes them.
	Group *Change `json:"group,omitempty"`
	// Order is that of the ids of all groups.
	Order *Order `json:"order,omitempty"`
	// Keys are the ways back of keys of one group.
	Keys []KeyStep `json:"keys,omitempty"`
	// Values are those that people gave to keys of one group: weights, notes and tags.
	Values []ValueStep `json:"values,omitempty"`
}

// Change is the same fields before and after.
type Change struct {
	Before Fields `json:"before"`
	After  Fields `json:"after"`
}

// Order is that of groups, before and after.
type Order struct {
	Before []fleet.GroupID `json:"before"`
	After  []fleet.GroupID `json:"after"`
}

// KeyStep puts keys back that stand as an event left them.
type KeyStep struct {
	From   fleet.KeyState `json:"from"`
	To     fleet.KeyState `json:"to"`
	Reason string         `json:"reason,omitempty"` // that they had
	IDs    []fleet.KeyID  `json:"ids"`
}

// ValueStep is the same change of several keys.
type ValueStep struct {
	Change
	IDs []fleet.KeyID `json:"ids"`
}

// Add takes in a further part of the same event.
func (u *Undo) Add(part Undo) {
	if part.Settings != nil {
		u.Settings = part.Settings
	}
	if part.Group != nil {
		u.Group = part.Group
	}
	if part.Order != nil {
		u.Order = part.Order
	}
	u.Values = append(u.Values, part.Values...)
	for _, step := range part.Keys {
		same := func(s KeyStep) bool { return s.From == step.From && s.To == step.To && s.Reason == step.Reason }
		if i := slices.IndexFunc(u.Keys, same); i >= 0 {
			u.Keys[i].IDs = append(u.Keys[i].IDs, step.IDs...)
		} else {
			u.Keys = append(u.Keys, step)
		}
	}
}

// Diff keeps of two states what differs. A field that one of them lacks is null there.
func Diff(before, after Fields) Change {
	c := Change{Before: Fields{}, After: Fields{}}
	for name, was := range before {
		is, ok := after[name]
		if !ok {
			is = null
		}
		if !bytes.Equal(was, is) {
			c.Before[name], c.After[name] = was, is
		}
	}
	for name, is := range after {
		if _, ok := before[name]; !ok && !bytes.Equal(is, null) {
			c.Before[name], c.After[name] = null, is
		}
	}
	return c
}

var null = []byte("null")

// Empty reports whether nothing changed.
func (c Change) Empty() bool { return len(c.Before) == 0 }

// Back returns what the changed fields were before, when they all stand now as the change left them. Else it is CodeConflict
// with the fields that moved on.
func (c Change) Back(now Fields) (Fields, error) {
	var faults []fleet.FieldError
	for _, name := range slices.Sorted(maps.Keys(c.After)) {
		is, ok := now[name]
		if !ok {
			is = null
		}
		if !bytes.Equal(is, c.After[name]) {
			faults = append(faults, fleet.FieldError{Field: name, Message: "was changed again since"})
		}
	}
	if len(faults) > 0 {
		return nil, &fleet.Error{Code: fleet.CodeConflict, Message: fmt.Sprintf("nothing was undone: %s", moved(len(faults), len(c.After))), Fields: faults}
	}
	return c.Before, nil
}

func moved(n, of int) string {
	if of == 1 {
		return "the field moved on"
	}
	return fmt.Sprintf("%d of the %d fields moved on", n, of)
}
