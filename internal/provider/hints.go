package provider

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/gjson"
)

// longestHint bounds what a provider can ask for; a month is the longest period anybody bills by.
const longestHint = 31 * 24 * time.Hour

// hint finds when a limit ends, as an absolute time, and whether it is for every model. Zero: the provider did not say.
//
// A quota for the day outlasts every short delay beside it, so it comes first. After it the plain words: headers made
// for the purpose, the body's own fields, reset headers of the exhausted bucket, and last the message's text.
func hint(h http.Header, body errorBody, now time.Time) (until time.Time, allModels bool) {
	allModels = body.limitsWholeKey()
	sent := sentAt(h, now)
	if body.dailyQuota() && body.isGoogle() {
		return now.Add(nextMidnightPacific(sent).Sub(sent)), allModels
	}
	for _, delay := range [...]func() time.Duration{
		func() time.Duration { return retryAfter(h, sent) },
		func() time.Duration { return bodyDelay(body, sent) },
		func() time.Duration { return resetHeaders(h, sent) },
		func() time.Duration { return textDelay(body.lower) },
	} {
		if d := delay(); d > 0 {
			return now.Add(min(d, longestHint)), allModels
		}
	}
	return time.Time{}, allModels
}

// sentAt is the provider's own time, from the Date of its answer, so that clocks need not agree where it names a time of day.
func sentAt(h http.Header, now time.Time) time.Time {
	if sent, err := http.ParseTime(first(h, "Date")); err == nil {
		return sent
	}
	return now
}

// retryAfter reads retry-after-ms (OpenAI and Azure), x-ms-retry-after-ms (Azure) and Retry-After, which is seconds, fractions
// allowed, or an HTTP date.
func retryAfter(h http.Header, sent time.Time) time.Duration {
	for _, name := range [...]string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if d := floatDelay(first(h, name), time.Millisecond); d > 0 {
			return d
		}
	}
	value := first(h, "Retry-After")
	if d := floatDelay(value, time.Second); d > 0 {
		return d
	}
	if until, err := http.ParseTime(value); err == nil {
		return until.Sub(sent)
	}
	return 0
}

// bodyDelay reads Gemini's RetryInfo, OpenRouter's copy of the provider's headers, and the seconds that some write beside the
// message.
func bodyDelay(body errorBody, sent time.Time) time.Duration {
	var longest time.Duration
	body.details.ForEach(func(_, detail gjson.Result) bool {
		if d, err := time.ParseDuration(detail.Get("retryDelay").Str); err == nil {
			longest = max(longest, d)
		}
		return true
	})
	if longest > 0 {
		return longest
	}
	if d := epochDelay(body.err.Get("metadata.headers.X-RateLimit-Reset").String(), sent); d > 0 {
		return d
	}
	for _, name := range [...]string{"resets_in_seconds", "retry_after_seconds", "retry_after", "metadata.retry_after_seconds"} {
		if d := floatDelay(body.err.Get(name).String(), time.Second); d > 0 {
			return d
		}
	}
	return epochDelay(body.err.Get("resets_at").String(), sent)
}

// Reset headers come in buckets. Only a bucket with nothing left says anything about this refusal: Anthropic sends the reset
// times of all of them with every answer.
var openAIBuckets = [...]string{"Requests", "Tokens", "Input-Tokens", "Output-Tokens"}

var anthropicBuckets = [...]string{"Requests", "Tokens", "Input-Tokens", "Output-Tokens"}

func resetHeaders(h http.Header, sent time.Time) time.Duration {
	var longest time.Duration
	for _, bucket := range openAIBuckets {
		if isSpent(first(h, "X-Ratelimit-Remaining-"+bucket), true) {
			longest = max(longest, durationDelay(first(h, "X-Ratelimit-Reset-"+bucket)))
		}
	}
	for _, bucket := range anthropicBuckets {
		if isSpent(first(h, "Anthropic-Ratelimit-"+bucket+"-Remaining"), false) {
			if reset, err := time.Parse(time.RFC3339, first(h, "Anthropic-Ratelimit-"+bucket+"-Reset")); err == nil {
				longest = max(longest, reset.Sub(sent))
			}
		}
	}
	if longest > 0 {
		return longest
	}
	for _, name := range [...]string{"X-Ratelimit-Reset", "Ratelimit-Reset"} {
		if d := epochDelay(first(h, name), sent); d > 0 {
			return d
		}
	}
	return 0
}

// isSpent reports whether a bucket has nothing left; unknown is the answer when the header is missing.
func isSpent(remaining string, unknown bool) bool {
	if remaining == "" {
		return unknown
	}
	left, err := strconv.ParseFloat(remaining, 64)
	return err == nil && left <= 0
}

// textDelay reads "try again in 6m0s", "retry after 24 seconds", "retry in 36.5s", "try again in 250ms" from a message in lower case.
func textDelay(message string) time.Duration {
	for _, phrase := range [...]string{"try again in ", "retry after ", "retry in ", "try again after ", "reset after ", "resets in "} {
		_, after, found := strings.Cut(message, phrase)
		if !found {
			continue
		}
		if d := spokenDelay(after); d > 0 {
			return d
		}
	}
	return 0
}

