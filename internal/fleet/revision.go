package fleet

// Revisions are counters that a write raises in its own transaction, so that every node can tell whether it has what the
// database has. Each starts at 0 and follows the order of commits.
type Revisions struct {
	Configuration int64 // of settings, groups and members
	Settings      int64 // what Configuration was at the last change of a setting
	Keys          int64 // of provider keys: added, changed or deleted
}

// KeyDelta is what changed among the keys of all groups after some revision. That a group was deleted is not told key by
// key: the configuration says that it is gone, and its keys with it.
type KeyDelta struct {
	Changed []Key        // added or changed, as they stand now
	Deleted []DeletedKey // deleted one by one, not with their group
	// UpTo is the revision that a reader has reached who applied this: ask for what is after it next.
	UpTo int64
}

// DeletedKey names a key that is gone.
type DeletedKey struct {
	ID      KeyID
	GroupID GroupID
}
