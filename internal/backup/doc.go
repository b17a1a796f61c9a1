// Package backup holds a whole configuration as YAML: it writes the file, reads it, says what differs from a running
// installation, and makes that the same, all through the admin API.
//
// # The file
//
// A file is a stream of YAML documents. The first one has the settings that are not at their defaults and the groups, members
// by name; ids, revisions and times are of one installation and stay there. Each of the others has up to KeysPerDocument
// provider keys of one group, so that neither side ever holds a file of half a million keys. Everything stands in a stable
// order (settings and groups by name, lists as they are configured), and what is at its zero value is left out, so that a
// repository shows what changed and nothing else.
//
// # Secrets
//
// Proxy keys, provider keys, the secret settings and the values of header rules that look like credentials are each
//
//	!sealed v1:...   sealed with the passphrase of the file (argon2id and AES-256-GCM of package secret, a salt per file),
//	!omitted         left out: whatever the installation has stays, or
//	a plain text     which export never writes, and people may.
//
// A file that is written over an earlier one with the same passphrase keeps its salt and the sealed form of each secret that
// did not change: sealing is random, and every line would differ otherwise. The tag !sealed binds a secret to its kind, not
// to its place: who may edit the file may move groups about, and could lead keys away by an address anyway. So write access
// to the file is trusted; reading it is not.
//
// # Difference and application
//
// A name is the identity of a group. A group of the file becomes what the file says, whole; settings and groups that
// the file does not have stay, unless Prune. Everything is checked by the rules of the admin API before the first
// change, against the groups as they will be. Each change is one request; updates and deletions carry the revision
// that the plan saw, so that nobody's change is overwritten unseen. Broken off, it is completed by doing it again.
//
//	fault                                   | what happens
//	----------------------------------------|--------------------------------------------------------------
//	unknown or repeated members, wrong types| Read refuses, with all of them and their lines
//	a wrong or missing passphrase           | Read refuses before anything is asked of the installation
//	anchors and aliases                     | Read refuses: a few lines could stand for gigabytes
//	a huge or endless file                  | Read refuses at a bound for each document
//	a group twice, an aggregate in another  | PlanChanges refuses
//	somebody else changes a group meanwhile | its change is refused (precondition_failed); a new plan shows where it stands
package backup
