package jsonbody

import (
	"bytes"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// longestEscape is the most bytes that one decoded byte of ASCII takes when written, as in \u0065.
const longestEscape = len(`\u0000`)

// decodeInterned gives the text between the quotes of a JSON string; ok is false when it is none.
func decodeInterned(raw []byte) (text string, ok bool) {
	if isPlain(raw) {
		return intern(raw), true
	}
	var room [internLimit]byte
	decoded, ok := appendDecoded(room[:0], raw)
	if !ok {
		return "", false
	}
	return intern(decoded), true
}

// isPlain reports whether raw is its own decoding.
func isPlain(raw []byte) bool {
	for _, c := range raw {
		if c < ' ' || c >= utf8.RuneSelf || c == '\\' || c == '"' {
			return false
		}
	}
	return true
}

// equalDecoded reports whether raw, the text between the quotes of a JSON string, decodes to want, which is ASCII.
// ok is false when an escape in it had to be decoded and is none of JSON's.
func equalDecoded(raw []byte, want string) (equal, ok bool) {
	if string(raw) == want {
		return true, true
	}
	if len(raw) > len(want)*longestEscape || bytes.IndexByte(raw, '\\') < 0 {
		return false, true
	}
	var room [64]byte
	decoded, ok := appendDecoded(room[:0], raw)
	return ok && string(decoded) == want, ok
}

// appendDecoded appends what raw decodes to, by encoding/json's rules: a byte that is not UTF-8, and a surrogate
// without its other half, becomes U+FFFD. ok is false at an escape that JSON does not have and at a control
// character or quote that stands unescaped.
func appendDecoded(dst, raw []byte) (text []byte, ok bool) {
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == '\\':
			var size int
			if dst, size = appendEscape(dst, raw[i:]); size == 0 {
				return dst, false
			}
			i += size
		case c < ' ' || c == '"':
			return dst, false
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, size := utf8.DecodeRune(raw[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
		}
	}
	return dst, true
}

// appendEscape decodes the escape that raw begins with and returns its length, 0 when it is none of JSON's.
func appendEscape(dst, raw []byte) (text []byte, size int) {
	if len(raw) < 2 {
		return dst, 0
	}
	switch c := raw[1]; c {
	case '"', '\\', '/':
		return append(dst, c), 2
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	}
	r, ok := unicodeEscape(raw)
	if !ok {
		return dst, 0
	}
	size = longestEscape
	if utf16.IsSurrogate(r) {
		second, _ := unicodeEscape(raw[size:])
		if pair := utf16.DecodeRune(r, second); pair != unicode.ReplacementChar {
			return utf8.AppendRune(dst, pair), 2 * longestEscape
		}
		r = unicode.ReplacementChar
	}
	return utf8.AppendRune(dst, r), size
}

// unicodeEscape reads the \uXXXX that raw begins with.
func unicodeEscape(raw []byte) (r rune, ok bool) {
	if len(raw) < longestEscape || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	for _, c := range raw[2:longestEscape] {
		digit, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}

func hexDigit(c byte) (value byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// AppendQuoted appends text as a JSON string, quotes included. Only what JSON demands is escaped; bytes that are
// not UTF-8 become U+FFFD.
func AppendQuoted(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
