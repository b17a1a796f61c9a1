package provider

import "strings"

// The words by which providers say what is wrong. Codes and types are compared whole and in lower case; phrases stand
// in the message. A message of a 400 may quote the client's own text, so there a phrase counts only at the message's beginning.

var deadCodes = wordSet(
	"invalid_api_key",              // OpenAI, Groq, Mistral and most of their kind
	"api_key_invalid",              // Google's reason, repeated as a code by gateways
	"invalidapikey",                // DashScope
	"invalid_authentication_error", // Moonshot
	"invalid_token", "token_revoked", "token_invalidated", "key_revoked",
)

var closedCodes = wordSet(
	"account_deactivated",      // OpenAI
	"organization_deactivated", // OpenAI
	"access_terminated",        // OpenAI
	"organization_restricted",  // Groq, as a 400
)

var exhaustedCodes = wordSet(
	"insufficient_quota",                    // OpenAI; as type on Perplexity's 401
	"billing_not_active",                    // OpenAI
	"billing_hard_limit_reached",            // OpenAI images, as a 400
	"billing_error",                         // Anthropic
	"insufficient_user_quota",               // new-api
	"pre_consume_token_quota_failed",        // new-api
	"insufficient_balance",                  //
	"insufficient_credits",                  //
	"exceeded_current_quota_error",          // Moonshot
	"arrearage",                             // DashScope, as a 400
	"allocationquota.freetieronly",          // DashScope
	"accountoverdueerror",                   // Volcengine
	"quota_exceeded",                        // ElevenLabs
	"1113",                                  // Zhipu
	"30001",                                 // SiliconFlow
	"payment_required", "credits_exhausted", //
	"quota_not_enough", "token_quota_exhausted", //
)

// exhaustedStarts may begin the message of any status that can blame a key, 400 included.
var exhaustedStarts = []string{
	"your credit balance is too low",                                    // Anthropic, 400
	"you have reached your specified api usage limits",                  // Anthropic, 400
	"billing hard limit has been reached",                               // OpenAI, 400
	"access denied, please make sure your account is in good standing",  // DashScope, 400
	"insufficient balance", "insufficient credit", "insufficient quota", //
}

// usageLimitStarts begin a refusal that names its end ("You will regain access on 2025-07-01 at 00:00 UTC").
var usageLimitStarts = []string{"you have reached your specified api usage limits"} // Anthropic, 400

// depletedPhrases tell Google's empty purse from its rate limits, which share status and wording otherwise.
var depletedPhrases = []string{"credits are depleted", "credits have been depleted", "spending cap", "spend cap"}

// exhaustedPhrases may stand anywhere in a 401, 402, 403 or 429.
var exhaustedPhrases = []string{
	"insufficient balance", "insufficient credit", "insufficient quota", "insufficient fund", "insufficient_quota",
	"balance is insufficient", "balance is not enough", "balance not enough", "not enough credit", "out of credit",
	"credit balance is", "credits are depleted", "credits have been depleted", "have any credits", "used all available credits",
	"exceeded your current quota", "quota exhausted", "quota is exhausted", "quota has been exhausted", "quota is not enough",
	"key limit exceeded", // OpenRouter
	"spending limit", "account is not active, please check your billing",
	"余额不足", "额度不足", "额度已用", "配额不足", "配额已用", "欠费", "请充值",
}

// deadStarts may begin the message of any status, 400 included; the first keyStarts of them say that the key is wrong, the
// others that it or its account was shut.
var deadStarts = []string{
	"api key not valid", "api key not found", "api key expired", // Gemini
	"incorrect api key provided", // OpenAI 401, xAI 400
	"invalid api key", "invalid api-key", "invalid x-api-key",
	"your api key was reported as leaked", // Gemini
	"this organization has been disabled", // Anthropic, 400 and 403
}

const keyStarts = 7

// invalidKeyPhrases: some send 403 where 401 is meant.
var invalidKeyPhrases = []string{"invalid api key", "invalid api-key", "invalid key", "incorrect api key", "api key is invalid", "api key invalid", "key is not valid", "invalid token", "无效的令牌", "无效的密钥"}

// deadSubjects and deadPredicates together say that an account is closed; a predicate alone ("it is disabled", "this
// model has been disabled") says nothing about the key.
var (
	deadSubjects = []string{
		"organization", "organisation", "account", "api key", "api_key", "api-key", "this key", "your key", "the key", "token", "user ",
		"consumer", "账户", "账号", "令牌", "密钥", "用户",
	}
	deadPredicates = []string{
		"been disabled", "is disabled", "suspended", "deactivated", "revoked", "been banned", "is banned", "terminated", "been deleted",
		"reported as leaked", "has expired", "is expired", "已被禁用", "已禁用", "被封禁", "已过期", "已失效", "已被封",
	}
)

// keyWords make a 401 speak of the credential.
var keyWords = []string{
	"key", "token", "credential", "authenticat", "bearer", "jwt", "secret", "令牌", "密钥", "鉴权", "认证", "身份验证",
}

// missingPhrases: the provider saw no credential at all. Header rules or a wrong channel do that; the key was not looked at.
var missingPhrases = []string{
	"you didn't provide an api key", "x-api-key header is required", "no auth credentials found", "no api key", "missing api key",
	"missing authentication", "missing bearer", "missing authorization", "unregistered callers", "api key is missing", "no cookie auth",
}

