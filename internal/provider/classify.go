package provider

import (
	"net/http"
	"strings"

	"gpt-load/internal/fleet"
)

// finding is who is to blame, before hints and evidence are added.
type finding struct {
	class  fleet.Class
	action Action
	reason string
}

func keyDead(reason string) finding { return finding{fleet.ClassKeyDead, ActionNextKey, reason} }
func keyExhausted(reason string) finding {
	return finding{fleet.ClassKeyExhausted, ActionNextKey, reason}
}

func keySuspect(reason string) finding { return finding{fleet.ClassKeySuspect, ActionNextKey, reason} }
func limited(reason string) finding    { return finding{fleet.ClassLimited, ActionNextKey, reason} }
func fromUpstream(reason string) finding {
	return finding{fleet.ClassUpstream, ActionNextUpstream, reason}
}
func fromClient(reason string) finding { return finding{fleet.ClassClient, ActionReturn, reason} }

// anotherKeyMay is a refusal that says nothing against the key and that a key of another account may not get.
func anotherKeyMay(reason string) finding {
	return finding{fleet.ClassClient, ActionNextKey, reason}
}

func judgeWords(o Outcome, status int, body errorBody, p Policy) finding {
	switch {
	case status >= 500 || isUpstreamStatus(status):
		return judgeUpstream(status, body)
	case !mayBlameKey(status):
		return judgeClient(status, body)
	}
	// From the most certain sign to the least. Structured codes stand before phrases.
	if f, ok := judgeEgress(body); ok {
		return f
	}
	if isAdministrative(o.Path) && (status == http.StatusUnauthorized || status == http.StatusForbidden) {
		return fromClient(ReasonOperationNotAllowed)
	}
	if f, ok := judgeMoney(status, body, p); ok {
		return f
	}
	if f, ok := judgeDead(status, body); ok {
		return f
	}
	switch status {
	case http.StatusTooManyRequests:
		return judgeLimit(body)
	case http.StatusPaymentRequired:
		return judgePayment(body)
	case http.StatusUnauthorized:
		return judgeUnauthorized(o, body)
	case http.StatusForbidden:
		return judgeForbidden(o, body)
	}
	return judgeClient(status, body)
}

// isUpstreamStatus lists the statuses below 500 that come from between us and the provider. 407 is our outgoing proxy, 408
// the provider's patience with our connection, 421 and 425 a connection that another try replaces, 451 the place we ask from,
// 498 Groq's "capacity exceeded", 499 a gateway behind the upstream that believes its caller went away.
func isUpstreamStatus(status int) bool {
	switch status {
	case http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusMisdirectedRequest, http.StatusTooEarly,
		http.StatusUnavailableForLegalReasons, 498, 499:
		return true
	}
	return false
}

// mayBlameKey lists the statuses in which providers speak of the key. 409 is not among them: a conflict with the state of
// the thing asked for is the client's to solve. 412 is Fireworks' "account suspended".
func mayBlameKey(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusPreconditionFailed:
		return true
	}
	return refusesKeys(status)
}

func judgeUpstream(status int, body errorBody) finding {
	switch {
	case status == http.StatusProxyAuthRequired:
		return fromUpstream(ReasonProxyAuth)
	case status == http.StatusUnavailableForLegalReasons:
		return fromUpstream(ReasonRegion)
	case status == 529, status == 498, strings.Contains(body.lower, "overloaded"), body.typ == "overloaded_error":
		return fromUpstream(ReasonOverloaded)
	}
	return fromUpstream(reasonOfStatus(status))
}

// judgeEgress: the provider refuses the place we ask from.
func judgeEgress(body errorBody) (finding, bool) {
	if body.hasCode(regionCodes) || body.hasReason("LOCATION_POLICY_VIOLATED", "LOCATION_ORG_POLICY_VIOLATED") {
		return fromUpstream(ReasonRegion), true
	}
	if body.status == "FAILED_PRECONDITION" && strings.Contains(body.lower, "location is not supported") {
		return fromUpstream(ReasonRegion), true
	}
	return finding{}, false
}

