package proxy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/jsonbody"
	"gpt-load/internal/keypool"
	"gpt-load/internal/provider"
	"gpt-load/internal/secret"
	"gpt-load/internal/upstream"
)

// Pauses before an upstream that just failed is asked again, because there is no other. They double from the first to the longest.
const (
	firstBackoff   = 50 * time.Millisecond
	longestBackoff = time.Second
)

// attempts tries keys and addresses until the request is answered or nothing is left to try.
func (x *exchange) attempts() {
	settings := x.group.Settings
	x.deadline = x.started.Add(settings.RequestTimeout)
	var last *call
	defer func() {
		if last != nil {
			last.close()
		}
	}()
	var verdict provider.Verdict
	for tried := 0; ; {
		chosen, refusal, ok := x.choose(time.Now())
		if refusal != nil {
			x.fail(*refusal)
			return
		}
		if !ok {
			if x.awaitKey(settings.CooldownWait) {
				continue
			}
			x.giveUp(last, verdict)
			return
		}
		if tried > 0 && chosen.address.Again && !x.pause(tried) {
			x.giveUp(last, verdict)
			return
		}
		if last != nil {
			last.close()
		}
		last, verdict = x.attempt(chosen, tried == 0)
		if x.committed || x.record.Class != "" {
			return
		}
		tried++
		if verdict.Action == provider.ActionReturn || tried > settings.MaxRetries || !x.ask.body.whole || !time.Now().Before(x.deadline) {
			x.giveUp(last, verdict)
			return
		}
	}
}

// attempt sends the request once. When the answer is good or is the client's to see, it is relayed here; else the
// call comes back open, with the verdict that says why.
func (x *exchange) attempt(chosen choice, first bool) (*call, provider.Verdict) {
	begun := time.Now()
	if first {
		x.signals.Overhead(begun.Sub(x.started) - x.queued - x.bodyTook)
	}
	x.record.ModelSent = chosen.p.model
	if chosen.p.group != x.group {
		x.record.ParentID, x.record.ParentName = x.group.ID, x.group.Name
		x.record.GroupID, x.record.GroupName = chosen.p.group.ID, chosen.p.group.Name
	}
	x.ask.traceparent, x.ask.tracestate = x.trace.Attempt(x.record, chosen.p.group.Channel, begun)
	c := x.h.send(x.r.Context(), &x.ask, chosen.p, chosen.pick, chosen.address.Address, first, x.deadline)
	verdict := x.judge(c, chosen)
	if verdict.Class == fleet.ClassOK && c.response.StatusCode < http.StatusMultipleChoices && x.r.Method == http.MethodPost {
		// Only what asks for work: a GET of a stored answer that failed is an honest 200 with an error in it.
		verdict = x.inspect(c, chosen, verdict)
	}
	status := 0
	if c.response != nil {
		status = c.response.StatusCode
	}
	verdict = x.blame(c, chosen, verdict, time.Now())
	x.record.Attempts = append(x.record.Attempts, fleet.Attempt{
		GroupID: chosen.p.group.ID, KeyID: chosen.pick.KeyID, KeyTail: chosen.pick.Value.Tail(), Upstream: chosen.address.Host(),
		Status: status, Class: verdict.Class, Duration: time.Since(begun), Reason: verdict.Reason,
	})
	switch {
	case verdict.Class == fleet.ClassCanceled:
		x.clientGone()
	case verdict.Reason == provider.ReasonAborted && !x.committed:
		x.stopped()
	case x.committed: // the hold's bound let the beginning go while the verdict was open
		if verdict.Class != fleet.ClassOK {
			x.note(status, verdict.Class, describe(verdict))
		}
		x.relay(c, chosen)
	case verdict.Action == provider.ActionReturn && !quotesKey(verdict.Class) && !c.quotes:
		if verdict.Class != fleet.ClassOK {
			x.note(c.response.StatusCode, verdict.Class, describe(verdict))
		}
		x.relay(c, chosen)
	}
	return c, verdict
}

// judge reads what the verdict needs and asks provider.Judge.
func (x *exchange) judge(c *call, chosen choice) provider.Verdict {
	o := provider.Outcome{
		Channel: chosen.p.group.Channel, Format: x.format, Path: x.ask.path, Key: chosen.pick.Value,
		ClientAccount: provider.ChoosesAccount(x.ask.header), ClientGone: x.gone() || x.ask.body.broken.err() != nil, Err: c.err, Now: time.Now(),
	}
	if c.err != nil {
		o.Silent = isSilent(c.err)
		return provider.Judge(o, policy(chosen.p))
	}
	o.Status, o.Header = c.response.StatusCode, c.response.Header
	if o.Status >= http.StatusBadRequest {
		c.readError()
		o.Body = provider.DecodePrefix(c.response.Header, c.held, errorPrefix)
		c.quotes = quotes(chosen.pick.Value, c.response.Header, o.Body)
		o.ClientGone = x.gone()
	}
	return provider.Judge(o, policy(chosen.p))
}

