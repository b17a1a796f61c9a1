// Package sqlstore keeps the configuration, the keys and the request records of GPT-Load in a relational
// database through bun. It is the only package that imports bun. SQLite is served here; row types, queries and
// error translation are written so that PostgreSQL and MariaDB take a dialect file and a migrations folder each.
//
// # Rules
//
//   - Three lives, three types: rows are types of this package, domain types carry no struct tags.
//   - Times are integers, microseconds since 1970 in UTC. The three databases differ in time types, in zones and
//     in precision (SQLite has no time type, MariaDB's keeps whole seconds unless told otherwise); integers compare,
//     sort and index alike everywhere, and a microsecond is what the finest of the three keeps.
//   - Ids are int64, never used twice: a group or key that is gone is not mistaken for a new one. Record ids are the
//     16 bytes of a UUID version 7, so the primary key is also the order of time.
//   - Names are compared without regard to case by a lower-case copy with a plain unique index, because collations
//     differ. Key digests are raw bytes, so no collation can fold them.
//   - Every statement has a bound: at most 500 rows, and long work is cut into short transactions, so that
//     a bulk import never keeps the writers of verdicts and records waiting.
//   - Secrets (key values, groups' proxy keys, header rules, param overrides, secret settings) are sealed with
//     secret.Box; the associated data is the place they stand in. Nothing sealed can be written or read before Unlock.
//   - Request records are what is written most, so they alone go past bun's query builder: prepared statements with bound
//     arguments, in columns only what pages search by, in JSON the rest. BenchmarkWriteRecords measures the processor time.
//   - Errors are *fleet.Error with a message that holds no value of a row; see errors.go.
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
// # Migrations
//
// bun's own migrator locks by a table row that a killed process leaves behind, so the runner is ours: all that is
// pending is applied inside one IMMEDIATE transaction, which serialises processes that start at once and rolls back
// whole when one is killed. A database that a newer version migrated is refused.
//
// # What goes wrong
//
//	fault                                  | what happens
//	---------------------------------------|-----------------------------------------------------------
//	file locked by another process         | wait 5 s, then CodeUnavailable; nothing is half done
//	disk full, file read-only, store closed| CodeUnavailable with the remedy; the cause is for the log
//	process killed in a bulk import        | whole chunks stand; the same import again adds the rest
//	process killed in DeleteGroup          | the group is gone; its keys are unreachable, the retention job deletes them
//	a batch of records comes twice         | the position stored in the same transaction skips it
//	a batch overlaps what is stored        | it is rolled back and written again without what is there
//	a record with NULs, bad UTF-8, novels  | cleaned and clipped; the batch goes through
//	a sealed key value damaged             | that key is left out and logged; the rest serves
//	a sealed group value damaged           | an error that names the group: it must not serve without its rules
//	wrong, missing or unexpected passphrase| Unlock refuses and names ENCRYPTION_KEY
package sqlstore
