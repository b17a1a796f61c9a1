package requestlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

// refusedInARow is how many records a sink may refuse one after the other, with none taken between them, before the
// fault is held to be the sink's: then everything stays in the spool and is tried again later.
const refusedInARow = 16

var errRefusesAll = errors.New("the sink refuses every record as invalid")

// isolation finds the records that make a sink refuse a batch.
type isolation struct {
	f       *flusher
	refused []refusal // not settled: none was taken since
}

type refusal struct {
	index int
	err   error
}

// isolate delivers the reader's batch in parts, in order, and sets the records aside that the sink refuses by
// themselves.
func (f *flusher) isolate(ctx context.Context) error {
	i := isolation{f: f}
	n := len(f.reader.records)
	if err := i.split(ctx, 0, n); err != nil {
		return err
	}
	if len(i.refused) == 0 {
		return nil
	}
	i.settle()
	// The last record was refused: the position passes it alone, or the next start would meet it again.
	if err := f.write(ctx, n, n); err != nil && fleet.CodeOf(err) != fleet.CodeInvalid {
		return err
	}
	return nil
}

// split delivers from..to, a range known to be refused as a whole.
func (i *isolation) split(ctx context.Context, from, to int) error {
	if to-from == 1 {
		return i.try(ctx, from, to)
	}
	middle := (from + to) / 2
	if err := i.try(ctx, from, middle); err != nil {
		return err
	}
	return i.try(ctx, middle, to)
}

// try delivers from..to and splits it when it is refused.
func (i *isolation) try(ctx context.Context, from, to int) error {
	err := i.f.write(ctx, from, to)
	switch {
	case err == nil:
		i.settle()
		return nil
	case fleet.CodeOf(err) != fleet.CodeInvalid:
		return err
	case to-from > 1:
		return i.split(ctx, from, to)
	}
	i.refused = append(i.refused, refusal{index: from, err: err})
	if len(i.refused) >= refusedInARow {
		return fmt.Errorf("%w: %w", errRefusesAll, err)
	}
	return nil
}

func (i *isolation) settle() {
	for _, r := range i.refused {
		i.f.rejects.add(&i.f.reader.records[r.index], r.err)
	}
	i.refused = i.refused[:0]
}

// rejectsLimit bounds the file of the records that no sink takes.
const rejectsLimit = 16 << 20

// rejects keeps refused records in a file for a person to look at, one JSON object a line.
type rejects struct {
	dir   string
	log   *zap.Logger
	count atomic.Int64
}

type rejectedRecord struct {
	ID     string
	Error  string
	Record *fleet.RequestRecord
}

func (r *rejects) add(record *fleet.RequestRecord, why error) {
	r.count.Add(1)
	path := filepath.Join(r.dir, rejectedName)
	err := r.keep(path, record, why)
	r.log.Error("a request record was refused as invalid and set aside", zap.String("record", record.ID.String()),
		zap.String("file", path), zap.NamedError("refusal", why), zap.Error(err))
}

func (r *rejects) keep(path string, record *fleet.RequestRecord, why error) error {
	line, err := json.Marshal(rejectedRecord{ID: record.ID.String(), Error: why.Error(), Record: record})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Size()+int64(len(line)) > rejectsLimit {
		err = fmt.Errorf("%s has reached its bound of %d bytes; look at it and remove it", rejectedName, rejectsLimit)
	}
	if err == nil {
		_, err = file.Write(append(line, '\n'))
	}
	return errors.Join(err, file.Close())
}
