package secret

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// shortestKnown is the length in bytes below which a known secret is not searched for: replacing every "ab"
// would make the text unreadable and hide nothing.
const shortestKnown = 4

// Redact returns the text with Redacted in place of every known secret, of what stands where secrets stand
// (authorization headers, key= members, passwords in URLs) and of every run that looks like a token. It is for
// foreign text on its way to a log, a record or an error message, and would rather take too much than too little.
// It works in time linear in the text.
func Redact(text string, known ...Text) string {
	return redactLongRuns(RedactLine(text, known...))
}

// RedactLine is Redact for a line of our own log: it leaves long runs without a name or a prefix alone, because request
// ids look like them. Foreign text in a log line has gone through Redact before.
func RedactLine(text string, known ...Text) string {
	for _, form := range knownForms(known) {
		text = strings.ReplaceAll(text, form, Redacted)
	}
	for _, rule := range redactions {
		text = rule.pattern.ReplaceAllString(text, rule.with)
	}
	return text
}

// knownForms lists the secrets as they may be spelled, longest first, so that one that begins another does not
// leave the other's end behind.
func knownForms(known []Text) []string {
	var forms []string
	for _, k := range known {
		if len(k.Reveal()) < shortestKnown {
			continue
		}
		forms = append(forms, k.Reveal(), url.QueryEscape(k.Reveal()), url.PathEscape(k.Reveal()))
		if quoted, err := json.Marshal(k.Reveal()); err == nil {
			forms = append(forms, string(quoted[1:len(quoted)-1]))
		}
	}
	slices.SortFunc(forms, func(a, b string) int {
		if d := len(b) - len(a); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(forms)
}

type redaction struct {
	pattern *regexp.Regexp
	with    string
}

// The asterisk belongs to tokens because providers mask keys as "sk-proj-****abcd", which still shows two ends.
var redactions = []redaction{
	// User information of a URL: scheme://user:password@host.
	{regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/"'<>]+@`), "${1}" + Redacted + "@"},
	// Authorization schemes (RFC 9110 section 11.6.2).
	{regexp.MustCompile(`(?i)\b(bearer|basic|token)([ \t]+|%20|\+)([A-Za-z0-9._~+/*%-]{6,}=*)`), "${1}${2}" + Redacted},
	// A name that says what its value is, as a header, a query member, a JSON member or an assignment.
	{regexp.MustCompile(`(?i)((?:x-)?(?:goog-)?api[-_ ]?key|\bkey|access[-_]token|auth[-_]key|encryption[-_]key|client[-_]secret|secret|password|passwd)(\\?["']?\s*(?:=|:|%3D)\s*\\?["']?)([^\s"'&,;\\<>]+)`), "${1}${2}" + Redacted},
	// Prefixes that providers give their keys, whatever stands behind them: OpenAI, Anthropic, OpenRouter, DeepSeek
	// (sk-), Stripe-like (sk_, pk_), Google (AIza, ya29., AQ.), xAI, Groq, Hugging Face, Replicate, Perplexity, NVIDIA,
	// GitHub, AWS, and JSON web tokens.
	{regexp.MustCompile(`\b(?:sk|rk|pk|ak)[-_][A-Za-z0-9*._-]{4,}|\bAIza[A-Za-z0-9*._-]{4,}|\bya29\.[A-Za-z0-9*._-]+|\bAQ\.[A-Za-z0-9*._-]{8,}|\b(?:xai|pplx|nvapi|fw|r8|gsk|hf|ghp|gho|ghs|github_pat|csk|tgp)[-_][A-Za-z0-9*._-]{6,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)*`), Redacted},
}

// longRun is the length in bytes from which letters and digits in one run are taken for a token. The shortest
// provider keys without a prefix have 32; words, model names and paths of that length with a digit are rare.
const longRun = 28

func redactLongRuns(text string) string {
	var out strings.Builder
	kept := 0
	for start := 0; start < len(text); {
		if !tokenByte(text[start]) {
			start++
			continue
		}
		end, letters, digits := start, 0, 0
		for end < len(text) && tokenByte(text[end]) {
			switch c := text[end]; {
			case c >= '0' && c <= '9':
				digits++
			case c != '-' && c != '_' && c != '*' && c != '+' && c != '=':
				letters++
			}
			end++
		}
		if end-start >= longRun && letters > 0 && digits > 1 {
			out.WriteString(text[kept:start])
			out.WriteString(Redacted)
			kept = end
		}
		start = end
	}
	if kept == 0 {
		return text
	}
	out.WriteString(text[kept:])
	return out.String()
}

// tokenByte leaves out dot and slash, so that host names, paths and file names stay readable.
func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '*' || c == '+' || c == '='
}
