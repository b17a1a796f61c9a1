package provider

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"
)

// bodyKind says what an error body is written in.
type bodyKind uint8

const (
	bodyNone bodyKind = iota // empty
	bodyJSON
	bodyHTML // an edge's page, whatever it is written in
	bodyText
)

// errorBody is what the body of an error says, whatever shape the provider gave it.
type errorBody struct {
	kind    bodyKind
	code    string // error.code, lower case
	typ     string // error.type, lower case
	status  string // Google's error.status, upper case as written
	number  int    // an HTTP status found in the body, 400 to 599, else 0
	message string
	lower   string // message in lower case, for matching

	reasons []string     // Google's ErrorInfo reasons
	details gjson.Result // Google's error.details
	err     gjson.Result // the error object itself
}

// Bounds of what is looked at.
const (
	maxErrorBody    = 64 << 10
	maxErrorMessage = 4 << 10
	maxErrorCode    = 128
)

// parseErrorBody reads as much as it can of a body that may be cut off, wrapped in an array (Gemini's streams), an
// event of a stream, HTML, plain text or nothing.
func parseErrorBody(raw []byte, h http.Header) errorBody {
	raw = bytes.TrimPrefix(raw[:min(len(raw), maxErrorBody)], []byte("\xef\xbb\xbf"))
	raw = bytes.TrimSpace(raw)
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("data:")))
	switch {
	case len(raw) == 0:
		return errorBody{kind: bodyNone}
	case raw[0] == '{' || raw[0] == '[':
		return parseErrorJSON(raw)
	case looksLikeHTML(raw, h):
		return newTextBody(bodyHTML, htmlTitle(raw))
	}
	return newTextBody(bodyText, string(raw[:min(len(raw), maxErrorMessage)]))
}

func newTextBody(kind bodyKind, message string) errorBody {
	return errorBody{kind: kind, message: message, lower: strings.ToLower(message)}
}

func parseErrorJSON(raw []byte) errorBody {
	// The text shares raw's bytes: nothing here writes to them, and every string kept is a copy or used before Judge returns.
	top := gjson.Parse(unsafe.String(unsafe.SliceData(raw), len(raw)))
	for depth := 0; top.IsArray() && depth < 2; depth++ {
		top = firstElement(top)
	}
	if top.Get("cloudflare_error").Bool() { // Cloudflare's page as a problem document (RFC 9457), for clients that accept JSON
		return newTextBody(bodyHTML, clipString(top.Get("title").String(), maxErrorMessage))
	}
	body := readErrorObject(top)
	if body.message == "" && body.code == "" && body.typ == "" && !gjson.ValidBytes(raw) {
		// Cut off before the parser could close anything: its words are still there to be found.
		return newTextBody(bodyText, string(raw[:min(len(raw), maxErrorMessage)]))
	}
	// Gateways put the provider's own error, as JSON text, into the message of theirs.
	if strings.HasPrefix(body.message, "{") || strings.HasPrefix(body.message, "[") {
		inner := gjson.Parse(body.message)
		for depth := 0; inner.IsArray() && depth < 2; depth++ {
			inner = firstElement(inner)
		}
		if nested := readErrorObject(inner); nested.message != "" {
			body = nested.orElse(body)
		}
	}
	body.kind = bodyJSON
	return body
}

func firstElement(array gjson.Result) gjson.Result {
	var first gjson.Result
	array.ForEach(func(_, value gjson.Result) bool {
		first = value
		return false
	})
	return first
}

