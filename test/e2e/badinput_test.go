package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// badWorld has a group that passes everything on and a strict one, and fails the test when a key's state changes.
func badWorld(t *testing.T, env ...string) *world {
	t.Helper()
	w := startRecording(t, env...)
	ids := map[string]string{
		"openai": w.group("openai", adminapi.ChannelOpenAI, 3),
		"strict": w.group("strict", adminapi.ChannelOpenAI, 3, strict),
		"claude": w.group("claude", adminapi.ChannelAnthropic, 3, strict),
		"gemini": w.group("gemini", adminapi.ChannelGemini, 3, strict),
	}
	ctx := context.WithoutCancel(t.Context()) // the test's own ends before its clean-up
	t.Cleanup(func() {
		for name, id := range ids {
			if group, err := w.admin.Group(ctx, id, false); err != nil || group.KeyCounts != (adminapi.KeyCounts{Active: 3}) {
				t.Errorf("keys of %s changed: %+v, %v", name, group.KeyCounts, err)
			}
			if page, err := w.admin.Keys(ctx, id, adminclient.KeyFilter{}); err != nil {
				t.Error(err)
			} else {
				for _, key := range page.Keys {
					if key.Failures > 0 || len(key.Cooldowns) > 0 {
						t.Errorf("a key of %s is blamed: %+v", name, key)
					}
				}
			}
		}
		if logs := w.node.Logs(); strings.Contains(logs, "panic") {
			t.Errorf("a panic:\n%s", logs)
		}
	})
	return w
}

func strict(g *adminapi.GroupInput) {
	g.ModelRedirects = []adminapi.ModelRedirect{{From: "allowed", To: "gpt-4o-mini"}}
	g.ModelRedirectStrict = true
}

// TestBadInputBodies: what cannot be understood passes unchanged where nobody asked for it to be, and is refused in
// the caller's own format where the model decides.
func TestBadInputBodies(t *testing.T) {
	w := badWorld(t)
	const forbidden = `"forbidden"`
	for name, c := range map[string]struct {
		body   string
		header []string
		strict int // status of the strict group; 200 passes
	}{
		"not JSON":                     {"hello", nil, 400},
		"truncated":                    {`{"model":"allowed","messages":[`, nil, 400},
		"truncated in a string":        {`{"model":"allow`, nil, 400},
		"JSON behind JSON":             {`{"model":"allowed"}{"model":"forbidden"}`, nil, 400},
		"a list":                       {`[{"model":"forbidden"}]`, nil, 400},
		"a string":                     {`"model"`, nil, 400},
		"null":                         {`null`, nil, 400},
		"a byte order mark":            {"\xef\xbb\xbf" + `{"model":"forbidden"}`, nil, 400},
		"UTF-16":                       {"\xff\xfe{\x00}\x00", nil, 400},
		"compressed":                   {"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00", []string{"Content-Encoding", "gzip"}, 400},
		"said to be compressed":        {`{"model":"allowed"}`, []string{"Content-Encoding", "br"}, 400},
		"model as a number":            {`{"model":1}`, nil, 400},
		"model as null":                {`{"model":null}`, nil, 400},
		"model as an object":           {`{"model":{"model":"allowed"}}`, nil, 400},
		"model forbidden":              {`{"model":` + forbidden + `}`, nil, 404},
		"model twice, forbidden last":  {`{"model":"allowed","model":` + forbidden + `}`, nil, 404},
		"an escaped name":              {`{"m\u006fdel":` + forbidden + `}`, nil, 404},
		"an escaped name behind":       {`{"model":"allowed","\u006dodel":` + forbidden + `}`, nil, 404},
		"an escaped value":             {`{"model":"f\u006frbidden"}`, nil, 404},
		"another case":                 {`{"model":"Allowed"}`, nil, 404},
		"a space behind":               {`{"model":"allowed "}`, nil, 404},
		"a NUL":                        {`{"model":"allowed\u0000"}`, nil, 404},
		"300 characters":               {`{"model":"` + strings.Repeat("x", 300) + `"}`, nil, 404},
		"invalid UTF-8":                {"{\"model\":\"\xff\xfe\"}", nil, 404},
		"a lone surrogate":             {`{"model":"\ud800"}`, nil, 404},
		"a thousand brackets":          {strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000), nil, 200},
		"a million brackets":           {strings.Repeat("[", 1<<20), nil, 400},
		"a number that breaks parsers": {`{"model":"allowed","n":1e999999}`, nil, 200},
	} {
		for group, path := range map[string]string{"openai": "/v1/chat/completions", "strict": "/v1/chat/completions", "claude": "/v1/messages"} {
			w.provider.Reset()
			w.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Body: `{"id":"x","choices":[{"message":{"content":"ok"}}],"content":[{"type":"text","text":"ok"}]}`, Header: jsonType}})
			status, answer, err := w.do(http.MethodPost, "/proxy/"+group+path, c.body, c.header...)
			if err != nil {
				t.Fatal(name, err)
			}
			calls := w.provider.Calls()
			if group == "openai" {
				if status != 200 || len(calls) != 1 || string(calls[0].Body) != c.body[:min(len(c.body), 64<<10)] || calls[0].BodyBytes != int64(len(c.body)) {
					t.Errorf("%s: not passed on as it came: %d %.300s", name, status, answer)
				}
				continue
			}
			if status != c.strict || status != 200 && len(calls) > 0 {
				t.Errorf("%s, group %s: %d after %d calls, want %d: %.300s", name, group, status, len(calls), c.strict, answer)
			}
			want := `{"error":{"message":"`
			if group == "claude" {
				want = `{"type":"error","error":{"type":"`
			}
			if status != 200 && !strings.HasPrefix(answer, want) {
				t.Errorf("%s, group %s: not the caller's format: %s", name, group, answer)
			}
		}
	}
}

