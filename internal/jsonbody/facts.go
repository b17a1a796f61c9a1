package jsonbody

import (
	"hash/maphash"
	"sync/atomic"
)

// Facts are what routing needs to know of a request body.
type Facts struct {
	// Object is true when the body is one JSON object with nothing but white space around it, as far as Scan
	// looks: always for a valid one, and never for one that breaks off. Without it every other field is zero.
	// A body behind a byte order mark is none.
	Object bool

	// HasModel is true when a top-level member is named model. The last such member counts.
	HasModel      bool
	ModelIsString bool
	Model         string // decoded; does not keep the body in memory
	ModelSpan     Span   // the value of the member that counts, quotes included
	ModelCount    int    // how many top-level members are named model

	// HasStream is true when a top-level member is named stream; Stream is true when the last of them is the
	// literal true.
	HasStream bool
	Stream    bool
}

// Scan finds the facts of a body in one pass and allocates nothing that grows with the body; a model name of more
// than internLimit bytes is copied.
func Scan(body []byte) Facts {
	var f Facts
	i := skipSpace(body, 0)
	if i == len(body) || body[i] != '{' {
		return Facts{}
	}
	i = skipSpace(body, i+1)
	if i < len(body) && body[i] == '}' {
		f.Object = skipSpace(body, i+1) == len(body)
		return f
	}
	for {
		name, value := skipMember(body, i, maxDepth-1)
		if value.End < 0 {
			return Facts{}
		}
		if !f.note(body, name, value) {
			return Facts{}
		}
		i = skipSpace(body, value.End)
		if i == len(body) {
			return Facts{}
		}
		if body[i] == '}' {
			break
		}
		if body[i] != ',' {
			return Facts{}
		}
		i = skipSpace(body, i+1)
	}
	if skipSpace(body, i+1) != len(body) {
		return Facts{}
	}
	if f.ModelIsString {
		raw := body[f.ModelSpan.Start+1 : f.ModelSpan.End-1]
		model, ok := decodeInterned(raw)
		if !ok {
			return Facts{}
		}
		f.Model = model
	}
	f.Object = true
	return f
}

// note takes one top-level member in. It returns false when the name is not a JSON string.
func (f *Facts) note(body []byte, name, value Span) bool {
	raw := body[name.Start+1 : name.End-1]
	if len(raw) < len("model") {
		return true
	}
	isModel, ok := equalDecoded(raw, "model")
	if !ok {
		return false
	}
	if isModel {
		f.HasModel, f.ModelIsString = true, body[value.Start] == '"'
		f.ModelSpan = value
		f.ModelCount++
		return true
	}
	if isStream, _ := equalDecoded(raw, "stream"); isStream {
		f.HasStream, f.Stream = true, body[value.Start] == 't'
	}
	return true
}

// skipMember reads `"name" : value` at i. value.End is -1 when none is there.
func skipMember(b []byte, i, depth int) (name, value Span) {
	broken := Span{End: -1}
	if i >= len(b) || b[i] != '"' {
		return broken, broken
	}
	name.Start = i
	if i = skipString(b, i); i < 0 {
		return broken, broken
	}
	name.End = i
	i = skipSpace(b, i)
	if i >= len(b) || b[i] != ':' {
		return broken, broken
	}
	value.Start = skipSpace(b, i+1)
	value.End = skipValue(b, value.Start, depth)
	return name, value
}

// ReplaceModel returns the body with model as the value of every top-level member named model, all other bytes as
// they are. f are the facts of that body. The body itself is not changed; without such a member it is returned.
func ReplaceModel(body []byte, f Facts, model string) []byte {
	if !f.Object || !f.HasModel {
		return body
	}
	quoted := AppendQuoted(make([]byte, 0, len(model)+2), model)
	if f.ModelCount == 1 {
		return applySplices(body, []splice{{Span: f.ModelSpan, with: quoted}})
	}
	splices := make([]splice, 0, f.ModelCount)
	for name, value := range Parse(body).Members() {
		if name.Is("model") {
			splices = append(splices, splice{Span: value.Span(), with: quoted})
		}
	}
	return applySplices(body, splices)
}

// Model names repeat endlessly, and records keep them long after the body is gone. Interning gives each a string
// of its own without an allocation per request; the table keeps at most internSlots names of internLimit bytes.
const (
	internSlots = 512
	internLimit = 128
)

var (
	internSeed  = maphash.MakeSeed()
	internTable [internSlots]atomic.Pointer[string]
)

func intern(text []byte) string {
	if len(text) > internLimit {
		return string(text)
	}
	slot := &internTable[maphash.Bytes(internSeed, text)%internSlots]
	if held := slot.Load(); held != nil && *held == string(text) {
		return *held
	}
	fresh := string(text)
	slot.Store(&fresh)
	return fresh
}
