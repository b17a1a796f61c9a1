package adminapi

// Where a base URL comes from.
const (
	BaseURLFromSetting = "app_url"
	BaseURLFromRequest = "request"
)

// ProxyKeyPage is one page of the keys that clients use, in the order of their fingerprints, with the groups that they open.
type ProxyKeyPage struct {
	ProxyKeys   []ProxyKey    `json:"proxy_keys"`
	Groups      []ClientGroup `json:"groups" doc:"Every group that a key of this page opens, in the order of display."`
	BaseURL     string        `json:"base_url" doc:"Public address of this installation, which every URL here begins with."`
	BaseURLFrom string        `json:"base_url_from" enum:"app_url,request" doc:"app_url, or the address of this request while that setting is empty."`
	NextCursor  string        `json:"next_cursor,omitempty" doc:"Pass it as cursor for the next page; absent on the last one."`
}

// ProxyKey is a key that clients send, and the groups that it opens.
type ProxyKey struct {
	Fingerprint string   `json:"fingerprint" doc:"As in request records."`
	Masked      string   `json:"masked" doc:"**** and the last four characters, so that people recognise it."`
	Value       string   `json:"value,omitempty" doc:"With reveal=true only."`
	EveryGroup  bool     `json:"every_group" doc:"It stands in the setting proxy_keys, and so opens every group."`
	GroupIDs    []string `json:"group_ids" doc:"The groups that it opens, in the order of display."`
}

// ClientGroup is what a client must know to use a group.
type ClientGroup struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	DisplayName string     `json:"display_name"`
	Kind        string     `json:"kind" enum:"standard,aggregate"`
	Channel     string     `json:"channel" enum:"openai,openai-response,gemini,anthropic"`
	ProxyURL    string     `json:"proxy_url" doc:"What stands before the provider's own path."`
	SDKBaseURL  string     `json:"sdk_base_url" doc:"What the provider's own SDKs take as base URL."`
	Endpoints   []Endpoint `json:"endpoints" doc:"What clients of the channel use most, the main one first. Every other path of the provider works as well."`
}

// Endpoint is a part of a provider's API, by way of a group.
type Endpoint struct {
	Name   string `json:"name" doc:"Stable word for it, such as chat_completions."`
	Method string `json:"method" enum:"GET,POST"`
	Path   string `json:"path" doc:"Such as /proxy/openai/v1/chat/completions; {model} stands for a model's name."`
	URL    string `json:"url"`
}
