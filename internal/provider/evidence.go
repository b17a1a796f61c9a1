package provider

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"gpt-load/internal/secret"
)

// maxEvidence is the longest text that is kept of a provider's words, in bytes.
const maxEvidence = 300

// evidence gives the provider's own words, fit to be stored and shown.
func evidence(o Outcome, body errorBody) string {
	text := body.message
	if text == "" {
		text = strings.TrimSpace(body.status + " " + body.code + " " + body.typ)
	}
	return clean(text, o.Key)
}

// clean makes one line of valid UTF-8 of at most maxEvidence bytes with nothing that looks like a key: neither the key that was
// used, whatever its form, nor anything else of a key's form.
func clean(text string, key secret.Text) string {
	// Twice the room, since what is redacted becomes shorter; a cut in the middle of a key leaves a run that is redacted below.
	const room = 4 * maxEvidence
	text = secret.RedactLine(clipString(text, room), key)
	var out strings.Builder
	for start := 0; start < len(text) && out.Len() < maxEvidence; {
		end := start
		for end < len(text) && isTokenByte(text[end]) {
			end++
		}
		if end > start {
			if run := text[start:end]; looksLikeKey(run) {
				out.WriteString(secret.Redacted)
			} else {
				out.WriteString(run)
			}
			start = end
			continue
		}
		r, size := utf8.DecodeRuneInString(text[start:])
		switch {
		case r == utf8.RuneError && size <= 1:
			out.WriteByte('?')
		case unicode.IsSpace(r), !unicode.IsPrint(r):
			if !strings.HasSuffix(out.String(), " ") {
				out.WriteByte(' ')
			}
		default:
			out.WriteRune(r)
		}
		start += size
	}
	return strings.TrimSpace(clipRunes(out.String(), maxEvidence))
}

// isTokenByte: the alphabet of keys, base64 and JWTs, and the stars with which providers mask them. A slash is left out so that URLs
// and model names fall into short parts.
func isTokenByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' || c == '_' || c == '.' || c == '+' || c == '=' || c == '*' || c == '~'
}

// looksLikeKey: known prefixes, masked values, and long unbroken runs. Words, model names ("claude-haiku-4-5-20251001") and codes
// ("billing_hard_limit_reached") have separators every few letters; what keys have is 16 letters and digits in a row.
func looksLikeKey(run string) bool {
	const longestPart, shortestPrefixed = 16, 8
	if strings.Contains(run, "**") {
		return true
	}
	if len(run) >= shortestPrefixed {
		for _, prefix := range [...]string{"sk-", "sk_", "AIza", "AQ.", "gsk_", "xai-", "key-", "r8_", "hf_", "pplx-", "eyJ"} {
			if strings.HasPrefix(run, prefix) {
				return true
			}
		}
	}
	part, digits, hexGroups := 0, false, 0
	for i := 0; i <= len(run); i++ {
		if i < len(run) && isAlphanumeric(run[i]) {
			part++
			digits = digits || run[i] <= '9'
			continue
		}
		// A word of letters alone is a word up to a length that no word has.
		if part >= longestPart && (digits || part >= 2*longestPart) {
			return true
		}
		if digits && part >= 4 {
			hexGroups++
		}
		part, digits = 0, false
	}
	return hexGroups >= 4 // a UUID, which some use as a key
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// clipRunes cuts without splitting a character.
func clipRunes(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
