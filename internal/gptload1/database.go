package gptload1

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

const (
	connectTimeout = 10 * time.Second
	// statementTimeout bounds each statement. Pages take milliseconds; the count of duplicates among a million keys, seconds.
	statementTimeout = 60 * time.Second
	// busyTimeout is how long a page waits for a 1.x that writes to the same SQLite file.
	busyTimeout = 10 * time.Second
	// pageRows bounds the rows of one read. A row of groups may hold large JSON texts, a key has at most maxStoredKey.
	pageRows      = 1000
	groupPageRows = 50
)

// Options say which database to read.
type Options struct {
	// DSN is the DATABASE_DSN of the 1.x installation as it stands: a file path, postgres://..., or user:password@tcp(host)/db.
	DSN secret.Text
	// EncryptionKey is the ENCRYPTION_KEY of the 1.x installation; empty when it had none.
	EncryptionKey secret.Text
}

// Database is an open database of GPT-Load 1.x, for reading.
type Database struct {
	address address
	db      *sql.DB
	opener  opener
	// columns are those that the tables have, by table; no entry for a table that is not there.
	columns map[string][]string
}

// Open connects and makes sure that this is a database of GPT-Load 1.x. The encryption key is checked by Plan. Errors:
// CodeInvalid for a DSN, an account or a database that is not right, CodeUnavailable when nothing answers.
func Open(ctx context.Context, o Options) (*Database, error) {
	a, err := parseDSN(o.DSN)
	if err != nil {
		return nil, err
	}
	key, err := newOpener(o.EncryptionKey)
	if err != nil {
		return nil, err
	}
	d := &Database{address: a, opener: key}
	if d.db, err = a.open(); err != nil {
		return nil, err
	}
	// One connection: pages come one after the other.
	d.db.SetMaxOpenConns(1)
	if err := d.recognise(ctx); err != nil {
		_ = d.db.Close()
		return nil, err
	}
	return d, nil
}

// Close ends the connection.
func (d *Database) Close() error { return d.db.Close() }

func (a address) open() (*sql.DB, error) {
	switch {
	case a.postgres != nil:
		return stdlib.OpenDB(*a.postgres), nil
	case a.mysql != nil:
		connector, err := mysql.NewConnector(a.mysql)
		if err != nil {
			return nil, badDSN("is not understood as one of MySQL")
		}
		return sql.OpenDB(connector), nil
	}
	if info, err := os.Stat(a.file); err != nil || info.IsDir() {
		return nil, fleet.NewError(fleet.CodeInvalid, "there is no 1.x database at "+strconv.Quote(a.file)+
			"; name its file, by default data/gpt-load.db in the folder of the 1.x installation", err)
	}
	return sql.Open("sqlite", readOnlyURI(a.file))
}

// readOnlyURI keeps SQLite from writing even a rollback that 1.x left to do.
func readOnlyURI(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // C:/...
		path = "/" + path
	}
	params := url.Values{
		"mode":          {"ro"},
		"_busy_timeout": {strconv.FormatInt(busyTimeout.Milliseconds(), 10)},
		"_query_only":   {"on"},
		"_error_rc":     {"1"},
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}
	return u.String()
}

// quote makes a name an identifier: groups is a reserved word of MySQL.
func (d *Database) quote(name string) string {
	if d.address.postgres != nil {
		return `"` + name + `"`
	}
	return "`" + name + "`"
}

// query runs one statement in a read-only transaction of its own and calls each for every row. The transaction ends with
// the rows: in SQLite's rollback mode an open one would keep 1.x from committing.
func (d *Database) query(ctx context.Context, doing, statement string, each func(row) error) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	tx, err := d.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return d.translate(doing, err)
	}
	defer func() { _ = tx.Rollback() }()
	rows, err := tx.QueryContext(ctx, statement)
	if err != nil {
		return d.translate(doing, err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return d.translate(doing, err)
	}
	r := row{names: names, cells: make([]any, len(names))}
	into := make([]any, len(names))
	for i := range into {
		into[i] = &r.cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return d.translate(doing, err)
		}
		if err := each(r); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return d.translate(doing, err)
	}
	return nil
}

// page is one table read in the order of its ids, some rows at a time.
type page struct {
	doing  string
	table  string
	fields []string // select list; see Database.field
	where  string   // further condition, without parameters; empty for none
	rows   int      // at most, in one read
}

// pages calls each for every row, and behind (if not nil) at the end of every page, when no transaction is open.
func (d *Database) pages(ctx context.Context, p page, each func(id int64, r row) error, behind func() error) error {
	and := ""
	if p.where != "" {
		and = p.where + " AND "
	}
	for after, more := int64(-1), true; more; {
		statement := "SELECT " + d.quote("id") + ", " + strings.Join(p.fields, ", ") + " FROM " + d.quote(p.table) +
			" WHERE " + and + d.quote("id") + " > " + strconv.FormatInt(after, 10) +
			" ORDER BY " + d.quote("id") + " LIMIT " + strconv.Itoa(p.rows)
		n := 0
		err := d.query(ctx, p.doing, statement, func(r row) error {
			id, ok := r.integer("id")
			if !ok {
				return fleet.NewError(fleet.CodeInvalid, p.doing+": a row of the table "+p.table+" has an id that is no number", nil)
			}
			after = id
			n++
			return each(id, r)
		})
		if err != nil {
			return err
		}
		if behind != nil && n > 0 {
			if err := behind(); err != nil {
				return err
			}
		}
		more = n == p.rows
	}
	return nil
}

// field selects a column under its own name, and NULL where the database does not have it yet.
func (d *Database) field(table, column string) string {
	if !d.has(table, column) {
		return "NULL AS " + d.quote(column)
	}
	return d.quote(column)
}

func (d *Database) fieldsOf(table string, columns ...string) []string {
	fields := make([]string, len(columns))
	for i, c := range columns {
		fields[i] = d.field(table, c)
	}
	return fields
}
