package sqlstore

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gpt-load/internal/fleet"
)

// What several databases say in codes of their own.
const (
	saysRefused  = "the statement was refused; the log has the cause"
	saysAccount  = "the database server refuses the user or the password of DATABASE_DSN; correct them, or let the server accept this node's address"
	saysMissing  = "the database that DATABASE_DSN names does not exist on the server; create it, or correct the name"
	saysRights   = "the user of DATABASE_DSN lacks a right; let it own the database, or grant it all rights on it"
	saysNoTables = "the tables of GPT-Load are not there; a candidate node (IS_SLAVE=false) makes them when it starts"
	saysCrowded  = "the database server has no connection left; each node takes up to 8: raise the server's limit or stop what holds them"
	saysStopping = "the database server is starting or stopping; trying again helps"
	saysReadOnly = "the database server takes no writes, as a replica does; let DATABASE_DSN name the primary (for PostgreSQL, target_session_attrs=read-write finds it among several hosts)"
	saysFull     = "the database server has no space or memory left; free some and try again"
	saysCollided = "other writers were in the way several times; try again"
)

// sqliteFault gives the code and the words for an error of SQLite (https://www.sqlite.org/rescode.html). The low
// byte is the primary result code.
func sqliteFault(e *sqlite.Error) (fleet.Code, string) {
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fleet.CodeUnavailable, "the database is locked by another process for longer than " + busyTimeout.String() + "; stop the other process or try again"
	case sqlite3.SQLITE_FULL:
		return fleet.CodeUnavailable, "no space is left where the database stands; free some and try again"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return fleet.CodeUnavailable, "the database file cannot be written; check owner and mode of the file and its folder"
	case sqlite3.SQLITE_IOERR:
		return fleet.CodeUnavailable, "reading or writing the database file failed; check the disk and its free space"
	case sqlite3.SQLITE_CANTOPEN:
		return fleet.CodeUnavailable, "the database file cannot be opened; check DATABASE_DSN, its folder and the limit of open files"
	case sqlite3.SQLITE_INTERRUPT:
		return fleet.CodeUnavailable, "interrupted"
	case sqlite3.SQLITE_NOTADB:
		return fleet.CodeInvalid, "the file that DATABASE_DSN names is not an SQLite database"
	case sqlite3.SQLITE_ERROR:
		if strings.Contains(e.Error(), sqliteNoTable) {
			return fleet.CodeUnavailable, saysNoTables
		}
	case sqlite3.SQLITE_CORRUPT:
		return fleet.CodeInternal, "the database file is damaged; restore a backup"
	}
	return fleet.CodeInternal, saysRefused
}

// sqliteNoTable is how SQLite says that a table is not there; it has no code for it.
const sqliteNoTable = "no such table"

func isSQLite(err error, is func(code int) bool) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && is(e.Code())
}

func isSQLiteDuplicate(code int) bool {
	return code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

func isSQLiteBusy(code int) bool {
	return code&0xff == sqlite3.SQLITE_BUSY || code&0xff == sqlite3.SQLITE_LOCKED
}

// Codes of PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	pgUniqueViolation = "23505"
	pgSerialization   = "40001"
	pgDeadlock        = "40P01"
	pgLockTimeout     = "55P03"
	pgNoTable         = "42P01"
)

func postgresFault(e *pgconn.PgError) (fleet.Code, string) {
	switch e.Code {
	case "28000", "28P01":
		return fleet.CodeInvalid, saysAccount
	case "3D000":
		return fleet.CodeInvalid, saysMissing
	case "42501":
		return fleet.CodeInvalid, saysRights
	case pgNoTable, "3F000":
		return fleet.CodeUnavailable, saysNoTables
	case "53300":
		return fleet.CodeUnavailable, saysCrowded
	case "25006":
		return fleet.CodeUnavailable, saysReadOnly
	case pgSerialization, pgDeadlock, pgLockTimeout:
		return fleet.CodeUnavailable, saysCollided
	case "57014":
		return fleet.CodeUnavailable, "the database server ended the statement because it took too long"
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08": // connection exception
		return fleet.CodeUnavailable, "the connection to the database server broke; trying again helps"
	case "57": // operator intervention: shutdown, crash of another backend, not up yet
		return fleet.CodeUnavailable, saysStopping
	case "53": // insufficient resources
		return fleet.CodeUnavailable, saysFull
	case "25": // a transaction that the server ended, such as for being idle
		return fleet.CodeUnavailable, "the database server ended the transaction; trying again helps"
	}
	return fleet.CodeInternal, saysRefused
}

func isPostgres(err error, codes ...string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}

// Codes of MySQL and MariaDB: https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html,
// https://mariadb.com/kb/en/mariadb-error-code-reference/.
const (
	myDuplicate   = 1062
	myNoTable     = 1146
	myLockTimeout = 1205
	myDeadlock    = 1213
	myCheckRead   = 1020 // MariaDB: the row changed since the snapshot of the transaction
)

func mysqlFault(e *mysql.MySQLError) (fleet.Code, string) {
	switch e.Number {
	case 1045, 1130, 1698, 1251, 1524: // access denied, host not allowed, authentication by a plugin
		return fleet.CodeInvalid, saysAccount
	case 1049:
		return fleet.CodeInvalid, saysMissing
	case 1044, 1142, 1143, 1227, 1370: // rights on the database, a table, a column, a privilege, a routine
		return fleet.CodeInvalid, saysRights
	case myNoTable:
		return fleet.CodeUnavailable, saysNoTables
	case 1040, 1203, 1226: // of the server, of the user
		return fleet.CodeUnavailable, saysCrowded
	case 1290, 1792, 1836: // --read-only, a read-only transaction, read-only mode
		return fleet.CodeUnavailable, saysReadOnly
	case 1021, 1041, 1114, 1037, 1038: // disk, memory, table full
		return fleet.CodeUnavailable, saysFull
	case myDeadlock, myLockTimeout, myCheckRead:
		return fleet.CodeUnavailable, saysCollided
	case 1053, 1077, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031: // shutdown, broken or killed connections
		return fleet.CodeUnavailable, saysStopping
	case 1129:
		return fleet.CodeUnavailable, "the database server blocks this node after many broken connections; run FLUSH HOSTS on it"
	case 1317, 1969, 3024:
		return fleet.CodeUnavailable, "the database server ended the statement because it took too long"
	case 1153:
		return fleet.CodeUnavailable, "the database server refuses statements of this size; raise its max_allowed_packet to 16 MB"
	}
	return fleet.CodeInternal, saysRefused
}

func isMySQL(err error, codes ...uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains(codes, e.Number)
}
