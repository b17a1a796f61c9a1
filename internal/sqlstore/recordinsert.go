package sqlstore

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
)

// recordInserter inserts request records in one transaction. Records are what this store writes most, so each database gets
// them in the form that costs it, and us, the least.
type recordInserter interface {
	// room is how many rows one call of records takes.
	room() int
	// records inserts rows, or returns errStored when one of them was there.
	records(ctx context.Context, rows []recordRow) error
	// bodies inserts the captured bodies of one record, or returns errStored when they were there.
	bodies(ctx context.Context, row bodyRow) error
	// usage adds rows, in ascending order of keys, to what is counted of keys.
	usage(ctx context.Context, rows []usageRow) error
	close()
}

// preparedRows is the number of records in one prepared statement: enough to share its cost. With every text at its bound and
// every character of the details escaped they stay below 8 MB.
const (
	preparedRows = 32
	usageRows    = 100 // rows are small
)

// preparedInsert inserts by prepared statements with bound arguments: the text of a statement with the values in it costs more
// to write and to parse than the rows cost to store.
type preparedInsert struct {
	tx       bun.Tx
	spell    func(table string, columns []string, rows int) string
	addUsage string // the end of an INSERT into key_usage that adds to the rows that are there
	// local is for a database in this process. A statement takes less than a millisecond there; watching the context while
	// it runs would cost a goroutine and two switches. Its end is looked for in between, and rolls the transaction back
	// all the same.
	local bool

	record, body, used preparedStatement
	args               []any
	texts              textArgs
}

func newPreparedInsert(tx bun.Tx, spell func(table string, columns []string, rows int) string, addUsage string, local bool) *preparedInsert {
	return &preparedInsert{tx: tx, spell: spell, addUsage: addUsage, local: local, args: make([]any, 0, preparedRows*len(recordColumns))}
}

// insertOrIgnore leaves out the rows whose key is stored. It is not ON CONFLICT DO NOTHING: with that, a missing NOT NULL
// value would end a statement half way, and SQLite keeps a copy of every page that a statement of many rows touches. No
// argument of ours is NULL.
func insertOrIgnore(table string, columns []string, rows int) string {
	return "INSERT OR IGNORE" + insertPlain(table, columns, rows)[len("INSERT"):]
}

// insertPlain fails when a row's key is stored.
func insertPlain(table string, columns []string, rows int) string {
	row := ", (?" + strings.Repeat(", ?", len(columns)-1) + ")"
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES " + strings.Repeat(row, rows)[2:]
}

func (p *preparedInsert) room() int { return preparedRows }

func (p *preparedInsert) records(ctx context.Context, rows []recordRow) error {
	args := p.args[:0]
	for i := range rows {
		args = rows[i].appendArgs(args, &p.texts)
	}
	return p.insert(ctx, &p.record, "request_records", recordColumns, len(rows), args)
}

func (p *preparedInsert) bodies(ctx context.Context, row bodyRow) error {
	return p.insert(ctx, &p.body, "record_bodies", bodyColumns, 1, row.args())
}

func (p *preparedInsert) usage(ctx context.Context, rows []usageRow) error {
	for part := range slices.Chunk(rows, usageRows) {
		args := p.args[:0]
		for i := range part {
			args = append(args, part[i].KeyID, part[i].Requests, part[i].Failures, part[i].LastUsedAt)
		}
		spell := func() string { return insertPlain("key_usage", usageColumns, len(part)) + p.addUsage }
		if _, err := p.exec(ctx, &p.used, len(part), spell, args); err != nil {
			return err
		}
	}
	return nil
}

func (p *preparedInsert) insert(ctx context.Context, s *preparedStatement, table string, columns []string, rows int, args []any) error {
	result, err := p.exec(ctx, s, rows, func() string { return p.spell(table, columns, rows) }, args)
	if isDuplicate(err) {
		return errStored
	}
	if err != nil {
		return err
	}
	return allNew(result, rows)
}

// exec runs a statement for that many rows, which it prepares when the last one was for another number.
func (p *preparedInsert) exec(ctx context.Context, s *preparedStatement, rows int, spell func() string, args []any) (sql.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.local {
		ctx = context.WithoutCancel(ctx)
	}
	if s.rows != rows {
		s.close()
		stmt, err := p.tx.Tx.PrepareContext(ctx, spell())
		if err != nil {
			return nil, err
		}
		s.stmt, s.rows = stmt, rows
	}
	return s.stmt.ExecContext(ctx, args...)
}

