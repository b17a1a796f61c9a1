package operation

import (
	"context"
	"fmt"
	"io"

	"gpt-load/internal/fleet"
)

// ErrTooLarge says that a file has more than most bytes.
func ErrTooLarge(most int64) *fleet.Error {
	return fleet.NewError(fleet.CodeTooLarge, fmt.Sprintf("the upload is larger than %d MiB; compress it with gzip or split it into several files", most>>20), nil)
}

// inputWriter keeps a file in the database as it comes.
type inputWriter struct {
	ctx    context.Context // of the upload; the writer does not outlive it
	store  Store
	id     ID
	seq    int
	bytes  int64
	most   int64
	buffer []byte
}

// Write implements io.Writer.
func (w *inputWriter) Write(p []byte) (int, error) {
	if w.bytes += int64(len(p)); w.bytes > w.most {
		return 0, ErrTooLarge(w.most)
	}
	w.buffer = append(w.buffer, p...)
	for len(w.buffer) >= ChunkBytes {
		if err := w.append(ChunkBytes); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (w *inputWriter) append(n int) error {
	if err := w.store.AppendInput(w.ctx, w.id, w.seq, w.buffer[:n]); err != nil {
		return err
	}
	w.seq++
	w.buffer = w.buffer[:copy(w.buffer, w.buffer[n:])]
	return nil
}

// flush stores what is left.
func (w *inputWriter) flush() error {
	if len(w.buffer) == 0 {
		return nil
	}
	return w.append(len(w.buffer))
}

// inputReader reads the file back.
type inputReader struct {
	ctx   context.Context // of the work
	store Store
	id    ID
	seq   int
	rest  []byte
}

// Read implements io.Reader.
func (r *inputReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		data, err := r.store.Chunk(r.ctx, r.id, Input, r.seq)
		if err != nil {
			return 0, err
		}
		if data == nil {
			return 0, io.EOF
		}
		r.rest = data
		r.seq++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
