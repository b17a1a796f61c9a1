package fleet

import (
	"encoding/json"
	"time"

	"gpt-load/internal/secret"
)

// GroupID identifies a group for ever; names may change, ids do not. 0 means none.
type GroupID int64

// Channel is the API format that a group's upstreams speak natively.
type Channel string

// The four channels. The values are those of GPT-Load 1.x.
const (
	ChannelOpenAI         Channel = "openai"          // chat completions and everything beside it
	ChannelOpenAIResponse Channel = "openai-response" // the responses API
	ChannelGemini         Channel = "gemini"
	ChannelAnthropic      Channel = "anthropic"
)

// Channels lists every channel in the order in which they are shown.
var Channels = []Channel{ChannelOpenAI, ChannelOpenAIResponse, ChannelGemini, ChannelAnthropic}

// GroupKind tells a group that holds keys from one that spreads over other groups.
type GroupKind string

// The two kinds. The values are those of GPT-Load 1.x.
const (
	KindStandard  GroupKind = "standard"
	KindAggregate GroupKind = "aggregate"
)

// Group is one name under /proxy/. A standard group has upstreams and keys; an aggregate has members.
type Group struct {
	ID          GroupID
	Name        string // 1 to 64 of a-z, 0-9, '-', '_' and '.', unique without regard to case
	DisplayName string
	Description string
	Kind        GroupKind
	Channel     Channel
	Sort        int // ascending order of display, from -MaxSort to MaxSort

	Upstreams      []Upstream // standard only, at least one with a weight above 0
	ProxyKeys      []secret.Text
	ParamOverrides []ParamOverride
	HeaderRules    []HeaderRule
	ModelRedirects []ModelRedirect
	// ModelRedirectStrict refuses, with 404 in the caller's format, every model that no redirect names.
	ModelRedirectStrict bool

	Validation Validation
	Members    []Member // aggregate only

	Settings map[string]string // overrides in their canonical text, by settings name

	Revision  int64 // the fleet revision of the last change
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Upstream is one base address of a provider.
type Upstream struct {
	URL    string // absolute http or https URL, may have a path, no query, no credentials
	Weight int    // share of the requests, 0 to 1000; 0 switches it off
}

// ParamOverride sets or removes one place of a JSON request body.
type ParamOverride struct {
	// Path is dot-separated member names and array indexes; a backslash escapes a dot or a backslash.
	Path string
	// Value is the raw JSON to put there; nil removes what stands there.
	Value json.RawMessage
}

// HeaderAction is what a header rule does.
type HeaderAction string

// The two actions.
const (
	HeaderSet    HeaderAction = "set"
	HeaderRemove HeaderAction = "remove"
)

// HeaderRule changes one request header on its way to the upstream. Value may hold the variables
// ${CLIENT_IP}, ${GROUP_NAME}, ${API_KEY}, ${TIMESTAMP_MS} and ${TIMESTAMP_S}.
type HeaderRule struct {
	Name   string
	Action HeaderAction
	Value  string
}

// ModelRedirect sends requests for model From as model To. Matching is exact.
type ModelRedirect struct {
	From string
	To   string
}

// Validation says how keys of a group are tested.
type Validation struct {
	Off     bool   // no background validation for this group
	Model   string // the model to ask; empty takes the channel's default
	Path    string // path and query below the upstream; empty takes the channel's own
	Payload string // JSON body; empty takes the channel's own minimal request
}

// Member is one group inside an aggregate.
type Member struct {
	GroupID GroupID
	Weight  int // share of the requests within its tier, 0 to 1000; 0 switches it off
	Tier    int // 1 serves first; tier n+1 gets nothing while tier n can serve
}

// GroupCopy says what a copy of a group differs in. Its keys are no part of the copy.
type GroupCopy struct {
	From        GroupID
	Name        string
	DisplayName string
	// Join makes the copy a member, with the weight and tier of the original, of every aggregate that the original is a member
	// of.
	Join bool
}