func (p *preparedInsert) close() {
	p.record.close()
	p.body.close()
	p.used.close()
}

// preparedStatement inserts some rows, for the length of a transaction.
type preparedStatement struct {
	stmt *sql.Stmt
	rows int
}

func (s *preparedStatement) close() {
	if s.stmt != nil {
		_ = s.stmt.Close() // the end of the transaction frees what is left
		s.stmt, s.rows = nil, 0
	}
}

// allNew returns errStored when not as many rows were taken as there were.
func allNew(result sql.Result, rows int) error {
	n, err := result.RowsAffected()
	if err == nil && int(n) != rows {
		err = errStored
	}
	return err
}

// arrayRows is the number of records in one statement of arrayInsert. Most are far below their bounds; at their bounds they
// are 125 MB.
const arrayRows = 500

// arrayInsert hands PostgreSQL one array for each column: one statement, always the same, of few and compact arguments. The
// binary form of the arrays costs less than any text, and so few statements that COPY saves no more.
type arrayInsert struct{ tx bun.Tx }

const (
	insertRecordArrays = `INSERT INTO request_records
		(id, started_at, group_id, parent_id, proxy_key, client_ip, path, model_asked, model_sent, stream, status, class, error, attempt_count, details)
		SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
			$10::boolean[], $11::bigint[], $12::text[], $13::text[], $14::bigint[], $15::text[])
		ON CONFLICT DO NOTHING`
	addUsageArrays = `INSERT INTO key_usage (key_id, requests, failures, last_used_at)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
		ON CONFLICT (key_id) DO UPDATE SET requests = key_usage.requests + EXCLUDED.requests, failures = key_usage.failures + EXCLUDED.failures,
			last_used_at = GREATEST(key_usage.last_used_at, EXCLUDED.last_used_at)`
	insertBodyRow = `INSERT INTO record_bodies (record_id, request, response, request_truncated, response_truncated) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`
)

func (arrayInsert) room() int { return arrayRows }

func (a arrayInsert) records(ctx context.Context, rows []recordRow) error {
	n := len(rows)
	ids := make([][]byte, n)
	streams := make([]bool, n)
	numbers := make([]int64, 5*n)
	startedAt, groups, parents, statuses, attempts := numbers[:n], numbers[n:2*n], numbers[2*n:3*n], numbers[3*n:4*n], numbers[4*n:]
	texts := make([]string, 8*n)
	column := func(i int) []string { return texts[i*n : (i+1)*n] }
	for i := range rows {
		r := &rows[i]
		ids[i], streams[i] = r.ID, r.Stream
		startedAt[i], groups[i], parents[i], statuses[i], attempts[i] = r.StartedAt, r.GroupID, r.ParentID, int64(r.Status), int64(r.AttemptCount)
		for c, text := range [...]string{r.ProxyKey, r.ClientIP, r.Path, r.ModelAsked, r.ModelSent, r.Class, r.Error, r.Details} {
			texts[c*n+i] = text
		}
	}
	result, err := a.tx.Tx.ExecContext(ctx, insertRecordArrays, pgx.QueryExecModeCacheDescribe,
		ids, startedAt, groups, parents, column(0), column(1), column(2), column(3), column(4), streams, statuses, column(5), column(6), attempts, column(7))
	if err != nil {
		return err
	}
	return allNew(result, n)
}

func (a arrayInsert) bodies(ctx context.Context, row bodyRow) error {
	args := append([]any{pgx.QueryExecModeCacheDescribe}, row.args()...)
	result, err := a.tx.Tx.ExecContext(ctx, insertBodyRow, args...)
	if err != nil {
		return err
	}
	return allNew(result, 1)
}

func (a arrayInsert) usage(ctx context.Context, rows []usageRow) error {
	n := len(rows)
	numbers := make([]int64, 4*n)
	for i := range rows {
		r := &rows[i]
		numbers[i], numbers[n+i], numbers[2*n+i], numbers[3*n+i] = r.KeyID, r.Requests, r.Failures, r.LastUsedAt
	}
	_, err := a.tx.Tx.ExecContext(ctx, addUsageArrays, pgx.QueryExecModeCacheDescribe, numbers[:n], numbers[n:2*n], numbers[2*n:3*n], numbers[3*n:])
	return err
}

func (arrayInsert) close() {}
