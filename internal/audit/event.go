package audit

import (
	"encoding/json"
	"strings"
	"time"

	"gpt-load/internal/fleet"
)

// ID identifies an event for ever. It is a UUID version 7, so ids are in the order of time.
type ID fleet.RecordID

// NewID makes an id for an event at t. The twelve bits behind the milliseconds are their fraction (RFC 9562, section 6.2, method 3),
// so that what one person did within a millisecond stays in its order.
func NewID(t time.Time) ID {
	id := ID(fleet.NewRecordID(t))
	fraction := t.UnixNano() % int64(time.Millisecond) * 4096 / int64(time.Millisecond)
	id[6] = 0x70 | byte(fraction>>8)
	id[7] = byte(fraction)
	return id
}

// ParseID reads what String wrote.
func ParseID(text string) (ID, bool) {
	id, err := fleet.ParseRecordID(text)
	return ID(id), err == nil
}

// String gives the usual 36 characters.
func (id ID) String() string { return fleet.RecordID(id).String() }

// IsZero reports whether there is no id.
func (id ID) IsZero() bool { return id == ID{} }

// Kind is what happened: a noun and a verb with a dot between.
type Kind string

// The kinds.
const (
	SettingsChanged  Kind = "settings.changed"
	SettingsRevealed Kind = "settings.revealed" // shown in clear

	GroupCreated  Kind = "group.created"
	GroupChanged  Kind = "group.changed"
	GroupCopied   Kind = "group.copied" // of another one, which Reason names
	GroupDeleted  Kind = "group.deleted"
	GroupsOrdered Kind = "group.ordered"
	GroupRevealed Kind = "group.revealed"

	KeysAdded       Kind = "key.added"
	KeysDeleted     Kind = "key.deleted"
	KeysEnabled     Kind = "key.enabled"
	KeysDisabled    Kind = "key.disabled"
	KeysRestored    Kind = "key.restored"    // by an operator, or by a test that showed that the key works
	KeysInvalidated Kind = "key.invalidated" // by an operator, or by a verdict
	KeyRested       Kind = "key.rested"      // by a verdict, for long
	KeysRestsEnded  Kind = "key.rests_ended" // by an operator
	KeysEdited      Kind = "key.edited"      // what people note of keys, and weights
	KeyRevealed     Kind = "key.revealed"
	KeysExported    Kind = "key.exported" // a file with keys in clear was handed out

	ProxyKeysRevealed Kind = "proxy_key.revealed"

	OperationStarted  Kind = "operation.started"
	OperationCanceled Kind = "operation.canceled" // asked for; it ends soon after
	OperationEnded    Kind = "operation.ended"

	SessionOpened Kind = "session.opened"
	SessionClosed Kind = "session.closed"  // logged out, or ended by another login
	SessionsEnded Kind = "session.ended"   // logged out everywhere
	LoginRefused  Kind = "session.refused" // a wrong AUTH_KEY

	EncryptionKeyChanged Kind = "encryption_key.changed"
)

// Kinds lists every kind in the order in which they are shown.
var Kinds = []Kind{
	SettingsChanged, SettingsRevealed,
	GroupCreated, GroupChanged, GroupCopied, GroupDeleted, GroupsOrdered, GroupRevealed,
	KeysAdded, KeysDeleted, KeysEnabled, KeysDisabled, KeysRestored, KeysInvalidated, KeyRested, KeysRestsEnded, KeysEdited, KeyRevealed, KeysExported,
	ProxyKeysRevealed,
	OperationStarted, OperationCanceled, OperationEnded,
	SessionOpened, SessionClosed, SessionsEnded, LoginRefused,
	EncryptionKeyChanged,
}

// Noun is what kind of thing happened to: the word before the dot.
func (k Kind) Noun() string {
	noun, _, _ := strings.Cut(string(k), ".")
	return noun
}

// Fields are parts of a thing by their names, each as JSON.
type Fields map[string]json.RawMessage

// Event is one change, or one thing that people want to know of.
type Event struct {
	ID   ID
	At   time.Time
	Kind Kind
	Actor
	Node string // that did it

	NounID string        // of the one thing; empty for several
	Name   string        // of the one thing, when it happened; a key is masked
	Group  fleet.GroupID // that the keys are in; 0 for none
	// Count is how many things it happened to.
	Count int64

	Class    fleet.Class // of the verdict, for an automatic change
	Reason   string      // a stable word; why it happened
	Evidence string      // the provider's own redacted words
	// Before and After are what changed, secrets masked.
	Before, After Fields

	Undoable bool // there is what it takes; whether it fits is seen when it is tried
	UndoOf   ID   // the event that this one undid
	UndoneBy ID   // the event that undid this one
}

// Query asks for one page of events, newest first. Zero fields do not filter.
type Query struct {
	From, To time.Time // From <= At < To
	Kind     Kind
	Actor    ActorKind
	Noun     string
	NounID   string
	Group    fleet.GroupID // the group itself, and the keys in it
	Limit    int           // 1 to fleet.MaxPage; 0 takes fleet.DefaultPage
	Cursor   string        // what the page before answered as next; empty starts
}
