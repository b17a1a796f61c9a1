package operation

import (
	"slices"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
)

// ID identifies an operation for ever. 0 means none.
type ID int64

// Kind is what an operation does.
type Kind string

// The kinds.
const (
	Import     Kind = "import"     // adds the keys of a file to a group
	Validation Kind = "validation" // tests the keys of a group
	Deletion   Kind = "deletion"   // deletes keys of a group
	Export     Kind = "export"     // writes the keys of a group into a file
	Copy       Kind = "copy"       // adds the keys of another group to a group
	Change     Kind = "change"     // does an operator's act to keys of a group
)

// Kinds lists all kinds.
var Kinds = []Kind{Import, Validation, Deletion, Export, Copy, Change}

// State is where an operation stands.
type State string

// The states.
const (
	Uploading State = "uploading"
	Waiting   State = "waiting"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Canceled  State = "canceled"
)

// States lists all states.
var States = []State{Uploading, Waiting, Running, Succeeded, Failed, Canceled}

// Ended reports whether nothing more will happen.
func (s State) Ended() bool { return slices.Contains([]State{Succeeded, Failed, Canceled}, s) }

// Options say what an operation is to do; each kind looks at its own.
type Options struct {
	// Format of the file of an import or export.
	Format keyfile.Format `json:"format,omitempty"`
	// Disabled adds keys switched off, whatever the file says.
	Disabled bool `json:"disabled,omitempty"`
	// State narrows all but an import to keys that stand so, KeyActive to those that rest or do not; empty means any.
	State fleet.KeyState `json:"state,omitempty"`
	// Filter narrows it further; nil does not.
	Filter *fleet.KeyFilter `json:"filter,omitempty"`
	// Edit is what a change does.
	Edit fleet.KeyEdit `json:"edit,omitzero"`
	// From is the group that a copy reads.
	From fleet.GroupID `json:"from,omitempty"`
	// PerSecond bounds the tests that a validation begins in a second; 0 leaves that to the concurrency.
	PerSecond int `json:"per_second,omitempty"`
}

// Operation is one long piece of work.
type Operation struct {
	ID        ID
	Kind      Kind
	GroupID   fleet.GroupID
	GroupName string // when it began
	State     State
	Options   Options
	Progress
	Total       int64  // keys to go through; 0 when not known
	InputBytes  int64  // of the file as it was sent
	Error       string // why it failed
	Node        string // that runs it, or ran it last
	CancelAsked bool
	CreatedAt   time.Time
	StartedAt   time.Time // zero before the first claim
	SeenAt      time.Time // when its node last said that it lives
	EndedAt     time.Time // zero while it goes on
	Claim       int64     // number of the newest claim
}

// Selection is which keys an operation goes through, of the group that it reads.
func (o *Operation) Selection() fleet.KeySelection {
	which := fleet.KeySelection{Group: o.GroupID, State: o.Options.State}
	if o.Kind == Copy {
		which.Group = o.Options.From
	}
	if o.Options.Filter != nil {
		which.Filter = *o.Options.Filter
	}
	return which
}

// edit is what an operation does to keys; a validation tests them.
func (o *Operation) edit() fleet.KeyEdit {
	if o.Kind == Deletion {
		return fleet.KeyEdit{Act: fleet.ActDelete}
	}
	return o.Options.Edit
}

// Progress is how far an operation has come: everything that the next node needs.
type Progress struct {
	Done   int64            // keys gone through, whatever became of them
	Counts map[string]int64 // keys by what became of them, such as added, duplicate, rejected
	// Position is for the worker only.
	Position int64
	// Chunks and Bytes are the size of the result.
	Chunks int
	Bytes  int64
}

// Claim is the right of a node to work on an operation.
type Claim struct {
	ID     ID
	Number int64
}

// Stream is one of the two files of an operation.
type Stream string

// The streams.
const (
	Input  Stream = "input"
	Result Stream = "result"
)

// Query asks for one page of operations, newest first. Zero fields do not filter.
type Query struct {
	Group  fleet.GroupID
	Kind   Kind
	State  State
	Limit  int // 1 to fleet.MaxPage; 0 takes fleet.DefaultPage
	Cursor string
}

// Bounds.
const (
	// ChunkBytes is the size of a piece of a file in the database.
	ChunkBytes = 256 << 10
	// MaxInputBytes bounds the file of an import as it is sent: about three million keys of 80 bytes.
	MaxInputBytes = 256 << 20
	// maxTextBytes bounds it after decompression.
	maxTextBytes = 1 << 30
	// MaxActive bounds the operations that have not ended, and with them the files in the database.
	MaxActive = 32
	// StepKeys is how many keys one step of a worker goes through, in one transaction.
	StepKeys = 500

	heartbeatPause = time.Second
	// HeartbeatTimeout is how long an operation waits for a word of its node before another one takes over.
	HeartbeatTimeout = 10 * time.Second
	// UploadTimeout is the same for an upload, each chunk of which is a word.
	UploadTimeout = 2 * time.Minute
	// Kept is how long operations stay that have ended, and ResultKept how long the file of an export does: it holds
	// keys.
	Kept       = 7 * 24 * time.Hour
	ResultKept = 24 * time.Hour
)
