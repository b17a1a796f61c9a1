package adminapi

import (
	"encoding/json"
	"time"
)

// AuditEvent is one change, or one thing that people want to know of: who or why, what, before and after.
type AuditEvent struct {
	ID   string     `json:"id" doc:"In the order of time."`
	At   time.Time  `json:"at"`
	Kind string     `json:"kind" doc:"A noun and a verb, such as settings.changed or key.invalidated."`
	Who  AuditActor `json:"who"`
	Node string     `json:"node" doc:"That did it."`

	Noun    string `json:"noun" doc:"What kind of thing: the word before the dot of kind."`
	NounID  string `json:"noun_id,omitempty" doc:"Id of the one thing; absent for several."`
	Name    string `json:"name,omitempty" doc:"Of the one thing, at that time; a provider key is masked."`
	GroupID string `json:"group_id,omitempty" doc:"The group, or the group that the keys are in."`
	Count   int64  `json:"count" doc:"How many things it happened to."`

	Class    string `json:"class,omitempty" doc:"Of the verdict, for an automatic change of a key."`
	Reason   string `json:"reason,omitempty" doc:"Why, in a stable word."`
	Evidence string `json:"evidence,omitempty" doc:"The provider's own words, redacted."`

	Before map[string]json.RawMessage `json:"before" doc:"The fields that changed as they were; secrets are masked."`
	After  map[string]json.RawMessage `json:"after" doc:"The fields that changed as they became; secrets are masked."`

	Undoable bool   `json:"undoable" doc:"There is what it takes to undo it. Whether it still fits shows when it is tried."`
	UndoOf   string `json:"undo_of,omitempty" doc:"The event that this one undid."`
	UndoneBy string `json:"undone_by,omitempty" doc:"The event that undid this one."`
}

// AuditActor is who did something.
type AuditActor struct {
	Kind      string `json:"kind" doc:"auth_key and session are administrators, anonymous had no valid AUTH_KEY, command worked on the database itself, system is a verdict, a validation or a job." enum:"auth_key,session,anonymous,command,system"`
	ClientIP  string `json:"client_ip,omitempty"`
	Session   string `json:"session,omitempty" doc:"The beginning of the session's id."`
	RequestID string `json:"request_id,omitempty" doc:"As in the answer and the log."`
}

// AuditPage is one page of events, newest first.
type AuditPage struct {
	Events     []AuditEvent `json:"events"`
	NextCursor string       `json:"next_cursor,omitempty" doc:"Of the next page; absent at the end."`
}

// AuditFilter narrows a list of events. Zero fields do not filter.
type AuditFilter struct {
	From, To time.Time
	Kind     string
	Actor    string
	Noun     string
	NounID   string
	GroupID  string
	Limit    int
	Cursor   string
}

// AuditUndone says what an undo did.
type AuditUndone struct {
	Event    AuditEvent `json:"event" doc:"The event that was undone, as it is now."`
	Changed  int        `json:"changed" doc:"How many things were put back."`
	Kept     int        `json:"kept" doc:"Keys of a bulk act that moved on since, and stay as they are."`
	Revision int64      `json:"revision,omitempty" doc:"The new revision of the configuration; absent for keys."`
}
