// Package operation does long bulk work on keys: import, validation, change, deletion, export and copy. An operation is a row in the
// database, so that every node shows it, any node runs it, and none has to live for it.
//
// # Life
//
//	uploading   an import whose file is still coming; it has changed nothing
//	waiting     to be claimed by a node
//	running     a node has claimed it and says every second that it lives
//	succeeded, failed, canceled
//
// A group has at most one operation of each kind that has not ended; who begins a second one hears its id. The file of an import
// is read as it arrives, so that a broken one is refused before anything is changed, and kept in the database, sealed and in
// chunks, until the operation ended.
//
// # Claims
//
// A node that claims an operation gets a number, higher with each claim. Every step that a worker does is one transaction that
// changes keys, moves the operation's position and adds to its result, all or nothing, and only while the number is
// still the newest. A node that is taken over for dead and is not can therefore neither do a step twice nor report one
// twice. A node that stops gives its operations back; one that is killed loses them after HeartbeatTimeout. The next node
// goes on at the position.
//
// # What goes wrong
//
//	fault                              | what happens
//	-----------------------------------|------------------------------------------------------------------
//	the upload breaks off              | the operation failed and says that nothing was changed
//	the node dies during an upload     | the same, after UploadTimeout, said by another node
//	the file is none of keys           | refused with the line; nothing was changed
//	the node dies in the work          | another one goes on within HeartbeatTimeout, exactly where it stood
//	the database is away               | tried again for ten minutes; then it failed and says what stands
//	the group is deleted               | it failed and says so
//	canceled                           | the step under way ends, what is done stays and is counted
//	the worker panics                  | it failed; the log has the stack
package operation
