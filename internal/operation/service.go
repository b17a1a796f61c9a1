package operation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
)

// Store is where operations and keys stand. sqlstore.Store says how each method behaves.
type Store interface {
	CreateOperation(ctx context.Context, o Operation) (Operation, error)
	AppendInput(ctx context.Context, id ID, seq int, data []byte) error
	AbortUpload(ctx context.Context, id ID, why string) error
	BeginOperation(ctx context.Context, id ID, total, bytes int64) (Operation, error)
	CancelOperation(ctx context.Context, id ID) (Operation, error)
	Operation(ctx context.Context, id ID) (Operation, error)
	Operations(ctx context.Context, q Query) (page []Operation, next string, err error)
	Chunk(ctx context.Context, id ID, stream Stream, seq int) ([]byte, error)

	ClaimOperation(ctx context.Context, node string) (o Operation, ok bool, err error)
	HoldOperation(ctx context.Context, c Claim) (cancel bool, err error)
	ReleaseOperation(ctx context.Context, c Claim) error
	FinishOperation(ctx context.Context, c Claim, state State, why string) error
	AdvanceOperation(ctx context.Context, c Claim, p Progress, result []byte) error
	PruneOperations(ctx context.Context) (touched int, err error)

	ImportKeys(ctx context.Context, c Claim, group fleet.GroupID, keys []keyfile.Key, record func(added []bool) (Progress, []byte)) error
	EditSomeKeys(ctx context.Context, c Claim, which fleet.KeySelection, edit fleet.KeyEdit, after fleet.KeyID,
		record func(edited fleet.KeysEdited, next fleet.KeyID) (Progress, []byte)) error
	CountSelected(ctx context.Context, which fleet.KeySelection, edit fleet.KeyEdit, most int) (count int, more bool, err error)
	KeysAfter(ctx context.Context, which fleet.KeySelection, after fleet.KeyID, limit int) (keys []fleet.Key, next fleet.KeyID, err error)
	Group(ctx context.Context, id fleet.GroupID) (fleet.Group, error)
}

// Worker does an operation from where it stands. It returns nil when everything is done, and soon after ctx ended. An error of
// CodeUnavailable is tried again, from where the operation stands then.
type Worker func(ctx context.Context, r *Run) error

// ServiceOptions are what a Service is made of. Changed may be nil.
type ServiceOptions struct {
	Store Store
	Node  string // this node, for people
	Log   *zap.Logger
	// Changed is told that keys were changed in the store. It does not wait.
	Changed func()
	// Settle lets this node serve by what is in the store, before an operation that changed keys ends; nil for nothing to do.
	Settle func(ctx context.Context) error
	// MaxInputBytes bounds a file as it is sent; 0 takes the usual MaxInputBytes.
	MaxInputBytes int64
	// RefuseValue says why a value that could be a key is not wanted; it may be nil.
	RefuseValue func(value string) string
}

// Service begins operations, shows them and does them.
type Service struct {
	ServiceOptions
	workers map[Kind]Worker
	wake    chan struct{} // capacity 1
}

// NewService makes a service that knows imports, deletions, exports and copies. It starts nothing; see Run.
func NewService(o ServiceOptions) *Service {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Settle == nil {
		o.Settle = func(context.Context) error { return nil }
	}
	if o.MaxInputBytes == 0 {
		o.MaxInputBytes = MaxInputBytes
	}
	s := &Service{ServiceOptions: o, wake: make(chan struct{}, 1)}
	s.workers = map[Kind]Worker{Import: s.importKeys, Deletion: s.editKeys, Export: s.exportKeys, Copy: s.copyKeys, Change: s.editKeys}
	return s
}

// Handle sets who does operations of a kind, before Run.
func (s *Service) Handle(kind Kind, w Worker) { s.workers[kind] = w }

// Start begins an operation that needs no file.
func (s *Service) Start(ctx context.Context, o Operation) (Operation, error) {
	count, more, err := s.Store.CountSelected(ctx, o.Selection(), o.edit(), mostCounted)
	if err != nil {
		return Operation{}, err
	}
	if !more {
		o.Total = int64(count)
	}
	if o.Kind == Copy {
		if _, err := s.Store.Group(ctx, o.Options.From); err != nil {
			return Operation{}, err
		}
	}
	o.State = Waiting
	if o, err = s.Store.CreateOperation(ctx, o); err == nil {
		s.wakeUp()
	}
	return o, err
}

// mostCounted bounds the count for the total, which takes a second for each million keys that a filter has to look at.
const mostCounted = 5_000_000

