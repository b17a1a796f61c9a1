package sqlstore

import (
	"context"
	"strings"

	"github.com/uptrace/bun"
)

// dialect is what differs between the databases and bun does not smooth over.
type dialect struct {
	name string // of the migrations folder
	// contains is an SQL expression, true when the column holds the placeholder's text, case-sensitively.
	contains func(column string) string
	// hex is an SQL expression, the upper-case hexadecimal text of a binary column.
	hex func(column string) string
	// insertNew is a statement with one parameter for each column of each row; it leaves out the rows whose key is stored, and
	// the count of affected rows tells that it did.
	insertNew func(table string, columns []string, rows int) string
	// reclaim gives free pages back to the file system; nil where the database does so by itself.
	reclaim func(ctx context.Context, db *bun.DB, pages int) (freed int, err error)
}

var sqliteDialect = dialect{
	name:     "sqlite",
	contains: func(column string) string { return "instr(" + column + ", ?) > 0" },
	hex:      func(column string) string { return "hex(" + column + ")" },
	insertNew: func(table string, columns []string, rows int) string {
		// Not ON CONFLICT DO NOTHING: with that, a missing NOT NULL value would end a statement half way, and SQLite keeps a
		// copy of every page that a statement of many rows touches. No argument of ours is NULL.
		row := ", (?" + strings.Repeat(", ?", len(columns)-1) + ")"
		return "INSERT OR IGNORE INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES " + strings.Repeat(row, rows)[2:]
	},
	reclaim: reclaimSQLite,
}
