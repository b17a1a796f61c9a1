package adminapi

import "time"

// The kinds of operations.
const (
	OperationImport     = "import"
	OperationValidation = "validation"
	OperationDeletion   = "deletion"
	OperationExport     = "export"
	OperationCopy       = "copy"
	OperationChange     = "change" // begun by an action on keys
)

// The states of operations. The last three are the end.
const (
	OperationUploading = "uploading"
	OperationWaiting   = "waiting"
	OperationRunning   = "running"
	OperationSucceeded = "succeeded"
	OperationFailed    = "failed"
	OperationCanceled  = "canceled"
)

// The formats of files of keys. A text holds the values only; the others hold all that is said of a key.
const (
	FormatText  = "text"
	FormatLines = "lines" // one key a line, exactly; only to import
	FormatCSV   = "csv"
	FormatJSON  = "json"
	FormatJSONL = "jsonl"
)

// Operation is long bulk work on the keys of a group. Any node does it, and goes on with it when another one ended.
type Operation struct {
	ID          string           `json:"id"`
	Kind        string           `json:"kind" enum:"import,validation,deletion,export,copy,change"`
	GroupID     string           `json:"group_id"`
	GroupName   string           `json:"group_name" doc:"When it began."`
	State       string           `json:"state" enum:"uploading,waiting,running,succeeded,failed,canceled"`
	Done        int64            `json:"done" doc:"Keys gone through, whatever became of them."`
	Total       int64            `json:"total" doc:"Keys to go through; 0 when not known."`
	Counts      map[string]int64 `json:"counts" doc:"Keys by what became of them: added, duplicate, rejected; deleted; exported; of a change disabled, enabled, restored or reset; for a validation by class, such as ok and key_dead."`
	PerSecond   float64          `json:"per_second" doc:"Keys a second since it was first begun."`
	InputBytes  int64            `json:"input_bytes" doc:"Size of the file that was sent."`
	ResultBytes int64            `json:"result_bytes" doc:"Size of what is stored of the result; 0 when there is none, or none any more."`
	Error       string           `json:"error" doc:"Why it failed."`
	Node        string           `json:"node" doc:"The node that works on it, or did last."`
	CancelAsked bool             `json:"cancel_asked"`
	CreatedAt   time.Time        `json:"created_at"`
	StartedAt   *time.Time       `json:"started_at,omitempty"`
	EndedAt     *time.Time       `json:"ended_at,omitempty"`
}

// Ended reports whether nothing more will happen.
func (o Operation) Ended() bool {
	return o.State == OperationSucceeded || o.State == OperationFailed || o.State == OperationCanceled
}

// OperationPage is one page of operations, newest first.
type OperationPage struct {
	Operations []Operation `json:"operations"`
	NextCursor string      `json:"next_cursor,omitempty" doc:"Pass it as cursor for the next page; absent on the last one."`
}

// OperationInput begins an operation that needs no file.
type OperationInput struct {
	Kind        string     `json:"kind" enum:"validation,deletion,export,copy"`
	State       string     `json:"state,omitempty" doc:"Only keys in these states, as filter.state. A deletion needs this, a filter or all."`
	Filter      *KeyFilter `json:"filter,omitempty" doc:"Only keys that fit."`
	All         bool       `json:"all,omitempty" doc:"A deletion is meant for every key of the group."`
	Format      string     `json:"format,omitempty" enum:"text,csv,json,jsonl" doc:"Of an export; csv when it is left out."`
	Reveal      bool       `json:"reveal,omitempty" doc:"An export needs it: it holds the keys in clear."`
	FromGroupID string     `json:"from_group_id,omitempty" doc:"The group whose keys a copy adds."`
	Disabled    bool       `json:"disabled,omitempty" doc:"A copy adds the keys switched off."`
	PerSecond   int        `json:"per_second,omitempty" minimum:"0" maximum:"100000" doc:"Tests that a validation begins in a second, at most; 0 leaves that to key_validation_concurrency."`
}

// OperationOutcome is one line of the result of an import or a copy.
type OperationOutcome struct {
	Line    int    `json:"line" doc:"Line of the file, from 1."`
	Entry   int    `json:"entry" doc:"Place among the entries of the file, from 1."`
	Outcome string `json:"outcome" enum:"added,duplicate,rejected"`
	Reason  string `json:"reason,omitempty"`
}