// readErrorObject finds the error in a top-level object. Shapes: {"error":{...}} (OpenAI, Anthropic, Gemini, OpenRouter),
// {"error":"text","code":"text"} (xAI), {"type":"response.failed","response":{"error":{...}}} and
// {"type":"error","code","message"} (responses events), {"message","code"} and {"object":"error",...} (vLLM, Mistral, AWS),
// {"errors":[...]} (Cloudflare), {"detail":...} (FastAPI, ElevenLabs).
func readErrorObject(top gjson.Result) errorBody {
	body := errorBody{err: top}
	for _, path := range [...]string{"error", "response.error", "errors.0", "detail"} {
		found := top.Get(path)
		if found.IsObject() {
			body.err = found
			break
		}
		if found.Type == gjson.String && found.Str != "" {
			body.message = found.Str
			break
		}
	}
	object := body.err
	body.code = codeText(firstOf(object, "code", "error_code"))
	body.typ = codeText(object.Get("type"))
	if status := object.Get("status"); status.Type == gjson.String {
		body.status = clipString(status.Str, maxErrorCode)
	}
	if body.message == "" {
		body.message = firstOf(object, "message", "msg", "error_msg", "detail", "error_description").String()
	}
	body.message = clipString(body.message, maxErrorMessage)
	body.lower = strings.ToLower(body.message)
	body.number = statusNumber(object, top)
	body.details = object.Get("details")
	for _, reason := range body.details.Get("#.reason").Array() {
		body.reasons = append(body.reasons, reason.String())
	}
	return body
}

// orElse keeps what the inner error says and fills what it leaves open from the outer one.
func (b errorBody) orElse(outer errorBody) errorBody {
	if b.code == "" {
		b.code = outer.code
	}
	if b.typ == "" {
		b.typ = outer.typ
	}
	if b.number == 0 {
		b.number = outer.number
	}
	return b
}

func firstOf(object gjson.Result, names ...string) gjson.Result {
	for _, name := range names {
		if found := object.Get(name); found.Exists() && found.Type != gjson.Null {
			return found
		}
	}
	return gjson.Result{}
}

// codeText gives a code as lower-case text, whether it was written as text or number.
func codeText(value gjson.Result) string {
	switch value.Type {
	case gjson.String:
		return strings.ToLower(clipString(value.Str, maxErrorCode))
	case gjson.Number:
		return clipString(value.Raw, maxErrorCode)
	}
	return ""
}

// statusNumber looks for an HTTP status that the body repeats: error.code (Gemini, OpenRouter; Azure as text), status,
// status_code, statusCode.
func statusNumber(objects ...gjson.Result) int {
	for _, object := range objects {
		for _, name := range [...]string{"code", "status", "status_code", "statusCode", "http_status"} {
			value := object.Get(name)
			if value.Type != gjson.Number && value.Type != gjson.String {
				continue
			}
			if n, err := strconv.Atoi(value.String()); err == nil && n >= 400 && n <= 599 {
				return n
			}
		}
	}
	return 0
}

func clipString(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit]
}

// looksLikeHTML goes by the content: edges send pages under any content type. XML of storage services is no API answer either.
func looksLikeHTML(raw []byte, h http.Header) bool {
	if raw[0] == '<' {
		return true
	}
	for _, value := range h["Content-Type"] {
		if strings.HasPrefix(strings.ToLower(value), "text/html") {
			return true
		}
	}
	// Cloudflare answers machines with one line of text.
	return bytes.HasPrefix(raw, []byte("error code: 1"))
}

// htmlTitle is all that is worth keeping of a page.
func htmlTitle(raw []byte) string {
	lower := bytes.ToLower(raw[:min(len(raw), maxErrorMessage)])
	start := bytes.Index(lower, []byte("<title"))
	if start < 0 {
		if raw[0] == '<' {
			return ""
		}
		return string(raw[:min(len(raw), maxEvidence)])
	}
	open := bytes.IndexByte(lower[start:], '>')
	if open < 0 {
		return ""
	}
	start += open + 1
	end := bytes.Index(lower[start:], []byte("</title"))
	if end < 0 {
		return ""
	}
	// Lower-casing may change the length of non-ASCII text, so the title is cut from the lowered copy.
	return string(bytes.TrimSpace(lower[start : start+end]))
}
