package sqlstore

// dialect is what differs between the databases and bun does not smooth over. Each is an SQL expression; column
// is a name, never a value.
type dialect struct {
	name string // of the migrations folder
	// contains is true when the column holds the placeholder's text, case-sensitively.
	contains func(column string) string
	// hex is the upper-case hexadecimal text of a binary column.
	hex func(column string) string
	// reclaim gives up to ?0 free pages back to the file system; empty where the database does so by itself.
	reclaim string
}

var sqliteDialect = dialect{
	name:     "sqlite",
	contains: func(column string) string { return "instr(" + column + ", ?) > 0" },
	hex:      func(column string) string { return "hex(" + column + ")" },
	reclaim:  "PRAGMA incremental_vacuum(?0)",
}
