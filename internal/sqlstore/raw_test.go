package sqlstore_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	// The drivers are registered by the store too; here they are used by name.
	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// rawDB opens a database beside the store, as another program would.
func rawDB(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	driver := "sqlite"
	switch {
	case strings.HasPrefix(dsn, "postgres"):
		driver = "pgx"
	case strings.Contains(dsn, "@tcp("):
		driver = "mysql"
	default:
		dsn += "?_busy_timeout=5000"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// rawSQL runs a statement beside the store.
func rawSQL(t testing.TB, dsn, statement string, args ...any) {
	t.Helper()
	db := rawDB(t, dsn)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(context.Background(), statement, args...); err != nil {
		t.Fatal(err)
	}
}
