package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gpt-load/internal/fleet"
)

// translate turns what a driver says into a *fleet.Error whose message holds no value of a row. A *fleet.Error stays as
// it is; a context's end stays visible to errors.Is. doing names the work, such as "saving the group".
func translate(doing string, err error) error {
	if err == nil {
		return nil
	}
	var ours *fleet.Error
	if errors.As(err, &ours) {
		return err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fleet.NewError(fleet.CodeUnavailable, doing+": canceled before the database answered", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fleet.NewError(fleet.CodeUnavailable, doing+": the database did not answer in time", err)
	case errors.Is(err, sql.ErrConnDone):
		return errClosed(doing)
	}
	code, message := sqliteFault(err)
	return fleet.NewError(code, doing+": "+message, err)
}

func errClosed(doing string) error {
	return fleet.NewError(fleet.CodeUnavailable, doing+": the database is closed because the node is stopping", sql.ErrConnDone)
}

// sqliteFault gives the code and the words for an error of SQLite (https://www.sqlite.org/rescode.html). The low
// byte is the primary result code.
func sqliteFault(err error) (fleet.Code, string) {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return fleet.CodeInternal, "the database layer failed; the log has the cause"
	}
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
	case sqlite3.SQLITE_CORRUPT:
		return fleet.CodeInternal, "the database file is damaged; restore a backup"
	}
	return fleet.CodeInternal, "the database refused the statement; the log has the cause"
}

// isDuplicate reports whether a unique index refused a row.
func isDuplicate(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// isBusy reports whether another process holds the lock.
func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

// notFound turns "no rows" into the domain's word for it.
func notFound(err error, message string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fleet.NewError(fleet.CodeNotFound, message, nil)
	}
	return err
}
