package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"

	"gpt-load/internal/fleet"
)

// mysqlDialect serves MySQL from 8.0 and MariaDB from 10.5: nothing that only one of them knows.
var mysqlDialect = dialect{
	name:       "mysql",
	patience:   statementPatience,
	snapshot:   &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
	clock:      "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)",
	restsUntil: mysqlRestsUntil,
	alone:      aloneMySQL,
	split:      splitStatements,
	contains:   func(column string) string { return "INSTR(" + column + ", ?) > 0" },
	hex:        func(column string) string { return "HEX(" + column + ")" },
	onConflict: func(string) string { return "DUPLICATE KEY UPDATE" },
	offered:    func(column string) string { return "VALUES(" + column + ")" },
	selectEach: selectJoin,
	doSet:      " ",
	updateEach: updateJoin,
	bytes:      binary,
	insertKeys: insertMissingKeys,
	records:    func(tx bun.Tx) recordInserter { return newPreparedInsert(tx, insertPlain, mysqlAddUsage, false) },
}

// mysqlAddUsage is what sqliteAddUsage is. VALUES in this sense is called deprecated by MySQL; MariaDB does not know the other
// way.
const mysqlAddUsage = " ON DUPLICATE KEY UPDATE requests = requests + VALUES(requests), " +
	"failures = failures + VALUES(failures), last_used_at = GREATEST(last_used_at, VALUES(last_used_at))"

const mysqlRestsUntil = `(CASE WHEN LOCATE('{"u":', key_row.cooldowns) > 0 THEN ` +
	`CAST(SUBSTRING_INDEX(SUBSTRING_INDEX(SUBSTRING_INDEX(key_row.cooldowns, '{"u":', -1), ',', 1), '}', 1) AS SIGNED) ELSE 0 END)`

// bunMySQL is bun's dialect without its look at the version, which needs the server at once and would let MariaDB take ways
// that MySQL does not know.
type bunMySQL struct{ *mysqldialect.Dialect }

// Init implements schema.Dialect.
func (bunMySQL) Init(*sql.DB) {}

// openMySQL connects to nothing yet.
func openMySQL(config *mysql.Config) (*bun.DB, error) {
	config = config.Clone()
	config.MultiStatements, config.AllowAllFiles = false, false
	config.CheckConnLiveness = true // a restarted server is noticed before a statement is lost
	config.ClientFoundRows = true   // rows that match count as affected, as on the other databases
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, badDSN("cannot be used as an address of MySQL: check tls and the other parameters")
	}
	db := sql.OpenDB(mysqlConnector{connector})
	bound(db)
	return bun.NewDB(db, bunMySQL{mysqldialect.New()}), nil
}

// mysqlConnector bounds the time that a connection takes and sets what the texts rely on, whatever the server's defaults.
type mysqlConnector struct{ driver.Connector }

// mysqlSettings: without ANSI quotes and backslash rules of its own, values too long are errors. wait_timeout also ends what
// a frozen node has left open, as PostgreSQL's idle_in_transaction_session_timeout does.
var mysqlSettings = []string{
	"SET NAMES utf8mb4 COLLATE utf8mb4_bin, sql_mode = 'STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', " +
		"innodb_lock_wait_timeout = " + seconds(lockPatience) + ", wait_timeout = " + seconds(idlePatience),
	// REPEATABLE READ, the default, locks gaps between rows, and writers of different rows meet in them.
	"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
}

// Connect implements driver.Connector.
func (c mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	session, ok := conn.(mysqlDriverConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver for MySQL lacks an interface of database/sql"), conn.Close())
	}
	for _, setting := range mysqlSettings {
		if _, err := session.ExecContext(ctx, setting, nil); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return mysqlConn{session}, nil
}

// mysqlDriverConn is what database/sql asks a connection for.
type mysqlDriverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// mysqlConn ends transactions by statements that a deadline ends: the driver's own COMMIT would wait for a frozen server for
// ever.
type mysqlConn struct{ mysqlDriverConn }

// BeginTx implements driver.ConnBeginTx.
func (c mysqlConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if _, err := c.mysqlDriverConn.BeginTx(ctx, opts); err != nil {
		return nil, err
	}
	return mysqlTx{ctx, c.mysqlDriverConn}, nil
}

type mysqlTx struct {
	ctx  context.Context // of BeginTx: driver.Tx has none of its own
	conn mysqlDriverConn
}

// Commit implements driver.Tx.
func (t mysqlTx) Commit() error {
	_, err := t.conn.ExecContext(t.ctx, "COMMIT", nil)
	return err
}

// Rollback implements driver.Tx. A connection that cannot say whether its transaction ended is not used again, and with it
// the transaction ends.
func (t mysqlTx) Rollback() error {
	if t.ctx.Err() != nil {
		return driver.ErrBadConn
	}
	if _, err := t.conn.ExecContext(t.ctx, "ROLLBACK", nil); err != nil {
		return driver.ErrBadConn
	}
	return nil
}

// migrationTurn is how long one wait for the lock takes. A server notices only between waits that a waiting client is gone.
const migrationTurn = 2 * time.Second

// aloneMySQL holds a lock of the server by name, which ends with its connection. What fn does is not undone as a whole:
// every CREATE commits.
func aloneMySQL(ctx context.Context, s *Store, fn func(ctx context.Context, db session) error) (err error) {
	const name = "CONCAT('gpt-load ', MD5(DATABASE()))"
	conn, err := s.writer.DB.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for {
		var got sql.NullInt64
		if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK("+name+", "+seconds(migrationTurn)+")").Scan(&got); err != nil {
			return err
		}
		if !got.Valid {
			return fleet.NewError(fleet.CodeUnavailable, "migrating the database: the server could not give the lock; try again", nil)
		}
		if got.Int64 == 1 {
			break
		}
	}
	defer func() {
		if _, released := conn.ExecContext(ctx, "SELECT RELEASE_LOCK("+name+")"); released != nil {
			// Not back into the pool with a lock that nobody would release.
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	return fn(ctx, conn)
}

// splitStatements parts the text of a migration where a line ends with a semicolon: the driver takes one statement a call.
func splitStatements(text string) []string {
	var list []string
	for statement := range strings.SplitSeq(text, ";\n") {
		if strings.TrimSpace(statement) != "" {
			list = append(list, statement)
		}
	}
	return list
}
