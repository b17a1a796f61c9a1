package sqlstore

import (
	"strings"
	"unicode/utf8"
)

// clean makes foreign text storable: valid UTF-8 without NUL bytes (PostgreSQL and bun refuse both) and at most limit
// bytes, cut between characters.
func clean(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit]
		for range utf8.UTFMax - 1 {
			if r, size := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || size != 1 {
				break
			}
			text = text[:len(text)-1]
		}
	}
	if strings.IndexByte(text, 0) < 0 && utf8.ValidString(text) {
		return text
	}
	// One byte in, one byte out, so that the limit holds.
	text = strings.ToValidUTF8(text, "?")
	return strings.ReplaceAll(text, "\x00", "?")
}

// likePattern matches texts that hold needle, with '!' as the escape character.
func likePattern(needle string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(needle) + "%"
}
