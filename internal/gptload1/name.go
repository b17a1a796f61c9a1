package gptload1

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"gpt-load/internal/fleet"
)

// groupNames gives every group its name here, by its id: its own, or, where that is not allowed, one that is made from it and
// is the same each time. Names that are allowed are never given to another group.
func groupNames(sources []sourceGroup) map[int64]string {
	names := make(map[int64]string, len(sources))
	taken := make(map[string]bool, len(sources))
	for _, s := range sources {
		if allowedName(s.name) && !taken[s.name] {
			names[s.id], taken[s.name] = s.name, true
		}
	}
	for _, s := range sources {
		if names[s.id] != "" {
			continue
		}
		name := foldName(s.name)
		if !allowedName(name) || taken[name] {
			digest := sha256.Sum256([]byte(s.name))
			name = withSuffix(name, hex.EncodeToString(digest[:4]))
		}
		if taken[name] { // only rows that were written by hand have the same name twice
			name = withSuffix(name, strconv.FormatInt(s.id, 10))
		}
		names[s.id], taken[name] = name, true
	}
	return names
}

// withSuffix keeps a name within its bound.
func withSuffix(name, suffix string) string {
	return strings.Trim(name[:min(len(name), fleet.MaxGroupName-1-len(suffix))]+"-"+suffix, "-")
}

// foldName is a name in lower case with a hyphen for everything that is not allowed.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
}

// allowedName asks the validation of groups.
func allowedName(name string) bool {
	faults := fleet.ValidateGroup(fleet.Group{Name: name}, fleet.GroupRules{})
	return !slices.ContainsFunc(faults, func(f fleet.FieldError) bool { return f.Field == "name" })
}
