package sqlstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"gpt-load/internal/fleet"
)

// translate turns what a driver says into a *fleet.Error whose message holds no value of a row. A *fleet.Error stays as
// it is; a context's end stays visible to errors.Is. doing names the work, such as "saving the group",
// and does not end like the name of a secret: what follows would be taken for its value, and redacted.
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
	code, message := fault(err)
	return fleet.NewError(code, doing+": "+message, err)
}

func errClosed(doing string) error {
	return fleet.NewError(fleet.CodeUnavailable, doing+": the database is closed because the node is stopping", sql.ErrConnDone)
}

// fault gives the code and the words for what a driver says.
func fault(err error) (fleet.Code, string) {
	var (
		file       *sqlite.Error
		postgres   *pgconn.PgError
		fromMySQL  *mysql.MySQLError
		untrusted  *tls.CertificateVerificationError
		authority  x509.UnknownAuthorityError
		otherHost  x509.HostnameError
		noTLS      tls.RecordHeaderError
		network    net.Error
		connecting *pgconn.ConnectError
	)
	switch {
	case errors.As(err, &file):
		return sqliteFault(file)
	case errors.As(err, &postgres):
		return postgresFault(postgres)
	case errors.As(err, &fromMySQL):
		return mysqlFault(fromMySQL)
	case errors.As(err, &untrusted), errors.As(err, &authority), errors.As(err, &otherHost):
		return fleet.CodeInvalid, "the certificate of the database server is not trusted for the host in DATABASE_DSN; correct the host, or name the authority (sslrootcert for PostgreSQL)"
	case errors.As(err, &noTLS), errors.Is(err, mysql.ErrNoTLS), strings.Contains(err.Error(), "server refused TLS"): // pgconn has no type for it
		return fleet.CodeInvalid, "DATABASE_DSN asks for TLS, and the database server does not speak it; change sslmode or tls, or set up TLS on the server"
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.As(err, &network), errors.As(err, &connecting), pgconn.SafeToRetry(err),
		errors.Is(err, pgx.ErrTxClosed), errors.Is(err, sql.ErrTxDone):
		return fleet.CodeUnavailable, "the database server that DATABASE_DSN names cannot be reached; check that it runs, its address and the way to it"
	}
	return fleet.CodeInternal, "the database layer failed; the log has the cause"
}

// isDuplicate reports whether a unique index refused a row.
func isDuplicate(err error) bool {
	return isSQLite(err, isSQLiteDuplicate) || isPostgres(err, pgUniqueViolation) || isMySQL(err, myDuplicate)
}

// isBusy reports whether another process holds the lock of an SQLite file.
func isBusy(err error) bool { return isSQLite(err, isSQLiteBusy) }

// isCollision reports whether a server undid a transaction, or waited too long, because of another one: the same may succeed
// when it is tried again.
func isCollision(err error) bool {
	return isPostgres(err, pgSerialization, pgDeadlock, pgLockTimeout) || isMySQL(err, myDeadlock, myLockTimeout, myCheckRead)
}

// isNoTable reports whether a table is not there.
func isNoTable(err error) bool {
	var file *sqlite.Error
	return isPostgres(err, pgNoTable) || isMySQL(err, myNoTable) || errors.As(err, &file) && strings.Contains(file.Error(), sqliteNoTable)
}

// notFound turns "no rows" into the domain's word for it.
func notFound(err error, message string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fleet.NewError(fleet.CodeNotFound, message, nil)
	}
	return err
}
