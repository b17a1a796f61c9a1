package fakeprovider

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// said is one provider error before it takes a format's shape.
type said struct {
	status  int
	kind    string // OpenAI error.type, Anthropic error.type, Gemini error.status; empty takes the usual one of the status
	code    string // OpenAI error.code; empty is null
	message string
	details []string // raw JSON, Gemini only
	header  [][2]string

	verbatim     string // this body instead of a shaped one
	verbatimType string
}

// kindOf is the error type that goes with a status, from the providers' error references.
func (d dialect) kindOf(status int) string {
	switch d {
	case dialectAnthropic:
		return anthropicKind(status)
	case dialectGemini, dialectGeminiCompat:
		return googleStatus(status)
	case dialectOpenAI, dialectResponses:
	}
	if status >= 500 {
		return "server_error"
	}
	return "invalid_request_error"
}

func anthropicKind(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "timeout_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case statusOverloaded:
		return "overloaded_error"
	}
	if status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}

// googleStatus maps as google.rpc.Code does.
func googleStatus(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED"
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "DEADLINE_EXCEEDED"
	case http.StatusTooManyRequests:
		return "RESOURCE_EXHAUSTED"
	case http.StatusNotImplemented:
		return "UNIMPLEMENTED"
	case http.StatusInternalServerError:
		return "INTERNAL"
	}
	if status >= 500 {
		return "UNAVAILABLE"
	}
	return "INVALID_ARGUMENT"
}

// statusOverloaded is Anthropic's own status for overload.
const statusOverloaded = 529

// body renders the error in the dialect's shape, indented as the providers indent theirs.
func (s said) body(d dialect, requestID string) (contentType string, body []byte) {
	if s.verbatimType != "" {
		return s.verbatimType, []byte(s.verbatim)
	}
	object := s.object(d)
	switch d {
	case dialectAnthropic:
		return "application/json", []byte(`{"type":"error","error":` + object + `,"request_id":` + quote(requestID) + `}`)
	case dialectGemini:
		return "application/json; charset=UTF-8", indented(`{"error":`+object+`}`, "  ")
	case dialectGeminiCompat:
		return "application/json; charset=UTF-8", indented(`[{"error":`+object+`}]`, "  ")
	case dialectOpenAI, dialectResponses:
	}
	return "application/json", indented(`{"error":`+object+`}`, "    ")
}

// object renders the error object alone, on one line.
func (s said) object(d dialect) string {
	kind := s.kind
	if kind == "" {
		kind = d.kindOf(s.status)
	}
	switch d {
	case dialectAnthropic:
		return `{"type":` + quote(kind) + `,"message":` + quote(s.message) + `}`
	case dialectGemini, dialectGeminiCompat:
		out := `{"code":` + strconv.Itoa(s.status) + `,"message":` + quote(s.message) + `,"status":` + quote(kind)
		if len(s.details) > 0 {
			out += `,"details":[` + strings.Join(s.details, ",") + `]`
		}
		return out + `}`
	case dialectOpenAI, dialectResponses:
	}
	return `{"message":` + quote(s.message) + `,"type":` + quote(kind) + `,"param":null,"code":` + nullable(s.code) + `}`
}

// routerObject renders the error as OpenRouter does inside a 200: a numeric code.
func (s said) routerObject() string {
	return `{"code":` + strconv.Itoa(s.status) + `,"message":` + quote(s.message) + `,"metadata":{"provider_name":"FakeProvider"}}`
}

// quote writes text as a JSON string.
func quote(text string) string {
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			out, _ := json.Marshal(text) // a string never fails
			return string(out)
		}
	}
	return `"` + text + `"`
}

func nullable(text string) string {
	if text == "" {
		return "null"
	}
	return quote(text)
}

// telling is what an error may mention.
type telling struct {
	dialect dialect
	model   string
	key     string
	action  string
	wait    time.Duration
	now     time.Time
}

// fill puts the facts of the call where the catalogue's texts name them.
func (t *telling) fill(s said) said {
	if s.verbatimType == "" && strings.Contains(s.message, "{") {
		s.message = strings.NewReplacer(
			"{model}", t.model,
			"{key}", t.key,
			"{masked}", masked(t.key),
			"{action}", t.action,
			"{wait}", t.wait.String(),
			"{seconds}", strconv.Itoa(t.seconds()),
		).Replace(s.message)
	}
	for i, d := range s.details {
		if strings.Contains(d, "{") {
			s.details[i] = strings.NewReplacer("{model}", strings.Trim(quote(t.model), `"`), "{seconds}", strconv.Itoa(t.seconds())).Replace(d)
		}
	}
	return s
}

// seconds is the wait rounded up, for hints without fractions.
func (t *telling) seconds() int {
	return int((t.wait + time.Second - 1) / time.Second)
}

// masked shows a key as OpenAI's errors do: both ends, and stars between.
func masked(key string) string {
	if len(key) <= 12 {
		return strings.Repeat("*", len(key))
	}
	return key[:8] + strings.Repeat("*", len(key)-12) + key[len(key)-4:]
}
