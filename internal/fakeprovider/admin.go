package fakeprovider

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// largestScript bounds POST /_script: a rule for each of ten thousand keys fits well.
const largestScript = 16 << 20

// adminRoutes serve people and other processes. They are neither counted nor recorded as calls.
var adminRoutes = map[string]func(*Provider, http.ResponseWriter, *http.Request){
	"GET /_help":     (*Provider).adminHelp,
	"GET /_faults":   (*Provider).adminFaults,
	"GET /_script":   (*Provider).adminRules,
	"POST /_script":  (*Provider).adminScript,
	"GET /_calls":    (*Provider).adminCalls,
	"POST /_reset":   (*Provider).adminReset,
	"POST /_refuse":  (*Provider).adminRefuse,
	"POST /_release": (*Provider).adminRelease,
	"POST /_cut":     (*Provider).adminCut,
	"GET /_livez":    func(_ *Provider, w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") },
}

func (p *Provider) serveAdmin(w http.ResponseWriter, r *http.Request) {
	serve, ok := adminRoutes[r.Method+" "+r.URL.Path]
	if !ok {
		writeText(w, http.StatusNotFound, "no such admin path: GET /_help lists them\n")
		return
	}
	serve(p, w, r)
}

const help = `A fake AI provider: OpenAI (chat completions, responses, embeddings, images, audio, files, models),
Anthropic (messages, count_tokens, models) and Gemini (generateContent, streamGenerateContent, ...), with every fault on demand.

  curl $BASE/v1/chat/completions -d '{"model":"gpt-4.1","messages":[]}'
  curl $BASE/v1/chat/completions -d '{"model":"fault-429-seconds","messages":[]}'           a fault by model name
  curl $BASE/v1/chat/completions -H 'x-fake-fault: cut-reset' -H 'x-fake-after: 3' -d '{"model":"x","stream":true,"messages":[]}'
  curl "$BASE/v1beta/models/gemini+size=100k:generateContent" -d '{"contents":[]}'           knobs behind a model name
  curl $BASE/echo/any/path                                                                  what was received

Knobs, as header x-fake-KNOB, query fake-KNOB or model name NAME+KNOB=VALUE:
  fault inner after wait delay size chunks chunk-size burst ttft gap text encoding
  (wait is what a 429 hints at, after is how many content pieces pass before a flaw, ttft the time to the first token)
As headers only: x-fake-blind 1 does not look into the body (benchmarks), x-fake-model, x-fake-stream then stand for it.
Echo, as header x-echo-NAME or query echo-NAME:
  status header trailer location type body chunks encoding early unread

  GET  /_faults            the catalogue
  GET  /_script            rules in force
  POST /_script            {"rules":[{"match":{"key":"sk-a"},"when":{"first":2},"then":{"fault":"429-seconds"}}]}; ?append=1 adds
  GET  /_calls             counts and recent calls; ?last=N
  POST /_reset             forget rules and calls
  POST /_refuse?for=5s     refuse connections for a while
  POST /_release?hold=NAME let held calls go
  POST /_cut               reset every open connection
`

func (p *Provider) adminHelp(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusOK, help)
}

func (p *Provider) adminFaults(w http.ResponseWriter, _ *http.Request) {
	type line struct {
		Name  string `json:"name"`
		Means string `json:"means"`
	}
	out := make([]line, 0, len(catalogue))
	for _, f := range Faults() {
		out = append(out, line(f))
	}
	writeJSON(w, map[string]any{"faults": out})
}

func (p *Provider) adminRules(w http.ResponseWriter, _ *http.Request) {
	out := []ruleJSON{}
	for _, r := range p.Rules() {
		out = append(out, r.wire())
	}
	writeJSON(w, map[string]any{"rules": out})
}

func (p *Provider) adminScript(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestScript))
	if err != nil {
		writeText(w, http.StatusRequestEntityTooLarge, "a script may have "+strconv.Itoa(largestScript)+" bytes: "+err.Error()+"\n")
		return
	}
	rules, err := ParseScript(text)
	if err != nil {
		writeText(w, http.StatusBadRequest, err.Error()+"\n")
		return
	}
	if r.URL.Query().Has("append") {
		p.Append(rules...)
	} else {
		p.Script(rules...)
	}
	p.adminRules(w, r)
}

