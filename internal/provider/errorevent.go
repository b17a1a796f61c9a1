package provider

import (
	"bytes"
	"net/http"
	"strconv"

	"gpt-load/internal/jsonbody"
)

// ErrorEvent gives the bytes that end a stream which broke off, in the protocol's own form of an error: they complete
// a half line first, so that the client's parser meets the error as an event of its own. message and code are for the
// caller. It is nil where the protocol has no such form or what was sent cannot be completed: for one JSON document, for
// binary bodies, and within an element of an array.
//
// The end that the protocol knows for success, [DONE] for one, is not written.
func (e *Ending) ErrorEvent(message, code string) []byte {
	failure := GatewayError{Status: http.StatusBadGateway, Code: code, Message: message}
	switch e.kind {
	case KindSSE:
		out := e.completeLine()
		switch e.format {
		case FormatAnthropic:
			out = append(out, "event: error\ndata: "...)
			out = append(out, NativeError(e.format, failure)...)
		case FormatResponses:
			out = append(out, "event: error\ndata: "...)
			out = e.appendResponsesError(out, failure)
		default:
			out = append(out, "data: "...)
			out = append(out, NativeError(e.format, failure)...)
		}
		return append(out, "\n\n"...)
	case KindJSONArray:
		return e.array.errorElement(NativeError(e.format, failure))
	default:
		return nil
	}
}

// completeLine gives what dispatches a half line or event, as the HTML standard defines line ends.
func (e *Ending) completeLine() []byte {
	sent := e.tail()
	if len(sent) == 0 {
		return nil
	}
	whole, ok := cutLineEnd(sent)
	if !ok {
		return []byte("\n\n")
	}
	if _, blank := cutLineEnd(whole); blank || len(whole) == 0 {
		return nil
	}
	if sent[len(sent)-1] == '\r' {
		return []byte("\n\n") // the first completes CR LF
	}
	return []byte("\n")
}

func cutLineEnd(b []byte) (before []byte, ok bool) {
	for _, end := range [...]string{"\r\n", "\n", "\r"} {
		if before, ok = bytes.CutSuffix(b, []byte(end)); ok {
			return before, true
		}
	}
	return b, false
}

// appendResponsesError writes the error event of the responses API. Its reference has code, message and param beside
// the type; the service itself, and the SDKs that end the stream at it, have them inside error. Both are
// written.
func (e *Ending) appendResponsesError(dst []byte, failure GatewayError) []byte {
	inner := jsonbody.Parse(NativeError(FormatOpenAI, failure)).Member("error").Raw
	dst = append(dst, `{"type":"error","sequence_number":`...)
	dst = strconv.AppendInt(dst, int64(e.sequence+1), 10)
	dst = append(dst, `,"code":`...)
	dst = jsonbody.AppendQuoted(dst, failure.Code)
	dst = append(dst, `,"message":`...)
	dst = jsonbody.AppendQuoted(dst, failure.Message)
	dst = append(dst, `,"param":null,"error":`...)
	dst = append(dst, inner...)
	return append(dst, '}')
}

// arrayState follows the brackets of a growing JSON array.
type arrayState struct {
	level    int
	inString bool
	escaped  bool
	last     byte // the last byte outside of strings that is no white space
}

func (a *arrayState) read(p []byte) {
	for _, c := range p {
		switch {
		case a.escaped:
			a.escaped = false
			continue
		case a.inString:
			a.escaped, a.inString = c == '\\', c != '"'
			continue
		}
		switch c {
		case ' ', '\n', '\r', '\t':
			continue
		case '"':
			a.inString = true
		case '[', '{':
			a.level++
		case ']', '}':
			a.level--
		}
		a.last = c
	}
}

// errorElement closes the array with one more element, which is possible between elements only.
func (a *arrayState) errorElement(object []byte) []byte {
	if a.inString || a.level > 1 {
		return nil
	}
	var out []byte
	switch {
	case a.last == 0:
		out = append(out, '[')
	case a.level == 0: // closed already
		return nil
	case a.last != '[' && a.last != ',':
		out = append(out, ',')
	}
	return append(append(out, object...), ']')
}
