package adminapi

import "time"

// The orders of lists of keys. Of keys that are equal in the last three, the newest comes first.
const (
	KeysOldest   = "oldest" // first; the order without a word
	KeysNewest   = "newest"
	KeysLastUsed = "last_used" // lately used first, never used last
	KeysFailures = "failures"  // most counted failures first
	KeysWeight   = "weight"    // greatest first
)

// KeyFilter chooses keys of a group. What is left out does not filter; a key has to fit all of the rest.
type KeyFilter struct {
	State       string    `json:"state,omitempty" doc:"active (and not resting for every model), cooling (active, and resting for every model for 30 seconds or more), invalid or disabled; several with commas between."`
	Reason      string    `json:"reason,omitempty" maxLength:"64" doc:"Exactly this reason, of the state or of a rest."`
	Notes       string    `json:"notes,omitempty" maxLength:"500" doc:"Part of the notes, without regard to case."`
	Tag         string    `json:"tag,omitempty" maxLength:"40" doc:"One of the tags, exactly."`
	CreatedFrom time.Time `json:"created_from,omitzero" doc:"Added then or later."`
	CreatedTo   time.Time `json:"created_to,omitzero" doc:"Added before."`
	UsedFrom    time.Time `json:"used_from,omitzero" doc:"Last used then or later."`
	UsedTo      time.Time `json:"used_to,omitzero" doc:"Last used before; keys that were never used do not fit."`
	NeverUsed   bool      `json:"never_used,omitempty" doc:"Only keys that no record names."`
}
