package sqlstore_test

import (
	"context"
	"database/sql"
	"strconv"
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

// killPostgres ends all other sessions of the database.
func killPostgres(t testing.TB, db *sql.DB) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	if err != nil {
		t.Fatal(err)
	}
}

// killMySQL ends all other sessions of the database.
func killMySQL(t testing.TB, db *sql.DB) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	_ = rows.Close()
	for _, id := range ids {
		// One that ended meanwhile is as good.
		_, _ = db.ExecContext(t.Context(), "KILL CONNECTION "+strconv.FormatInt(id, 10))
	}
}