// judgeMoney: no balance, no credits, no quota that time alone would bring back.
func judgeMoney(status int, body errorBody, p Policy) (finding, bool) {
	if body.begins(usageLimitStarts) {
		return keyExhausted(ReasonUsageLimit), true
	}
	// Google says "exceeded your current quota" for its rate limits too, and then lists the violations.
	if body.status == "RESOURCE_EXHAUSTED" && !body.says(depletedPhrases) {
		return finding{}, false
	}
	switch {
	case body.hasCode(exhaustedCodes), body.begins(exhaustedStarts), body.hasReason("BILLING_DISABLED"),
		status != http.StatusBadRequest && body.says(exhaustedPhrases),
		matchesPatterns(status, body, p):
		return keyExhausted(ReasonInsufficientQuota), true
	}
	return finding{}, false
}

// matchesPatterns applies the operator's own words to the code, the type and the message, not to the whole body: other
// members may quote what the client sent.
func matchesPatterns(status int, body errorBody, p Policy) bool {
	if status != http.StatusBadRequest && !refusesKeys(status) {
		return false
	}
	for _, pattern := range p.ExhaustedPatterns {
		if strings.Contains(body.lower, pattern) || strings.Contains(body.code, pattern) || strings.Contains(body.typ, pattern) {
			return true
		}
	}
	return false
}

// judgeDead: the key or its account is closed for good.
func judgeDead(status int, body errorBody) (finding, bool) {
	switch {
	case body.hasReason("API_KEY_INVALID"), body.hasCode(deadCodes), body.begins(deadStarts[:keyStarts]):
		return keyDead(ReasonInvalidKey), true
	case body.hasReason("CONSUMER_SUSPENDED"), body.hasCode(closedCodes), body.begins(deadStarts[keyStarts:]):
		return keyDead(ReasonAccountDisabled), true
	case status == http.StatusBadRequest || status == http.StatusTooManyRequests:
		return finding{}, false
	case body.hasReason("SERVICE_DISABLED"): // "... has not been used in project 1 before or it is disabled"
		return finding{}, false
	case body.saysAccountClosed():
		return keyDead(ReasonAccountDisabled), true
	}
	return finding{}, false
}

func judgeLimit(body errorBody) finding {
	switch {
	case body.says(oversizePhrases):
		return anotherKeyMay(ReasonOverLimitAlone)
	case body.says(regionPhrases):
		return fromUpstream(ReasonRegion)
	case strings.Contains(body.lower, "overloaded"): // the provider has too much to do, not this key
		return fromUpstream(ReasonOverloaded)
	case body.dailyQuota():
		return limited(ReasonDailyQuota)
	}
	return limited(ReasonRateLimited)
}

func judgePayment(body errorBody) finding {
	if body.says(oversizePhrases) && !strings.Contains(body.lower, "can only afford 0") {
		return anotherKeyMay(ReasonOverLimitAlone)
	}
	return keyExhausted(ReasonInsufficientQuota)
}

// judgeUnauthorized takes a 401 for a dead key only when it speaks of the key: an account's or network's refusal
// and an answer without words count once and may turn out to be somebody's bad minute.
func judgeUnauthorized(o Outcome, body errorBody) finding {
	if f, ok := judgeRefusedOperation(o, body); ok {
		return f
	}
	switch {
	case body.says(regionPhrases):
		return fromUpstream(ReasonRegion)
	case body.says(missingPhrases):
		return fromClient(ReasonCredentialMissing)
	case body.hasCode(restrictedCodes), body.says(restrictedPhrases):
		return keySuspect(ReasonKeyRestricted)
	case body.hasCode(organizationCodes), body.says(organizationWords):
		if o.ClientAccount {
			return fromClient(ReasonWrongOrganization)
		}
		return keySuspect(ReasonWrongOrganization)
	case body.typ == "authentication_error", body.says(keyWords) && !isGoogleToken(body):
		return keyDead(ReasonInvalidKey)
	}
	return keySuspect(ReasonUnauthorized)
}

// isGoogleToken: Google answers a malformed key with 400; its 401 says that it took the value for an OAuth token.
func isGoogleToken(body errorBody) bool { return body.status == "UNAUTHENTICATED" }

