// Package requestlog keeps one record of every proxied request until the database has it.
//
// # The way of a record
//
//	request --Record--> queue --writer--> spool (segments on disk) --flusher--> Sink (database)
//	          encode     memory, 20 ms    until the sink committed    batches    one transaction with its position
//
// Record encodes into one of several shards and returns; it waits for nothing. The writer comes at most 20 ms later,
// gives the frames their positions and appends them with one write(2). There is no fsync there: data in the page
// cache survives the death of the process, which is what "nothing lost that was answered 100 ms before a kill -9"
// asks for. Segments are synced when they are full and at shutdown, so a power cut costs at most the tail.
// The flusher takes batches from the spool to the sink and deletes a segment when the sink has committed all of it.
// A fleet puts a stream behind the same Sink interface; nothing before it changes.
//
// # Exactly once
//
// A spool has a random source id; every record has a position that grows. The sink stores (source, position) in
// the transaction that stores the records, and ignores a batch at or below the position it has. Three things
// could break that, so:
//
//   - An error may come back from a commit that happened, or happens a little later. After every error the
//     sink's position is asked again, and the batch of unknown fate is tried with the same end before others join it.
//   - The last frames may be lost in a power cut after they were delivered, and their positions given out again.
//     Positions of a process therefore begin at its clock in microseconds, above all earlier ones.
//   - The clock may have gone back as well. When the sink is at a position that is ours to give, the folder takes
//     a new source id.
//
// # Failures
//
//	failure                          what happens                                              what is lost
//	kill -9                          the next start delivers what is on disk                   the last 20 ms
//	power cut                        the torn tail is cut behind its last whole frame           what was not synced
//	sink away, slow, frozen          records wait on disk, back-off with jitter up to 4 s      nothing up to the disk bound
//	disk bound reached               new records wait in memory, then are dropped               counted: Drops.SpoolFull
//	disk full, folder gone           the same; delivered from memory as far as the sink takes   counted: Drops.WriteFailed
//	records faster than write(2)     dropped at the queue's bound                               counted: Drops.QueueFull
//	bad frame in a segment           on with the next segment, one log line                     counted: Stats.Corrupt
//	sink refuses a record for ever   it is set aside in rejected.jsonl, the rest goes on        counted: Stats.Rejected
//	sink refuses all records         nothing is set aside: taken for a fault of the sink        nothing
//	two processes in one folder      the second does not start (flock)                          nothing
//
// Every change of state is one log line, never one for each record.
//
// The spool holds what records hold, in clear and with mode 0600: never a credential, but bodies where the operator
// has asked for them.
package requestlog
