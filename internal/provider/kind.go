package provider

import (
	"bytes"
	"net/http"
	"strings"
)

// Kind is how the body of an answer is framed.
type Kind uint8

// The kinds.
const (
	KindBinary    Kind = iota // anything without a frame known here: audio, files, pages, newline-delimited JSON
	KindSSE                   // text/event-stream: chunks of a stream
	KindJSON                  // one JSON document
	KindJSONArray             // Gemini's stream without alt=sse: an array that grows by an element for each chunk
)

// String gives the kind's name for logs.
func (k Kind) String() string {
	return [...]string{"binary", "sse", "json", "json-array"}[k]
}

// KindOf reads the kind from Content-Type. It is the kind of the decoded body: behind a Content-Encoding the bytes on
// the wire are KindBinary.
//
// KindJSONArray has the type of KindJSON, and some servers send what they stream as text or with no type at all. Only
// the first byte tells such answers apart, so KindOf gives KindJSON for all of them, and Inspector and Ending go on
// from there.
func KindOf(h http.Header) Kind {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	media = strings.TrimSpace(media)
	switch {
	case strings.EqualFold(media, "text/event-stream"):
		return KindSSE
	case strings.EqualFold(media, "application/json"), media == "", strings.EqualFold(media, "text/plain"), strings.EqualFold(media, "text/json"):
		return KindJSON
	case len(media) > 5 && strings.EqualFold(media[len(media)-5:], "+json"):
		return KindJSON
	}
	return KindBinary
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// sniff tells the kind from the beginning of an answer whose declared kind is k. known is false while too few bytes
// are there to tell; at is the offset of the first byte that is neither white space nor a byte order mark.
func sniff(k Kind, beginning []byte) (kind Kind, at int, known bool) {
	if k == KindBinary {
		return k, 0, len(beginning) > 0
	}
	if len(beginning) < len(byteOrderMark) && bytes.HasPrefix(byteOrderMark, beginning) {
		return k, 0, false
	}
	if bytes.HasPrefix(beginning, byteOrderMark) {
		at = len(byteOrderMark)
	}
	at = skipBlank(beginning, at)
	if at == len(beginning) {
		return k, at, false
	}
	switch beginning[at] {
	case '{':
		return KindJSON, at, true
	case '[':
		return KindJSONArray, at, true
	}
	if k == KindSSE {
		return k, 0, true
	}
	for _, field := range [...]string{":", "data:", "event:"} {
		text := beginning[at:]
		if len(text) >= len(field) && string(text[:len(field)]) == field {
			return KindSSE, 0, true
		}
		if len(text) < len(field) && string(text) == field[:len(text)] {
			return k, at, false
		}
	}
	return KindBinary, at, true
}

// skipBlank returns the offset of the first byte at or after i that is no white space.
func skipBlank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}
