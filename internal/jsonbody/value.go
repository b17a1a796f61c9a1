package jsonbody

import "iter"

// Kind is what a value is.
type Kind uint8

// The kinds. KindNone is no value: a member that is not there, or text that is not JSON.
const (
	KindNone Kind = iota
	KindNull
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

// String names the kind for messages.
func (k Kind) String() string {
	return [...]string{"nothing", "null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// Value is one JSON value where it stands in a body. It shares the body's memory, so it lives and changes with it.
// The zero Value is KindNone. A value that is not valid JSON gives no panic: its members end where the fault is.
type Value struct {
	Raw []byte // the value's own text, no white space around it
	At  int    // offset of Raw in the body it was parsed from
}

// Parse gives the value that the body begins with, after white space. What stands behind it is not looked at. It
// is KindNone when the value does not end.
func Parse(body []byte) Value {
	start := skipSpace(body, 0)
	end := skipValue(body, start, maxDepth)
	if end < 0 {
		return Value{}
	}
	return Value{Raw: body[start:end], At: start}
}

// Kind tells what the value is.
func (v Value) Kind() Kind {
	if len(v.Raw) == 0 {
		return KindNone
	}
	switch v.Raw[0] {
	case '{':
		return KindObject
	case '[':
		return KindArray
	case '"':
		return KindString
	case 't', 'f':
		return KindBool
	case 'n':
		return KindNull
	default:
		return KindNumber
	}
}

// Span is where the value stands in the body.
func (v Value) Span() Span { return Span{Start: v.At, End: v.At + len(v.Raw)} }

// Text decodes a string; ok is false for anything else.
func (v Value) Text() (text string, ok bool) {
	decoded, ok := v.Bytes()
	return string(decoded), ok
}

// Bytes is Text without a copy: where nothing is escaped, it gives the body's own bytes.
func (v Value) Bytes() (text []byte, ok bool) {
	if v.Kind() != KindString {
		return nil, false
	}
	raw := v.Raw[1 : len(v.Raw)-1]
	if isPlain(raw) {
		return raw, true
	}
	decoded, ok := appendDecoded(nil, raw)
	if !ok {
		return nil, false
	}
	return decoded, true
}

// Is reports whether the value is a string that decodes to text, which is ASCII.
func (v Value) Is(text string) bool {
	if v.Kind() != KindString {
		return false
	}
	equal, _ := equalDecoded(v.Raw[1:len(v.Raw)-1], text)
	return equal
}

// IsEmpty reports whether the value says nothing: not there, null, false, "", [] or {}.
func (v Value) IsEmpty() bool {
	switch v.Kind() {
	case KindString:
		return len(v.Raw) == 2
	case KindArray, KindObject:
		return skipSpace(v.Raw, 1) == len(v.Raw)-1
	case KindBool:
		return v.Raw[0] == 'f'
	case KindNumber:
		return false
	default:
		return true
	}
}

// Member gives the member of an object by its name, which is ASCII: the last of several, KindNone when there is none.
func (v Value) Member(name string) Value {
	var found Value
	for n, value := range v.Members() {
		if n.Is(name) {
			found = value
		}
	}
	return found
}

// Members goes through the names and values of an object in their order. Names are strings.
func (v Value) Members() iter.Seq2[Value, Value] {
	return func(yield func(name, value Value) bool) {
		if v.Kind() != KindObject {
			return
		}
		for i := skipSpace(v.Raw, 1); ; {
			name, value := skipMember(v.Raw, i, maxDepth)
			if value.End < 0 || !yield(v.part(name), v.part(value)) {
				return
			}
			i = skipSpace(v.Raw, value.End)
			if i >= len(v.Raw) || v.Raw[i] != ',' {
				return
			}
			i = skipSpace(v.Raw, i+1)
		}
	}
}

// Elements goes through the elements of an array in their order.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != KindArray {
			return
		}
		for i := skipSpace(v.Raw, 1); ; {
			end := skipValue(v.Raw, i, maxDepth)
			if end < 0 || !yield(v.part(Span{Start: i, End: end})) {
				return
			}
			i = skipSpace(v.Raw, end)
			if i >= len(v.Raw) || v.Raw[i] != ',' {
				return
			}
			i = skipSpace(v.Raw, i+1)
		}
	}
}

func (v Value) part(s Span) Value { return Value{Raw: v.Raw[s.Start:s.End], At: v.At + s.Start} }
