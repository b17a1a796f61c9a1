package settings

import (
	"strconv"
	"strings"

	"gpt-load/internal/fleet"
)

// Level says where the value of a setting comes from.
type Level string

// The levels, lowest first.
const (
	LevelDefault Level = "default"
	LevelSystem  Level = "system"
	LevelGroup   Level = "group"
)

// Normalize checks one value from JSON or text against the table and returns its canonical text. group tells
// that it is meant for a group. The error's message never quotes a secret.
func Normalize(name string, value any, group bool) (string, *fleet.FieldError) {
	d, ok := Find(name)
	if !ok {
		return "", &fleet.FieldError{Field: name, Message: "is not a setting; GET /api/v1/settings lists them"}
	}
	if group && !d.GroupOverride {
		return "", &fleet.FieldError{Field: name, Message: "cannot be overridden by a group; change it in the system settings"}
	}
	text, err := textOf(value)
	if err == nil {
		var scratch Values
		err = d.apply(&scratch, text)
	}
	if err != nil {
		return "", &fleet.FieldError{Field: name, Message: err.Error()}
	}
	return d.canonical(text), nil
}

func (d Descriptor) canonical(text string) string {
	text = strings.TrimSpace(text)
	switch d.Kind {
	case KindBool:
		var b bool
		_ = parseBool(text, &b)
		return strconv.FormatBool(b)
	case KindInt:
		n, _ := strconv.ParseInt(text, 10, 64)
		return formatInt(n)
	}
	return text
}

// Typed turns a canonical text into the JSON value of the setting's kind: int64, bool or string.
func (d Descriptor) Typed(text string) any {
	switch d.Kind {
	case KindInt:
		n, _ := strconv.ParseInt(text, 10, 64)
		return n
	case KindBool:
		return text == "true"
	}
	return text
}

// Resolve applies the system's values and then a group's overrides (nil for none) over the defaults. A stored
// value that the table no longer accepts is left at the level below and reported, so that one bad row
// cannot stop a node.
func Resolve(system, group map[string]string) (Values, []fleet.FieldError) {
	var values Values
	var faults []fleet.FieldError
	for _, d := range table {
		_ = d.apply(&values, d.Default)
		for level, layer := range []map[string]string{system, group} {
			text, set := layer[d.Name]
			if !set || (level == 1 && !d.GroupOverride) {
				continue
			}
			before := values
			if err := d.apply(&values, text); err != nil {
				values = before
				faults = append(faults, fleet.FieldError{Field: d.Name, Message: err.Error()})
			}
		}
	}
	return values, faults
}

// Effective returns the canonical text of one setting and the level it comes from.
func Effective(d Descriptor, system, group map[string]string) (string, Level) {
	if text, ok := group[d.Name]; ok && d.GroupOverride {
		return text, LevelGroup
	}
	if text, ok := system[d.Name]; ok {
		return text, LevelSystem
	}
	return d.Default, LevelDefault
}
