package adminapi

import (
	"encoding/json"
	"fmt"
	"time"
)

// The kinds of groups.
const (
	KindStandard  = "standard"
	KindAggregate = "aggregate"
)

// The channels: the API format that a group's upstreams speak.
const (
	ChannelOpenAI         = "openai"
	ChannelOpenAIResponse = "openai-response"
	ChannelGemini         = "gemini"
	ChannelAnthropic      = "anthropic"
)

// Group is one name under /proxy/.
type Group struct {
	ID                  string          `json:"id"`
	Name                string          `json:"name"`
	DisplayName         string          `json:"display_name"`
	Description         string          `json:"description"`
	Kind                string          `json:"kind" enum:"standard,aggregate"`
	Channel             string          `json:"channel" enum:"openai,openai-response,gemini,anthropic"`
	Sort                int             `json:"sort"`
	ProxyPath           string          `json:"proxy_path" doc:"What a client puts before the provider's own path."`
	Upstreams           []Upstream      `json:"upstreams"`
	ProxyKeys           []string        `json:"proxy_keys" doc:"Masked unless reveal=true."`
	ParamOverrides      []ParamOverride `json:"param_overrides"`
	HeaderRules         []HeaderRule    `json:"header_rules"`
	ModelRedirects      []ModelRedirect `json:"model_redirects"`
	ModelRedirectStrict bool            `json:"model_redirect_strict"`
	Validation          Validation      `json:"validation"`
	Members             []Member        `json:"members"`
	Settings            map[string]any  `json:"settings" doc:"The group's own overrides; secret ones masked unless reveal=true."`
	KeyCounts           KeyCounts       `json:"key_counts" doc:"The node's live view. For an aggregate, the sum over its members."`
	Revision            int64           `json:"revision" doc:"Revision of the last change, also the ETag; send it as If-Match to change only what you saw."`
	CreatedAt           time.Time       `json:"created_at"`
	UpdatedAt           time.Time       `json:"updated_at"`
}

// GroupList is every group, in the order of display.
type GroupList struct {
	Groups   []Group `json:"groups"`
	Revision int64   `json:"revision" doc:"Revision of the whole configuration."`
}

// GroupInput makes a group. Only name and channel are needed, and upstreams for a standard group.
type GroupInput struct {
	Name                string          `json:"name" doc:"1 to 64 of a-z, 0-9, - _ and ."`
	DisplayName         string          `json:"display_name,omitempty" doc:"At most 128 characters."`
	Description         string          `json:"description,omitempty" doc:"At most 2000 characters."`
	Kind                string          `json:"kind,omitempty" doc:"standard (default) or aggregate. It cannot be changed later."`
	Channel             string          `json:"channel" doc:"openai, openai-response, gemini or anthropic."`
	Sort                *int            `json:"sort,omitempty" doc:"Ascending order of display; behind all others when it is left out."`
	Upstreams           []Upstream      `json:"upstreams,omitempty" doc:"Standard groups only: 1 to 100, at least one with a weight above 0."`
	ProxyKeys           []string        `json:"proxy_keys,omitempty" doc:"Keys that clients may use for this group, besides the setting proxy_keys. At most 1000."`
	ParamOverrides      []ParamOverride `json:"param_overrides,omitempty" doc:"At most 100."`
	HeaderRules         []HeaderRule    `json:"header_rules,omitempty" doc:"At most 100."`
	ModelRedirects      []ModelRedirect `json:"model_redirects,omitempty" doc:"At most 500."`
	ModelRedirectStrict bool            `json:"model_redirect_strict,omitempty" doc:"Refuse every model that no redirect names."`
	Validation          Validation      `json:"validation,omitzero"`
	Members             []Member        `json:"members,omitempty" doc:"Aggregates only: at most 100 standard groups of the same channel."`
	Settings            map[string]any  `json:"settings,omitempty" doc:"Overrides by settings name; GET /settings says which may be overridden."`
}

// GroupPatch changes only what is set. A list replaces the whole list.
type GroupPatch struct {
	Name                *string          `json:"name,omitempty"`
	DisplayName         *string          `json:"display_name,omitempty"`
	Description         *string          `json:"description,omitempty"`
	Channel             *string          `json:"channel,omitempty"`
	Sort                *int             `json:"sort,omitempty"`
	Upstreams           *[]Upstream      `json:"upstreams,omitempty"`
	ProxyKeys           *[]string        `json:"proxy_keys,omitempty"`
	ParamOverrides      *[]ParamOverride `json:"param_overrides,omitempty"`
	HeaderRules         *[]HeaderRule    `json:"header_rules,omitempty"`
	ModelRedirects      *[]ModelRedirect `json:"model_redirects,omitempty"`
	ModelRedirectStrict *bool            `json:"model_redirect_strict,omitempty"`
	Validation          *ValidationPatch `json:"validation,omitempty"`
	Members             *[]Member        `json:"members,omitempty"`
	Settings            map[string]any   `json:"settings,omitempty" doc:"Overrides to set; null drops one, so that the system's value holds again."`
}

