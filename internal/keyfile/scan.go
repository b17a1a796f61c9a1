package keyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"gpt-load/internal/secret"
)

func isSeparator(c byte) bool {
	switch c {
	case '\n', '\r', ' ', '\t', ',', ';':
		return true
	}
	return false
}

// peek returns the next byte without taking it.
func (r *Reader) peek() (byte, error) {
	b, err := r.in.Peek(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// peekEntry returns what is buffered, and as much as an entry may have when whole says that this is not enough.
func (r *Reader) peekEntry(whole func(seen []byte) bool) ([]byte, error) {
	seen, err := r.in.Peek(r.in.Buffered())
	if err == nil && !whole(seen) {
		seen, err = r.in.Peek(maxEntry)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return seen[:min(len(seen), maxEntry)], err
}

// take takes n bytes that were peeked at.
func (r *Reader) take(seen []byte) {
	r.line += bytes.Count(seen, []byte{'\n'})
	_, _ = r.in.Discard(len(seen)) // they are buffered
}

// skip passes over bytes for which pass says yes.
func (r *Reader) skip(pass func(byte) bool) error {
	for {
		c, err := r.in.ReadByte()
		if err != nil {
			return err
		}
		if !pass(c) {
			return r.in.UnreadByte()
		}
		if c == '\n' {
			r.line++
		}
	}
}

// skipLine passes over the rest of a line and its end.
func (r *Reader) skipLine() error {
	err := r.skip(func(c byte) bool { return c != '\n' })
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// nextToken reads the next key of a text or of JSON lines.
func (r *Reader) nextToken() (Entry, error) {
	for {
		if err := r.skip(isSeparator); err != nil {
			return Entry{}, err
		}
		c, err := r.peek()
		if err != nil {
			return Entry{}, err
		}
		e := Entry{Line: r.line}
		switch {
		case c == '"' || c == '{':
			return r.jsonToken(e)
		case r.format == JSONLines:
			e.Fault = "is neither a JSON string nor a JSON object"
			return e, r.skipLine()
		case c == '#' && r.beginsComment():
			if err := r.skipLine(); err != nil {
				return Entry{}, err
			}
			continue
		}
		return r.plainToken(e)
	}
}

func (r *Reader) beginsComment() bool {
	b, _ := r.in.Peek(2)
	return len(b) < 2 || b[1] == ' ' || b[1] == '\t' || b[1] == '\r' || b[1] == '\n' || b[1] == '#'
}

// plainToken reads up to the next separator.
func (r *Reader) plainToken(e Entry) (Entry, error) {
	r.buffer = r.buffer[:0]
	err := r.skip(func(c byte) bool {
		if isSeparator(c) {
			return false
		}
		if len(r.buffer) <= MaxValueBytes {
			r.buffer = append(r.buffer, c)
		}
		return true
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return Entry{}, err
	}
	e.Key.Value = secret.New(string(r.buffer))
	return e, nil
}

// jsonToken reads a JSON string or object within a text. What is broken is rejected to the end of its first line.
func (r *Reader) jsonToken(e Entry) (Entry, error) {
	seen, err := r.peekEntry(func(seen []byte) bool {
		n := valueEnd(seen[:min(len(seen), maxEntry)])
		return n > 0 && n < len(seen)
	})
	if err != nil {
		return Entry{}, err
	}
	n := valueEnd(seen)
	if n > 0 && n < len(seen) && !isSeparator(seen[n]) {
		n = 0
	}
	if n == 0 {
		e.Fault = fmt.Sprintf("begins like a JSON string or object but is not one of at most %d KiB", maxEntry>>10)
		return e, r.skipLine()
	}
	e.Key, e.Fault = keyOfJSON(seen[:n])
	r.take(seen[:n])
	return e, nil
}

// maxDepth bounds how deep objects may nest; a service account does not nest at all. It also bounds how often a byte is looked
// at when one brace after the other stays open.
const maxDepth = 16

// valueEnd is the length of the JSON string, object or array at the beginning of b, 0 when it does not end there. It does not look
// at what json.Unmarshal finds anyway.
func valueEnd(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted:
			switch c {
			case '\\':
				i++
			case '\n':
				return 0 // strings end on their line
			case '"':
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return 0
			}
		case c == '}' || c == ']':
			depth--
		}
		if depth == 0 && !quoted {
			return i + 1
		}
	}
	return 0
}

// keyOfJSON reads a string or an object.
func keyOfJSON(raw []byte) (Key, string) {
	if raw[0] == '"' {
		var value string
		if json.Unmarshal(raw, &value) != nil {
			return Key{}, "is not a JSON string"
		}
		return Key{Value: secret.New(strings.TrimSpace(value))}, ""
	}
	if raw[0] != '{' {
		return Key{}, "is neither a JSON string nor a JSON object"
	}
	var names map[string]json.RawMessage
	if json.Unmarshal(raw, &names) != nil {
		return Key{}, "is not a JSON object"
	}
	if _, ok := names["key"]; !ok {
		_, typed := names["type"]
		_, private := names["private_key"]
		if !typed && !private {
			return Key{}, `is a JSON object without a member "key", and no credential with a member "type" or "private_key"`
		}
		var compact bytes.Buffer
		_ = json.Compact(&compact, raw) // it was unmarshalled above
		return Key{Value: secret.New(compact.String())}, ""
	}
	var o object
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil {
		return Key{}, objectFault(err)
	}
	if o.Weight == 0 && names["weight"] != nil {
		return Key{}, fmt.Sprintf("weight must be a whole number from 1 to %d", MaxWeight)
	}
	return o.key(), ""
}

// objectFault does not repeat the decoder's words: they may quote a key.
func objectFault(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		name, _, _ := strings.Cut(kind.Field, ".")
		return "the member " + name + " has a value of the wrong kind"
	}
	if strings.HasPrefix(err.Error(), "json: unknown field") {
		return "has a member that is none of " + strings.Join(columnNames, ", ")
	}
	return "has a member with a value of the wrong kind"
}

// nextElement reads the next element of an array.
func (r *Reader) nextElement() (Entry, error) {
	isSpace := func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
	next := func() (byte, error) {
		if err := r.skip(isSpace); err != nil {
			return 0, r.arrayFault(err)
		}
		c, err := r.peek()
		return c, r.arrayFault(err)
	}
	c, err := next()
	if err != nil {
		return Entry{}, err
	}
	if !r.begun {
		if c != '[' {
			return Entry{}, invalid("the file is not a JSON array; send one array of strings and objects")
		}
	} else if c != ',' && c != ']' {
		return Entry{}, r.notArray()
	}
	first := !r.begun
	r.begun = true
	if c == ']' {
		return Entry{}, r.endArray()
	}
	_, _ = r.in.Discard(1) // the bracket or the comma
	if c, err = next(); err != nil {
		return Entry{}, err
	}
	if c == ']' && first {
		return Entry{}, r.endArray()
	}
	e := Entry{Line: r.line}
	seen, err := r.peekEntry(func(seen []byte) bool { return valueEnd(seen[:min(len(seen), maxEntry)]) > 0 && (c == '"' || c == '{') })
	if err != nil {
		return Entry{}, err
	}
	n := 0
	if c == '"' || c == '{' || c == '[' {
		n = valueEnd(seen)
	} else if n = bytes.IndexAny(seen, ",] \t\r\n"); n > 0 && !json.Valid(seen[:n]) {
		n = 0
	}
	if n <= 0 || !json.Valid(seen[:n]) {
		if len(seen) < maxEntry && n <= 0 && (c == '"' || c == '{' || c == '[') {
			return Entry{}, r.arrayFault(io.EOF)
		}
		return Entry{}, r.notArray()
	}
	e.Key, e.Fault = keyOfJSON(seen[:n])
	r.take(seen[:n])
	return e, nil
}

func (r *Reader) endArray() error {
	_, _ = r.in.Discard(1)
	err := r.skip(func(c byte) bool { return isSeparator(c) && c != ',' && c != ';' })
	if err == nil {
		err = invalid(fmt.Sprintf("line %d: something stands behind the end of the JSON array; send one array only", r.line))
	}
	return err
}

func (r *Reader) notArray() error {
	return invalid(fmt.Sprintf("line %d: the file begins like a JSON array but is not one from here on; send an array of strings and objects of at most %d KiB each, or keys with separators between them", r.line, maxEntry>>10))
}

func (r *Reader) arrayFault(err error) error {
	if errors.Is(err, io.EOF) {
		return invalid("the JSON array has no end; was the file cut off?")
	}
	return err
}
