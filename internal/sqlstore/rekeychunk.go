package sqlstore

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"gpt-load/internal/secret"
)

// chunkRows is the number of pieces of files in one transaction: each has up to 350 KB.
const chunkRows = 8

// eachChunk calls fn with the pieces of files of operations in the order of their primary key, some at a time.
func eachChunk(ctx context.Context, read func(func(ctx context.Context, db bun.IDB) error) error, fn func(ctx context.Context, db bun.IDB, rows []chunkRow) error) error {
	var last chunkRow
	for more := true; more; {
		err := read(func(ctx context.Context, db bun.IDB) error {
			var rows []chunkRow
			err := db.NewSelect().Model(&rows).
				Where("operation_id > ? OR operation_id = ? AND (stream > ? OR stream = ? AND seq > ?)", last.OperationID, last.OperationID, last.Stream, last.Stream, last.Seq).
				Order("operation_id", "stream", "seq").Limit(chunkRows).Scan(ctx)
			if err != nil || len(rows) == 0 {
				more = false
				return err
			}
			if err := fn(ctx, db, rows); err != nil {
				return err
			}
			// Only now: a transaction that meets another one is tried again.
			last = rows[len(rows)-1]
			last.Content = ""
			return nil
		})
		if err != nil {
			return err
		}
	}
	return translate(rekeyDoing, ctx.Err())
}

// rekeyChunks seals the files of operations anew. They are few and short-lived: a call that goes on looks at each of them again.
func (s *Store) rekeyChunks(ctx context.Context, r *Rekeying) error {
	both := r.From.Beside(r.To)
	read := func(fn func(ctx context.Context, db bun.IDB) error) error {
		return s.write(ctx, rekeyDoing, func(ctx context.Context, tx bun.Tx) error {
			if err := lock(ctx, tx, keysRevision); err != nil {
				return err
			}
			if _, err := r.mine(ctx, tx); err != nil {
				return err
			}
			return fn(ctx, tx)
		})
	}
	return eachChunk(ctx, read, func(ctx context.Context, db bun.IDB, rows []chunkRow) error {
		for i := range rows {
			row := &rows[i]
			if r.To.Sealed(row.Content) {
				continue
			}
			data, err := openChunk(both, row)
			if err != nil {
				return unopened(fmt.Sprintf("operation %d", row.OperationID), err)
			}
			row.seal(r.To, data)
			if _, err := db.NewUpdate().Model(row).Column("content").WherePK().Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) checkChunks(ctx context.Context, box *secret.Box, fault func(string, error)) error {
	read := func(fn func(ctx context.Context, db bun.IDB) error) error {
		return s.read(ctx, "reading the files of operations", fn)
	}
	return eachChunk(ctx, read, func(_ context.Context, _ bun.IDB, rows []chunkRow) error {
		for i := range rows {
			if _, err := openChunk(box, &rows[i]); err != nil {
				fault(fmt.Sprintf("a file of operation %d", rows[i].OperationID), err)
			}
		}
		return nil
	})
}