// organizationWords: the key is good, its account or the account asked for is not.
var organizationWords = []string{"organization", "organisation", "member of", "project", "workspace"}

var organizationCodes = wordSet("mismatched_organization", "invalid_organization", "mismatched_project", "invalid_project", "project_archived",
	"no_such_organization", "organization_not_found")

// restrictedPhrases: the key's owner allows it from certain addresses only.
var restrictedPhrases = []string{"ip not authorized", "ip address", "request ip", "allowlist", "whitelist", "referer", "referrer", "ip白名单"}

// restrictedReasons are Google's.
var restrictedReasons = []string{
	"SERVICE_DISABLED", "API_KEY_SERVICE_BLOCKED", "API_KEY_HTTP_REFERRER_BLOCKED", "API_KEY_IP_ADDRESS_BLOCKED",
	"API_KEY_ANDROID_APP_BLOCKED", "API_KEY_IOS_APP_BLOCKED", "SECURITY_POLICY_VIOLATED",
}

var restrictedCodes = wordSet("ip_not_authorized", "ip_not_allowed")

// regionPhrases: our exit address is not welcome, whatever the key.
var regionPhrases = []string{
	"country, region, or territory", "unsupported_country", "user location is not supported", "location is not supported",
	"not available in your country", "not available in your region", "region is not supported", "country is not supported", "not supported in your region",
	"check your network settings",                   // Groq
	"virtual network/firewall rules",                // Azure
	"private endpoint", "public access is disabled", // Azure
}

var regionCodes = wordSet("unsupported_country_region_territory", "unsupported_region", "unsupported_country")

// operationPhrases: this operation is not for keys of this kind, or the thing asked for belongs to somebody else. A
// pool's keys are of many accounts, so another key may be the right one.
var operationPhrases = []string{
	"insufficient permissions for this operation", // OpenAI, restricted keys
	"missing scopes", "missing scope", // OpenAI
	"you do not have permission to access the file", // Gemini: files belong to a project
	"you do not have permission to access tuned model",
	"(or permission denied)",                          // Gemini: cachedContents
	"api keys are not supported by",                   // Google: this method wants OAuth
	"requires an admin", "admin key", "admin api key", // OpenAI and Anthropic administration
	"session key", // OpenAI dashboard
}

// modelPhrases: the key has no access to the model, or the model does not exist; the providers do not say which.
var modelPhrases = []string{
	"access to model", "access to the model", "access to it", "access to this model", "allowed to access model", "allowed to use model", "no permission to use model",
	"not authorized to use model", "无权使用模型", "无权访问模型",
}

var modelCodes = wordSet("model_not_found", "model_not_allowed", "model_access_denied")

// contextPhrases and contentPhrases only sharpen the reason of a client's mistake; contentPhrases also clear the key in a 403.
var contextPhrases = []string{"context length", "context window", "maximum context", "prompt is too long", "input is too long", "input token count", "too many tokens"}

var contentPhrases = []string{"content policy", "content_policy", "content filter", "usage guidelines", "usage policies", "requires moderation", "was flagged", "safety system", "sensitive"}

var contentCodes = wordSet("content_filter", "content_policy_violation", "image_content_policy_violation", "bio_policy", "misalignment_policy_violation",
	"moderation_blocked", "sensitive_words_detected", "prompt_blocked", "data_inspection_failed", "datainspectionfailed", "responsibleaipolicyviolation")

// oversizePhrases: a 402 or 429 that this one request would get from an idle key of the same tier too.
var oversizePhrases = []string{
	"request too large for",                    // OpenAI: tokens per minute below the size of the request
	"extra usage is required for long context", // Anthropic
	"but can only afford",                      // OpenRouter, 402: lower max_tokens would pass
	"prompt tokens limit exceeded",             // OpenRouter, 402
}

func wordSet(words ...string) map[string]struct{} {
	set := make(map[string]struct{}, len(words))
	for _, word := range words {
		set[word] = struct{}{}
	}
	return set
}

// hasCode looks for a whole code or type.
func (b errorBody) hasCode(set map[string]struct{}) bool {
	for _, word := range [...]string{b.code, b.typ, b.status} {
		if _, ok := set[word]; ok {
			return true
		}
	}
	return false
}

// says looks for a phrase anywhere in the message.
func (b errorBody) says(phrases []string) bool {
	for _, phrase := range phrases {
		if strings.Contains(b.lower, phrase) {
			return true
		}
	}
	return false
}

// begins looks for a phrase at the beginning of the message.
func (b errorBody) begins(phrases []string) bool {
	for _, phrase := range phrases {
		if strings.HasPrefix(b.lower, phrase) {
			return true
		}
	}
	return false
}

// hasReason looks for Google's ErrorInfo reasons.
func (b errorBody) hasReason(reasons ...string) bool {
	for _, have := range b.reasons {
		for _, want := range reasons {
			if have == want {
				return true
			}
		}
	}
	return false
}

// saysAccountClosed wants the subject within the same clause as the predicate.
func (b errorBody) saysAccountClosed() bool {
	const clause = 80 // bytes before the predicate in which its subject stands
	for _, predicate := range deadPredicates {
		i := strings.Index(b.lower, predicate)
		if i < 0 {
			continue
		}
		before := b.lower[max(0, i-clause) : i+len(predicate)]
		for _, subject := range deadSubjects {
			if strings.Contains(before, subject) {
				return true
			}
		}
	}
	return false
}
