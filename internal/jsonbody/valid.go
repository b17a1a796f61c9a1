package jsonbody

import (
	"encoding/binary"
	"math/bits"
)

// Valid reports whether the body is one JSON value by RFC 8259, read to its last byte; it agrees with
// encoding/json.Valid on every input. It is our own because the two at hand do not serve: encoding/json's state
// machine takes several times as long, and gjson's validator recurses, so that a body of nothing but brackets
// overflows the stack and ends the process.
func Valid(body []byte) bool {
	var open nesting
	i := skipSpace(body, 0)
	for {
		// A value begins at i.
		if i >= len(body) {
			return false
		}
		switch c := body[i]; c {
		case '{', '[':
			if !open.push(c == '{') {
				return false
			}
			i = skipSpace(body, i+1)
			if i < len(body) && body[i] == c+2 { // empty; '}' is '{'+2 and ']' is '['+2
				open.pop()
				i++
				break
			}
			if c == '{' {
				if i = checkName(body, i); i < 0 {
					return false
				}
			}
			continue
		case '"':
			i = checkString(body, i)
		default:
			i = skipScalar(body, i)
		}
		if i < 0 {
			return false
		}
		// A value ended before i: close what ends with it, then the next one begins.
		if i = open.next(body, i); i < 0 {
			return false
		}
		if open.depth == 0 {
			return skipSpace(body, i) == len(body)
		}
	}
}

// nesting is the stack of open containers, one bit each: 1 for an object.
type nesting struct {
	bits  [(maxDepth + 63) / 64]uint64
	depth int
}

func (n *nesting) push(object bool) bool {
	if n.depth == maxDepth {
		return false
	}
	word, bit := &n.bits[n.depth/64], uint64(1)<<(n.depth%64)
	*word &^= bit
	if object {
		*word |= bit
	}
	n.depth++
	return true
}

func (n *nesting) pop() { n.depth-- }

func (n *nesting) inObject() bool {
	top := n.depth - 1
	return n.bits[top/64]>>(top%64)&1 == 1
}

// next goes from the end of a value to the beginning of the next one, or, with depth 0, behind the last. It
// returns -1 at anything that may not stand there.
func (n *nesting) next(b []byte, i int) int {
	for n.depth > 0 {
		i = skipSpace(b, i)
		if i >= len(b) {
			return -1
		}
		object := n.inObject()
		switch {
		case b[i] == ',' && object:
			return checkName(b, skipSpace(b, i+1))
		case b[i] == ',':
			return skipSpace(b, i+1)
		case object && b[i] == '}', !object && b[i] == ']':
			n.pop()
			i++
		default:
			return -1
		}
	}
	return i
}

// checkName reads `"name" :` at i and returns where the value begins, or -1.
func checkName(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	if i = checkString(b, i); i < 0 {
		return -1
	}
	if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
		return -1
	}
	return skipSpace(b, i+1)
}

// checkString returns the offset behind the string whose opening quote is at i, or -1 when it does not end or
// holds a control character or an escape that JSON does not have. Bytes that are not UTF-8 are allowed, as
// encoding/json allows them.
func checkString(b []byte, i int) int {
	for i++; i < len(b); {
		if i = skipOrdinary(b, i); i >= len(b) {
			return -1
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c != '\\':
			return -1
		}
		if i++; i >= len(b) {
			return -1
		}
		switch b[i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i++
		default:
			if _, ok := unicodeEscape(b[i-1:]); !ok {
				return -1
			}
			i += longestEscape - 1
		}
	}
	return -1
}

// skipOrdinary returns the offset of the first quote, backslash or control character at or after i. It looks at
// eight bytes at a time: for a byte x, (x - y) &^ x has its high bit set when x < y and x < 0x80, so with y = 1 it
// finds zeros (after an exclusive or with the byte wanted) and with y = ' ' control characters. A borrow can set
// bits above a true hit only, and only the lowest hit is used.
func skipOrdinary(b []byte, i int) int {
	const (
		ones      = 0x0101010101010101
		highs     = 0x8080808080808080
		quotes    = ones * '"'
		slashes   = ones * '\\'
		firstText = ones * ' '
	)
	for ; i+8 <= len(b); i += 8 {
		word := binary.LittleEndian.Uint64(b[i:])
		quote, slash := word^quotes, word^slashes
		hits := ((quote-ones)&^quote | (slash-ones)&^slash | (word-firstText)&^word) & highs
		if hits != 0 {
			return i + bits.TrailingZeros64(hits)/8
		}
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
		i++
	}
	return i
}
