// Package fleet is the vocabulary of GPT-Load: groups, members, upstreams, keys, verdict classes, request
// records and error codes. It does no I/O, knows no database and no wire format, and imports nothing of ours
// but the secret type. Every other package speaks these words; none may give them another meaning.
package fleet
