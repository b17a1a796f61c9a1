package adminclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"gpt-load/pkg/adminapi"
)

// ImportOptions say what a file of keys is. Zero fields leave it to the server to find out.
type ImportOptions struct {
	Format   string // adminapi.FormatText and so on
	Disabled bool   // add the keys switched off
}

// ImportKeys begins an import of a file: text, CSV, JSON or JSON lines, plain or compressed with gzip, at most 256 MiB as it is sent.
// It is sent as it is read; when this returns an error, nothing was changed. WaitOperation waits for the end.
func (c *Client) ImportKeys(ctx context.Context, group string, file io.Reader, o ImportOptions) (adminapi.Operation, error) {
	query := url.Values{}
	add(query, "format", o.Format)
	if o.Disabled {
		query.Set("disabled", "true")
	}
	return call[adminapi.Operation](ctx, c, request{
		method: http.MethodPost, path: at("groups", group, "keys", "import"), query: query, body: file, contentType: "application/octet-stream",
	})
}

// StartOperation begins an operation on the keys of a group that needs no file.
func (c *Client) StartOperation(ctx context.Context, group string, in adminapi.OperationInput) (adminapi.Operation, error) {
	return call[adminapi.Operation](ctx, c, request{method: http.MethodPost, path: at("groups", group, "operations"), json: in})
}

// OperationFilter narrows a page of operations. Zero fields do not filter.
type OperationFilter struct {
	GroupID string
	Kind    string
	State   string
	Limit   int    // 1 to 1000; 0 takes 50
	Cursor  string // NextCursor of the page before
}

// Operations gets a page of operations, newest first.
func (c *Client) Operations(ctx context.Context, f OperationFilter) (adminapi.OperationPage, error) {
	query := url.Values{}
	add(query, "group_id", f.GroupID)
	add(query, "kind", f.Kind)
	add(query, "state", f.State)
	add(query, "cursor", f.Cursor)
	addInt(query, "limit", f.Limit)
	return call[adminapi.OperationPage](ctx, c, request{method: http.MethodGet, path: at("operations"), query: query})
}

// Operation gets one operation.
func (c *Client) Operation(ctx context.Context, id string) (adminapi.Operation, error) {
	return call[adminapi.Operation](ctx, c, request{method: http.MethodGet, path: at("operations", id)})
}

// CancelOperation ends an operation; what it did stays. A node that works on it ends it within about a second.
func (c *Client) CancelOperation(ctx context.Context, id string) (adminapi.Operation, error) {
	return call[adminapi.Operation](ctx, c, request{method: http.MethodPost, path: at("operations", id, "cancel")})
}

// Pauses between two looks at an operation: short ones at first, because most of them are short.
const (
	shortestLook = 50 * time.Millisecond
	longestLook  = time.Second
)

// WaitOperation waits until an operation has ended and returns it, whatever its end. look, if not nil, is shown it again and
// again. A server that is away for a moment is waited for.
func (c *Client) WaitOperation(ctx context.Context, id string, look func(adminapi.Operation)) (adminapi.Operation, error) {
	const patience = 30 // looks that fail one after the other
	for pause, failed := shortestLook, 0; ; pause = min(2*pause, longestLook) {
		o, err := c.Operation(ctx, id)
		switch {
		case err == nil:
			if failed = 0; look != nil {
				look(o)
			}
			if o.Ended() {
				return o, nil
			}
		case ctx.Err() != nil:
			return o, err
		default:
			var answered *Error
			if failed++; failed > patience || errors.As(err, &answered) && answered.Status < http.StatusInternalServerError {
				return o, err
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return o, ctx.Err()
		case <-timer.C:
		}
	}
}

// OperationResult gets the result of an operation, as far as it has come: the file of an export, and JSON lines of any other. The
// caller closes it. A result that breaks off ends with an error and not with io.EOF.
func (c *Client) OperationResult(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.open(ctx, request{method: http.MethodGet, path: at("operations", id, "result")})
}

// EachOutcome reads the result of an import or a copy, entry by entry.
func (c *Client) EachOutcome(ctx context.Context, id string, each func(adminapi.OperationOutcome) error) error {
	result, err := c.OperationResult(ctx, id)
	if err != nil {
		return err
	}
	defer result.Close()
	for decoder := json.NewDecoder(result); ; {
		var o adminapi.OperationOutcome
		if err := decoder.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("adminclient: reading the result of operation %s: %w", id, err)
		}
		if err := each(o); err != nil {
			return err
		}
	}
}