func judgeForbidden(o Outcome, body errorBody) finding {
	if f, ok := judgeRefusedOperation(o, body); ok {
		return f
	}
	switch {
	case body.kind == bodyNone, body.kind == bodyText && !body.says(keyWords) && !body.says(deadSubjects): // a firewall; providers explain themselves
		return fromUpstream(ReasonEdgeBlocked)
	case body.says(regionPhrases), body.typ == "forbidden" && body.lower == "request not allowed": // Anthropic's edge
		return fromUpstream(ReasonRegion)
	case body.hasCode(contentCodes), body.says(contentPhrases), body.err.Get("metadata.flagged_input").Exists(): // the last is OpenRouter's
		return fromClient(ReasonContentPolicy)
	case body.hasCode(modelCodes), body.says(modelPhrases):
		return finding{fleet.ClassModelDenied, ActionNextKey, ReasonModelDenied}
	case body.says(missingPhrases):
		return fromClient(ReasonCredentialMissing)
	case body.hasCode(organizationCodes), body.hasReason("USER_PROJECT_DENIED"):
		if o.ClientAccount {
			return fromClient(ReasonWrongOrganization)
		}
		return keySuspect(ReasonWrongOrganization)
	case body.hasCode(restrictedCodes), body.says(restrictedPhrases), body.hasReason(restrictedReasons...):
		return keySuspect(ReasonKeyRestricted)
	case body.says(invalidKeyPhrases):
		return keyDead(ReasonInvalidKey)
	}
	return keySuspect(ReasonPermissionDenied)
}

// judgeRefusedOperation: the client asked for something that ordinary keys may not do.
func judgeRefusedOperation(o Outcome, body errorBody) (finding, bool) {
	switch {
	case strings.Contains(body.lower, "scopes: model.request"), // a scope without which a key can do nothing here
		o.Channel == fleet.ChannelOpenAIResponse && strings.Contains(body.lower, "scopes: api.responses.write"):
		return keySuspect(ReasonKeyRestricted), true
	case body.hasReason("CREDENTIALS_MISSING"), body.says(operationPhrases):
		return anotherKeyMay(ReasonOperationNotAllowed), true
	}
	return finding{}, false
}

// judgeClient names the client's mistake. A missing model may be a missing permission: the caller knows.
func judgeClient(status int, body errorBody) finding {
	switch {
	case status == http.StatusNotFound && saysModelDenied(body):
		return finding{fleet.ClassModelDenied, ActionNextKey, ReasonModelDenied}
	case body.code == "model_not_found", status == http.StatusNotFound && strings.Contains(body.lower, "model"):
		return fromClient(ReasonModelNotFound)
	case body.code == "context_length_exceeded", body.says(contextPhrases):
		return fromClient(ReasonContextLength)
	case body.hasCode(contentCodes), body.says(contentPhrases):
		return fromClient(ReasonContentPolicy)
	case status == http.StatusRequestEntityTooLarge:
		return fromClient(ReasonTooLarge)
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity:
		return fromClient(ReasonInvalidRequest)
	}
	return fromClient(reasonOfStatus(status))
}

// saysModelDenied: OpenAI words both cases alike ("The model x does not exist or you do not have access to it"), and Anthropic's
// 404 names nothing but the model. Google's 404 also comes for a method that the model lacks, which is the client's
// mistake. A name that the client made up stands behind these words, never before them.
func saysModelDenied(body errorBody) bool {
	if body.typ == "not_found_error" {
		return strings.HasPrefix(body.lower, "model:")
	}
	return (body.hasCode(modelCodes) || strings.HasPrefix(body.lower, "the model ")) && body.says(modelPhrases)
}

// isAdministrative recognises the administration of organisations and the old billing dashboard, which want keys of
// another kind and refuse ordinary ones with a 401 that reads like that of a wrong key.
func isAdministrative(path string) bool {
	first, rest := nextSegment(path)
	if isVersion(first) {
		first, _ = nextSegment(rest)
	}
	switch first {
	case "organization", "organizations", "dashboard", "usage":
		return true
	}
	return false
}

// ChoosesAccount reports whether the client's headers pick the organisation or project to work for, see Outcome.ClientAccount.
func ChoosesAccount(h http.Header) bool {
	return len(h["Openai-Organization"]) > 0 || len(h["Openai-Project"]) > 0 || len(h["X-Goog-User-Project"]) > 0
}
