package terminal

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

const hexDigits = "0123456789abcdef"

// Clean makes a text harmless on one line of a terminal: control characters, line breaks and the characters that turn the
// direction of writing are spelled out as Go would in a string, and what is not UTF-8 becomes U+FFFD.
func Clean(s string) string {
	if !strings.ContainsFunc(s, unsafeRune) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unsafeRune(r):
			b.WriteString(`\u`)
			for shift := 12; shift >= 0; shift -= 4 {
				b.WriteByte(hexDigits[r>>shift&0xf])
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unsafeRune tells what a terminal would not show but obey. All of them are below U+10000.
func unsafeRune(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

// cells is how many cells of a terminal a text takes: two for the wide characters of East Asia (Unicode UAX #11), none
// for marks that combine with the character before.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += runeCells(r)
	}
	return n
}

func runeCells(r rune) int {
	if r < 0x300 { // the first combining mark
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// cut shortens a text to a number of cells, with an ellipsis where something is missing.
func cut(s string, limit int) string {
	if cells(s) <= limit {
		return s
	}
	n := 0
	for i, r := range s {
		if n += runeCells(r); n > limit-1 {
			return s[:i] + "…"
		}
	}
	return s
}
