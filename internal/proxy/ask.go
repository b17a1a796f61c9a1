package proxy

import (
	"bytes"
	"mime"
	"net/http"
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/jsonbody"
	"gpt-load/internal/provider"
)

// ask is what a client or a key test asks, before a group touches it.
type ask struct {
	method      string
	path, query string // below the group, as the bytes came; credentials are out of the query
	bareQuery   bool   // the target ends with a '?' that nothing follows
	header      http.Header
	body        *body
	spot        provider.Spot // where the client put its key
	clientIP    string
	// The trace that the upstream is to follow, in place of the client's; empty leaves that.
	traceparent, tracestate string

	model  string // as asked; empty when none was found
	where  modelPlace
	span   [2]int         // modelInPath: the model within path
	facts  jsonbody.Facts // modelInJSON and JSON bodies without one
	form   []jsonbody.Span
	stream bool
	json   bool // the body is, or may be, a JSON object

	validated, isValid    bool // see valid
	caseSought, caseFound bool // see otherCase
	// unsure says why the model of this request cannot be known; empty when it is known or there is none.
	unsure string
}

// modelPlace is where a request names its model.
type modelPlace uint8

const (
	modelNowhere modelPlace = iota
	modelInPath
	modelInJSON
	modelInForm
)

// findModel looks into the path, a JSON object or a form, whichever the request has.
func (a *ask) findModel(channel fleet.Channel) {
	if model, span, _, ok := provider.PathModel(channel, a.path); ok {
		a.model, a.span, a.where = model, span, modelInPath
		a.stream = provider.PathStreams(channel, a.path)
	}
	data := a.body.data
	if len(data) == 0 {
		return
	}
	if encoding := a.header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		a.unsure, a.json = "the body is compressed; send it without Content-Encoding", true
		return
	}
	if boundary, ok := formBoundary(a.header.Get("Content-Type")); ok {
		a.findFormModel(boundary)
		return
	}
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		// Also JSON in UTF-16 or behind a byte order mark, which some providers accept.
		a.unsure = "the body is neither a JSON object in UTF-8 nor a form"
		return
	}
	a.json = true
	a.facts = jsonbody.Scan(data)
	switch {
	case !a.body.whole:
		a.unsure = "the body is too large to be searched for its model"
	case !a.facts.Object:
		a.unsure = "the body is not valid JSON"
	case a.facts.HasModel && !a.facts.ModelIsString:
		a.unsure = "the member model is not a string"
	}
	a.stream = a.stream || a.facts.Stream
	if a.where == modelNowhere && a.facts.ModelIsString && a.body.whole {
		a.model, a.where = a.facts.Model, modelInJSON
	}
}

func (a *ask) findFormModel(boundary string) {
	spans, complete := formModels(a.body.data, boundary)
	if !complete || !a.body.whole {
		a.unsure = "the form is too large or not complete, so its model cannot be known"
	}
	if len(spans) > 1 {
		a.unsure = "the form names model more than once"
	}
	if a.where == modelNowhere && len(spans) > 0 {
		last := spans[len(spans)-1]
		a.model, a.where, a.form = string(a.body.data[last.Start:last.End]), modelInForm, spans
	}
}

func formBoundary(contentType string) (string, bool) {
	if !strings.HasPrefix(contentType, "multipart/") && !strings.HasPrefix(strings.ToLower(contentType), "multipart/") {
		return "", false
	}
	_, params, err := mime.ParseMediaType(contentType)
	return params["boundary"], err == nil && params["boundary"] != ""
}

// formModels finds the values of the form field model (RFC 7578) and reports whether the form was read to its end.
// It gives spans, which mime/multipart does not, so that a redirect can splice.
func formModels(data []byte, boundary string) (values []jsonbody.Span, complete bool) {
	delimiter := []byte("\r\n--" + boundary)
	at := bytes.Index(data, delimiter[2:])
	if at < 0 {
		return nil, false
	}
	at += len(delimiter) - 2
	for {
		if bytes.HasPrefix(data[at:], []byte("--")) {
			return values, true
		}
		headerEnd := bytes.Index(data[at:], []byte("\r\n\r\n"))
		if headerEnd < 0 {
			return values, false
		}
		header := data[at : at+headerEnd]
		start := at + headerEnd + 4
		length := bytes.Index(data[start-2:], delimiter) // from start-2: an empty value's delimiter begins with the header's end
		if length < 0 {
			return values, false
		}
		end := max(start-2+length, start)
		if partName(header) == "model" {
			values = append(values, jsonbody.Span{Start: start, End: end})
		}
		at = start - 2 + length + len(delimiter)
	}
}

func partName(header []byte) string {
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !bytes.EqualFold(bytes.TrimSpace(name), []byte("Content-Disposition")) {
			continue
		}
		_, params, err := mime.ParseMediaType(strings.TrimSpace(string(value)))
		if err == nil {
			return params["name"]
		}
	}
	return ""
}
