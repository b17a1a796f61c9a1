package adminapi

import "encoding/json"

// PreviewInput is a client's request that is only looked at.
type PreviewInput struct {
	Method  string            `json:"method,omitempty" enum:"GET,POST,PUT,PATCH,DELETE" doc:"POST, or GET for a list of models, when left out."`
	Path    string            `json:"path,omitempty" maxLength:"2048" doc:"Path and query below the group, escaped; that of the channel's main endpoint when left out."`
	Headers map[string]string `json:"headers,omitempty" doc:"Of the client. A credential among them says where this client puts its key."`
	Model   string            `json:"model,omitempty" maxLength:"256" doc:"The model that a request of our own making asks for, when body or path are left out."`
	Body    json.RawMessage   `json:"body,omitempty" doc:"Any JSON, kept to the byte; a minimal request of the endpoint when left out."`
	Changes *GroupPatch       `json:"changes,omitempty" doc:"Changes of the group that are not saved, to see what they would do."`
}

// Preview is what an upstream would get of a request.
type Preview struct {
	ModelAsked string              `json:"model_asked"`
	ModelSent  string              `json:"model_sent" doc:"After the redirects."`
	Stream     bool                `json:"stream"`
	Refusal    *PreviewRefusal     `json:"refusal,omitempty" doc:"The group does not take this request. Then nothing of what follows is set."`
	Method     string              `json:"method"`
	URL        string              `json:"url" doc:"By one of the upstreams."`
	Headers    map[string][]string `json:"headers" doc:"API_KEY stands for the provider's key; other credentials are masked."`
	Body       string              `json:"body" doc:"To the byte."`
}

// PreviewRefusal is the error that the client would get.
type PreviewRefusal struct {
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
}
