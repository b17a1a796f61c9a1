package gptload1

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gpt-load/internal/fleet"
)

// Error codes of the servers: https://www.postgresql.org/docs/current/errcodes-appendix.html and
// https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html.
const (
	pgNoTable       = "42P01"
	pgNoDatabase    = "3D000"
	pgNoRight       = "42501"
	mysqlNoTable    = 1146
	mysqlNoDatabase = 1049
)

// isNoTable reports whether a statement failed for want of its table.
func isNoTable(err error) bool {
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	var lite *sqlite.Error
	switch {
	case errors.As(err, &pg):
		return pg.Code == pgNoTable
	case errors.As(err, &my):
		return my.Number == mysqlNoTable
	case errors.As(err, &lite):
		return lite.Code()&0xff == sqlite3.SQLITE_ERROR && strings.Contains(lite.Error(), "no such table")
	}
	return false
}

// translate makes a driver's error one of ours. Its own words go to Cause, because they may name an account.
func (d *Database) translate(doing string, err error) error {
	code, message := d.fault(err)
	return fleet.NewError(code, doing+" of the 1.x database: "+message, err)
}

func (d *Database) fault(err error) (fleet.Code, string) {
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	var lite *sqlite.Error
	var network *net.OpError
	product := d.address.product()
	switch {
	case errors.Is(err, context.Canceled):
		return fleet.CodeUnavailable, "interrupted"
	case errors.As(err, &pg):
		return postgresFault(pg)
	case errors.As(err, &my):
		return mysqlFault(my)
	case errors.As(err, &lite):
		return sqliteFault(lite)
	case errors.Is(err, context.DeadlineExceeded):
		return fleet.CodeUnavailable, "the " + product + " server did not answer in time; check that it is well and reachable"
	case errors.As(err, &network):
		return fleet.CodeUnavailable, "the " + product + " server cannot be reached: " + network.Error()
	}
	return fleet.CodeUnavailable, "the connection to the " + product + " server broke or was refused; the log has the cause"
}

func postgresFault(e *pgconn.PgError) (fleet.Code, string) {
	switch {
	case strings.HasPrefix(e.Code, "28"):
		return fleet.CodeInvalid, "PostgreSQL refuses the user or the password of the DSN"
	case e.Code == pgNoDatabase:
		return fleet.CodeInvalid, "the PostgreSQL server has no database of that name"
	case e.Code == pgNoRight:
		return fleet.CodeInvalid, "the user of the DSN may not read the tables; grant it SELECT on system_settings, groups, group_sub_groups and api_keys"
	}
	return fleet.CodeUnavailable, "PostgreSQL answered " + e.Code + ": " + e.Message
}

func mysqlFault(e *mysql.MySQLError) (fleet.Code, string) {
	switch e.Number {
	case 1045, 1698, 1862, 3118: // access denied, password expired, account locked
		return fleet.CodeInvalid, "MySQL refuses the user or the password of the DSN"
	case 1044, 1142, 1143, 1227:
		return fleet.CodeInvalid, "the user of the DSN may not read the tables; grant it SELECT on system_settings, groups, group_sub_groups and api_keys"
	case mysqlNoDatabase:
		return fleet.CodeInvalid, "the MySQL server has no database of that name"
	}
	return fleet.CodeUnavailable, "MySQL answered: " + e.Message
}

// sqliteFault reads the low byte of the code, the primary result: https://www.sqlite.org/rescode.html.
func sqliteFault(e *sqlite.Error) (fleet.Code, string) {
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB:
		return fleet.CodeInvalid, "the file is not an SQLite database"
	case sqlite3.SQLITE_CORRUPT:
		return fleet.CodeInvalid, "the file is damaged; restore it from a backup, or copy it again while 1.x is stopped"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fleet.CodeUnavailable, "the file is locked by another process for longer than " + busyTimeout.String() + "; stop 1.x or try again"
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY:
		// What a killed writer left beside the file must be rolled back before anybody reads, and that is a write.
		return fleet.CodeInvalid, "the file cannot be opened for reading; check its owner and mode, and when 1.x was killed while it wrote, start it once so that it repairs the file"
	case sqlite3.SQLITE_IOERR:
		return fleet.CodeUnavailable, "reading the file failed; check the disk"
	case sqlite3.SQLITE_INTERRUPT:
		return fleet.CodeUnavailable, "reading took longer than " + statementTimeout.String()
	}
	return fleet.CodeInvalid, "SQLite answered: " + e.Error()
}
