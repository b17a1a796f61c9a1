package provider

import (
	"strings"
	"testing"
	"unicode/utf8"

	"gpt-load/internal/secret"
)

func TestClean(t *testing.T) {
	const known = "Zq7!short$key"
	for text, want := range map[string]string{
		"":                          "",
		"plain words":               "plain words",
		" two\r\n\tlines \x00 end ": "two lines end",
		"bad \xff byte":             "bad ? byte",
		"余额不足":                      "余额不足",
		"Incorrect API key provided: sk-proj-****abcd.":                                    "Incorrect API key provided: [redacted]",
		"Consumer 'api_key:AIzaSyA1234567890abcdefghijklmnopqrstu' x":                      "Consumer 'api_key:[redacted]' x",
		"Bearer eyJhbGciOi.eyJzdWIiOiIx.c2lnbmF0dXJl":                                      "Bearer [redacted]",
		"key 0123456789abcdef0123456789abcdef":                                             "key [redacted]",
		"key c853730f-fe0f-4537-b8a2-0e6e33c8342d.":                                        "key [redacted]",
		"model claude-haiku-4-5-20251001 at meta-llama/llama-4-maverick-17b-128e-instruct": "model claude-haiku-4-5-20251001 at meta-llama/llama-4-maverick-17b-128e-instruct",
		"billing_hard_limit_reached":                                                       "billing_hard_limit_reached",
		"see https://platform.openai.com/account/api-keys now":                             "see https://platform.openai.com/account/api-keys now",
		"Post https://user:pw@relay.example/v1?key=abc":                                    "Post https://[redacted]@relay.example/v1?key=[redacted]",
		"the key Zq7!short$key is wrong":                                                   "the key [redacted] is wrong",
		"in ?key=Zq7%21short%24key&a=1":                                                    "in ?key=[redacted]&a=1",
	} {
		if got := clean(text, secret.New(known)); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("sk-abcdefgh 余\xff", "k")
	f.Add("https://u:p@h", "https://u:p@h")
	f.Add(strings.Repeat("余", 200), "余余")
	f.Fuzz(func(t *testing.T, text, key string) {
		got := clean(text, secret.New(key))
		if len(got) > maxEvidence || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00") {
			t.Errorf("%q", got)
		}
	})
}
