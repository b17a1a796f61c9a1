package provider

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

func TestCredentials(t *testing.T) {
	for _, test := range []struct {
		name   string
		header http.Header
		query  string
		want   []Credential
	}{
		{"none", http.Header{"Content-Type": {"x"}}, "alt=sse", nil},
		{"bearer", http.Header{"Authorization": {"Bearer k1"}}, "", []Credential{{SpotBearer, "k1"}}},
		{"bearer in any case, with spaces", http.Header{"Authorization": {" bEaReR \t k1 "}}, "", []Credential{{SpotBearer, "k1"}}},
		{"another scheme", http.Header{"Authorization": {"Basic Zm9v", "Bearer", "Bearer ", "Bearerk"}}, "", nil},
		{
			"repeated",
			http.Header{"Authorization": {"Bearer k1", "Bearer k2"}, "X-Api-Key": {"k3", "k4"}},
			"key=k5&key=k6",
			[]Credential{{SpotBearer, "k1"}, {SpotBearer, "k2"}, {SpotXAPIKey, "k3"}, {SpotXAPIKey, "k4"}, {SpotQuery, "k5"}, {SpotQuery, "k6"}},
		},
		{
			"every header",
			http.Header{"X-Goog-Api-Key": {"g"}, "Api-Key": {"a"}, "X-Api-Key": {""}},
			"",
			[]Credential{{SpotXGoogAPIKey, "g"}, {SpotAPIKey, "a"}},
		},
		{"escaped query", nil, "a=1&k%65y=a%2Fb%2Bc+d&keys=x&key", []Credential{{SpotQuery, "a/b+c+d"}}},
		{"broken escape", nil, "key=100%", []Credential{{SpotQuery, "100%"}}},
		{"other letters", nil, "KEY=a&api_key=b", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Credentials(nil, test.header, test.query); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestCredentialsAreBounded(t *testing.T) {
	h := http.Header{"X-Api-Key": slices.Repeat([]string{"k"}, 100)}
	if got := Credentials(nil, h, strings.Repeat("key=a&", 100)); len(got) != maxCredentials {
		t.Errorf("%d candidates", len(got))
	}
}

func TestStripCredentials(t *testing.T) {
	for query, want := range map[string]string{
		"":                          "",
		"alt=sse":                   "alt=sse",
		"key=x":                     "",
		"key":                       "",
		"key=x&alt=sse":             "alt=sse",
		"alt=sse&key=x":             "alt=sse",
		"b=2&key=x&a=%2f&key=y&c":   "b=2&a=%2f&c",
		"%6Be%79=x&a=1":             "a=1",
		"a=key=x&monkey=1":          "a=key=x&monkey=1",
		"a=1&&b=2":                  "a=1&&b=2",
		"&a=1&key=x&":               "&a=1&",
		"key=x&key=y":               "",
		"a=1;key=x":                 "a=1;key=x",
		"keyx=1&key%3D=2&ke%zzy=x":  "keyx=1&key%3D=2&ke%zzy=x",
		"alt=sse&$fields=a,b&key=q": "alt=sse&$fields=a,b",
	} {
		h := http.Header{
			"Authorization": {"Bearer x"}, "X-Api-Key": {"x"}, "X-Goog-Api-Key": {"x"}, "Api-Key": {"x"},
			"Proxy-Authorization": {"Basic x"}, "X-Other": {"a", "b"},
		}
		if got := StripCredentials(h, query); got != want {
			t.Errorf("query %q became %q, want %q", query, got, want)
		}
		if len(h) != 2 || len(h["X-Other"]) != 2 {
			t.Errorf("header became %v", h)
		}
	}
}

func TestSetCredential(t *testing.T) {
	const value = "sk-a/b+c"
	for _, test := range []struct {
		channel fleet.Channel
		path    string
		client  Spot
		header  string
		want    string
		query   string
	}{
		{fleet.ChannelOpenAI, "/v1/chat/completions", SpotNone, "Authorization", "Bearer " + value, "a=1"},
		{fleet.ChannelOpenAI, "/v1/chat/completions", SpotXAPIKey, "Authorization", "Bearer " + value, "a=1"},
		{fleet.ChannelOpenAI, "/v1/chat/completions", SpotQuery, "Authorization", "Bearer " + value, "a=1"},
		{fleet.ChannelOpenAI, "/openai/deployments/x/chat/completions", SpotAPIKey, "Api-Key", value, "a=1"},
		{fleet.ChannelOpenAIResponse, "/v1/responses", SpotBearer, "Authorization", "Bearer " + value, "a=1"},
		{fleet.ChannelAnthropic, "/v1/messages", SpotBearer, "Authorization", "Bearer " + value, "a=1"},
		{fleet.ChannelAnthropic, "/v1/messages", SpotXAPIKey, "X-Api-Key", value, "a=1"},
		{fleet.ChannelAnthropic, "/v1/messages", SpotNone, "X-Api-Key", value, "a=1"},
		{fleet.ChannelAnthropic, "/v1/chat/completions", SpotXAPIKey, "Authorization", "Bearer " + value, "a=1"},
		{fleet.ChannelGemini, "/v1beta/models/g:generateContent", SpotBearer, "X-Goog-Api-Key", value, "a=1"},
		{fleet.ChannelGemini, "/v1beta/models/g:generateContent", SpotXGoogAPIKey, "X-Goog-Api-Key", value, "a=1"},
		{fleet.ChannelGemini, "/v1beta/models/g:generateContent", SpotQuery, "", "", "a=1&key=sk-a%2Fb%2Bc"},
		{fleet.ChannelGemini, "/v1beta/openai/chat/completions", SpotXGoogAPIKey, "Authorization", "Bearer " + value, "a=1"},
		{fleet.ChannelGemini, "/v1beta/openai/chat/completions", SpotQuery, "Authorization", "Bearer " + value, "a=1"},
	} {
		h := http.Header{}
		query := SetCredential(test.channel, test.path, h, "a=1", test.client, secret.New(value))
		if query != test.query {
			t.Errorf("%s %s from spot %d: query %q, want %q", test.channel, test.path, test.client, query, test.query)
		}
		if test.header == "" && len(h) != 0 || test.header != "" && (len(h) != 1 || len(h[test.header]) != 1 || h[test.header][0] != test.want) {
			t.Errorf("%s %s from spot %d: header %v, want %s: %s", test.channel, test.path, test.client, h, test.header, test.want)
		}
	}
	if got := SetCredential(fleet.ChannelGemini, "/v1beta/models", http.Header{}, "", SpotQuery, secret.New("k")); got != "key=k" {
		t.Errorf("query %q", got)
	}
}

func TestCredentialsAllocations(t *testing.T) {
	h := http.Header{"Authorization": {"Bearer sk-1234567890"}, "X-Api-Key": {"sk-1234567890"}, "Content-Type": {"application/json"}}
	var room [maxCredentials]Credential
	if n := testing.AllocsPerRun(100, func() { _ = Credentials(room[:0], h, "alt=sse&key=abc") }); n != 0 {
		t.Errorf("Credentials: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _ = StripCredentials(h, "alt=sse&beta=true") }); n != 0 {
		t.Errorf("StripCredentials: %v allocations", n)
	}
	key := secret.New("sk-1234567890")
	// One for the header's slice, one more for "Bearer " before the key.
	out := http.Header{"X-Api-Key": nil, "Authorization": nil}
	if n := testing.AllocsPerRun(100, func() { SetCredential(fleet.ChannelAnthropic, "/v1/messages", out, "", SpotXAPIKey, key) }); n > 1 {
		t.Errorf("SetCredential: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { SetCredential(fleet.ChannelOpenAI, "/v1/x", out, "", SpotBearer, key) }); n > 2 {
		t.Errorf("SetCredential with Bearer: %v allocations", n)
	}
}

// Whatever a client writes: after stripping, neither our own parser nor the standard library's finds a key, and the other
// members are as they were.
func FuzzCredentials(f *testing.F) {
	f.Add("Bearer k", "key=a&b=2")
	f.Add("bearer\t\tk", "k%65y=%zz&&=&key")
	f.Add("Basic x", "%6b%65%79=1&a=%6b%65%79")
	f.Add("", "key=%F0%9F&key=;key=1")
	f.Fuzz(func(t *testing.T, authorization, query string) {
		h := http.Header{headerAuthorization: {authorization}, headerXAPIKey: {authorization, query}}
		found := Credentials(nil, h, query)
		if len(found) > maxCredentials {
			t.Fatalf("%d candidates", len(found))
		}
		for _, c := range found {
			if c.Value == "" || c.Spot == SpotNone || c.Value != strings.Trim(c.Value, " \t") {
				t.Errorf("candidate %+v", c)
			}
		}
		stripped := StripCredentials(h, query)
		if len(h) != 0 {
			t.Errorf("header left: %v", h)
		}
		if left := Credentials(nil, h, stripped); len(left) != 0 {
			t.Errorf("%q became %q, where %v is left", query, stripped, left)
		}
		values, _ := url.ParseQuery(stripped)
		if values.Has(queryKey) {
			t.Errorf("%q became %q, where a provider finds a key", query, stripped)
		}
		var kept []string
		for member := range strings.SplitSeq(query, "&") {
			if name, _, _ := strings.Cut(member, "="); !isQueryKey(name) {
				kept = append(kept, member)
			}
		}
		if want := strings.Join(kept, "&"); stripped != want {
			t.Errorf("%q became %q, want %q", query, stripped, want)
		}
	})
}

func BenchmarkCredentials(b *testing.B) {
	h := http.Header{"Authorization": {"Bearer sk-1234567890abcdef"}, "Content-Type": {"application/json"}}
	var room [4]Credential
	b.ReportAllocs()
	for b.Loop() {
		_ = Credentials(room[:0], h, "alt=sse")
	}
}

func BenchmarkSetCredential(b *testing.B) {
	h := http.Header{}
	key := secret.New("sk-1234567890abcdef")
	b.ReportAllocs()
	for b.Loop() {
		SetCredential(fleet.ChannelGemini, "/v1beta/models/gemini-2.5-flash:generateContent", h, "alt=sse", SpotXGoogAPIKey, key)
	}
}
