package sqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// migrationLock is the number of the advisory lock, "gpt-load" in ASCII. PostgreSQL keeps them apart by database.
const migrationLock = 0x6770742d6c6f6164

var postgresDialect = dialect{
	name:       "postgres",
	patience:   statementPatience,
	snapshot:   &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
	clock:      "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
	restsUntil: `COALESCE(CAST(substring(key_row.cooldowns FROM '[{]"u":([0-9]+)') AS BIGINT), 0)`,
	restIndex:  true,
	rowOrder:   true,
	alone:      alonePostgres,
	split:      whole,
	contains:   func(column string) string { return "strpos(" + column + ", ?) > 0" },
	failures:   true,
	hex:        func(column string) string { return "upper(encode(" + column + ", 'hex'))" },
	onConflict: doUpdate,
	offered:    excluded,
	returning:  true,
	selectEach: selectFromValues,
	doSet:      " SET ",
	updateEach: updateFromValues,
	bytes:      func(value []byte) any { return bun.Safe(`'\x` + hex.EncodeToString(value) + "'::bytea") },
	insertKeys: insertKeyArrays,
	records:    func(tx bun.Tx) recordInserter { return arrayInsert{tx} },
}

// openPostgres connects to nothing yet.
func openPostgres(config *pgx.ConnConfig) *bun.DB {
	config = config.Copy()
	// bun writes values into the text of a statement, so each text is another one: preparing them would fill both sides'
	// memory.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	config.StatementCacheCapacity = 0
	if config.ConnectTimeout == 0 || config.ConnectTimeout > connectPatience {
		config.ConnectTimeout = connectPatience
	}
	// What the texts rely on, whatever the server's defaults.
	config.RuntimeParams["client_encoding"] = "UTF8"
	config.RuntimeParams["standard_conforming_strings"] = "on"
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "gpt-load"
	}
	db := sql.OpenDB(stdlib.GetConnector(*config, stdlib.OptionAfterConnect(preparePostgres)))
	bound(db)
	return bun.NewDB(db, pgdialect.New())
}

// preparePostgres sets what PgBouncer would not let through in the start-up message.
func preparePostgres(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	_, err := conn.Exec(ctx, "SELECT set_config('lock_timeout', '"+milliseconds(lockPatience)+"', false), "+
		"set_config('idle_in_transaction_session_timeout', '"+milliseconds(idlePatience)+"', false)")
	return err
}

// alonePostgres takes the lock inside the transaction: it ends with it, and all of fn is undone when the connection ends.
func alonePostgres(ctx context.Context, s *Store, fn func(ctx context.Context, db session) error) error {
	return s.writer.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, "SET LOCAL lock_timeout = 0"); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?)", int64(migrationLock)); err != nil {
			return err
		}
		return fn(ctx, tx.Tx)
	})
}