func policy(p *prepared) provider.Policy {
	return provider.Policy{FailoverStatus: p.group.Settings.FailoverStatusCodes, ExhaustedPatterns: p.group.Settings.ExhaustedPatterns}
}

// blame tells the key, the address and the member how they did. The client's doing never reaches them.
func (x *exchange) blame(c *call, chosen choice, v provider.Verdict, now time.Time) provider.Verdict {
	switch v.Class {
	case fleet.ClassCanceled, fleet.ClassGateway:
		chosen.address.Release()
		x.tellMember(chosen, upstream.MemberChoice.Release)
		x.avoided.Add(chosen.pick)
		return v
	case fleet.ClassUpstream:
		chosen.address.Fault(c.err, now)
		x.tellMember(chosen, func(m upstream.MemberChoice) { m.Fault(now) })
		x.avoided.Add(chosen.pick)
		if isSilent(c.err) {
			chosen.avoid.Silent(chosen.address.Address)
		} else {
			chosen.avoid.Failed(chosen.address.Address)
		}
		x.faulty = append(x.faulty, chosen.p.group.ID)
		return v
	}
	chosen.address.Success(now)
	x.tellMember(chosen, func(m upstream.MemberChoice) { m.Success(now) })
	switch {
	case v.Class == fleet.ClassOK:
		chosen.pool.Success(chosen.pick, chosen.p.model, now)
		return v
	case v.Class == fleet.ClassModelDenied && !chosen.pool.ServedLately(chosen.p.model, chosen.pick.KeyID, now):
		// Without another key that served the model lately, the likelier story is a client that misspelt it.
		v.Class, v.Action = fleet.ClassClient, provider.ActionReturn
		return v
	case !blamesKey(v.Class):
		if v.Action != provider.ActionReturn { // another key may have what this request needs, say a larger allowance
			x.avoided.Add(chosen.pick)
		}
		return v
	}
	x.h.blameKey(chosen.p, chosen.pool, chosen.pick, v, now)
	x.avoided.Add(chosen.pick)
	if v.Class != fleet.ClassLimited { // a limited key rests by its cool-down, and may return while this request waits
		x.failed.Add(chosen.pick)
	}
	return v
}

func (x *exchange) tellMember(chosen choice, tell func(upstream.MemberChoice)) {
	if x.group.Kind == fleet.KindAggregate {
		tell(chosen.member)
	}
}

func blamesKey(class fleet.Class) bool {
	switch class {
	case fleet.ClassKeyDead, fleet.ClassKeyExhausted, fleet.ClassKeySuspect, fleet.ClassLimited, fleet.ClassModelDenied:
		return true
	}
	return false
}

// blameKey applies a verdict to a key and passes a change of its state on.
func (h *Handler) blameKey(p *prepared, pool *keypool.Pool, pick keypool.Pick, v provider.Verdict, now time.Time) {
	s := p.group.Settings
	change, changed := pool.Fault(pick, p.model,
		keypool.Fault{Class: v.Class, Until: v.Until, AllModels: v.AllModels, Reason: v.Reason, Evidence: v.Evidence},
		keypool.Options{BlacklistThreshold: s.BlacklistThreshold, RateLimitCooldown: s.RateLimitCooldown, CooldownCap: s.CooldownCap}, now)
	if !changed {
		return
	}
	h.Journal.Add(change)
	signals := h.Metrics.Group(p.group.ID)
	if change.State != fleet.KeyInvalid {
		signals.Cooled(v.Class)
		return
	}
	signals.Retired(change.Reason)
	h.Log.Warn("a key was retired", zap.String("group", p.group.Name), zap.String("key_tail", pick.Value.Tail()),
		zap.String("reason", change.Reason), zap.String("evidence", change.Evidence))
}

// awaitKey waits for the soonest key when it returns in time. It waits once at most, so that a request cannot
// live on rests.
func (x *exchange) awaitKey(limit time.Duration) bool {
	now := time.Now()
	at, ok := x.soonest(now)
	if !ok || x.waited || at.Sub(now) > limit || at.After(x.deadline) {
		return false
	}
	x.waited = true
	ok = x.sleep(at.Sub(now) + time.Millisecond) // a key is back just after its deadline, not at it
	x.queued += time.Since(now)
	return ok
}

