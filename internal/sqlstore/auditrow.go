package sqlstore

import (
	"encoding/json"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
)

// auditRow has a column for what pages filter and order by. The rest is one text.
type auditRow struct {
	bun.BaseModel `bun:"table:audit_events"`
	ID            []byte `bun:"id,pk"`
	At            int64  `bun:"at"`
	Kind          string `bun:"kind"`
	Actor         string `bun:"actor"`
	ClientIP      string `bun:"client_ip"`
	Node          string `bun:"node"`
	Noun          string `bun:"noun"`
	NounID        string `bun:"noun_id"`
	Name          string `bun:"name"`
	GroupID       int64  `bun:"group_id"`
	Count         int64  `bun:"count"`
	Reason        string `bun:"reason"`
	Details       string `bun:"details"`
	Undoable      bool   `bun:"undoable"`
	UndoneBy      []byte `bun:"undone_by"`
}

type undoRow struct {
	bun.BaseModel `bun:"table:audit_undo"`
	EventID       []byte `bun:"event_id,pk"`
	Part          int64  `bun:"part,pk"`
	Sealed        bool   `bun:"sealed"`
	Content       string `bun:"content"`
}

func (r *undoRow) id() (id audit.ID) {
	copy(id[:], r.EventID)
	return id
}

// auditDetails is the JSON of audit_events.details.
type auditDetails struct {
	Session   string       `json:"session,omitempty"`
	RequestID string       `json:"request_id,omitempty"`
	Class     fleet.Class  `json:"class,omitempty"`
	Evidence  string       `json:"evidence,omitempty"`
	Before    audit.Fields `json:"before,omitempty"`
	After     audit.Fields `json:"after,omitempty"`
	UndoOf    string       `json:"undo_of,omitempty"`
}

// Bounds of the texts of an event, in bytes.
const (
	maxAuditName    = 255
	maxAuditReason  = 300
	maxAuditNode    = 128
	maxAuditNounID  = 64
	maxAuditDetails = 1 << 20 // the fields of a group are bounded, all of them at their bounds are not a change
)

func (s *Store) rowOfEvent(e *audit.Event) (auditRow, error) {
	details := auditDetails{
		Session: e.Session, RequestID: clean(e.RequestID, 64), Class: e.Class, Evidence: clean(e.Evidence, maxKeyEvidence), Before: e.Before, After: e.After,
	}
	if !e.UndoOf.IsZero() {
		details.UndoOf = e.UndoOf.String()
	}
	text, err := json.Marshal(details)
	if err == nil && len(text) > maxAuditDetails {
		details.Before, details.After = namesOnly(details.Before), namesOnly(details.After)
		text, err = json.Marshal(details)
	}
	if err != nil {
		return auditRow{}, err
	}
	return auditRow{
		ID: e.ID[:], At: s.stamp(e.At), Kind: string(e.Kind), Actor: string(e.Who), ClientIP: clean(e.ClientIP, maxAddress), Node: clean(e.Node, maxAuditNode),
		Noun: e.Kind.Noun(), NounID: clean(e.NounID, maxAuditNounID), Name: clean(e.Name, maxAuditName), GroupID: int64(e.Group), Count: e.Count,
		Reason: clean(e.Reason, maxAuditReason), Details: string(text), Undoable: e.Undoable,
	}, nil
}

// namesOnly is what is shown of a change that is too large to be shown.
func namesOnly(fields audit.Fields) audit.Fields {
	names := make(audit.Fields, len(fields))
	for name := range fields {
		names[name] = audit.Raw("(too long to be shown)")
	}
	return names
}

// event reads a row. Details that cannot be read leave an event that says less.
func (s *Store) event(row *auditRow) audit.Event {
	var d auditDetails
	_ = json.Unmarshal([]byte(row.Details), &d)
	e := audit.Event{
		At: s.moment(row.At), Kind: audit.Kind(row.Kind), Node: row.Node,
		Actor:  audit.Actor{Who: audit.ActorKind(row.Actor), ClientIP: row.ClientIP, Session: d.Session, RequestID: d.RequestID},
		NounID: row.NounID, Name: row.Name, Group: fleet.GroupID(row.GroupID), Count: row.Count, Class: d.Class, Reason: row.Reason, Evidence: d.Evidence,
		Before: d.Before, After: d.After, Undoable: row.Undoable && row.UndoneBy == nil,
	}
	copy(e.ID[:], row.ID)
	copy(e.UndoneBy[:], row.UndoneBy)
	e.UndoOf, _ = audit.ParseID(d.UndoOf)
	return e
}
