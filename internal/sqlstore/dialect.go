package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// dialect is what differs between the databases and bun does not smooth over.
type dialect struct {
	name string // of the migrations folder
	// patience bounds a statement or transaction whose caller set no deadline: a server can freeze. 0 for a file, whose own
	// bound is busyTimeout.
	patience time.Duration
	// snapshot are the options of a transaction whose reads all see one moment.
	snapshot *sql.TxOptions
	// clock is an SQL expression, the microseconds since 1970 by the database's clock; empty where that is the node's own.
	clock string
	// restsUntil is an SQL expression, the stored end of the rest of key_row for every model, in microseconds; 0 without one. An
	// element of the list of rests begins with the model, which is left out where it is every one.
	restsUntil string
	// restIndex tells whether there is an index of the keys that have or had rests.
	restIndex bool
	// rowOrder tells whether (a, b) < (1, 2) walks along an index.
	rowOrder bool
	// alone runs fn while no other process is inside alone on the same database. What it holds dies with its connection.
	alone func(ctx context.Context, s *Store, fn func(ctx context.Context, db session) error) error
	// split parts the text of a migration into what one call takes.
	split func(text string) []string
	// contains is an SQL expression, true when the column holds the placeholder's text, case-sensitively.
	contains func(column string) string
	// hex is an SQL expression, the upper-case hexadecimal text of a binary column.
	hex func(column string) string
	// failures tells whether there is an index of the statuses of failures, and of nothing else.
	failures bool
	// onConflict is what bun's On takes to change the row that stands in the way by its primary key.
	onConflict func(key string) string
	// doSet stands between onConflict and the list of assignments.
	doSet string
	// offered is an SQL expression after onConflict, the value that the new row has in a column; the old one is
	// table.column.
	offered func(column string) string
	// returning tells whether INSERT gives back the rows that it added, and no others.
	returning bool
	// updateEach is a statement that changes some rows of a table, called k, each by a row of placeholders, called v, which has
	// the columns key and set: where those of key are equal and where holds.
	updateEach func(table string, key, set []string, rows int, where string) string
	// selectEach reads columns of the rows of a table, called k, whose columns key are equal to one of some rows of placeholders.
	selectEach func(table, columns string, key []string, rows int) string
	// bytes is a binary value as an argument of updateEach, which gives it no type by itself.
	bytes func(value []byte) any
	// rewrite makes the file anew, without what was overwritten or deleted; nil where that is the business of a server. Nobody
	// else may have it open.
	rewrite func(ctx context.Context, db *bun.DB) error
	// records makes the way to insert request records, for one transaction.
	records func(tx bun.Tx) recordInserter
	// insertKeys adds, in their order, those of a group's keys that are not there, and tells their digests. No digest comes twice.
	insertKeys func(ctx context.Context, tx bun.Tx, rows []keyRow) (inserted map[string]bool, err error)
	// reclaim gives free pages back to the file system; nil where the database does so by itself.
	reclaim func(ctx context.Context, db *bun.DB, pages int) (freed int, err error)
}

// session is a connection or a transaction that takes SQL as it is.
type session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// whole is the split of the databases whose drivers take several statements in one call.
func whole(text string) []string { return []string{text} }

// binary is the bytes of the databases that know a binary value when they see one.
func binary(value []byte) any { return value }

// doUpdate is the onConflict of SQLite and PostgreSQL.
func doUpdate(key string) string { return "CONFLICT (" + key + ") DO UPDATE" }

// excluded is the offered of SQLite and PostgreSQL.
func excluded(column string) string { return "EXCLUDED." + column }

// updateFromValues is the updateEach of SQLite and PostgreSQL.
func updateFromValues(table string, key, set []string, rows int, where string) string {
	columns := slices.Concat(key, set)
	row := ", (?" + strings.Repeat(", ?", len(columns)-1) + ")"
	return "WITH v (" + strings.Join(columns, ", ") + ") AS (VALUES " + strings.Repeat(row, rows)[2:] + ") UPDATE " + table + " AS k SET " +
		each(set, "%[1]s = v.%[1]s", ", ") + " FROM v WHERE " + each(key, "k.%[1]s = v.%[1]s", " AND ") + " AND " + where
}

// updateJoin is the updateEach of MySQL and MariaDB, which spell lists of values in two ways.
func updateJoin(table string, key, set []string, rows int, where string) string {
	columns := slices.Concat(key, set)
	row := " UNION ALL SELECT ?" + strings.Repeat(", ?", len(columns)-1)
	return "UPDATE " + table + " AS k JOIN (SELECT " + each(columns, "? AS %s", ", ") + strings.Repeat(row, rows-1) + ") AS v ON " +
		each(key, "k.%[1]s = v.%[1]s", " AND ") + " SET " + each(set, "k.%[1]s = v.%[1]s", ", ") + " WHERE " + where
}

// selectFromValues is the selectEach of SQLite and PostgreSQL.
func selectFromValues(table, columns string, key []string, rows int) string {
	row := ", (?" + strings.Repeat(", ?", len(key)-1) + ")"
	return "WITH v (" + strings.Join(key, ", ") + ") AS (VALUES " + strings.Repeat(row, rows)[2:] + ") SELECT " + columns + " FROM v JOIN " + table +
		" AS k ON " + each(key, "k.%[1]s = v.%[1]s", " AND ")
}

// selectJoin is the selectEach of MySQL and MariaDB.
func selectJoin(table, columns string, key []string, rows int) string {
	row := " UNION ALL SELECT ?" + strings.Repeat(", ?", len(key)-1)
	return "SELECT " + columns + " FROM (SELECT " + each(key, "? AS %s", ", ") + strings.Repeat(row, rows-1) + ") AS v JOIN " + table +
		" AS k ON " + each(key, "k.%[1]s = v.%[1]s", " AND ")
}

// each spells a list of columns.
func each(columns []string, format, between string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = fmt.Sprintf(format, c)
	}
	return strings.Join(list, between)
}
