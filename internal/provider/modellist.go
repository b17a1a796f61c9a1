package provider

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/jsonbody"
)

// ErrNotModelList is returned for a body in which no list of models was found.
var ErrNotModelList = errors.New("the answer is not a model list of the provider's format: " +
	`an object with the array "data" (OpenAI, Anthropic) or "models" (Gemini), or such an array alone`)

// geminiPrefix stands before a model's name in Gemini's lists, and before its id in those of Gemini's OpenAI dialect.
const geminiPrefix = "models/"

// RewriteModelList shows a group's redirected names in a model list. A name that is not listed is added: as a copy of
// the entry it leads to, with its own id, or, where that is not listed, as a small entry in the provider's form. Lists in
// pages get the names on their last page.
//
// With strict, only redirected names remain, all of them, and the list says that it has no further page: what a group
// serves is known without the provider's other pages.
//
// Every other byte stays as it is. The error is ErrNotModelList; what was not understood may hold names that strict is to hide.
func RewriteModelList(f Format, body []byte, redirects []fleet.ModelRedirect, strict bool) ([]byte, error) {
	l, err := findModelList(f, body)
	if err != nil {
		return nil, err
	}
	if !strict && l.hasNextPage() {
		return body, nil
	}
	wanted := make(map[string]bool, len(redirects)) // false once it is listed
	for _, r := range redirects {
		wanted[r.From] = true
	}
	var kept, added [][]byte
	for _, e := range l.entries {
		if _, redirected := wanted[e.name]; redirected {
			wanted[e.name] = false
			kept = append(kept, e.raw)
		}
	}
	for _, r := range redirects {
		if wanted[r.From] {
			wanted[r.From] = false
			added = append(added, l.entryFor(r))
		}
	}
	if strict {
		return l.replace(append(kept, added...)), nil
	}
	return l.add(added), nil
}

// modelList is a model list where it stands in its body.
type modelList struct {
	format Format
	body   []byte
	top    jsonbody.Value
	array  jsonbody.Value
	// inModels is true when the array stands in the member models, or belongs there.
	inModels bool
	idName   string // the member of an entry that names the model
	prefix   string // what stands before the names of this list
	entries  []modelEntry
}

type modelEntry struct {
	name string // without the prefix
	raw  []byte
}

func findModelList(f Format, body []byte) (*modelList, error) {
	if !jsonbody.Valid(body) {
		return nil, ErrNotModelList
	}
	l := &modelList{format: f, body: body, top: jsonbody.Parse(body), idName: "id"}
	l.array = l.top
	if l.top.Kind() == jsonbody.KindObject {
		l.array = l.top.Member("data")
		if f == FormatGemini || l.array.Kind() == jsonbody.KindNone {
			l.array, l.inModels = l.top.Member("models"), true
		}
	}
	if f == FormatGemini {
		l.idName, l.prefix = "name", geminiPrefix
	}
	// Protocol buffers leave an empty list out of the object.
	empty := f == FormatGemini && l.top.Kind() == jsonbody.KindObject && l.array.Kind() == jsonbody.KindNone
	if l.array.Kind() != jsonbody.KindArray && !empty {
		return nil, ErrNotModelList
	}
	for element := range l.array.Elements() {
		id, ok := element.Member(l.idName).Text()
		if !ok {
			return nil, ErrNotModelList
		}
		if strings.HasPrefix(id, geminiPrefix) {
			l.prefix = geminiPrefix
		}
		l.entries = append(l.entries, modelEntry{name: strings.TrimPrefix(id, geminiPrefix), raw: element.Raw})
	}
	return l, nil
}

// hasNextPage reads Anthropic's has_more and Gemini's nextPageToken.
func (l *modelList) hasNextPage() bool {
	return !l.top.Member("has_more").IsEmpty() || !l.top.Member("nextPageToken").IsEmpty()
}

// entryFor makes the entry of a redirected name.
func (l *modelList) entryFor(r fleet.ModelRedirect) []byte {
	id := jsonbody.AppendQuoted(nil, l.prefix+r.From)
	for _, e := range l.entries {
		if e.name == r.To {
			return edit(e.raw, set(l.idName, id))
		}
	}
	name := jsonbody.AppendQuoted(nil, r.From)
	switch l.format {
	case FormatGemini:
		return fmt.Appendf(nil, `{"name":%s,"displayName":%s,"supportedGenerationMethods":["generateContent","countTokens"]}`, id, name)
	case FormatAnthropic: // its reference gives this date to models whose release date is not known
		return fmt.Appendf(nil, `{"type":"model","id":%s,"display_name":%s,"created_at":"1970-01-01T00:00:00Z"}`, id, name)
	default:
		return fmt.Appendf(nil, `{"id":%s,"object":"model","created":0,"owned_by":"gpt-load"}`, id)
	}
}

// add puts entries at the end of the list.
func (l *modelList) add(entries [][]byte) []byte {
	if len(entries) == 0 {
		return l.body
	}
	text := bytes.Join(entries, []byte(","))
	if l.array.Kind() == jsonbody.KindNone {
		return edit(l.body, set("models", brackets(text)))
	}
	end := l.array.Span().Start + 1
	for element := range l.array.Elements() {
		end = element.Span().End
	}
	if len(l.entries) > 0 {
		text = append([]byte(","), text...)
	}
	return slices.Concat(l.body[:end], text, l.body[end:])
}

// replace puts entries in the place of the list, which is then complete.
func (l *modelList) replace(entries [][]byte) []byte {
	array := brackets(bytes.Join(entries, []byte(",")))
	if l.top.Kind() == jsonbody.KindArray {
		span := l.top.Span()
		return slices.Concat(l.body[:span.Start], array, l.body[span.End:])
	}
	name, other := "data", "models"
	if l.inModels {
		name, other = other, name
	}
	// llama.cpp writes the list twice, once under each name.
	edits := []jsonbody.Edit{set(name, array), set(other, nil), set("nextPageToken", nil)}
	if l.top.Member("has_more").Kind() != jsonbody.KindNone {
		edits = append(edits, set("has_more", []byte("false")))
	}
	for place, id := range map[string][]byte{"first_id": l.idOf(entries, 0), "last_id": l.idOf(entries, len(entries)-1)} {
		if l.top.Member(place).Kind() != jsonbody.KindNone {
			edits = append(edits, set(place, id))
		}
	}
	return edit(l.body, edits...)
}

// idOf gives the id of an entry as raw JSON, null when there is none.
func (l *modelList) idOf(entries [][]byte, i int) []byte {
	if i < 0 || i >= len(entries) {
		return []byte("null")
	}
	return jsonbody.Parse(entries[i]).Member(l.idName).Raw
}

func brackets(text []byte) []byte { return slices.Concat([]byte("["), text, []byte("]")) }

func set(name string, value []byte) jsonbody.Edit {
	path, err := jsonbody.ParsePath(name)
	if err != nil {
		panic(err) // the names above are paths
	}
	return jsonbody.Edit{Path: path, Value: value}
}

// edit changes top-level members of a valid object, which cannot fail.
func edit(object []byte, edits ...jsonbody.Edit) []byte {
	edited, err := jsonbody.Apply(object, edits)
	if err != nil {
		panic(err)
	}
	return edited
}
