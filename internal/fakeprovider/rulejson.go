package fakeprovider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// The wire form of a rule: durations are texts such as "1.5s", headers are pairs, so that repeats keep their order.
type (
	ruleJSON struct {
		Name  string    `json:"name,omitempty"`
		Match matchJSON `json:"match,omitzero"`
		When  whenJSON  `json:"when,omitzero"`
		Then  thenJSON  `json:"then,omitzero"`
	}
	matchJSON struct {
		Key      string `json:"key,omitempty"`
		Model    string `json:"model,omitempty"`
		Method   string `json:"method,omitempty"`
		Path     string `json:"path,omitempty"`
		Upstream string `json:"upstream,omitempty"`
		Stream   *bool  `json:"stream,omitempty"`
	}
	whenJSON struct {
		Nth         int      `json:"nth,omitempty"`
		Every       int      `json:"every,omitempty"`
		First       int      `json:"first,omitempty"`
		After       int      `json:"after,omitempty"`
		Probability float64  `json:"probability,omitempty"`
		Seed        uint64   `json:"seed,omitempty"`
		From        duration `json:"from,omitempty"`
		For         duration `json:"for,omitempty"`
		Per         Scope    `json:"per,omitempty"`
	}
	thenJSON struct {
		Fault      string      `json:"fault,omitempty"`
		RetryAfter duration    `json:"retry_after,omitempty"`
		Inner      string      `json:"inner,omitempty"`
		Status     int         `json:"status,omitempty"`
		Headers    [][2]string `json:"headers,omitempty"`
		Body       string      `json:"body,omitempty"`
		Delay      duration    `json:"delay,omitempty"`
		Hold       string      `json:"hold,omitempty"`
		Break      Break       `json:"break,omitempty"`
		Flaw       Flaw        `json:"flaw,omitempty"`
		FlawAfter  int         `json:"flaw_after,omitempty"`
		RefuseFor  duration    `json:"refuse_for,omitempty"`
		Size       int         `json:"size,omitempty"`
		Chunks     int         `json:"chunks,omitempty"`
		ChunkSize  int         `json:"chunk_size,omitempty"`
		Burst      int         `json:"burst,omitempty"`
		Text       string      `json:"text,omitempty"`
		FirstToken duration    `json:"first_token,omitempty"`
		Gap        duration    `json:"gap,omitempty"`
		Encoding   string      `json:"encoding,omitempty"`
	}
)

// duration is a time.Duration that travels as text.
type duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = duration(parsed)
	return nil
}

// ParseScript reads rules from JSON: an array of rules, or an object whose member "rules" is one. Unknown members
// are errors, so that a misspelt one does not go unnoticed.
func ParseScript(text []byte) ([]Rule, error) {
	var script struct {
		Rules []ruleJSON `json:"rules"`
	}
	var target any = &script
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '[' {
		target = &script.Rules
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		return nil, fmt.Errorf("read a script of rules: %w", err)
	}
	rules := make([]Rule, len(script.Rules))
	for i, r := range script.Rules {
		rules[i] = r.rule()
		if err := rules[i].Check(); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return rules, nil
}

func (r ruleJSON) rule() Rule {
	var header http.Header
	for _, line := range r.Then.Headers {
		if header == nil {
			header = http.Header{}
		}
		header.Add(line[0], line[1])
	}
	m, w, t := r.Match, r.When, r.Then
	return Rule{
		Name:  r.Name,
		Match: Match{Key: m.Key, Model: m.Model, Method: m.Method, Path: m.Path, Upstream: m.Upstream, Stream: m.Stream},
		When: When{
			Nth: w.Nth, Every: w.Every, First: w.First, After: w.After, Probability: w.Probability, Seed: w.Seed,
			From: time.Duration(w.From), For: time.Duration(w.For), Per: w.Per,
		},
		Then: Then{
			Fault: t.Fault, RetryAfter: time.Duration(t.RetryAfter), Inner: t.Inner,
			Status: t.Status, Header: header, Body: t.Body, Delay: time.Duration(t.Delay), Hold: t.Hold,
			Break: t.Break, Flaw: t.Flaw, FlawAfter: t.FlawAfter, RefuseFor: time.Duration(t.RefuseFor),
			Shape: Shape{
				Size: t.Size, Chunks: t.Chunks, ChunkSize: t.ChunkSize, Burst: t.Burst, Text: t.Text,
				FirstToken: time.Duration(t.FirstToken), Gap: time.Duration(t.Gap), Encoding: t.Encoding,
			},
		},
	}
}

// wire is the JSON form of a rule, its key by the tail only: the listing is for people. What only Go can say
// (Match.If, Then.Handler) is left out.
func (r Rule) wire() ruleJSON {
	m, w, t := r.Match, r.When, r.Then
	key := ""
	if m.Key != "" {
		key = tail(m.Key)
	}
	out := ruleJSON{
		Name:  r.Name,
		Match: matchJSON{Key: key, Model: m.Model, Method: m.Method, Path: m.Path, Upstream: m.Upstream, Stream: m.Stream},
		When: whenJSON{
			Nth: w.Nth, Every: w.Every, First: w.First, After: w.After, Probability: w.Probability, Seed: w.Seed,
			From: duration(w.From), For: duration(w.For), Per: w.Per,
		},
		Then: thenJSON{
			Fault: t.Fault, RetryAfter: duration(t.RetryAfter), Inner: t.Inner, Status: t.Status, Body: t.Body,
			Delay: duration(t.Delay), Hold: t.Hold, Break: t.Break, Flaw: t.Flaw, FlawAfter: t.FlawAfter, RefuseFor: duration(t.RefuseFor),
			Size: t.Size, Chunks: t.Chunks, ChunkSize: t.ChunkSize, Burst: t.Burst, Text: t.Text,
			FirstToken: duration(t.FirstToken), Gap: duration(t.Gap), Encoding: t.Encoding,
		},
	}
	if len(t.Header) > 0 {
		out.Then.Headers = lines(t.Header)
	}
	return out
}
