package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gpt-load/internal/keyfile"
	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

const (
	// uploadBytes ends one file of keys and begins the next: half of what the API takes at once.
	uploadBytes = 128 << 20
	// shownRejections are the rejected keys whose reasons are shown.
	shownRejections = 10
	// farewellWait is how long an interrupted command waits for the server to end what it began.
	farewellWait = 5 * time.Second
)

// keyTransfer sends keys to a group as they come, in one operation or several. Keys that the group has already stay as they are.
type keyTransfer struct {
	*app
	client   *adminclient.Client
	groupID  string
	progress *keyProgress
	result   keysBrought

	upload *keyUpload // nil between two files
}

// keyUpload is one file on its way.
type keyUpload struct {
	pipe      *io.PipeWriter
	keys      *keyfile.Writer
	bytes     int64
	begun     chan struct{} // closed when operation and err are set
	operation adminapi.Operation
	err       error
}

// Write implements io.Writer between the writer of keys and the pipe.
func (u *keyUpload) Write(p []byte) (int, error) {
	n, err := u.pipe.Write(p)
	u.bytes += int64(n)
	return n, err
}

func (t *keyTransfer) add(ctx context.Context, k *keyfile.Key) error {
	if t.upload == nil {
		if err := t.begin(ctx); err != nil {
			return err
		}
	}
	if err := t.upload.keys.Write(k); err != nil {
		return t.broken(err)
	}
	if t.upload.bytes >= uploadBytes {
		return t.end(ctx)
	}
	return nil
}

func (t *keyTransfer) begin(ctx context.Context) error {
	if err := t.awaitOthers(ctx); err != nil {
		return err
	}
	file, pipe := io.Pipe()
	u := &keyUpload{pipe: pipe, begun: make(chan struct{})}
	var err error
	if u.keys, err = keyfile.NewWriter(u, keyfile.JSONLines); err != nil {
		return err
	}
	go func() {
		defer close(u.begun)
		u.operation, u.err = t.client.ImportKeys(ctx, t.groupID, file, adminclient.ImportOptions{Format: adminapi.FormatJSONL})
		_ = file.CloseWithError(io.ErrClosedPipe) // always nil; ends a writer that the server did not wait for
	}()
	t.upload = u
	return nil
}

// broken prefers what the server said to the pipe that it closed.
func (t *keyTransfer) broken(err error) error {
	u := t.upload
	t.upload = nil
	_ = u.pipe.CloseWithError(err) // always nil
	<-u.begun
	if u.err != nil {
		return u.err
	}
	return err
}

// abandon ends a file that shall not be imported: the server refuses half a file, and changes nothing.
func (t *keyTransfer) abandon() {
	if t.upload != nil {
		_ = t.broken(errors.New("the import was given up"))
	}
}

// end sends the rest of a file and waits until all of its keys are added.
func (t *keyTransfer) end(ctx context.Context) error {
	if t.upload == nil {
		return nil
	}
	if err := t.upload.keys.Close(); err != nil {
		return t.broken(err)
	}
	u := t.upload
	t.upload = nil
	_ = u.pipe.Close() // always nil
	<-u.begun
	if u.err != nil {
		return u.err
	}
	before := int64(0)
	o, err := t.client.WaitOperation(ctx, u.operation.ID, func(o adminapi.Operation) {
		t.progress.add(o.Done - before)
		before = o.Done
	})
	if err != nil {
		t.cancel(ctx, u.operation.ID)
		return err
	}
	t.result.Added += int(o.Counts["added"])
	t.result.ThereAlready += int(o.Counts["duplicate"])
	t.result.Rejected += int(o.Counts["rejected"])
	if o.State != adminapi.OperationSucceeded {
		return failed(fmt.Sprintf("the import of the keys of %s %s: %s", t.result.Group, o.State, o.Error), "keys that were added stay; doing it again adds the rest")
	}
	if o.Counts["rejected"] > 0 {
		return t.tellRejected(ctx, o.ID)
	}
	return nil
}

// cancel ends an operation whose command is interrupted.
func (t *keyTransfer) cancel(ctx context.Context, id string) {
	if ctx.Err() == nil {
		return
	}
	alone, done := context.WithTimeout(context.WithoutCancel(ctx), farewellWait)
	defer done()
	if _, err := t.client.CancelOperation(alone, id); err == nil {
		t.progress.clear()
		t.note("keys that were added stay; doing it again adds the rest")
	}
}

// awaitOthers waits for imports into the group that an earlier run left behind: there can be one at a time.
func (t *keyTransfer) awaitOthers(ctx context.Context) error {
	for _, state := range []string{adminapi.OperationUploading, adminapi.OperationWaiting, adminapi.OperationRunning} {
		page, err := t.client.Operations(ctx, adminclient.OperationFilter{GroupID: t.groupID, Kind: adminapi.OperationImport, State: state})
		if err != nil {
			return err
		}
		for _, o := range page.Operations {
			t.progress.clear()
			t.note("waiting for the end of operation %s, an import of keys into %s", o.ID, t.result.Group)
			if _, err := t.client.WaitOperation(ctx, o.ID, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

var errEnough = errors.New("enough")

func (t *keyTransfer) tellRejected(ctx context.Context, id string) error {
	t.progress.clear()
	n := 0
	err := t.client.EachOutcome(ctx, id, func(o adminapi.OperationOutcome) error {
		if o.Outcome != "rejected" {
			return nil
		}
		if n++; n > shownRejections {
			return errEnough
		}
		t.note("%s, key %d: %s", t.result.Group, o.Entry, o.Reason)
		return nil
	})
	if errors.Is(err, errEnough) {
		t.note("and more")
		return nil
	}
	return err
}

// keysBrought says what became of the keys of one group, as JSON.
type keysBrought struct {
	Group        string `json:"group"`
	Added        int    `json:"added_keys"`
	ThereAlready int    `json:"keys_there"` // or repeated
	Rejected     int    `json:"rejected_keys"`
}

// String is the result as a sentence.
func (k keysBrought) String() string {
	text := fmt.Sprintf("%s: %s added, %s there already or repeated", k.Group, keysInWords(k.Added), terminal.Count(int64(k.ThereAlready)))
	if k.Rejected > 0 {
		text += fmt.Sprintf(", %s rejected", terminal.Count(int64(k.Rejected)))
	}
	return text
}

// keyProgress shows how many keys are done: a bar on a terminal, otherwise lines.
type keyProgress struct {
	app         *app
	label       string
	done, total int64
	bar         *terminal.Progress
	told        time.Time
}

func (a *app) newKeyProgress(label string, total int64) *keyProgress {
	return &keyProgress{app: a, label: label, total: total, bar: a.NewProgress(label, total, terminal.Count), told: time.Now()}
}

func (p *keyProgress) add(n int64) {
	p.done += n
	p.bar.Add(n)
	if now := time.Now(); !p.app.ShowsProgress && now.Sub(p.told) >= lineEvery {
		p.told = now
		p.app.note("%s: %s of %s keys", p.label, terminal.Count(p.done), terminal.Count(p.total))
	}
}

func (p *keyProgress) clear()  { p.bar.Clear() }
func (p *keyProgress) finish() { p.bar.Finish() }
