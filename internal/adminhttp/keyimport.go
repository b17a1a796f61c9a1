package adminhttp

import (
	"context"
	"errors"
	"fmt"
	"io"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
)

// Bounds of an import.
const (
	importBatch      = 1000 // keys written in one transaction
	listedRejections = 100
	listedKeys       = 100
	maxImportBytes   = 64 << 20 // about a million keys of 64 bytes; more belong into several files
)

// keyImport writes keys in batches as they are read, so that its memory does not grow with the file.
type keyImport struct {
	api      *API
	group    fleet.GroupID
	disabled bool

	batch  []secret.Text
	seen   map[string]bool // of the batch; the store finds repeats further apart
	result adminapi.KeyImport
	line   int
}

func (a *API) newImport(group fleet.GroupID, disabled bool) *keyImport {
	return &keyImport{
		api: a, group: group, disabled: disabled, seen: make(map[string]bool, importBatch),
		result: adminapi.KeyImport{Rejections: []adminapi.KeyRejected{}, Keys: []adminapi.Key{}},
	}
}

// read imports everything a reader holds.
func (i *keyImport) read(ctx context.Context, r io.Reader) error {
	counted := &countingReader{r: r}
	err := scanKeys(counted, func(k scannedKey) error { return i.take(ctx, k) })
	i.result.BytesScanned += counted.n
	return err
}

func (i *keyImport) take(ctx context.Context, k scannedKey) error {
	i.line = k.line
	if k.fault != "" {
		i.result.Rejected++
		if len(i.result.Rejections) < listedRejections {
			i.result.Rejections = append(i.result.Rejections, adminapi.KeyRejected{Line: k.line, Reason: k.fault})
		}
		return nil
	}
	value := secret.New(k.value)
	if i.seen[value.Reveal()] {
		i.result.Duplicates++
		return nil
	}
	i.seen[value.Reveal()] = true
	if i.batch = append(i.batch, value); len(i.batch) < importBatch {
		return nil
	}
	return i.write(ctx)
}

// write commits the batch and lets this node serve by it.
func (i *keyImport) write(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	added, duplicates, err := i.api.Store.AddKeys(ctx, i.group, i.batch, i.disabled)
	if len(added) > 0 { // also those of a batch that broke off half way
		i.api.Pools.KeysChanged(ctx, i.group, added, nil, nil)
	}
	i.result.Added += len(added)
	i.result.Duplicates += duplicates
	for _, k := range added[:min(len(added), listedKeys-len(i.result.Keys))] {
		i.result.Keys = append(i.result.Keys, i.api.wireKey(k))
	}
	i.batch = i.batch[:0]
	clear(i.seen)
	return err
}

// finish writes the last batch. An import that broke off after it had written something says so.
func (i *keyImport) finish(ctx context.Context, err error) (*answer[adminapi.KeyImport], error) {
	if err == nil {
		err = i.write(ctx)
	}
	if err == nil {
		return &answer[adminapi.KeyImport]{i.result}, nil
	}
	if i.result.Added == 0 {
		return nil, err
	}
	partly := fmt.Sprintf("stopped near line %d after adding %d keys, which stay; mend the cause and send everything again: keys that are there already count as duplicates", i.line, i.result.Added)
	var known *fleet.Error
	if errors.As(err, &known) {
		return nil, fleet.NewError(known.Code, partly+": "+known.Message, err)
	}
	return nil, fleet.NewError(fleet.CodeUnavailable, partly, err)
}

// countingReader counts what was read.
type countingReader struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// boundedReader ends with CodeTooLarge when more than left bytes come. Before each read it moves the deadlines of
// the connection, so that a slow upload may take its time while a stalled one ends.
type boundedReader struct {
	r    io.Reader
	left int64
	call *call
}

// Read implements io.Reader.
func (b *boundedReader) Read(p []byte) (int, error) {
	b.call.extend(usualTimeout)
	n, err := b.r.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return n, fleet.NewError(fleet.CodeTooLarge, fmt.Sprintf("the upload is larger than %d MiB; split it into several files", maxImportBytes>>20), nil)
	}
	if errors.Is(err, io.EOF) {
		b.call.extend(longTimeout) // what was read last is yet to be written
		return n, err
	}
	if err != nil {
		return n, fleet.NewError(fleet.CodeInvalid, "the upload broke off before its end", err)
	}
	return n, err
}
