package sqlstore

import (
	"context"

	"github.com/uptrace/bun"
)

// dialect is what differs between the databases and bun does not smooth over.
type dialect struct {
	name string // of the migrations folder
	// contains is an SQL expression, true when the column holds the placeholder's text, case-sensitively.
	contains func(column string) string
	// hex is an SQL expression, the upper-case hexadecimal text of a binary column.
	hex func(column string) string
	// reclaim gives free pages back to the file system; nil where the database does so by itself.
	reclaim func(ctx context.Context, db *bun.DB, pages int) (freed int, err error)
}

var sqliteDialect = dialect{
	name:     "sqlite",
	contains: func(column string) string { return "instr(" + column + ", ?) > 0" },
	hex:      func(column string) string { return "hex(" + column + ")" },
	reclaim:  reclaimSQLite,
}
