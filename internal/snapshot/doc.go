// Package snapshot holds the compiled, immutable view of settings and groups that a node serves from.
//
// A request loads the snapshot once, from an atomic pointer, and keeps it to its end: a change in the middle
// never mixes two configurations. A change commits rows and a new revision; every path by which a node hears
// of it (the admin API of the same node, a poll) ends in the same Loader.Reload, which reads everything and swaps the
// pointer only when the revision is newer. A reload that fails leaves the old snapshot serving.
//
//	failure                                what happens
//	store away while serving               the old snapshot serves; one log line; the next poll tries again
//	a stored value that is not valid       that value falls back one level and is reported; the rest applies
//	a group that cannot be compiled        it is left out and reported; the others serve
//	two reloads at once                    they run one after the other; an older revision never replaces a newer
package snapshot
