package provider

import (
	"bytes"

	"gpt-load/internal/jsonbody"
)

// Decision is what the beginning of a 200 turned out to be.
type Decision uint8

// The decisions. Once it is not DecisionMore, it stays.
const (
	DecisionMore    Decision = iota // neither content nor an error so far
	DecisionContent                 // an answer: everything may go to the client
	DecisionError                   // an error came before any content; ErrorBody has it
	DecisionEmpty                   // the answer is over and held no content
)

// String gives the decision's name for logs and tests.
func (d Decision) String() string {
	return [...]string{"more", "content", "error", "empty"}[d]
}

// inspectLimit is how many bytes are looked at before an answer that shows nothing passes for content. It is above
// whatever a caller should hold back: response.created repeats instructions and tools, and agents send 100 KB of them.
const inspectLimit = 256 << 10

// Inspector looks at the beginning of a 200 until it can tell content from an error inside it. In doubt it says
// content: to hold back, or to ask again for, an answer that was one is worse than to pass an error on.
//
// It keeps offsets and no bytes, and allocates nothing before the first content. A value can be reused with Reset. It
// is not safe for concurrent use.
type Inspector struct {
	format    Format
	kind      Kind
	sniffed   bool
	decision  Decision
	events    eventReader // KindSSE
	start, at int         // KindJSON and KindJSONArray: where the value begins, and what was read of it so far
	answer    answerFacts // KindJSON
	held      []byte      // what Feed saw last
	errorBody []byte
}

// NewInspector makes an Inspector for an answer in format f whose header declares kind k.
func NewInspector(f Format, k Kind) *Inspector { return &Inspector{format: f, kind: k} }

// Reset makes i ready for another answer.
func (i *Inspector) Reset(f Format, k Kind) { *i = Inspector{format: f, kind: k} }

// Kind is the kind of the answer as its bytes show it, once Feed has seen the first that is no white space; the
// declared one before. A Gemini stream without alt=sse is declared as KindJSON and found to be KindJSONArray.
func (i *Inspector) Kind() Kind { return i.kind }

// ErrorBody gives, after DecisionError, a JSON object with the member error, or with the shape of an error of its
// own ("object":"error"). It does not share memory with the answer.
func (i *Inspector) ErrorBody() []byte { return i.errorBody }

// Feed looks at held, which is everything of the decoded body from its first byte on, and stays unchanged until the
// next call. DecisionMore asks for more.
func (i *Inspector) Feed(held []byte) Decision {
	if i.decision == DecisionMore {
		i.held = held
		i.decision = i.look(held, false)
	}
	if i.decision == DecisionMore && len(held) > inspectLimit {
		i.decision = DecisionContent
	}
	return i.decision
}

// End decides when the answer is over after what Feed has seen. It never returns DecisionMore.
func (i *Inspector) End() Decision {
	if i.decision == DecisionMore {
		i.decision = i.look(i.held, true)
	}
	if i.decision == DecisionMore {
		i.decision = i.incomplete(i.held)
	}
	i.held = nil
	return i.decision
}

func (i *Inspector) look(held []byte, final bool) Decision {
	if !i.sniffed {
		if i.kind, i.at, i.sniffed = sniff(i.kind, held); !i.sniffed {
			return DecisionMore
		}
		i.start = i.at
	}
	switch i.kind {
	case KindSSE:
		return i.lookAtEvents(held, final)
	case KindJSON:
		return i.lookAtAnswer(held)
	case KindJSONArray:
		return i.lookAtElements(held)
	default:
		return DecisionContent
	}
}

// incomplete decides about an answer that ended before it said anything.
func (i *Inspector) incomplete(held []byte) Decision {
	switch {
	case skipBlank(held, 0) == len(held), i.kind == KindSSE && i.sniffed:
		return DecisionEmpty
	case i.kind == KindJSON && i.answer.failed:
		return i.foundError(wrapError(held[i.answer.errorAt[0]:i.answer.errorAt[1]]))
	}
	return DecisionContent
}

func (i *Inspector) lookAtEvents(held []byte, final bool) Decision {
	for {
		e, ok := i.events.next(held, final)
		if !ok {
			return DecisionMore
		}
		if decision := i.judgeEvent(e); decision != DecisionMore {
			return decision
		}
	}
}

// judgeEvent decides by one event of a stream.
func (i *Inspector) judgeEvent(e sseEvent) Decision {
	data := bytes.TrimSpace(e.data)
	if len(data) == 0 {
		return DecisionMore
	}
	if string(data) == "[DONE]" {
		return DecisionEmpty
	}
	v := jsonbody.Parse(data)
	isError := string(e.name) == "error"
	if v.Kind() != jsonbody.KindObject {
		if isError {
			return i.foundError(wrapError(jsonbody.AppendQuoted(nil, string(data))))
		}
		return DecisionContent
	}
	if isError {
		return i.foundError(withError(v))
	}
	return i.judgeChunk(v, e.name)
}

// lookAtElements reads a growing array of chunks.
func (i *Inspector) lookAtElements(held []byte) Decision {
	for {
		at := skipBlank(held, i.at)
		if at == len(held) {
			return DecisionMore
		}
		switch held[at] {
		case '[', ',':
			i.at = at + 1
			continue
		case ']':
			if i.format == FormatGemini {
				return DecisionEmpty
			}
			return DecisionContent
		case '{':
		default:
			return DecisionContent
		}
		v := jsonbody.Parse(held[at:])
		if v.Kind() == jsonbody.KindNone {
			return DecisionMore
		}
		decision := DecisionContent
		switch {
		case i.format == FormatGemini:
			decision = i.judgeChunk(v, nil)
		case saysError(v.Member("error")):
			decision = i.foundError(v.Raw)
		}
		if decision != DecisionMore {
			return decision
		}
		i.at = at + len(v.Raw)
	}
}

// foundError keeps the error and decides.
func (i *Inspector) foundError(object []byte) Decision {
	i.errorBody = bytes.Clone(object)
	return DecisionError
}

// wrapError makes the object {"error": value}.
func wrapError(value []byte) []byte {
	wrapped := make([]byte, 0, len(value)+len(`{"error":}`))
	wrapped = append(wrapped, `{"error":`...)
	wrapped = append(wrapped, value...)
	return append(wrapped, '}')
}

// withError gives an error event's data with the member error: the responses API writes code and message beside the
// type, and only sometimes inside error.
func withError(v jsonbody.Value) []byte {
	if saysError(v.Member("error")) {
		return v.Raw
	}
	return wrapError(v.Raw)
}

// saysError reports whether the value of a member named error tells of one: a text, or an object of which anything is
// set. Stored objects, of fine tuning for one, carry "error":{"code":null,"message":null} while all is well.
func saysError(v jsonbody.Value) bool {
	switch v.Kind() {
	case jsonbody.KindString:
		return !v.IsEmpty()
	case jsonbody.KindObject:
		for _, value := range v.Members() {
			if !value.IsEmpty() && string(value.Raw) != "0" {
				return true
			}
		}
	}
	return false
}