// TestBadInputDuplicates: where names stand twice, every one that the provider could read is the one that was allowed.
func TestBadInputDuplicates(t *testing.T) {
	w := badWorld(t)
	for _, body := range []string{
		`{"model":"forbidden","messages":[],"model":"allowed"}`, `{"m\u006fdel":"forbidden","model":"allowed","messages":[]}`, `{"model":"forbidden","messages":[],"mode\u006c":"allowed"}`,
	} {
		w.provider.Reset()
		if status, answer, err := w.do(http.MethodPost, "/proxy/strict/v1/chat/completions", body); err != nil || status != 200 {
			t.Errorf("%s: %d %s %v", body, status, answer, err)
			continue
		}
		if sent := string(w.provider.Calls()[0].Body); strings.Contains(sent, "forbidden") || strings.Contains(sent, "allowed") {
			t.Errorf("%s went out as %s", body, sent)
		}
	}
	form := func(parts ...string) string {
		var body strings.Builder
		for _, p := range parts {
			body.WriteString("--b\r\nContent-Disposition: form-data; name=" + p + "\r\n")
		}
		return body.String() + "--b--\r\n"
	}
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"allowed":        {form("\"model\"\r\n\r\nallowed"), 200},
		"forbidden":      {form("\"model\"\r\n\r\nforbidden"), 404},
		"twice":          {form("\"model\"\r\n\r\nallowed", "\"model\"\r\n\r\nforbidden"), 400},
		"unquoted":       {form("model\r\n\r\nforbidden"), 404},
		"without an end": {"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nallowed", 400},
		"no model":       {form("\"file\"\r\n\r\nbytes"), 200},
	} {
		status, answer, err := w.do(http.MethodPost, "/proxy/strict/v1/images/edits", c.body, "Content-Type", "multipart/form-data; boundary=b")
		if err != nil || status != c.want {
			t.Errorf("form, %s: %d %s %v, want %d", name, status, answer, err, c.want)
		}
	}
	for path, want := range map[string]int{
		"/v1beta/models/allowed:generateContent": 200, "/v1beta/models/forbidden:generateContent": 404, "/v1beta/models/f%6Frbidden:generateContent": 404,
		"/v1beta/models/allowed%00:generateContent": 404, "/v1beta//models/forbidden:generateContent": 404, "/v1beta/models/forbidden%3AgenerateContent": 404,
	} {
		status, answer, err := w.do(http.MethodPost, "/proxy/gemini"+path, `{"contents":[]}`)
		if err != nil || status != want {
			t.Errorf("%s: %d %s %v, want %d", path, status, answer, err, want)
		}
	}
}

