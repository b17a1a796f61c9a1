package requestlog

import (
	"context"

	"gpt-load/internal/fleet"
)

// Bounds of one batch.
const (
	MaxBatchRecords = 4000
	MaxBatchBytes   = 8 << 20 // of encoded records; one record alone is never over it
)

// Batch is a run of records of one spool, in the order of their positions.
type Batch struct {
	// Source is the spool's id: random, made once for each spool folder.
	Source string
	// Position is the sequence number of the last record that the batch covers; it grows from batch to batch, with
	// gaps. A sink whose stored position of this source is at or past it has the batch already and does nothing.
	Position int64
	// Records are at most MaxBatchRecords, and may be none: then only the position moves on. The slice and the
	// Attempts in it are reused: the sink may use them only until it returns.
	Records []fleet.RequestRecord
}

// Sink is where batches go: the database of a single node; in a fleet, what stands before it.
type Sink interface {
	// WriteRecords stores the batch and its position in one transaction, or nothing. A nil error means that the
	// spool may forget the batch. An error with code fleet.CodeInvalid says that a record in it can never be
	// stored; every other error is temporary. It may be called again with a batch that was stored although an error
	// came back.
	WriteRecords(ctx context.Context, b Batch) error
	// Position returns the stored position of a source, 0 for one never heard of.
	Position(ctx context.Context, source string) (int64, error)
}
