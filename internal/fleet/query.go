package fleet

import (
	"time"

	"gpt-load/internal/secret"
)

// Bounds of the pages that stores hand out.
const (
	DefaultPage = 50
	MaxPage     = 1000
)

// KeyQuery asks for one page of keys in ascending order of id.
type KeyQuery struct {
	Group GroupID     // 0 means every group
	State KeyState    // KeyActive, KeyInvalid or KeyDisabled; empty means any
	Value secret.Text // only keys with exactly this value; empty means any
	Limit int         // 1 to MaxPage; 0 takes DefaultPage
	// Cursor is what the page before answered as next; empty starts. A cursor that no page answered is CodeInvalid.
	Cursor string
}

// KeySelection names the keys of one group that an operator acts on: by id, or all of a state.
type KeySelection struct {
	Group GroupID // never 0
	// IDs selects these keys, as far as they are in Group. When empty, State selects.
	IDs []KeyID
	// State narrows the selection to keys that stand so now; empty means any.
	State KeyState
}

// RecordQuery asks for one page of request records, newest first. Zero fields do not filter. A page may have fewer records
// than Limit, or none, and a cursor: the look for what is rare goes on with it.
type RecordQuery struct {
	From, To            time.Time // From <= StartedAt < To
	GroupID             GroupID   // the group that served or the aggregate that was asked
	ParentID            GroupID   // the aggregate that was asked
	Model               string    // the model asked or sent, exact
	Status              int       // exact
	StatusFrom          int       // lowest status, inclusive
	StatusTo            int       // highest status, inclusive
	Class               Class
	Stream              *bool
	Retried             *bool  // more than one attempt, or not
	KeyID               KeyID  // a key that any attempt used
	KeyTail             string // last four characters of a key that any attempt used
	ProxyKeyFingerprint string
	ClientIP            string
	Text                string // part of the error text, the path or the request id, without regard to ASCII case
	Limit               int    // 1 to MaxPage; 0 takes DefaultPage
	Cursor              string // as in KeyQuery
}
