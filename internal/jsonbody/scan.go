package jsonbody

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// maxDepth is how deep arrays and objects may nest: encoding/json's bound.
const maxDepth = 10000

// Span is a half-open range of byte offsets.
type Span struct{ Start, End int }

// byteClass sorts bytes by what they mean between the strings of a container.
type byteClass uint8

const (
	classOther byteClass = iota
	classQuote
	classOpen
	classClose
)

var classes = [256]byteClass{
	'"': classQuote,
	'{': classOpen, '[': classOpen,
	'}': classClose, ']': classClose,
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// skipSpace returns the offset of the first byte at or after i that is not JSON's white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

// skipString returns the offset behind the string whose opening quote is at i, or -1 when it does not end.
// A quote ends the string unless an odd number of backslashes stands before it. The backslashes between two
// quotes are counted once, so the time stays linear whatever the text.
func skipString(b []byte, i int) int {
	i++
	for start := i; ; i++ {
		n := indexQuote(b[i:])
		if n < 0 {
			return -1
		}
		i += n
		first := i
		for first > start && b[first-1] == '\\' {
			first--
		}
		if (i-first)&1 == 0 {
			return i + 1
		}
	}
}

// indexQuote is bytes.IndexByte for a quote. Code in a prompt has an escaped quote every few words, where the call costs
// more than looking at eight bytes at a time; texts and pictures without any are left to IndexByte, which is faster there.
func indexQuote(b []byte) int {
	const near, ones, highs = 64, 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i < near && i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:]) ^ ones*'"'
		// The lowest high bit that is left stands in the first zero byte of x.
		if found := (x - ones) &^ x & highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	if n := bytes.IndexByte(b[i:], '"'); n >= 0 {
		return i + n
	}
	return -1
}

// skipContainer returns the offset behind the object or array that opens at i, or -1 when it does not end or
// nests deeper than depth levels. It matches brackets by number, not by shape, except for the outermost pair.
func skipContainer(b []byte, i, depth int) int {
	closing := b[i] + 2 // in ASCII, '}' is '{'+2 and ']' is '['+2
	level := 0
	for i < len(b) {
		switch classes[b[i]] {
		case classOther:
			i++
		case classQuote:
			if i = skipString(b, i); i < 0 {
				return -1
			}
		case classOpen:
			if level++; level > depth {
				return -1
			}
			i++
		case classClose:
			if level--; level == 0 {
				if b[i] != closing {
					return -1
				}
				return i + 1
			}
			i++
		}
	}
	return -1
}

// skipValue returns the offset behind the value that starts at i, or -1 when none is there. Containers may nest
// depth levels.
func skipValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipContainer(b, i, depth)
	default:
		return skipScalar(b, i)
	}
}

// skipScalar returns the offset behind the number or literal that starts at i, or -1.
func skipScalar(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case 't':
		return skipLiteral(b, i, "true")
	case 'f':
		return skipLiteral(b, i, "false")
	case 'n':
		return skipLiteral(b, i, "null")
	default:
		return skipNumber(b, i)
	}
}

func skipLiteral(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// skipNumber reads by RFC 8259, section 6: -? (0 | [1-9][0-9]*) (.[0-9]+)? ([eE][+-]?[0-9]+)?
func skipNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = skipDigits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = skipDigits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return skipDigits(b, i)
	}
	return i
}

// skipDigits needs at least one digit at i.
func skipDigits(b []byte, i int) int {
	start := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == start {
		return -1
	}
	return i
}
