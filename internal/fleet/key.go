package fleet

import (
	"time"

	"gpt-load/internal/secret"
)

// KeyID identifies a provider key for ever. 0 means none.
type KeyID int64

// KeyState is where a key stands.
type KeyState string

// The states. Cooling is not stored as a state of its own: a key is active and has cool-downs.
const (
	KeyActive   KeyState = "active"
	KeyCooling  KeyState = "cooling"  // shown for an active key that rests for every model now
	KeyInvalid  KeyState = "invalid"  // retired by verdicts; validation may bring it back
	KeyDisabled KeyState = "disabled" // taken out by an operator; only an operator brings it back
)

// Key is one provider credential of a standard group, unique by (group, value).
type Key struct {
	ID       KeyID
	GroupID  GroupID
	Value    secret.Text
	State    KeyState // active, invalid or disabled
	Reason   string   // stable word for why it is not active, such as invalid_api_key; empty when active
	Evidence string   // the provider's own redacted words, at most 300 bytes
	Failures int      // consecutive counted failures
	// Cooldowns are the rests that are not over yet, at most one for each model.
	Cooldowns []Cooldown
	// Weight is how often the key is chosen, of one with weight 1: 1 to 100.
	Weight    int
	Notes     string   // at most 500 characters
	Tags      []string // at most 10 of at most 40 letters, digits and - _ . :
	CreatedAt time.Time
	UpdatedAt time.Time // of the state
	// OperatorAt is when an operator last decided on the state or the rests. What a node knew of these before is over.
	OperatorAt time.Time
}

// Cooldown rests a key until a time, for one model or for all.
type Cooldown struct {
	Model  string // empty means every model
	Until  time.Time
	Reason string
}

// KeyChange is the new standing of one key after a verdict or an operator's act. It says everything, so
// applying only the newest of several is enough.
type KeyChange struct {
	KeyID    KeyID
	GroupID  GroupID
	State    KeyState
	Reason   string
	Evidence string
	Failures int
	// Cooldowns are all rests of the key that are not over.
	Cooldowns []Cooldown
	// Reset says that an operator ended the rests that are not among Cooldowns; failures stand.
	Reset bool
	At    time.Time
	// Class is that of the verdict, for who wants to know why; empty for an operator's act.
	Class Class
}

// KeyCounts are the keys of a group by what they can do now.
type KeyCounts struct {
	Active   int // usable for at least some models
	Cooling  int // active but resting for every model
	Invalid  int
	Disabled int
}

// Total is the number of keys.
func (c KeyCounts) Total() int { return c.Active + c.Cooling + c.Invalid + c.Disabled }

// KeyUsage is what the stored request records say of one key. It is behind by the records that still wait in spools.
type KeyUsage struct {
	Requests   int64     // attempts
	Failures   int64     // attempts that ended by any class but ok, client and canceled
	LastUsedAt time.Time // start of the latest request that tried it
}
