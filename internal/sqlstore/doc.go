// Package sqlstore keeps the configuration, the keys and the request records of GPT-Load in a relational database through
// bun: an SQLite file for one node, PostgreSQL or MySQL (also MariaDB) for a fleet. It is the only package that imports bun
// and the drivers. What differs between the databases stands in dialect; one suite of tests runs on each of them.
//
// # Rules
//
//   - Three lives, three types: rows are types of this package, domain types carry no struct tags.
//   - Times are integers, microseconds since 1970 in UTC. The databases differ in time types, in zones and
//     in precision (SQLite has no time type, MySQL's keeps whole seconds unless told otherwise); integers compare,
//     sort and index alike everywhere, and a microsecond is what the finest of them keeps.
//   - Ids are int64, never used twice: a group or key that is gone is not mistaken for a new one. Record ids are the
//     16 bytes of a UUID version 7, so the primary key is also the order of time.
//   - Names are compared without regard to case by a lower-case copy with a plain unique index, because collations
//     differ. Key digests are raw bytes, so no collation can fold them.
//   - Every statement has a bound: at most 500 rows, and long work is cut into short transactions, so that
//     a bulk import never keeps the writers of verdicts and records waiting. On a server it has a deadline, too: the
//     caller's, or 10 seconds.
//   - Secrets (key values, groups' proxy keys, header rules, param overrides, secret settings, files of operations, ways back of events) are sealed with
//     secret.Box; the associated data is the place they stand in. Nothing sealed can be written or read before Unlock.
//   - Request records are what is written most, so they alone go past bun's query builder: prepared statements with bound
//     arguments, for PostgreSQL one array a column; in columns only what pages search by, in JSON the rest.
//     BenchmarkWriteRecords measures the processor time of both sides.
//   - Errors are *fleet.Error with a message that holds no value of a row and nothing of DATABASE_DSN; see errors.go.
//
// # Revisions
//
// Two counters tell a node what it lacks: one of the configuration, one of the keys. A write raises its counter first of all
// and in its own transaction. The row stays locked until the commit, so revisions become visible in their order; what the
// transaction reads afterwards cannot change under it; and writers wait for each other in this one place, in this one
// order, instead of meeting crosswise further on. Each key carries the revision that changed it last, and deletions are
// remembered for a day, so KeysSince reads what is newer among a million keys by an index. Who asks for something older
// than what is remembered hears CodeGone and reads everything again.
//
// Each group carries the revision that changed it last, and so do the settings as a whole, in a row beside the counters. Who
// changes what he saw at a revision names it; it is compared in the transaction that holds the counter, so that of several
// who saw the same one is served and the others hear CodePreconditionFailed.
//
// Request records raise no revision. Their writers meet in the rows of their source (two leaders that overlap for a moment
// are put in line there, and the second finds the position reached), of hours and of keys, which they take in the order of
// the primary key. What a database still calls a deadlock is undone and tried again.
//
// # Audit
//
// Whatever changes settings, groups, keys, operations or sessions writes its event itself, in the same transaction, with the actor
// of its context: see begin and record. A change that takes several transactions counts on in one event. What it takes to undo a
// change of settings or groups is sealed; of keys it is ids and states. Automatic changes come in batches: each transaction of
// ApplyKeyChanges reads how its keys stand with one statement and adds its events with another one.
//
// # Clocks
//
// Nodes' clocks may be minutes apart, and what verdicts and operators do to a key must be put in order. The store measures how
// far the database's clock is ahead, in the statement that reads the revisions, and converts the times of keys at its
// border: see clock. Request records keep the time of the node that wrote them.
//
// # SQLite
//
// One connection writes, a few read. SQLite lets only one writer in at a time; queueing writers in the process costs
// less than letting them meet at the file's lock. Write transactions begin IMMEDIATE, so two processes wait for each
// other (up to busyTimeout) instead of failing half way. WAL with synchronous=NORMAL survives kill -9 of the process
// without loss; a power cut may lose the last commits, never the file's consistency.
//
// Space that deletions free returns to the file system by ReclaimSpace, because the file is made with
// auto_vacuum=INCREMENTAL. A file made by something else with auto_vacuum off keeps its size until VACUUM.
//
// # Servers
//
// A server need not answer when a store is opened, and may be restarted, fail over or freeze while it is in use: connections
// are few, young and checked before use, and each call ends by its deadline, its COMMIT included. What texts and
// transactions rely on (character set, quoting, READ COMMITTED on MySQL) is set for each session, whatever the server's
// defaults. A session that is silent within a transaction for 15 seconds is ended by the server: a node that was stopped
// there must not keep the fleet from writing. No statement is prepared by name and no lock
// outlives its transaction, so PgBouncer can pool transactions; that is by design and not under test.
//
// The parameters of DATABASE_DSN are those of the drivers, pgx and go-sql-driver/mysql, TLS among them.
//
// # Migrations
//
// bun's own migrator locks by a table row that a killed process leaves behind, so the runner is ours. One process at a time
// migrates: in an IMMEDIATE transaction of SQLite, in a transaction with an advisory lock on PostgreSQL, under GET_LOCK on
// MySQL. All three end with the connection. On the first two a killed migration is undone; MySQL commits every CREATE, so
// there each statement may run again. A version means the same on every database; one that a newer GPT-Load made is refused.
//
// # Change of ENCRYPTION_KEY
//
// What is sealed names its key, so every row tells by itself whether it is done, and who has both keys, in a box beside another
// one, can read everything at each moment. Rekey works in this order:
//
//  1. Everything is opened, and the rights are tried. Nothing is changed before that.
//  2. The cut-over, one transaction: the installation names the new key, the table rekeying remembers the old one, settings
//     are sealed anew, both revisions are raised. From here on nothing is written with the old key, because each transaction
//     that writes a secret looks at the installation's key while it holds a revision: see stillSealing.
//  3. Groups and then keys are sealed anew by ascending id, in short transactions that store how far they came. They raise
//     the revisions, so that the local copies of nodes get the rows. The files of operations and the ways back of events follow.
//  4. Everything is opened again, with the new key alone. Then the row in rekeying goes, and with it the old key.
//
// Between the cut-over and the end Unlock refuses who has one key only. A killed call is completed by the next one, which
// begins with 1 and goes on where 3 was; with the keys exchanged, it does the same in the other direction.
//
// Nodes may serve meanwhile when each has both keys, the new one in ENCRYPTION_KEY and the old one in ENCRYPTION_KEY_OLD. Such
// a node reads what either of them sealed and writes with the one that the installation names, which is the old one until the
// cut-over: so nodes can get their second key one by one, before, and lose the first one by one, after. A key is looked up by
// both digests, and AddKeys, which holds the revision of keys as each batch of step 3 does, takes a value that is there
// under the other digest for the duplicate that it is. The table nodes tells who uses the database, and with which keys.
//
// # What goes wrong
//
//	fault                                  | what happens
//	---------------------------------------|-----------------------------------------------------------
//	file locked by another process         | wait 5 s, then CodeUnavailable; nothing is half done
//	disk full, file read-only, store closed| CodeUnavailable with the remedy; the cause is for the log
//	server away, frozen, cut off           | CodeUnavailable by the deadline; the same store works again with the server
//	account, database or certificate wrong | CodeInvalid with the remedy, on the first call
//	writers collide                        | undone and tried again, five times at most
//	node frozen inside a transaction       | others wait 15 s at most, its own work is undone
//	outcome of a COMMIT unknown            | CodeUnavailable; records and key changes may be written again without harm
//	process killed in a bulk import        | whole chunks stand; the same import again adds the rest
//	process killed in DeleteGroup          | the group is gone; its keys are unreachable, the retention job deletes them
//	process killed in a migration          | the next one begins where the last whole version stands
//	a batch of records comes twice         | the position stored in the same transaction skips it
//	a batch overlaps what is stored        | it is rolled back and written again without what is there
//	a record with NULs, bad UTF-8, novels  | cleaned and clipped; the batch goes through
//	a sealed key value damaged             | that key is left out and logged; the rest serves
//	a sealed group value damaged           | an error that names the group: it must not serve without its rules
//	process killed in Rekey                | nodes do not start without both keys; the next call completes it or turns it back
//	disk full, server away in Rekey        | the batch is undone; as above
//	a node with the old key only, in Rekey | it serves from memory; what it writes is refused, what it reads says why
//	wrong, missing or unexpected passphrase| Unlock refuses and names ENCRYPTION_KEY; so does a write after another node's
package sqlstore
