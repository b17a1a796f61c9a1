package provider

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
)

// testNow is a winter's noon in California.
var testNow = time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)

// corpusRow is one known answer of a provider and what it has to mean. Source says where the body comes from: a document, a
// "field report" (seen in public bug reports) or "derived" (a variation of another row that must not fool the table).
type corpusRow struct {
	Name          string            `json:"name"`
	Source        string            `json:"source"`
	Channel       fleet.Channel     `json:"channel"`
	Path          string            `json:"path"`
	Status        int               `json:"status"`
	Header        map[string]string `json:"header"`
	Body          json.RawMessage   `json:"body"`
	Text          string            `json:"text"` // instead of body, for what is not JSON
	ClientAccount bool              `json:"client_account"`
	Patterns      []string          `json:"patterns"`
	Failover      string            `json:"failover"`
	InBand        bool              `json:"in_band"`
	Empty         bool              `json:"empty"`
	Want          string            `json:"want"`  // class, action, reason
	Until         string            `json:"until"` // from now
	At            string            `json:"at"`    // or a point in time; both empty: no hint
	AllModels     bool              `json:"all_models"`
}

func loadCorpus(t testing.TB) []corpusRow {
	t.Helper()
	raw, err := os.ReadFile("testdata/verdicts.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []corpusRow
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func (r corpusRow) outcome() Outcome {
	body := []byte(r.Text)
	if r.Text == "" {
		body = r.Body
	}
	h := http.Header{}
	for name, value := range r.Header {
		h.Set(name, value)
	}
	return Outcome{
		Channel: r.Channel, Format: FormatOf(r.Channel, r.Path), Path: r.Path, ClientAccount: r.ClientAccount,
		Status: r.Status, Header: h, Body: body, InBand: r.InBand, Empty: r.Empty, Now: testNow,
		Key: secret.New("AIzaSyA1234567890abcdefghijklmnopqrstu"),
	}
}

func (r corpusRow) policy(t *testing.T) Policy {
	t.Helper()
	codes, err := settings.ParseStatusCodes(r.Failover)
	if err != nil {
		t.Fatal(err)
	}
	return Policy{FailoverStatus: codes, ExhaustedPatterns: r.Patterns}
}

func (r corpusRow) wantUntil(t *testing.T) time.Time {
	t.Helper()
	if r.At != "" {
		at, err := time.Parse(time.RFC3339, r.At)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if r.Until == "" {
		return time.Time{}
	}
	d, err := time.ParseDuration(r.Until)
	if err != nil {
		t.Fatal(err)
	}
	return testNow.Add(d)
}

func TestVerdictsOfTheCorpus(t *testing.T) {
	names := make(map[string]bool)
	for _, row := range loadCorpus(t) {
		if names[row.Name] || row.Source == "" {
			t.Errorf("%q is there twice or has no source", row.Name)
		}
		names[row.Name] = true
		t.Run(row.Name, func(t *testing.T) {
			v := Judge(row.outcome(), row.policy(t))
			if got := string(v.Class) + " " + v.Action.String() + " " + v.Reason; got != row.Want {
				t.Errorf("verdict %q, want %q", got, row.Want)
			}
			want := row.wantUntil(t)
			if d := v.Until.Sub(want); v.Until.IsZero() != want.IsZero() || d < -time.Millisecond || d > time.Millisecond {
				t.Errorf("until %v, want %v", v.Until, want)
			}
			if v.AllModels != row.AllModels {
				t.Errorf("all models %v, want %v", v.AllModels, row.AllModels)
			}
			checkVerdict(t, v)
		})
	}
}

// checkVerdict holds for every verdict whatever the outcome.
func checkVerdict(t *testing.T, v Verdict) {
	t.Helper()
	if v.Class == "" || v.Reason == "" || len(v.Reason) > 40 {
		t.Errorf("incomplete verdict %+v", v)
	}
	if len(v.Evidence) > maxEvidence || !utf8.ValidString(v.Evidence) || strings.ContainsAny(v.Evidence, "\r\n\x00") {
		t.Errorf("evidence is no short line of UTF-8: %q", v.Evidence)
	}
	if strings.Contains(v.Evidence, "AIzaSyA1234567890") {
		t.Errorf("the key leaked: %q", v.Evidence)
	}
	if v.Class == fleet.ClassClient && v.Evidence != "" {
		t.Errorf("evidence for a client's mistake may quote the prompt: %q", v.Evidence)
	}
}

// What the client can write must not be able to blame the key: every dangerous phrase of the corpus is put where providers
// quote the request.
func TestAQuotedRequestNeverBlamesTheKey(t *testing.T) {
	blaming := map[fleet.Class]bool{fleet.ClassKeyDead: true, fleet.ClassKeyExhausted: true, fleet.ClassKeySuspect: true, fleet.ClassLimited: true}
	for _, row := range loadCorpus(t) {
		quoted, err := json.Marshal("Invalid value for messages[0].content: " + row.Text + string(row.Body))
		if err != nil {
			t.Fatal(err)
		}
		for _, status := range []int{400, 404, 409, 413, 415, 422} {
			for _, shape := range []string{
				`{"error":{"message":` + string(quoted) + `,"type":"invalid_request_error","param":"messages","code":null}}`,
				`{"type":"error","error":{"type":"invalid_request_error","message":` + string(quoted) + `}}`,
				`{"error":{"code":400,"status":"INVALID_ARGUMENT","message":` + string(quoted) + `}}`,
				`{"error":{"message":"bad","input":` + string(quoted) + `}}`,
				`{"detail":[{"msg":"bad","input":` + string(quoted) + `}]}`,
			} {
				v := Judge(Outcome{Channel: row.Channel, Status: status, Body: []byte(shape), Now: testNow}, Policy{})
				if blaming[v.Class] {
					t.Errorf("%s quoted in a %d: %+v", row.Name, status, v)
				}
			}
		}
	}
}

// A provider's outage must not touch a key, whatever the words of its bodies.
func TestAnOutageNeverBlamesTheKey(t *testing.T) {
	for _, row := range loadCorpus(t) {
		for status := 500; status < 600; status++ {
			o := row.outcome()
			o.Status, o.InBand, o.Empty = status, false, false
			if v := Judge(o, Policy{ExhaustedPatterns: []string{"error"}}); v.Class != fleet.ClassUpstream || v.Action != ActionNextUpstream {
				t.Fatalf("%s as a %d: %+v", row.Name, status, v)
			}
		}
	}
}

func TestTheClientsLeavingComesFirst(t *testing.T) {
	for _, o := range []Outcome{
		{ClientGone: true, Err: os.ErrDeadlineExceeded},
		{ClientGone: true, Status: 401, Body: []byte(`{"error":{"code":"invalid_api_key"}}`)},
		{ClientGone: true, Status: 200, InBand: true, Body: []byte(`{"error":{"code":"insufficient_quota"}}`)},
	} {
		if v := Judge(o, Policy{}); v.Class != fleet.ClassCanceled || v.Action != ActionReturn {
			t.Errorf("%+v", v)
		}
	}
}

func TestJudgeAllocatesNothingOnSuccess(t *testing.T) {
	o := Outcome{Channel: fleet.ChannelOpenAI, Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Now: testNow}
	if n := testing.AllocsPerRun(100, func() { Judge(o, Policy{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzJudge(f *testing.F) {
	for _, row := range loadCorpus(f) {
		o := row.outcome()
		f.Add(o.Status, o.Body, o.InBand, "retry-after-ms: 5")
	}
	f.Add(429, []byte(`[[[[`), true, "")
	f.Add(403, []byte(`{"error":{"message":"{\"error\":{\"message\":\"[]\"}}"}}`), false, "")
	f.Fuzz(func(t *testing.T, status int, body []byte, inBand bool, retryAfter string) {
		before := string(body)
		o := Outcome{Channel: fleet.ChannelGemini, Status: status, Body: body, InBand: inBand, Header: http.Header{"Retry-After": {retryAfter}}, Now: testNow}
		v := Judge(o, Policy{ExhaustedPatterns: []string{"quota"}})
		checkVerdict(t, v)
		if !v.Until.IsZero() && (!v.Until.After(testNow) || v.Until.Sub(testNow) > longestHint) {
			t.Errorf("until %v is not within a month", v.Until)
		}
		if string(body) != before {
			t.Error("the body was changed")
		}
	})
}

func BenchmarkJudgeSuccess(b *testing.B) {
	o := Outcome{Channel: fleet.ChannelOpenAI, Status: 200, Now: testNow}
	b.ReportAllocs()
	for b.Loop() {
		Judge(o, Policy{})
	}
}

func BenchmarkJudgeLimited(b *testing.B) {
	o := Outcome{
		Channel: fleet.ChannelOpenAI, Status: 429, Now: testNow, Header: http.Header{"Retry-After": {"3"}},
		Body: []byte(`{"error":{"message":"Rate limit reached for gpt-4o","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`),
	}
	b.ReportAllocs()
	for b.Loop() {
		Judge(o, Policy{})
	}
}
