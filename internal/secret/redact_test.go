package secret_test

import (
	"strings"
	"testing"

	"gpt-load/internal/secret"
)

func TestRedactTakesTokensOut(t *testing.T) {
	for _, text := range []string{
		"Incorrect API key provided: sk-canary1234567890abcd. You can find your API key at https://platform.openai.com",
		"Incorrect API key provided: sk-canar****************************abcd.",
		"sk-ant-api03-canary_x",
		"API key not valid: AIzaCanary-1234567890",
		"Authorization: Bearer canary.token",
		"authorization=bearer%20canary123",
		"Basic Y2FuYXJ5OnBhc3M=",
		`Get "https://host.example/v1beta/models?alt=sse&key=canary": EOF`,
		`{"api_key": "canary"}`,
		`{\"api_key\":\"canary\"}`,
		"x-goog-api-key: canary",
		"proxyconnect tcp: dial socks5://user:canary@10.0.0.1:1080",
		"http://canary@host/",
		"password=canary",
		"token eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjF9.canary",
		"gsk_canary12345 was revoked",
		"the key canary0123456789abcdef0123456789abcdef is disabled",
		"xai-canary1234",
	} {
		got := secret.Redact(text)
		if strings.Contains(got, "canar") || strings.Contains(got, "anary") || strings.Contains(got, "Y2FuY") || !strings.Contains(got, secret.Redacted) {
			t.Errorf("%s\n -> %s", text, got)
		}
	}
}

func TestRedactLeavesProseAlone(t *testing.T) {
	for _, text := range []string{
		"",
		"The model `gpt-4.1-nano-2025-04-14` does not exist or you do not have access to it.",
		"Rate limit reached for gpt-4o in organization on requests per min (RPM): Limit 3, Used 3. Please try again in 20s.",
		"Your credit balance is too low to access the Anthropic API.",
		"dial tcp 10.1.2.3:443: connect: connection refused",
		"https://ai.google.dev/gemini-api/docs/rate-limits",
		"type.googleapis.com/google.rpc.ErrorInfo",
		"generativelanguage.googleapis.com/generate_content_free_tier_requests",
	} {
		if got := secret.Redact(text); got != text {
			t.Errorf("%s\n -> %s", text, got)
		}
	}
}

func TestRedactKnownSecretsInEverySpelling(t *testing.T) {
	known := secret.New(`p&ss "wörd"/1`)
	longer := secret.New(`p&ss "wörd"/1 and more`)
	for _, text := range []string{
		`plain p&ss "wörd"/1 and more end`,
		`query p%26ss+%22w%C3%B6rd%22%2F1 end`,
		`path p&ss%20%22w%C3%B6rd%22%2F1 end`,
		`json p\u0026ss \"wörd\"/1 end`,
	} {
		got := secret.Redact(text, known, longer, secret.New("en"))
		if strings.Contains(got, "rd") || strings.Contains(got, "more") || !strings.HasSuffix(got, " end") {
			t.Errorf("%s -> %s", text, got)
		}
	}
}

func FuzzRedact(f *testing.F) {
	for _, seed := range []string{"sk-abcdefgh", "key=x", "Bearer ", strings.Repeat("a1", 40), "://@", "\xff\xfe key=\xff"} {
		f.Add(seed)
	}
	const canary = "Zq7CanaryZq7"
	f.Fuzz(func(t *testing.T, text string) {
		if got := secret.Redact(text+canary+text, secret.New(canary)); strings.Contains(got, canary) {
			t.Errorf("%q leaks: %q", text, got)
		}
	})
}

func TestRedactLineKeepsRequestIDs(t *testing.T) {
	const id = "01a2066f-88df-7745-9703-1a127c47100b"
	known := secret.New("hunter2-hunter2")
	line := secret.RedactLine(`{"request_id":"`+id+`","key_tail":"abcd","error":"sk-abcdef123456 and hunter2-hunter2"}`, known)
	if !strings.Contains(line, id) || !strings.Contains(line, `"abcd"`) {
		t.Errorf("an id or a tail is gone: %s", line)
	}
	if strings.Contains(line, "abcdef") || strings.Contains(line, "hunter2") {
		t.Errorf("a secret stayed: %s", line)
	}
}