func (p *Provider) adminReset(w http.ResponseWriter, _ *http.Request) {
	p.Reset()
	writeText(w, http.StatusOK, "forgotten\n")
}

func (p *Provider) adminRefuse(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.URL.Query().Get("for"))
	if err != nil || d <= 0 {
		writeText(w, http.StatusBadRequest, "say for how long, as in ?for=5s: nobody could ask for the end otherwise\n")
		return
	}
	writeText(w, http.StatusOK, "refusing connections for "+d.String()+"\n")
	p.Refuse(d)
}

func (p *Provider) adminRelease(w http.ResponseWriter, r *http.Request) {
	p.Release(r.URL.Query().Get("hold"))
	writeText(w, http.StatusOK, "released\n")
}

func (p *Provider) adminCut(_ http.ResponseWriter, _ *http.Request) {
	p.ResetConnections() // this one too
}

// countJSON and callJSON are the wire forms of Count and Call, keys by their tails.
type countJSON struct {
	Name        string `json:"name"`
	Calls       int    `json:"calls"`
	InFlight    int    `json:"in_flight"`
	MaxInFlight int    `json:"max_in_flight"`
}

type callJSON struct {
	Seq        int      `json:"seq"`
	At         string   `json:"at"`
	Line       string   `json:"line"`
	Method     string   `json:"method"`
	Path       string   `json:"path"`
	Upstream   string   `json:"upstream,omitempty"`
	KeyTail    string   `json:"key_tail"`
	Model      string   `json:"model,omitempty"`
	Stream     bool     `json:"stream"`
	BodyBytes  int64    `json:"body_bytes"`
	BodySHA256 string   `json:"body_sha256,omitempty"`
	Rule       string   `json:"rule,omitempty"`
	Fault      string   `json:"fault,omitempty"`
	Status     int      `json:"status"`
	Done       bool     `json:"done"`
	Canceled   bool     `json:"canceled"`
	CanceledIn duration `json:"canceled_after,omitempty"`
	Unexpected bool     `json:"unexpected,omitempty"`
	Took       duration `json:"took,omitempty"`
}

func (p *Provider) adminCalls(w http.ResponseWriter, r *http.Request) {
	calls := p.Calls()
	if last, err := strconv.Atoi(r.URL.Query().Get("last")); err == nil && last >= 0 && last < len(calls) {
		calls = calls[len(calls)-last:]
	}
	kept := make([]callJSON, len(calls))
	for i := range calls {
		kept[i] = calls[i].wire()
	}
	s := p.Stats()
	writeJSON(w, map[string]any{
		"calls": s.Calls, "in_flight": s.InFlight, "max_in_flight": s.MaxInFlight, "canceled": s.Canceled, "unexpected": s.Unexpected,
		"by_key": counts(s.ByKey, tail), "by_model": counts(s.ByModel, nil), "by_path": counts(s.ByPath, nil),
		"recent": kept,
	})
}

func counts(m map[string]Count, name func(string) string) []countJSON {
	out := make([]countJSON, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		c, shown := m[k], k
		if name != nil {
			shown = name(k)
		}
		out = append(out, countJSON{shown, c.Calls, c.InFlight, c.MaxInFlight})
	}
	return out
}

func (c *Call) wire() callJSON {
	out := callJSON{
		Seq: c.Seq, At: c.At.UTC().Format(time.RFC3339Nano), Line: c.Line(), Method: c.Method, Path: c.Path, Upstream: c.Upstream,
		KeyTail: tail(c.Key), Model: c.Model, Stream: c.Stream, BodyBytes: c.BodyBytes, BodySHA256: c.BodySHA256,
		Rule: c.Rule, Fault: c.Fault, Status: c.Status, Done: c.Done, Canceled: c.Canceled, Unexpected: c.Unexpected, Took: duration(c.Duration),
	}
	if c.Canceled {
		out.CanceledIn = duration(c.CanceledAt.Sub(c.At))
	}
	return out
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(v) // the caller has left when this fails
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
