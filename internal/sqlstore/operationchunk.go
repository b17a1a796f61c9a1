package sqlstore

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
	"gpt-load/internal/secret"
)

type chunkRow struct {
	bun.BaseModel `bun:"table:operation_chunks"`
	OperationID   int64  `bun:"operation_id,pk"`
	Stream        string `bun:"stream,pk"`
	Seq           int64  `bun:"seq,pk"`
	Content       string `bun:"content"`
}

func (c *chunkRow) place() string {
	return "operation_chunks/" + strconv.FormatInt(c.OperationID, 10) + "/" + c.Stream + "/" + strconv.FormatInt(c.Seq, 10)
}

// What the first byte of a chunk says of the rest: a column of text takes no binary data in clear, and what is sealed is text
// anyway.
const (
	chunkRaw    = "r"
	chunkBase64 = "b"
)

func sealedChunk(box *secret.Box, id operation.ID, stream operation.Stream, seq int, data []byte) chunkRow {
	row := chunkRow{OperationID: int64(id), Stream: string(stream), Seq: int64(seq)}
	row.seal(box, data)
	return row
}

func (c *chunkRow) seal(box *secret.Box, data []byte) {
	text := chunkRaw + string(data)
	if !box.Encrypted() {
		text = chunkBase64 + base64.StdEncoding.EncodeToString(data)
	}
	c.Content = box.Seal(secret.New(text), c.place())
}

func openChunk(box *secret.Box, row *chunkRow) ([]byte, error) {
	text, err := box.Open(row.Content, row.place())
	if err != nil {
		return nil, err
	}
	switch plain := text.Reveal(); plain[:min(1, len(plain))] {
	case chunkRaw:
		return []byte(plain[1:]), nil
	case chunkBase64:
		return base64.StdEncoding.DecodeString(plain[1:])
	}
	return nil, secret.ErrBroken
}

// AppendInput adds a piece to the file of an operation that is being uploaded. One that is not any more, or is to be canceled, is
// CodeConflict.
func (s *Store) AppendInput(ctx context.Context, id operation.ID, seq int, data []byte) error {
	return s.sealing(func(box *secret.Box) error {
		row := sealedChunk(box, id, operation.Input, seq, data)
		return s.write(ctx, "storing a file", func(ctx context.Context, tx bun.Tx) error {
			if err := lock(ctx, tx, keysRevision); err != nil {
				return err
			}
			if err := s.stillSealing(ctx, tx, box); err != nil {
				return err
			}
			result, err := tx.NewUpdate().Model((*operationRow)(nil)).Set("seen_at = ?", s.stamp(now())).Set("input_bytes = input_bytes + ?", len(data)).
				Where("id = ?", int64(id)).Where("state = ?", string(operation.Uploading)).Where("cancel_asked = ?", false).Exec(ctx)
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil || n == 0 {
				return errors.Join(fleet.NewError(fleet.CodeConflict, fmt.Sprintf("operation %d was canceled", id), nil), err)
			}
			_, err = tx.NewInsert().Model(&row).Exec(ctx)
			return err
		})
	})
}

// Chunk returns a piece of a file of an operation, from 0 on; nil behind the last one.
func (s *Store) Chunk(ctx context.Context, id operation.ID, stream operation.Stream, seq int) ([]byte, error) {
	box, err := s.sealer()
	if err != nil {
		return nil, err
	}
	row := chunkRow{OperationID: int64(id), Stream: string(stream), Seq: int64(seq)}
	err = s.read(ctx, "reading a file", func(ctx context.Context, db bun.IDB) error {
		return db.NewSelect().Model(&row).WherePK().Scan(ctx)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := openChunk(box, &row)
	if err != nil {
		return nil, fleet.NewError(fleet.CodeInternal, fmt.Sprintf("a stored file of operation %d cannot be opened; begin the operation again", id), err)
	}
	return data, nil
}
