package provider

import (
	"net/http"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
)

// Action is what the request does next. The caller bounds how often.
type Action uint8

// The actions. ActionNextUpstream asks for another address or key first, the same one only when there is no other.
const (
	ActionReturn Action = iota // the answer goes to the client
	ActionNextKey
	ActionNextUpstream
)

// String gives the action's name for logs.
func (a Action) String() string {
	switch a {
	case ActionNextKey:
		return "next_key"
	case ActionNextUpstream:
		return "next_upstream"
	default:
		return "return"
	}
}

// Outcome is everything that is known about one attempt.
type Outcome struct {
	Channel fleet.Channel
	Format  Format
	// Path is the one below /proxy/{group}; empty when unknown. Administrative paths refuse ordinary keys, which says
	// nothing against the key.
	Path string
	// ClientAccount tells that the client's own headers chose the account (OpenAI-Organization, OpenAI-Project,
	// x-goog-user-project): a refusal of that choice is the client's mistake. See ChoosesAccount.
	ClientAccount bool
	// Key is the key that was used, only to keep it out of Evidence when an upstream echoes it.
	Key secret.Text

	ClientGone bool        // the client's context ended first
	Err        error       // transport error, nil when a response came
	Silent     bool        // Err is a timeout while waiting for headers or the first token: the address stayed silent
	Status     int         // 0 when no response came
	Header     http.Header // of the response, may be nil
	Body       []byte      // first bytes of the decoded body (at most 64 KiB), or the in-band error's JSON
	InBand     bool        // the error stood inside a 200
	Empty      bool        // a 200 without content where some is required
	Now        time.Time
}

// Policy is what operators may change about verdicts.
type Policy struct {
	// FailoverStatus, when not empty, is the set of statuses that are tried again. It changes the action only:
	// what a status means for the key stays.
	FailoverStatus settings.StatusCodes
	// ExhaustedPatterns are lower-case words of resellers that mean "no quota left"; see Judge.
	ExhaustedPatterns []string
}

// Verdict says who is to blame for an attempt and what follows.
type Verdict struct {
	Class  fleet.Class
	Action Action
	// Until is the provider's own word on when the limit ends. Zero: no hint.
	Until time.Time
	// AllModels tells that the rest is for every model of the key, not only for the one asked.
	AllModels bool
	// Reason is one word of a closed set, snake_case, fit for metrics and records.
	Reason string
	// Evidence is the provider's own words: at most 300 bytes, one line, valid UTF-8, nothing in it that looks like
	// a key. It is empty for the client's mistakes, whose messages quote the prompt.
	Evidence string
}

// Judge decides about one attempt. It is pure: same outcome, same verdict, nothing read but its arguments. A plain
// success costs no allocation.
//
// ClassModelDenied asks the caller one more question, which only it can answer: when no other key has served the model
// lately, the model is the client's mistake, the answer is returned and the key keeps its standing.
func Judge(o Outcome, p Policy) Verdict {
	switch {
	case o.ClientGone:
		return Verdict{Class: fleet.ClassCanceled, Action: ActionReturn, Reason: ReasonClientGone}
	case o.Err != nil:
		return judgeTransport(o)
	case o.InBand:
		body := parseErrorBody(o.Body, o.Header)
		status := inBandStatus(body)
		return withFailover(judgeStatus(o, status, body, p), status, p)
	case o.Empty:
		return withFailover(judgeEmpty(o), http.StatusBadGateway, p)
	case o.Status < http.StatusBadRequest:
		return Verdict{Class: fleet.ClassOK, Action: ActionReturn, Reason: ReasonOK}
	}
	body := parseErrorBody(o.Body, o.Header)
	return withFailover(judgeStatus(o, o.Status, body, p), o.Status, p)
}

// withFailover lets the operator's list decide about the action alone.
func withFailover(v Verdict, status int, p Policy) Verdict {
	if p.FailoverStatus.IsEmpty() {
		return v
	}
	if !p.FailoverStatus.Contains(status) {
		v.Action = ActionReturn
	} else if v.Action == ActionReturn {
		v.Action = ActionNextKey
	}
	return v
}

// judgeEmpty: an answer without content is the provider's failure, unless the provider says that it withheld the
// content because of what the client asked.
func judgeEmpty(o Outcome) Verdict {
	if reason := withheldReason(o.Body); reason != "" {
		return Verdict{Class: fleet.ClassClient, Action: ActionReturn, Reason: reason}
	}
	return Verdict{Class: fleet.ClassUpstream, Action: ActionNextUpstream, Reason: ReasonEmptyAnswer}
}

// judgeStatus decides by status first and by the provider's words where the status leaves it open.
func judgeStatus(o Outcome, status int, body errorBody, p Policy) Verdict {
	// A page from an edge (Cloudflare, a corporate proxy) in place of the API's JSON: our way to the provider was refused, whoever's key it carried.
	if body.kind == bodyHTML && refusesKeys(status) {
		return Verdict{Class: fleet.ClassUpstream, Action: ActionNextUpstream, Reason: ReasonEdgeBlocked, Evidence: evidence(o, body)}
	}
	f := judgeWords(o, status, body, p)
	v := Verdict{Class: f.class, Action: f.action, Reason: f.reason, Evidence: evidence(o, body)}
	switch f.class {
	case fleet.ClassLimited:
		v.Until, v.AllModels = hint(o.Header, body, o.Now)
	case fleet.ClassKeyExhausted:
		v.Until, v.AllModels = regainAccess(body.message, o.Now), true
	case fleet.ClassClient:
		v.Evidence = ""
	}
	return v
}

// refusesKeys lists the statuses that would otherwise blame the key.
func refusesKeys(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusTooManyRequests:
		return true
	}
	return false
}