// spokenDelay reads a duration at the beginning of a sentence: Go's own form ("1h2m3.5s") or number and unit words, repeated.
func spokenDelay(text string) time.Duration {
	var total time.Duration
	for range 4 { // days, hours, minutes, seconds
		text = strings.TrimLeft(text, " ,")
		digits := 0
		for digits < len(text) && (text[digits] >= '0' && text[digits] <= '9' || text[digits] == '.') {
			digits++
		}
		number := strings.TrimRight(text[:digits], ".")
		text = strings.TrimLeft(text[digits:], " ")
		letters := 0
		for letters < len(text) && text[letters] >= 'a' && text[letters] <= 'z' {
			letters++
		}
		unit := unitOf(text[:letters])
		text = text[letters:]
		if number == "" || unit == 0 {
			return total
		}
		total += floatDelay(number, unit)
	}
	return total
}

func unitOf(word string) time.Duration {
	switch word {
	case "ms", "millisecond", "milliseconds":
		return time.Millisecond
	case "s", "sec", "secs", "second", "seconds":
		return time.Second
	case "m", "min", "mins", "minute", "minutes":
		return time.Minute
	case "h", "hr", "hrs", "hour", "hours":
		return time.Hour
	case "d", "day", "days":
		return 24 * time.Hour
	}
	return 0
}

// floatDelay turns a number of units into a duration; 0 for everything that is not a positive number.
func floatDelay(value string, unit time.Duration) time.Duration {
	n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !(n > 0) { // not NaN either
		return 0
	}
	if n > float64(longestHint)/float64(unit) {
		return longestHint
	}
	return time.Duration(n * float64(unit))
}

// durationDelay reads "1s", "6m0s", "120ms" (OpenAI), "1d2h" and plain seconds.
func durationDelay(value string) time.Duration {
	if d := floatDelay(value, time.Second); d > 0 {
		return d
	}
	return spokenDelay(strings.ToLower(value))
}

// epochDelay reads a point in time as milliseconds (OpenRouter) or seconds since 1970, and small numbers as seconds from now
// (the IETF draft's RateLimit-Reset). The borders lie in 2001 for either unit.
func epochDelay(value string, now time.Time) time.Duration {
	const secondsBorder, millisBorder = 1e9, 1e12
	n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	switch {
	case err != nil || !(n > 0) || n > 1e15:
		return 0
	case n >= millisBorder:
		return time.UnixMilli(int64(n)).Sub(now)
	case n >= secondsBorder:
		return time.Unix(int64(n), 0).Sub(now)
	}
	return floatDelay(value, time.Second)
}

// isGoogle recognises Google's error, also inside the OpenAI dialect.
func (b errorBody) isGoogle() bool { return b.status == "RESOURCE_EXHAUSTED" }

// dailyQuota reports whether a quota for the day is used up.
func (b errorBody) dailyQuota() bool {
	for _, violation := range b.violations() {
		if strings.Contains(violation.Get("quotaId").Str, "PerDay") || strings.Contains(violation.Get("quotaMetric").Str, "per_day") {
			return true
		}
	}
	return strings.Contains(b.lower, "per day") || strings.Contains(b.lower, "per-day")
}

// limitsWholeKey reports whether the limit holds for every model: Google's violations say so by naming no model. All other
// providers limit by model or class of models.
func (b errorBody) limitsWholeKey() bool {
	violations := b.violations()
	for _, violation := range violations {
		id := violation.Get("quotaId").Str
		if violation.Get("quotaDimensions.model").Exists() || strings.Contains(id, "PerModel") || strings.Contains(id, "PerBaseModel") {
			return false
		}
	}
	return len(violations) > 0 && b.isGoogle() || b.code == "usage_limit_reached" || b.typ == "usage_limit_reached"
}

func (b errorBody) violations() []gjson.Result {
	return b.details.Get("#.violations|@flatten").Array()
}

// regainAccess reads Anthropic's "You will regain access on 2025-07-01 at 00:00 UTC".
func regainAccess(message string, now time.Time) time.Time {
	_, after, found := strings.Cut(message, "regain access on ")
	const layout = "2006-01-02 at 15:04"
	if !found || len(after) < len(layout) {
		return time.Time{}
	}
	until, err := time.Parse(layout, after[:len(layout)])
	if err != nil || !until.After(now) || until.Sub(now) > longestHint {
		return time.Time{}
	}
	return until
}

// pacific is where Google's day ends (Gemini API docs, "Rate limits": requests per day reset at midnight Pacific time). Without a
// time zone database it is standard time all year: in summer one hour late, never early.
var pacific = sync.OnceValue(func() *time.Location {
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		return time.FixedZone("PST", -8*60*60)
	}
	return zone
})

func nextMidnightPacific(now time.Time) time.Time {
	local := now.In(pacific())
	return time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, local.Location())
}

func first(h http.Header, canonical string) string {
	if values := h[canonical]; len(values) > 0 {
		return values[0]
	}
	return ""
}
