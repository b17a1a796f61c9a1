// Package maintenance does the work that nobody waits for: it tests invalid keys and deletes old records. In a
// fleet only the leader runs it.
//
// A job is one file. It can be stopped at any moment and begun again anywhere: it keeps nothing that a new leader
// would miss but where it stands, and running it twice at once, as two leaders do for a moment, costs work and
// harms nothing. The Runner gives every job a goroutine, calls it with pauses that vary by a tenth, so that jobs and
// fleets do not march in step, and never calls it while it still runs.
//
// What moves data on every node (key states, request records) is no job: those are services of keypool and requestlog.
//
//	failure                        what happens
//	a job returns an error         one log line; tried again after its pause; one line when it works again
//	a job panics                   the same, with the stack: the proxy goes on
//	the database is away           keys: the pass goes on later where it stood; retention: the same chunk later
//	a provider is away             the pass over that group's keys ends, the next one begins an interval later
//	a group has too many keys      a pass is done in slices of a minute, in turn with other groups
//	the context ends               no new test or chunk begins, those under way are cancelled
package maintenance