// Upload begins an import of a file. It reads the file to its end and keeps it; a file that breaks off or is none of keys is an
// error, and then nothing was changed.
func (s *Service) Upload(ctx context.Context, o Operation, file io.Reader) (Operation, error) {
	o.Kind, o.State, o.Node = Import, Uploading, s.Node
	o, err := s.Store.CreateOperation(ctx, o)
	if err != nil {
		return Operation{}, err
	}
	begun, err := s.upload(ctx, o, file)
	if err == nil {
		s.wakeUp()
		return begun, nil
	}
	why := "the upload broke off"
	var known *fleet.Error
	if errors.As(err, &known) {
		why = known.Error()
	}
	// Also when the client is gone, and with it ctx.
	alone, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if aborted := s.Store.AbortUpload(alone, o.ID, why+"; nothing was changed"); aborted != nil {
		s.Log.Warn("an upload that broke off could not be ended; that is done later", zap.Int64("operation", int64(o.ID)), zap.Error(aborted))
	}
	if known != nil && known.Code != fleet.CodeUnavailable {
		told := *known
		told.Message += "; nothing was changed"
		return Operation{}, &told
	}
	return Operation{}, err
}

// upload stores the file and reads it at the same time, so that what is wrong with it as a whole is known at its end.
func (s *Service) upload(ctx context.Context, o Operation, file io.Reader) (Operation, error) {
	kept := &inputWriter{ctx: ctx, store: s.Store, id: o.ID, most: s.MaxInputBytes}
	both := io.TeeReader(file, kept)
	entries, err := s.readEntries(both, o.Options.Format, func(*keyfile.Entry) error { return nil })
	if err != nil {
		return o, err
	}
	// What stands behind the end of a gzip stream belongs to the file, too.
	if _, err := io.Copy(io.Discard, both); err != nil {
		return o, err
	}
	if err := kept.flush(); err != nil {
		return o, err
	}
	if entries == 0 {
		return o, fleet.NewError(fleet.CodeInvalid, "the file holds no key", nil)
	}
	return s.Store.BeginOperation(ctx, o.ID, entries, kept.bytes)
}

// entriesBetween is how many entries of a file are read before requests that are ready to run go first.
const entriesBetween = 64

// readEntries reads a file to its end.
func (s *Service) readEntries(file io.Reader, format keyfile.Format, each func(*keyfile.Entry) error) (n int64, err error) {
	r, err := keyfile.NewReader(file, keyfile.Options{Format: format, MaxBytes: maxTextBytes, Refuse: s.RefuseValue})
	if err != nil {
		return 0, err
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n++
		if err := each(&e); err != nil {
			return n, err
		}
		if n%entriesBetween == 0 {
			runtime.Gosched()
		}
	}
}

// Cancel ends an operation, or asks the node that works on it to end it.
func (s *Service) Cancel(ctx context.Context, id ID) (Operation, error) {
	return s.Store.CancelOperation(ctx, id)
}

// Get returns one operation.
func (s *Service) Get(ctx context.Context, id ID) (Operation, error) {
	return s.Store.Operation(ctx, id)
}

// List returns a page of operations, newest first.
func (s *Service) List(ctx context.Context, q Query) (page []Operation, next string, err error) {
	return s.Store.Operations(ctx, q)
}

// WriteResult writes the result of an operation as far as it has come.
func (s *Service) WriteResult(ctx context.Context, o Operation, to io.Writer) error {
	expand := o.Kind == Import || o.Kind == Copy
	for seq := range o.Chunks {
		data, err := s.Store.Chunk(ctx, o.ID, Result, seq)
		switch {
		case err != nil:
			return err
		case data == nil:
			return fleet.NewError(fleet.CodeGone, fmt.Sprintf("the result of operation %d was deleted meanwhile", o.ID), nil)
		case expand:
			err = expandRuns(data, to)
		default:
			_, err = to.Write(data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// WroteNothing reports whether the file of an export that succeeded is empty because there was no key: files of CSV and JSON have a
// head all the same.
func WroteNothing(o Operation) bool {
	return o.Done == 0 && (o.Options.Format == keyfile.Text || o.Options.Format == keyfile.JSONLines)
}

// ResultName is what a file with the result may be called, and its media type.
func ResultName(o Operation) (name, mediaType string) {
	format := keyfile.JSONLines
	if o.Kind == Export {
		format = o.Options.Format
	}
	extension := string(format)
	if format == keyfile.Text {
		extension = "txt"
	}
	return strings.ToLower(fmt.Sprintf("%s-%d.%s", o.Kind, o.ID, extension)), keyfile.ContentType(format)
}

func (s *Service) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// farewell bounds what is said of an operation when whoever worked on it has to stop.
const farewell = 5 * time.Second