// TestBadInputLarge: 64 MB pass, in JSON and in a form, without being held in memory several times over.
func TestBadInputLarge(t *testing.T) {
	const size = 64 << 20
	w := badWorld(t)
	w.settings(adminapi.SettingsPatch{"enable_request_body_logging": true})
	before := residentMemory(t, w.node.PID())
	text := strings.Repeat("0123456789abcdef", size/16)
	for name, c := range map[string]struct{ contentType, body string }{
		"JSON": {"application/json", `{"model":"m","messages":[{"role":"user","content":"` + text + `"}]}`},
		"form": {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n" + text + "\r\n--b--\r\n"},
	} {
		w.provider.Reset()
		status, answer, err := w.do(http.MethodPost, "/proxy/openai/echo/large", c.body, "Content-Type", c.contentType)
		if err != nil || status != 200 || !strings.Contains(answer, `"body_bytes": `+strconv.Itoa(len(c.body))) {
			t.Errorf("%s: %d %.300s %v", name, status, answer, err)
		}
		status, answer, err = w.do(http.MethodPost, "/proxy/strict/v1/chat/completions", c.body, "Content-Type", c.contentType)
		if err != nil || status != 400 || !strings.Contains(answer, "too large") {
			t.Errorf("%s, strict: %d %.300s %v", name, status, answer, err)
		}
	}
	// The race detector's shadow takes as much again as what it watches, several times.
	if grown := residentMemory(t, w.node.PID()) - before; grown > 10*size {
		t.Errorf("the node grew by %d MiB", grown>>20)
	}
	if status, answer := w.chat("m"); status != 200 {
		t.Errorf("afterwards: %d %s", status, answer)
	}
	if records := w.awaitRecords(5); records[0].RequestBytes < size {
		t.Errorf("recorded %d bytes", records[0].RequestBytes)
	}
}

// residentMemory is the peak of a process's resident memory in bytes.
func residentMemory(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// TestBadInputRecords: names that a database could choke on neither lose their own record nor those around them.
func TestBadInputRecords(t *testing.T) {
	w := badWorld(t)
	bad := []string{
		strings.Repeat("m", 300), strings.Repeat("\u4f60", 5000), `a\u0000b`, `\u0000`, "\xff\xfe\xc3", `\ud800\udc00`, `\ud800`, `'; DROP TABLE request_records; --`, `%00`, `\"`, "\u202e\u0007",
	}
	for i, model := range bad {
		for _, agent := range []string{fmt.Sprintf("bad/%d", i), fmt.Sprintf("good/%d", i)} {
			if agent[0] == 'g' {
				model = "good"
			}
			if _, _, err := w.do(http.MethodPost, "/proxy/openai/v1/chat/completions", `{"model":"`+model+`","messages":[]}`, "User-Agent", agent); err != nil {
				t.Fatal(err)
			}
		}
	}
	odd := "GET /proxy/openai/v1/\xff%00\xc3(/" + strings.Repeat("p", 5000) + " HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff\xfe " + strings.Repeat("u", 5000) + "\r\nAuthorization: Bearer " + testenv.AuthKey + "\r\n\r\n"
	if _, err := sendRaw(t, w.node.URL, odd); err != nil {
		t.Fatal(err)
	}
	records := w.awaitRecords(2*len(bad) + 1)
	for i := range bad {
		if got := recordOf(t, records, fmt.Sprintf("good/%d", i)); got.ModelAsked != "good" {
			t.Errorf("behind %q: %+v", bad[i], got)
		}
		if got := recordOf(t, records, fmt.Sprintf("bad/%d", i)); strings.Contains(got.ModelAsked, "\x00") {
			t.Errorf("%q is recorded as %q", bad[i], got.ModelAsked)
		}
	}
}

// TestBadInputKeys: every printable character may stand in a key, and group names differ by more than case.
func TestBadInputKeys(t *testing.T) {
	w := badWorld(t)
	group := w.group("odd-keys", adminapi.ChannelOpenAI, 0)
	keys := []string{`!"#$%&'()*+,-./:;<=>?@[\]^_{|}~` + "`", `with,comma;and:colon`, `{"json":"key"}`, `sk-"quoted"`, `back\slash`, `%2F%00`, `inner space key`, strings.Repeat("k", 500)}
	added, err := w.admin.AddKeys(t.Context(), group, adminapi.KeyInput{Keys: keys})
	if err != nil || added.Added != len(keys) {
		t.Fatalf("%+v, %v", added, err)
	}
	again, err := w.admin.AddKeys(t.Context(), group, adminapi.KeyInput{Keys: keys})
	if err != nil || again.Duplicates != len(keys) {
		t.Errorf("added again: %+v, %v", again, err)
	}
	for range keys {
		if status, answer, err := w.do(http.MethodGet, "/proxy/odd-keys/v1/models", ""); err != nil || status != 200 {
			t.Errorf("%d %s %v", status, answer, err)
		}
	}
	for _, key := range keys {
		if len(w.provider.CallsFor(key)) != 1 {
			t.Errorf("the provider did not get %q as it is", key)
		}
		if page, err := w.admin.SearchKey(t.Context(), group, key); err != nil || len(page.Keys) != 1 {
			t.Errorf("%q is not found: %+v, %v", key, page, err)
		}
	}
	for _, name := range []string{"OpenAI", "OPENAI"} {
		_, err := w.admin.CreateGroup(t.Context(), adminapi.GroupInput{Name: name, Channel: adminapi.ChannelOpenAI, Upstreams: []adminapi.Upstream{{URL: w.provider.BaseURL(), Weight: 1}}})
		if err == nil {
			t.Errorf("a group %s beside openai", name)
		}
	}
	if status, answer, err := w.do(http.MethodGet, "/proxy/OPENAI/v1/models", ""); err != nil || status != 200 && status != 404 {
		t.Errorf("a group in another case: %d %s %v", status, answer, err)
	}
}

// TestBadInputOnTheWire: what is not HTTP, or is two things at once, is refused and never reaches a provider as
// something else.
func TestBadInputOnTheWire(t *testing.T) {
	w := badWorld(t, "SERVER_READ_TIMEOUT=2")
	auth := "Authorization: Bearer " + testenv.AuthKey + "\r\n"
	post := "POST /proxy/openai/echo/wire HTTP/1.1\r\nHost: x\r\n" + auth
	for name, c := range map[string]struct {
		request string
		want    []int // statuses that may come; 0 is an end of the connection without an answer
		calls   int
	}{
		"a bare CR in a value":          {post + "X-A: a\rb\r\n\r\n", []int{400}, 0},
		"a NUL in a value":              {post + "X-A: a\x00b\r\n\r\n", []int{400}, 0},
		"a space before the colon":      {post + "X-A : a\r\n\r\n", []int{400}, 0},
		"no name":                       {post + ": a\r\n\r\n", []int{400}, 0},
		"a name with spaces":            {post + "X A: a\r\n\r\n", []int{400}, 0},
		"no Host":                       {"GET /proxy/openai/echo/x HTTP/1.1\r\n" + auth + "\r\n", []int{400}, 0},
		"two Hosts":                     {"GET /proxy/openai/echo/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + auth + "\r\n", []int{400}, 0},
		"two lengths":                   {post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", []int{400}, 0},
		"a list of lengths":             {post + "Content-Length: 2, 3\r\n\r\n{}", []int{400}, 0},
		"a negative length":             {post + "Content-Length: -1\r\n\r\n", []int{400}, 0},
		"a signed length":               {post + "Content-Length: +2\r\n\r\n{}", []int{400}, 0},
		"a hexadecimal length":          {post + "Content-Length: 0x2\r\n\r\n{}", []int{400}, 0},
		"a length beyond the limit":     {post + "Content-Length: 99999999999\r\n\r\n", []int{413}, 0},
		"an unknown transfer encoding":  {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", []int{400, 501}, 0},
		"chunked twice":                 {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400, 501}, 0},
		"a chunked that hides":          {post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", []int{400, 501}, 0},
		"a chunk size of no number":     {post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", []int{400}, 0},
		"a chunk without its end":       {post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n", []int{400}, 0},
		"a header of more than 1 MB":    {post + "X-A: " + strings.Repeat("a", 2<<20) + "\r\n\r\n", []int{431}, 0},
		"headers of more than 1 MB":     {post + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 2000) + "\r\n", []int{431}, 0},
		"a target of more than 1 MB":    {"GET /proxy/openai/echo/" + strings.Repeat("a", 2<<20) + " HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", []int{431}, 0},
		"a broken escape":               {"GET /proxy/openai/echo/%zz HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", []int{400}, 0},
		"dot segments":                  {"GET /proxy/openai/echo/../admin HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", []int{400}, 0},
		"hidden dot segments":           {"GET /proxy/openai/echo/%2e%2E%2fadmin HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n", []int{400}, 0},
		"HTTP/2's preface":              {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{400, 404, 405, 505}, 0},
		"an unknown version":            {"GET /proxy/openai/echo/x HTTP/9.9\r\nHost: x\r\n" + auth + "\r\n", []int{400, 505}, 0},
		"no HTTP at all":                {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", []int{0, 400}, 0},
		"a folded line":                 {post + "X-A: a\r\n b\r\nContent-Length: 0\r\n\r\n", []int{200, 400}, -1},
		"a chunked body with a length":  {post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{200, 400}, -1},
		"a body shorter than it says":   {post + "Content-Length: 10\r\n\r\n{}", []int{400}, 0},
		"a chunked body that stops":     {post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", []int{400}, 0},
		"a header that does not end":    {post, []int{0, 400, 408}, 0},
		"a request line without an end": {"GET /proxy", []int{0, 400, 408}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.provider.Stats().Calls
			answer, err := sendRaw(t, w.node.URL, c.request)
			status := answer.status()
			if status == 0 && err == nil || !slices.Contains(c.want, status) {
				t.Errorf("%q %.300s %v, want %v", answer.statusLine, answer.body, err, c.want)
			}
			if calls := w.provider.Stats().Calls - before; c.calls >= 0 && calls != c.calls {
				t.Errorf("%d calls", calls)
			}
			if strings.Contains(string(answer.body), testenv.AuthKey) {
				t.Error("the answer repeats the credential")
			}
		})
	}
	// Two requests hidden in one: only the outer may be seen, with its whole body.
	w.provider.Reset()
	smuggled := "0\r\n\r\nGET /proxy/openai/echo/smuggled HTTP/1.1\r\nHost: x\r\n" + auth + "\r\n"
	conn := dial(t, w.node.URL)
	if _, err := io.WriteString(conn, post+fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n", len(smuggled))+smuggled); err != nil {
		t.Fatal(err)
	}
	answers, err := io.ReadAll(conn)
	if calls := w.provider.Calls(); len(calls) > 1 || strings.Count(string(answers), "HTTP/1.1 ") != 1 {
		t.Errorf("%d calls, %v; a connection whose length was said twice went on: %s", len(calls), err, answers)
	}
	if status, answer := w.chat("m"); status != 200 {
		t.Errorf("afterwards: %d %s", status, answer)
	}
}

// TestBadInputSlowClient: a client that sends a byte now and then is let go, and holds nobody up.
func TestBadInputSlowClient(t *testing.T) {
	w := badWorld(t, "SERVER_READ_TIMEOUT=1", "MAX_CONCURRENT_REQUESTS=2")
	slow := dial(t, w.node.URL)
	head := "POST /proxy/openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + testenv.AuthKey + "\r\nContent-Length: 1000\r\n\r\n"
	if _, err := io.WriteString(slow, head+"{"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan time.Duration)
	begun := time.Now()
	go func() {
		_, _ = io.Copy(io.Discard, slow)
		ended <- time.Since(begun)
	}()
	drip := time.NewTicker(100 * time.Millisecond)
	defer drip.Stop()
	for over := false; !over; {
		select {
		case <-drip.C:
			_, _ = io.WriteString(slow, " ") // the node may have let go already
			if status, answer := w.chat("m"); status != 200 {
				t.Fatalf("another client got %d %s", status, answer)
			}
		case took := <-ended:
			over = true
			if took > 30*time.Second {
				t.Errorf("held for %s", took)
			}
		}
	}
}

// TestBadInputFromUpstream: an upstream that speaks broken HTTP is the upstream's fault: no key is blamed, no line
// break gets through, and the client gets an error in its own format or the answer as far as it is one.
func TestBadInputFromUpstream(t *testing.T) {
	w := badWorld(t)
	for i, c := range []struct {
		answer string
		want   int
	}{
		{"HTTP/1.1 200 OK\r\nX-A: a\rX-Injected: 1\r\nContent-Length: 2\r\n\r\n{}", 502},
		{"HTTP/1.1 200 OK\r\nX-A: a\x00\r\nContent-Length: 2\r\n\r\n{}", 502},
		{"HTTP/1.1 200 OK\r\nX-A: a\r\n X-Injected: 1\r\nContent-Length: 2\r\n\r\n{}", 200},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 502},
		{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", 502},
		{"HTTP/1.1 042 Low\r\nContent-Length: 2\r\n\r\n{}", 502},
		{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n{}", 502},
		{"HTTP/1.1 2000 Long\r\nContent-Length: 2\r\n\r\n{}", 502},
		{"HTTP/1.1 xyz Odd\r\n\r\n", 502},
		{"HTTP/1.1 200 OK\r\nno colon\r\n\r\n{}", 502},
		{"HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 20<<20) + "\r\n\r\n{}", 502},
		{"not HTTP\r\n\r\n", 502},
		{"", 502},
		{"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/elsewhere\r\nContent-Length: 0\r\n\r\n", 302},
		{"HTTP/1.1 307 Temporary Redirect\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n", 307},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nffffffffffffffffffff\r\n{}", 502},
	} {
		t.Run(fmt.Sprintf("%02d %.60q", i+1, c.answer), func(t *testing.T) {
			upstream := answerRaw(t, c.answer)
			name := fmt.Sprintf("broken-%d", i)
			id := w.group(name, adminapi.ChannelOpenAI, 2, func(g *adminapi.GroupInput) {
				g.Upstreams[0].URL = upstream.url
				g.Settings = map[string]any{"max_retries": 0, "blacklist_threshold": 1}
			})
			answer, err := sendRaw(t, w.node.URL, "POST /proxy/"+name+"/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+testenv.AuthKey+"\r\nContent-Length: 2\r\n\r\n{}")
			if err != nil || answer.status() != c.want || answer.cut {
				t.Errorf("%s %.300s %v, want %d", answer.statusLine, answer.body, err, c.want)
			}
			if answer.values("X-Injected") != nil {
				t.Errorf("a line break got through: %v", answer.fields)
			}
			if got := w.counts(id); got.Active != 2 {
				t.Errorf("keys changed: %+v", got)
			}
		})
	}
}

// TestBadInputHalfClosed: who closes its sending side counts as gone (net/http cannot tell the two apart), and gets no
// answer that nobody gave.
func TestBadInputHalfClosed(t *testing.T) {
	w := badWorld(t)
	w.provider.Script(fakeprovider.Rule{Then: fakeprovider.Then{Fault: "hang"}})
	conn := dial(t, w.node.URL)
	if _, err := io.WriteString(conn, "POST /proxy/openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+testenv.AuthKey+"\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
		t.Fatal(err)
	}
	if err := w.provider.AwaitCalls(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || len(answer) > 0 {
		t.Errorf("%q, %v", answer, err)
	}
	if got := w.awaitRecords(1)[0]; got.Status != 499 || got.Class != "canceled" {
		t.Errorf("recorded as %d %s", got.Status, got.Class)
	}
}