// UnmarshalJSON refuses null: whether it means "keep" or "empty" would be anybody's guess.
func (p *GroupPatch) UnmarshalJSON(data []byte) error {
	if err := refuseNull(data); err != nil {
		return err
	}
	type plain GroupPatch
	return json.Unmarshal(data, (*plain)(p))
}

// UnmarshalJSON refuses null, as in GroupPatch.
func (p *ValidationPatch) UnmarshalJSON(data []byte) error {
	if err := refuseNull(data); err != nil {
		return err
	}
	type plain ValidationPatch
	return json.Unmarshal(data, (*plain)(p))
}

func refuseNull(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	for name, value := range members {
		if string(value) == "null" {
			return fmt.Errorf("%q is null; leave it out to keep it, or send an empty value", name)
		}
	}
	return nil
}

// Upstream is one base address of a provider.
type Upstream struct {
	URL    string `json:"url" doc:"http or https URL, may have a path; no user, query or fragment."`
	Weight int    `json:"weight" required:"false" doc:"Share of the requests, 0 to 1000; 0 switches it off, absent means 1."`
}

// UnmarshalJSON takes an absent weight as 1.
func (u *Upstream) UnmarshalJSON(data []byte) error {
	type plain Upstream
	value := plain{Weight: 1}
	err := json.Unmarshal(data, &value)
	*u = Upstream(value)
	return err
}

// ParamOverride sets or removes one place of a JSON request body.
type ParamOverride struct {
	Path   string          `json:"path" doc:"Member names and array indexes with dots between them; a backslash escapes a dot or a backslash."`
	Value  json.RawMessage `json:"value,omitempty" doc:"Any JSON value to put there."`
	Remove bool            `json:"remove,omitempty" doc:"Remove what stands there, instead of value."`
}

// HeaderRule changes one request header on its way to the upstream.
type HeaderRule struct {
	Name   string `json:"name"`
	Action string `json:"action" doc:"set or remove."`
	Value  string `json:"value,omitempty" doc:"For set. May hold ${CLIENT_IP}, ${GROUP_NAME}, ${API_KEY}, ${TIMESTAMP_MS} and ${TIMESTAMP_S}."`
}

// ModelRedirect sends requests for model From as model To.
type ModelRedirect struct {
	From string `json:"from" doc:"The exact model name that clients ask for."`
	To   string `json:"to" doc:"The model name that the upstream gets."`
}

// Validation says how keys of a group are tested.
type Validation struct {
	Off     bool   `json:"off" required:"false" doc:"No background validation for this group."`
	Model   string `json:"model" required:"false" doc:"Model to ask; empty takes the channel's default."`
	Path    string `json:"path" required:"false" doc:"Path and query below the upstream; empty takes the channel's own."`
	Payload string `json:"payload" required:"false" doc:"JSON body; empty takes the channel's own minimal request."`
}

// ValidationPatch changes only what is set.
type ValidationPatch struct {
	Off     *bool   `json:"off,omitempty"`
	Model   *string `json:"model,omitempty"`
	Path    *string `json:"path,omitempty"`
	Payload *string `json:"payload,omitempty"`
}

// Member is one group inside an aggregate.
type Member struct {
	GroupID string `json:"group_id"`
	Weight  int    `json:"weight" required:"false" doc:"Share within its tier, 0 to 1000; 0 switches it off, absent means 1."`
	Tier    int    `json:"tier" required:"false" doc:"1 to 10; absent means 1. Tier n+1 serves only while tier n cannot."`
}

// UnmarshalJSON takes an absent weight or tier as 1.
func (m *Member) UnmarshalJSON(data []byte) error {
	type plain Member
	value := plain{Weight: 1, Tier: 1}
	err := json.Unmarshal(data, &value)
	*m = Member(value)
	return err
}

// GroupSettings is what holds for a group, setting by setting.
type GroupSettings struct {
	GroupID  string    `json:"group_id"`
	Settings []Setting `json:"settings"`
	Revision int64     `json:"revision"`
}

// Deleted is the answer to a deletion of configuration.
type Deleted struct {
	Revision int64 `json:"revision" doc:"The new revision of the configuration."`
}
