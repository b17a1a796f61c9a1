package adminhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
)

// Bounds of what is added at once. An import of a file is an operation and has others.
const (
	importBatch      = 1000 // keys written in one call of the store
	listedRejections = 100
	listedKeys       = 100
)

// keyImport writes keys in batches as they are read.
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

// read adds the keys of a text, in any format of which only the values are said.
func (i *keyImport) read(ctx context.Context, text string) error {
	r, err := keyfile.NewReader(strings.NewReader(text), keyfile.Options{Refuse: maskedFault})
	if err != nil {
		return err
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			i.result.BytesScanned += int64(len(text))
			return nil
		}
		if err != nil {
			return err
		}
		if e.Fault == "" && e.Key.SaysMore() {
			e.Fault = "says more than its value; import it as a file, with POST /groups/{id}/keys/import"
		}
		if err := i.take(ctx, e.Line, e.Key.Value, e.Fault); err != nil {
			return err
		}
	}
}

func (i *keyImport) take(ctx context.Context, line int, value secret.Text, fault string) error {
	i.line = line
	if fault != "" {
		i.result.Rejected++
		if len(i.result.Rejections) < listedRejections {
			i.result.Rejections = append(i.result.Rejections, adminapi.KeyRejected{Line: line, Reason: fault})
		}
		return nil
	}
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

// keyFault says why a text cannot be a key, and nothing when it can.
func keyFault(value string) string {
	if why := keyfile.ValueFault(value); why != "" {
		return why
	}
	return maskedFault(value)
}
