package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
)

// keyColumns are those of a new key, in the order of keyRow.args.
var keyColumns = []string{
	"group_id", "hash", "value", "state", "reason", "evidence", "failures", "cooldowns", "operator_at", "created_at", "updated_at", "revision",
	"weight", "notes", "tags",
}

func (r *keyRow) args() []any {
	return []any{r.GroupID, r.Hash, r.Value, r.State, r.Reason, r.Evidence, r.Failures, r.Cooldowns, r.OperatorAt, r.CreatedAt, r.UpdatedAt, r.Revision, r.Weight, r.Notes, r.Tags}
}

// insertKeyArrays gives PostgreSQL one array for each column: one statement, always the same, whose text costs nothing.
func insertKeyArrays(ctx context.Context, tx bun.Tx, rows []keyRow) (map[string]bool, error) {
	n := len(rows)
	hashes := make([][]byte, n)
	texts, numbers := make([]string, 7*n), make([]int64, 7*n)
	text := func(i int) []string { return texts[i*n : (i+1)*n] }
	number := func(i int) []int64 { return numbers[i*n : (i+1)*n] }
	for i := range rows {
		r := &rows[i]
		hashes[i] = r.Hash
		for c, value := range [...]string{r.Value, r.State, r.Reason, r.Evidence, r.Cooldowns, r.Notes, r.Tags} {
			texts[c*n+i] = value
		}
		for c, value := range [...]int64{r.GroupID, int64(r.Failures), r.OperatorAt, r.CreatedAt, r.UpdatedAt, r.Revision, int64(r.Weight)} {
			numbers[c*n+i] = value
		}
	}
	// WITH ORDINALITY keeps the order, and with it that of the ids.
	found, err := tx.Tx.QueryContext(ctx, insertKeysOfArrays, pgx.QueryExecModeCacheDescribe, number(0), hashes, text(0), text(1), text(2), text(3), number(1), text(4),
		number(2), number(3), number(4), number(5), number(6), text(5), text(6))
	if err != nil {
		return nil, err
	}
	return hashSet(found, n)
}

const insertKeysOfArrays = `INSERT INTO provider_keys
	(group_id, hash, value, state, reason, evidence, failures, cooldowns, operator_at, created_at, updated_at, revision, weight, notes, tags)
	SELECT group_id, hash, value, state, reason, evidence, failures, cooldowns, operator_at, created_at, updated_at, revision, weight, notes, tags
	FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],
		$12::bigint[], $13::bigint[], $14::text[], $15::text[]) WITH ORDINALITY
		AS v (group_id, hash, value, state, reason, evidence, failures, cooldowns, operator_at, created_at, updated_at, revision, weight, notes, tags, place)
	ORDER BY place
	ON CONFLICT (hash, group_id) DO NOTHING RETURNING hash`

// hashSet reads digests, at most n.
func hashSet(rows *sql.Rows, n int) (map[string]bool, error) {
	set := make(map[string]bool, n)
	for rows.Next() {
		var hash []byte
		if err := rows.Scan(&hash); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		set[string(hash)] = true
	}
	return set, errors.Join(rows.Err(), rows.Close())
}

// insertKeysPrepared is for a database in this process, where a statement more costs nothing.
func insertKeysPrepared(ctx context.Context, tx bun.Tx, rows []keyRow) (inserted map[string]bool, err error) {
	statement, err := tx.Tx.PrepareContext(ctx, "INSERT INTO provider_keys ("+strings.Join(keyColumns, ", ")+") VALUES (?"+
		strings.Repeat(", ?", len(keyColumns)-1)+") ON CONFLICT (hash, group_id) DO NOTHING")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, statement.Close()) }()
	inserted = make(map[string]bool, len(rows))
	// Without the context: watching it costs a goroutine for each row. Its end rolls the transaction back all the same.
	alone := context.WithoutCancel(ctx)
	for i := range rows {
		result, err := statement.ExecContext(alone, rows[i].args()...)
		if err != nil {
			return nil, err
		}
		if n, err := result.RowsAffected(); err != nil {
			return nil, err
		} else if n > 0 {
			inserted[string(rows[i].Hash)] = true
		}
	}
	return inserted, nil
}

// insertMissingKeys is for MySQL, which does not say which rows it added: what the group has is left out before.
func insertMissingKeys(ctx context.Context, tx bun.Tx, rows []keyRow) (map[string]bool, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	hashes := make([][]byte, len(rows))
	for i := range rows {
		hashes[i] = rows[i].Hash
	}
	found, err := tx.NewSelect().Model((*keyRow)(nil)).Column("hash").Where("hash IN (?)", bun.List(hashes)).Where("group_id = ?", rows[0].GroupID).Rows(ctx)
	if err != nil {
		return nil, err
	}
	stored, err := hashSet(found, len(rows))
	if err != nil {
		return nil, err
	}
	inserted := make(map[string]bool, len(rows))
	fresh := make([]keyRow, 0, len(rows))
	for i := range rows {
		if !stored[string(rows[i].Hash)] {
			inserted[string(rows[i].Hash)] = true
			fresh = append(fresh, rows[i])
		}
	}
	if len(fresh) == 0 {
		return inserted, nil
	}
	_, err = tx.NewInsert().Model(&fresh).ExcludeColumn("id").Exec(ctx)
	return inserted, err
}
