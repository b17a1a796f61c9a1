package adminapi

import "time"

// The states of keys. Cooling is an active key that rests for every model now.
const (
	KeyActive   = "active"
	KeyCooling  = "cooling"
	KeyInvalid  = "invalid"
	KeyDisabled = "disabled"
)

// Key is one provider key without its value.
type Key struct {
	ID        string     `json:"id"`
	GroupID   string     `json:"group_id"`
	Masked    string     `json:"masked" doc:"**** and the last four characters, so that people recognise it."`
	State     string     `json:"state" enum:"active,cooling,invalid,disabled"`
	Reason    string     `json:"reason" doc:"Stable word for why it is not active, such as invalid_api_key."`
	Evidence  string     `json:"evidence" doc:"The provider's own words, redacted."`
	Failures  int        `json:"failures" doc:"Consecutive counted failures."`
	Cooldowns []Cooldown `json:"cooldowns" doc:"Rests that are not over yet."`
	Weight    int        `json:"weight" minimum:"1" maximum:"100" doc:"How often it is chosen, of a key with weight 1."`
	Notes     string     `json:"notes" maxLength:"500"`
	Tags      []string   `json:"tags" maxItems:"10"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at" doc:"When the state last changed."`
	// What the stored request records say of it; it is behind by those that are on their way to the database.
	Requests       int64      `json:"requests" doc:"Attempts with it, as far as they are recorded."`
	FailedRequests int64      `json:"failed_requests" doc:"Attempts that did not end by the client or by success."`
	LastUsedAt     *time.Time `json:"last_used_at,omitempty" doc:"Absent when no record names it."`
}

// Cooldown rests a key until a time.
type Cooldown struct {
	Model  string    `json:"model" doc:"Empty means every model."`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
}

// KeyCounts are the keys of a group by what they can do now.
type KeyCounts struct {
	Active   int `json:"active"`
	Cooling  int `json:"cooling"`
	Invalid  int `json:"invalid"`
	Disabled int `json:"disabled"`
}

// KeyPage is one page of keys.
type KeyPage struct {
	Keys       []Key  `json:"keys"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Pass it as cursor for the next page; absent on the last one."`
}

// KeyValue is a key in clear.
type KeyValue struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

// KeySearch looks for one exact key. It travels in a body because addresses end up in logs.
type KeySearch struct {
	Value   string `json:"value" doc:"The whole key."`
	GroupID string `json:"group_id,omitempty" doc:"Empty searches every group."`
}

// KeyInput adds keys. Either or both members may be set.
type KeyInput struct {
	Keys     []string `json:"keys,omitempty" doc:"One key each, taken as it is but for spaces around it."`
	Text     string   `json:"text,omitempty" doc:"Keys with any of newline, space, tab, comma and semicolon between them, or a JSON list of strings."`
	Disabled bool     `json:"disabled,omitempty" doc:"Add them switched off."`
}

// KeyImport says what became of the keys of an import.
type KeyImport struct {
	Added        int           `json:"added"`
	Duplicates   int           `json:"duplicates" doc:"Already in the group, or repeated in the input."`
	Rejected     int           `json:"rejected"`
	Rejections   []KeyRejected `json:"rejections" doc:"The first 100 rejected ones."`
	Keys         []Key         `json:"keys" doc:"The first 100 added ones."`
	BytesScanned int64         `json:"bytes_scanned"`
}

// KeyRejected says why one key of an import was refused. The value is not repeated.
type KeyRejected struct {
	Line   int    `json:"line" doc:"Line of the text, from 1; the place in the list for a JSON list."`
	Reason string `json:"reason"`
}

// KeyTest is the result of testing one key.
type KeyTest struct {
	ID         string `json:"id"`
	OK         bool   `json:"ok"`
	Status     int    `json:"status" doc:"The provider's HTTP status; 0 when no answer came."`
	Class      string `json:"class" doc:"Who is to blame: ok, key_dead, key_exhausted, key_suspect, limited, model_denied, upstream, client or gateway."`
	Reason     string `json:"reason"`
	Evidence   string `json:"evidence" doc:"The provider's own words, redacted."`
	DurationMS int64  `json:"duration_ms"`
	State      string `json:"state" doc:"State of the key after the test."`
}
