package provider

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		name, value, date string
		want              time.Duration
	}{
		{"Retry-After", "20", "", 20 * time.Second},
		{"Retry-After", " 1.5 ", "", 1500 * time.Millisecond},
		{"Retry-After", "0", "", 0},
		{"Retry-After", "-3", "", 0},
		{"Retry-After", "NaN", "", 0},
		{"Retry-After", "Inf", "", longestHint},
		{"Retry-After", "1e300", "", longestHint},
		{"Retry-After", "soon", "", 0},
		{"Retry-After", "Mon, 23 Nov 2026 20:00:09 GMT", "", 9 * time.Second},
		{"Retry-After", "Mon, 23 Nov 2026 21:00:09 GMT", "Mon, 23 Nov 2026 21:00:00 GMT", 9 * time.Second},
		{"Retry-After", "Mon, 23 Nov 2026 19:00:00 GMT", "", -time.Hour},
		{"Retry-After-Ms", "250", "", 250 * time.Millisecond},
		{"X-Ms-Retry-After-Ms", "1000", "", time.Second},
	} {
		h := http.Header{test.name: {test.value}}
		if test.date != "" {
			h["Date"] = []string{test.date}
		}
		if got := retryAfter(h, sentAt(h, testNow)); got != test.want {
			t.Errorf("%s: %s: %v, want %v", test.name, test.value, got, test.want)
		}
	}
}

func TestResetHeaders(t *testing.T) {
	for _, test := range []struct {
		name   string
		header http.Header
		want   time.Duration
	}{
		{"nothing", nil, 0},
		{"openai without remaining", http.Header{"X-Ratelimit-Reset-Tokens": {"6m0s"}}, 6 * time.Minute},
		{"openai milliseconds", http.Header{"X-Ratelimit-Reset-Requests": {"120ms"}}, 120 * time.Millisecond},
		{"openai with something left", http.Header{"X-Ratelimit-Reset-Tokens": {"6m0s"}, "X-Ratelimit-Remaining-Tokens": {"5"}}, 0},
		{"openai, the longest of two", http.Header{"X-Ratelimit-Reset-Tokens": {"6s"}, "X-Ratelimit-Reset-Requests": {"8.64s"}}, 8640 * time.Millisecond},
		{"anthropic without remaining", http.Header{"Anthropic-Ratelimit-Tokens-Reset": {"2026-11-23T21:00:00Z"}}, 0},
		{"anthropic spent", http.Header{"Anthropic-Ratelimit-Tokens-Reset": {"2026-11-23T21:00:00Z"}, "Anthropic-Ratelimit-Tokens-Remaining": {"0"}}, time.Hour},
		{"milliseconds since 1970", http.Header{"X-Ratelimit-Reset": {"1795464005000"}}, 5 * time.Second},
		{"seconds since 1970", http.Header{"X-Ratelimit-Reset": {"1795464005"}}, 5 * time.Second},
		{"seconds from now", http.Header{"Ratelimit-Reset": {"30"}}, 30 * time.Second},
		{"nonsense", http.Header{"X-Ratelimit-Reset": {"1e40"}, "X-Ratelimit-Reset-Tokens": {"x"}}, 0},
	} {
		now := testNow
		if test.name == "milliseconds since 1970" || test.name == "seconds since 1970" {
			now = time.Unix(1795464000, 0)
		}
		if got := resetHeaders(test.header, now); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestTimesOfDay that a provider names are by its clock, which may be far from this node's.
func TestTimesOfDay(t *testing.T) {
	for name, c := range map[string]struct {
		header http.Header
		body   string
		want   time.Duration
	}{
		"anthropic": {http.Header{"Anthropic-Ratelimit-Tokens-Reset": {"2026-11-23T20:05:30Z"}, "Anthropic-Ratelimit-Tokens-Remaining": {"0"}}, ``, 30 * time.Second},
		"epoch":     {http.Header{"X-Ratelimit-Reset": {strconv.FormatInt(testNow.Add(5*time.Minute+20*time.Second).UnixMilli(), 10)}}, ``, 20 * time.Second},
		"a day": {
			nil, `{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"RequestsPerDay"}]}]}}`,
			12*time.Hour - 5*time.Minute,
		},
	} {
		h := c.header.Clone()
		if h == nil {
			h = http.Header{}
		}
		h.Set("Date", testNow.Add(5*time.Minute).UTC().Format(http.TimeFormat))
		until, _ := hint(h, parseErrorBody([]byte(c.body), nil), testNow)
		if got := until.Sub(testNow); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestTextDelay(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"please try again in 20s. contact us":             20 * time.Second,
		"please try again in 6m0s.":                       6 * time.Minute,
		"try again in 1h2m3.5s":                           time.Hour + 2*time.Minute + 3500*time.Millisecond,
		"try again in 250ms":                              250 * time.Millisecond,
		"please retry after 24 seconds.":                  24 * time.Second,
		"please retry in 20.04466179s.":                   20044661790 * time.Nanosecond,
		"try again in 2 minutes, 5 seconds":               125 * time.Second,
		"try again in 1 day":                              24 * time.Hour,
		"try again in 5 parsecs":                          0,
		"try again in a moment":                           0,
		"try again in 5":                                  0,
		"try again in 9999999999999999999999999999 hours": longestHint,
		"":         0,
		"retry in": 0,
	} {
		if got := textDelay(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestMidnightPacific(t *testing.T) {
	for now, want := range map[string]string{
		"2026-11-23T20:00:00Z": "2026-11-24T08:00:00Z", // winter
		"2026-11-24T07:59:59Z": "2026-11-24T08:00:00Z",
		"2026-11-24T08:00:00Z": "2026-11-25T08:00:00Z",
		"2026-07-01T12:00:00Z": "2026-07-02T07:00:00Z", // summer
		"2026-11-01T07:30:00Z": "2026-11-02T08:00:00Z", // the day of 25 hours
		"2027-03-14T08:30:00Z": "2027-03-15T07:00:00Z", // the day of 23 hours
	} {
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := nextMidnightPacific(at).UTC().Format(time.RFC3339); got != want {
			t.Errorf("after %s: %s, want %s", now, got, want)
		}
	}
}

func FuzzHints(f *testing.F) {
	f.Add("20", "6m0s", `{"error":{"status":"RESOURCE_EXHAUSTED","message":"try again in 1h2m","details":[{"retryDelay":"36s"}]}}`)
	f.Add("Mon, 23 Nov 2026 20:00:09 GMT", "9223372036854775807", `[{"error":{"details":[{"violations":[{"quotaId":"PerDay"}]}]}}]`)
	f.Add("1e309", "1795464005000", `{"error":{"resets_at":1e30,"resets_in_seconds":-1,"metadata":{"headers":{"X-RateLimit-Reset":"1"}}}}`)
	f.Add("", "", `{"error":{"message":"try again in 106751d 24h 99999999h 9e9s"}}`)
	f.Fuzz(func(t *testing.T, retryAfter, reset, body string) {
		h := http.Header{
			"Retry-After": {retryAfter}, "X-Ratelimit-Reset-Tokens": {reset}, "X-Ratelimit-Reset": {reset},
			"Anthropic-Ratelimit-Tokens-Remaining": {"0"}, "Anthropic-Ratelimit-Tokens-Reset": {reset},
		}
		until, _ := hint(h, parseErrorBody([]byte(body), nil), testNow)
		if !until.IsZero() && (!until.After(testNow) || until.Sub(testNow) > longestHint) {
			t.Errorf("until %v", until)
		}
	})
}