func (x *exchange) pause(tried int) bool {
	wait := min(firstBackoff<<min(tried-1, 8), longestBackoff)
	return x.sleep(wait/2 + rand.N(wait/2)) // #nosec G404 -- spreads load, guards nothing
}

func (x *exchange) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.r.Context().Done():
		x.clientGone()
		return false
	}
}

// giveUp answers when nothing is left to try.
func (x *exchange) giveUp(last *call, v provider.Verdict) {
	if x.record.Class != "" { // the client left while we waited
		return
	}
	switch {
	case last == nil || v.Class == fleet.ClassLimited && last.response == nil:
		x.noKey()
	case last.quotes && !quotesKey(v.Class):
		status := max(last.response.StatusCode, http.StatusBadRequest)
		x.note(status, v.Class, describe(v))
		x.fail(provider.GatewayError{
			Status: status, Code: "answer_withheld",
			Message: "the provider refused the request (" + v.Reason + "); its answer repeats the operator's key and so stays here",
		})
	case last.response != nil && last.err == nil && !quotesKey(v.Class):
		x.note(last.response.StatusCode, v.Class, describe(v))
		x.relay(last, choice{})
	case v.Class == fleet.ClassUpstream:
		e := provider.GatewayError{Status: http.StatusBadGateway, Code: "upstream_unreachable", Message: "the provider could not be reached: " + v.Reason}
		if last.response != nil { // a 200 of which nothing went out yet
			e.Message = "the provider's answer broke off before it had begun: " + v.Reason
		}
		if isTimeout(last.err) {
			e.Status, e.Code = http.StatusGatewayTimeout, "upstream_timeout"
			e.Message = "the provider did not answer in time: " + x.limitThatFired(last.err)
		}
		x.note(e.Status, v.Class, describe(v))
		x.fail(e)
	default:
		x.note(http.StatusServiceUnavailable, v.Class, describe(v))
		limit := fmt.Sprintf("max_retries is %d", x.group.Settings.MaxRetries)
		if v.Action == provider.ActionReturn {
			limit = "failover_status_codes does not hold its status"
		}
		x.fail(provider.GatewayError{
			Status: http.StatusServiceUnavailable, Code: "no_usable_key",
			Message: fmt.Sprintf("the provider refused each of the %d keys that were tried (%s); %s", len(x.record.Attempts), v.Reason, limit),
		})
	}
}

// quotesKey reports whether the provider's answer speaks of an operator's key, and so is not for clients.
func quotesKey(class fleet.Class) bool {
	return class == fleet.ClassKeyDead || class == fleet.ClassKeyExhausted || class == fleet.ClassKeySuspect
}

// quotes reports whether an error answer repeats the whole key, as gateways do that describe the request they got. Keys too short
// to be secrets are not looked for: the words of any answer could hold them.
func quotes(key secret.Text, header http.Header, body []byte) bool {
	const shortest = 12
	if key.Len() < shortest {
		return false
	}
	text := key.Reveal()
	escaped := jsonbody.AppendQuoted(nil, text)
	if bytes.Contains(body, []byte(text)) || bytes.Contains(body, escaped[1:len(escaped)-1]) {
		return true
	}
	for _, values := range header {
		for _, value := range values {
			if strings.Contains(value, text) {
				return true
			}
		}
	}
	return false
}

// noKey answers when no attempt could be made at all.
func (x *exchange) noKey() {
	now := time.Now()
	at, resting := x.soonest(now)
	x.signals.Exhausted(resting)
	if resting {
		x.fail(provider.GatewayError{
			Status: http.StatusTooManyRequests, Code: "keys_cooling", RetryAfter: max(at.Sub(now), time.Second),
			Message: fmt.Sprintf("every key of the group rests, rate limited or without quota; the soonest returns in %s (cooldown_wait_seconds is %d)",
				max(at.Sub(now), 0).Round(100*time.Millisecond), int(x.group.Settings.CooldownWait/time.Second)),
		})
		return
	}
	message := "the group has no usable key: add keys, or restore or validate the invalid ones"
	if x.group.Kind == fleet.KindAggregate {
		message = "no member of the aggregate has a usable key: add members with a weight, or keys to those that are there"
	}
	x.fail(provider.GatewayError{Status: http.StatusServiceUnavailable, Code: "no_usable_key", Message: message})
}

func describe(v provider.Verdict) string {
	if v.Evidence == "" {
		return v.Reason
	}
	return clip(v.Reason+": "+v.Evidence, 500)
}
