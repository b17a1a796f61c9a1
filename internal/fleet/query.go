package fleet

import (
	"reflect"
	"time"

	"gpt-load/internal/secret"
)

// Bounds of the pages that stores hand out.
const (
	DefaultPage = 50
	MaxPage     = 1000
)

// KeyQuery asks for one page of keys.
type KeyQuery struct {
	Group GroupID     // 0 means every group, which knows no Filter and no Sort
	State KeyState    // KeyActive, resting or not, KeyInvalid or KeyDisabled; empty means any
	Value secret.Text // only keys with exactly this value; empty means any
	// Filter narrows the keys further.
	Filter KeyFilter
	Sort   KeySort
	Limit  int // 1 to MaxPage; 0 takes DefaultPage
	// Cursor is what the page before answered as next; empty starts. A cursor that no page of the same Sort answered is CodeInvalid.
	Cursor string
}

// KeyFilter chooses among the keys of a group. Zero fields do not filter; a key has to fit all others.
type KeyFilter struct {
	// States are those of which a key has to have one. KeyCooling is an active key that rests for every model, KeyActive one that
	// does not. Only stored rests count, which are those of 30 seconds or more: shorter ones are over before anybody looks.
	States []KeyState
	Reason string // of the state or of a rest, exact
	// Notes is part of the notes, without regard to case: on SQLite that of ASCII letters.
	Notes string
	Tag   string // one of the tags, exact
	// CreatedFrom <= CreatedAt < CreatedTo.
	CreatedFrom, CreatedTo time.Time
	// UsedFrom <= KeyUsage.LastUsedAt < UsedTo. A key that was never used fits none of both.
	UsedFrom, UsedTo time.Time
	NeverUsed        bool
}

// IsZero reports whether every key fits.
func (f KeyFilter) IsZero() bool {
	states := len(f.States)
	f.States = nil
	return states == 0 && reflect.ValueOf(f).IsZero()
}

// KeySort is the order of a list of keys.
type KeySort string

// The orders. Of keys that are equal in the last three, the newest comes first.
const (
	KeysOldest   KeySort = "oldest" // also the empty one: ascending id
	KeysNewest   KeySort = "newest" // descending id
	KeysLastUsed KeySort = "last_used"
	KeysFailures KeySort = "failures" // counted and stored ones, most first
	KeysWeight   KeySort = "weight"   // the greatest first
)

// KeySorts lists all orders.
var KeySorts = []KeySort{KeysOldest, KeysNewest, KeysLastUsed, KeysFailures, KeysWeight}

// KeySelection names the keys of one group that an operator acts on: by id, or all that stand or fit so.
type KeySelection struct {
	Group GroupID // never 0
	// IDs selects these keys, as far as they are in Group. When empty, State and Filter select.
	IDs []KeyID
	// State narrows the selection to keys that stand so now, KeyActive to those that rest or do not; empty means any.
	State KeyState
	// Filter narrows it further.
	Filter KeyFilter
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
