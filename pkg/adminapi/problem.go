package adminapi

// Code is a stable word for a kind of error. Programs decide by it, never by the message.
type Code string

// The codes and the HTTP status that each comes with.
const (
	CodeInvalid      Code = "invalid"      // 422: Details says which fields; also 400, 405 and 415 for requests that HTTP itself rules out
	CodeNotFound     Code = "not_found"    // 404
	CodeConflict     Code = "conflict"     // 409: a name is taken, or a group is in use
	CodeGone         Code = "gone"         // 410: it was there and is kept no more; begin again
	CodeUnauthorized Code = "unauthorized" // 401: no valid AUTH_KEY and no live session
	CodeForbidden    Code = "forbidden"    // 403: a browser sent a write from another origin
	CodeTooLarge     Code = "too_large"    // 413: over a limit that the message names
	CodeRateLimited  Code = "rate_limited" // 429: too many wrong keys from this address; Retry-After says how long
	CodeUnavailable  Code = "unavailable"  // 503: a store is away; trying again may help
	CodeInternal     Code = "internal"     // 500: a defect; the log has the request id

	CodePreconditionFailed Code = "precondition_failed" // 412: somebody else changed it since the revision in If-Match
)

// Problem is the body of every answer with a status of 400 or above.
type Problem struct {
	Code      Code           `json:"code" doc:"Stable word for the kind of error." enum:"invalid,not_found,conflict,gone,unauthorized,forbidden,too_large,rate_limited,unavailable,internal,precondition_failed"`
	Message   string         `json:"message" doc:"What went wrong and what to do about it, for people."`
	Details   []FieldProblem `json:"details" doc:"What is wrong with each field, all at once."`
	RequestID string         `json:"request_id" doc:"The same as the X-Request-Id header; the server's log names it."`
	Revision  int64          `json:"revision,omitempty" doc:"With precondition_failed: the revision that it is at now, also the ETag."`
}

// FieldProblem says what is wrong with one field.
type FieldProblem struct {
	Field   string `json:"field" doc:"Path of the field, such as upstreams[0].url."`
	Message string `json:"message" doc:"The limit and the remedy."`
}
