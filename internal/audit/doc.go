// Package audit is what is said of changes: who or why, what, before and after, and how to undo it. It does no I/O: stores write
// events, most of them in the transaction of the change itself, so that neither is there without the other.
//
// # Who
//
// Whoever takes a request puts an Actor into its context; the store reads it from there. A change without one is the system's
// own: a verdict, a validation, a job.
//
// # What an event shows, and what it hides
//
// Before and After list the fields that changed. Secrets are masked in them: proxy keys and provider keys down to their last four
// characters, values of header rules, texts inside param overrides and credentials in URLs whole. What it takes to undo a
// change of settings or of a group holds secrets, is stored apart, sealed, and never shown.
//
// One act is one event, however many keys it touches. An act on more keys than one transaction takes counts on in its event
// with each transaction: where it broke off, the event tells how far it came.
//
// # Undo
//
// An undo is a change of its own, with an event of its own. It puts back the fields that the event changed and no others, and only
// while each of them still stands as the event left it: what was changed again since is not overwritten. Keys of a bulk act
// that moved on stay as they are; the others go back. An event is undone once.
//
// # Bounds
//
// Acts are kept for 400 days, automatic changes and wrong keys for 90 days and a million events, whatever comes first:
// see sqlstore.PruneAudit.
package audit
