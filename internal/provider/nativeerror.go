package provider

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// GatewayError is a refusal or failure of the gateway itself.
type GatewayError struct {
	Status     int    // 400 to 599; anything else is sent as 500
	Code       string // stable, snake_case
	Message    string // for the caller: what was refused, the limit and where it is set
	RetryAfter time.Duration
	RequestID  string
}

// The providers' shapes, which their SDKs parse.
type (
	openAIError struct {
		Error struct {
			Message string  `json:"message"`
			Type    string  `json:"type"`
			Param   *string `json:"param"`
			Code    string  `json:"code"`
		} `json:"error"`
	}
	anthropicError struct {
		Type  string `json:"type"`
		Error struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
		RequestID string `json:"request_id,omitempty"`
	}
	geminiError struct {
		Error struct {
			Code    int            `json:"code"`
			Message string         `json:"message"`
			Status  string         `json:"status"`
			Details []geminiDetail `json:"details"`
		} `json:"error"`
	}
	geminiDetail struct {
		Type       string `json:"@type"`
		Reason     string `json:"reason,omitempty"`
		Domain     string `json:"domain,omitempty"`
		RetryDelay string `json:"retryDelay,omitempty"`
	}
)

// WriteError answers with e in the caller's native shape. Retry-After is whole seconds, rounded up, so that a client that obeys it
// never comes too early. The answer is never cached. A failed write is the client's hang-up, which the caller sees by its context.
func WriteError(w http.ResponseWriter, f Format, e GatewayError) {
	if e.Status < 400 || e.Status > 599 {
		e.Status = http.StatusInternalServerError
	}
	body := NativeError(f, e)
	h := w.Header()
	// Whatever was prepared for an upstream's answer does not describe this one.
	for _, name := range [...]string{"Content-Encoding", "Transfer-Encoding", "Etag", "Last-Modified", "Trailer"} {
		delete(h, name)
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if e.RequestID != "" {
		h.Set("X-Request-Id", e.RequestID)
		if f == FormatAnthropic { // the name that Anthropic's SDKs read
			h.Set("Request-Id", e.RequestID)
		}
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write(body)
}

// NativeError gives the body of e in the caller's native shape.
func NativeError(f Format, e GatewayError) []byte {
	var shape any
	switch f {
	case FormatAnthropic:
		var a anthropicError
		a.Type = "error"
		a.Error.Type, a.Error.Message = anthropicType(e.Status), e.Message
		a.RequestID = e.RequestID
		shape = a
	case FormatGemini:
		shape = newGeminiError(e)
	default:
		var o openAIError
		o.Error.Message, o.Error.Type, o.Error.Code = e.Message, openAIType(e.Status), e.Code
		shape = o
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(shape) // strings and numbers into memory: nothing can fail
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func newGeminiError(e GatewayError) geminiError {
	var g geminiError
	g.Error.Code, g.Error.Message, g.Error.Status = e.Status, e.Message, googleStatus(e.Status)
	g.Error.Details = []geminiDetail{{
		Type: "type.googleapis.com/google.rpc.ErrorInfo", Reason: strings.ToUpper(e.Code), Domain: "gpt-load",
	}}
	if e.RetryAfter > 0 {
		g.Error.Details = append(g.Error.Details, geminiDetail{
			Type: "type.googleapis.com/google.rpc.RetryInfo", RetryDelay: strconv.FormatFloat(e.RetryAfter.Seconds(), 'f', -1, 64) + "s",
		})
	}
	return g
}

// openAIType gives error.type as OpenAI uses it.
func openAIType(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}

// anthropicType gives error.type as in Anthropic's documentation, "Errors".
func anthropicType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusServiceUnavailable, 529:
		return "overloaded_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	}
	if status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}

// googleStatus gives the name of the google.rpc.Code that Google maps to the HTTP status.
func googleStatus(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED"
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusConflict:
		return "ABORTED"
	case http.StatusTooManyRequests:
		return "RESOURCE_EXHAUSTED"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "DEADLINE_EXCEEDED"
	case 499:
		return "CANCELLED"
	case http.StatusNotImplemented:
		return "UNIMPLEMENTED"
	case http.StatusBadGateway, http.StatusServiceUnavailable, 529:
		return "UNAVAILABLE"
	}
	if status >= 500 {
		return "INTERNAL"
	}
	return "INVALID_ARGUMENT"
}
