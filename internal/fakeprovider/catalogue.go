package fakeprovider

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// catalogue is every fault by name. The texts are those that the providers' clients are known to see.
var catalogue = append(append(append([]fault{}, saidFaults...), limitFaults...), behaviourFaults...)

// Texts that stand in more than one line.
const (
	wrongOpenAIKey = "Incorrect API key provided: {masked}. You can find your API key at https://platform.openai.com/account/api-keys."
	noSuchModel    = "models/{model} is not found for API version v1beta, or is not supported for {action}. Call ListModels to see the list of available models and their supported methods."
	overloaded     = "The model is overloaded. Please try again later."
	denied         = "Permission denied: Consumer 'api_key:{key}' has been suspended."
	serverTrouble  = "The server had an error while processing your request. Sorry about that!"
)

func errorInfo(reason string) string {
	return `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"` + reason +
		`","domain":"googleapis.com","metadata":{"service":"generativelanguage.googleapis.com"}}`
}

var saidFaults = []fault{
	{name: "400", means: "bad request", say: each(
		said{status: 400, message: "Invalid type for 'temperature': expected a decimal, but got a string instead.", code: "invalid_type"},
		said{status: 400, message: "temperature: Input should be a valid number"},
		said{status: 400, message: "Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"hot\""})},
	{name: "400-context", means: "the prompt is longer than the context", say: each(
		said{status: 400, code: "context_length_exceeded", message: "This model's maximum context length is 128000 tokens. However, your messages resulted in 140000 tokens. Please reduce the length of the messages."},
		said{status: 400, message: "prompt is too long: 210000 tokens > 200000 maximum"},
		said{status: 400, message: "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576)."})},
	{name: "400-policy", means: "content policy", say: each(
		said{status: 400, code: "content_policy_violation", message: "Your request was rejected as a result of our safety system."},
		said{status: 400, message: "Output blocked by content filtering policy"},
		said{status: 400, message: "The request was blocked by safety settings."})},
	{name: "400-credit", means: "Anthropic: no credit left", say: everybody(
		said{status: 400, message: "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."})},
	{name: "400-key-invalid", means: "Gemini: API_KEY_INVALID", say: everybody(said{
		status: 400, message: "API key not valid. Please pass a valid API key.",
		details: []string{errorInfo("API_KEY_INVALID"), `{"@type":"type.googleapis.com/google.rpc.LocalizedMessage","locale":"en-US","message":"API key not valid. Please pass a valid API key."}`},
	})},
	{name: "400-key-expired", means: "Gemini: API_KEY_INVALID, expired", say: everybody(said{
		status: 400, message: "API key expired. Please renew the API key.", details: []string{errorInfo("API_KEY_INVALID")},
	})},
	{name: "400-location", means: "Gemini: the exit address is in an unsupported country", say: everybody(said{
		status: 400, kind: "FAILED_PRECONDITION", message: "User location is not supported for the API use.",
	})},
	{name: "401", means: "dead key", say: each(
		said{status: 401, code: "invalid_api_key", message: wrongOpenAIKey},
		said{status: 401, message: "invalid x-api-key"},
		said{status: 401, message: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential."})},
	{name: "401-echo", means: "dead key, and the error repeats the whole key", say: everybody(
		said{status: 401, code: "invalid_api_key", message: "Invalid token: {key}"})},
	{name: "401-organization", means: "the account, not surely the key", say: each(
		said{status: 401, message: "You must be a member of an organization to use the API. Please contact us through our help center at help.openai.com."},
		said{status: 401, message: "OAuth authentication is currently not allowed for this organization."},
		said{status: 401, message: "The caller does not belong to an organization that may use this API."})},
	{name: "401-mismatch", means: "OpenAI: organization header of another account", say: everybody(
		said{status: 401, code: "mismatched_organization", message: "OpenAI-Organization header should match organization for API key"})},
	{name: "401-azure", means: "Azure: wrong subscription key", say: everybody(
		said{status: 401, code: "401", message: "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."})},
	{name: "402", means: "no credits, as OpenRouter says it", say: everybody(
		said{status: 402, message: "Insufficient credits. Add more using https://openrouter.ai/settings/credits"})},
	{name: "403-suspended", means: "key suspended", say: each(
		said{status: 403, message: "Your account has been suspended.", code: "account_suspended"},
		said{status: 403, message: "This account has been suspended."},
		said{status: 403, message: denied, details: []string{errorInfo("CONSUMER_SUSPENDED")}})},
	{name: "403-disabled", means: "organisation disabled", say: everybody(
		said{status: 403, code: "account_deactivated", message: "This organization has been disabled."})},
	{name: "403-leaked", means: "Gemini: key reported as leaked", say: everybody(
		said{status: 403, message: "Your API key was reported as leaked. Please use another API key."})},
	{name: "403-country", means: "the exit address, not the key", say: each(
		said{status: 403, kind: "request_forbidden", code: "unsupported_country_region_territory", message: "Country, region, or territory not supported"},
		said{status: 403, kind: "forbidden", message: "Request not allowed"},
		said{status: 403, message: "User location is not supported for the API use."})},
	{name: "403-permission", means: "the key lacks a permission", say: each(
		said{status: 403, code: "insufficient_permissions", message: "You have insufficient permissions for this operation. Missing scopes: model.request."},
		said{status: 403, message: "Your API key does not have permission to use the specified resource."},
		said{status: 403, message: "The caller does not have permission"})},
	{name: "403-service-disabled", means: "Gemini: API not enabled in the project", say: everybody(said{
		status: 403, message: "Generative Language API has not been used in project 1234567890 before or it is disabled.", details: []string{errorInfo("SERVICE_DISABLED")},
	})},
	{name: "403-service-blocked", means: "Gemini: the key may not use this API", say: everybody(said{
		status: 403, message: "Requests to this API generativelanguage.googleapis.com method google.ai.generativelanguage.v1beta.GenerativeService.GenerateContent are blocked.", details: []string{errorInfo("API_KEY_SERVICE_BLOCKED")},
	})},
	{name: "403-model", means: "this key lacks this model", say: each(
		said{status: 403, code: "model_not_found", message: "Project `proj_fake` does not have access to model `{model}`"},
		said{status: 403, message: "Your API key does not have access to model {model}."},
		said{status: 403, message: "Permission denied on resource model {model}."})},
	{name: "403-html", means: "an edge's page", say: page(403, "Attention Required! | Cloudflare", "Sorry, you have been blocked. You are unable to access this provider.")},
	{name: "403-quota", means: "a reseller's localised exhaustion", say: everybody(
		said{status: 403, kind: "new_api_error", code: "insufficient_user_quota", message: "用户额度不足, 剩余额度: $0.000000 (quota exhausted)"})},
	{name: "404", means: "no such path", say: each(
		said{status: 404, message: "Invalid URL (POST /v1/unknown)"},
		said{status: 404, message: "Not Found"},
		said{status: 404, message: "Method not found."})},
	{name: "404-model", means: "no such model", say: each(
		said{status: 404, code: "model_not_found", message: "The model `{model}` does not exist or you do not have access to it."},
		said{status: 404, message: "model: {model}"},
		said{status: 404, message: noSuchModel})},
	{name: "405", means: "wrong method", say: each(
		said{status: 405, code: "method_not_supported", message: "Not allowed to POST on /v1/models. (HINT: Perhaps you meant to make a GET request instead?)"},
		said{status: 405, message: "Method Not Allowed"},
		said{status: 405, message: "Request method not allowed."})},
	{name: "408", means: "the provider waited too long for the request", say: everybody(said{status: 408, message: "Request timed out."})},
	{name: "413", means: "request too large", say: each(
		said{status: 413, message: "Maximum content size limit exceeded."},
		said{status: 413, message: "Request exceeds the maximum size"},
		said{status: 413, message: "Request payload size exceeds the limit: 20971520 bytes."})},
	{name: "415", means: "wrong content type", say: everybody(said{status: 415, message: "Unsupported content type: 'text/plain'. This API method only accepts 'application/json' requests."})},
	{name: "422", means: "not processable", say: everybody(said{status: 422, message: "Unprocessable entity: messages.0.role must be one of user, assistant."})},
	{name: "500", means: "provider error", say: each(
		said{status: 500, message: serverTrouble},
		said{status: 500, message: "Internal server error"},
		said{status: 500, message: "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting"})},
	{name: "502-html", means: "an edge's page", say: page(502, "502 Bad Gateway", "The server returned an invalid or incomplete response.")},
	{name: "503", means: "overloaded", say: each(
		said{status: 503, kind: "service_unavailable_error", message: "The server is currently overloaded with other requests. Sorry about that! You can retry your request."},
		said{status: 503, message: "Service unavailable"},
		said{status: 503, message: overloaded})},
	{name: "504", means: "deadline exceeded", say: each(
		said{status: 504, message: "Gateway timeout"},
		said{status: 504, message: "Request timed out."},
		said{status: 504, message: "Deadline expired before operation could complete."})},
	{name: "520", means: "an edge's page", say: page(520, "520: Web server is returning an unknown error", "Error code 520")},
	{name: "521", means: "an edge's page", say: page(521, "521: Web server is down", "Error code 521")},
	{name: "522", means: "an edge's page", say: page(522, "522: Connection timed out", "Error code 522")},
	{name: "523", means: "an edge's page", say: page(523, "523: Origin is unreachable", "Error code 523")},
	{name: "524", means: "an edge's page", say: page(524, "524: A timeout occurred", "Error code 524")},
	{name: "529", means: "Anthropic: overloaded", say: each(
		said{status: 529, message: overloaded},
		said{status: 529, message: "Overloaded"},
		said{status: 529, message: overloaded})},
}

var limitFaults = []fault{
	{name: "429", means: "rate limited, without a hint", say: limited(nil)},
	{name: "429-seconds", means: "Retry-After in seconds", say: limited(func(t *telling, s *said) {
		s.set("Retry-After", strconv.Itoa(t.seconds()))
	})},
	{name: "429-date", means: "Retry-After as an HTTP date", say: limited(func(t *telling, s *said) {
		s.set("Retry-After", t.reset().Add(time.Second-1).Format(http.TimeFormat)) // dates have no fractions: up
	})},
	{name: "429-ms", means: "retry-after-ms", say: limited(func(t *telling, s *said) {
		s.set("retry-after-ms", strconv.FormatInt(t.wait.Milliseconds(), 10))
	})},
	{name: "429-azure-ms", means: "x-ms-retry-after-ms", say: limited(func(t *telling, s *said) {
		s.set("x-ms-retry-after-ms", strconv.FormatInt(t.wait.Milliseconds(), 10))
	})},
	{name: "429-reset", means: "only the provider's own reset: x-ratelimit-reset-*, anthropic-ratelimit-*-reset, or RetryInfo", say: limited(ownReset)},
	{name: "429-epoch", means: "OpenRouter: X-RateLimit-Reset in milliseconds since 1970", say: limited(func(t *telling, s *said) {
		s.set("X-RateLimit-Limit", "20")
		s.set("X-RateLimit-Remaining", "0")
		s.set("X-RateLimit-Reset", strconv.FormatInt(t.reset().UnixMilli(), 10))
	})},
	{name: "429-text", means: "OpenAI: Please try again in 20s", say: limited(func(t *telling, s *said) {
		s.message += " Please try again in " + t.wait.String() + "."
	})},
	{name: "429-perday", means: "Gemini: QuotaFailure per day; RetryInfo that does not know it", say: limited(perDay)},
	{name: "429-quota", means: "no money left: OpenAI insufficient_quota", say: each(
		said{status: 429, kind: "insufficient_quota", code: "insufficient_quota", message: "You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."},
		said{status: 429, message: "You have reached your specified API usage limits. You will regain access on the first of next month."},
		said{status: 429, message: "Your prepayment credits are depleted. Please go to AI Studio to manage your project and billing."})},
}

// ownReset says when the limit resets in the headers or details that only this provider has.
func ownReset(t *telling, s *said) {
	switch t.dialect {
	case dialectAnthropic:
		s.set("anthropic-ratelimit-requests-limit", "50")
		s.set("anthropic-ratelimit-requests-remaining", "0")
		s.set("anthropic-ratelimit-requests-reset", t.reset().Format(time.RFC3339Nano))
		s.set("anthropic-ratelimit-tokens-limit", "100000")
		s.set("anthropic-ratelimit-tokens-remaining", "90000")
		s.set("anthropic-ratelimit-tokens-reset", t.reset().Add(time.Hour).Format(time.RFC3339)) // not the limit that was hit
	case dialectGemini, dialectGeminiCompat:
		s.details = append(s.details, violation("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", t.model), retryInfo(t.wait))
	case dialectOpenAI, dialectResponses:
		s.set("x-ratelimit-limit-requests", "3")
		s.set("x-ratelimit-remaining-requests", "0")
		s.set("x-ratelimit-reset-requests", t.wait.String())
		s.set("x-ratelimit-limit-tokens", "100000")
		s.set("x-ratelimit-remaining-tokens", "90000")
		s.set("x-ratelimit-reset-tokens", "6m0s") // not the limit that was hit
	}
}

func perDay(t *telling, s *said) {
	s.message = "You exceeded your current quota, please check your plan and billing details."
	s.details = append(s.details, violation("GenerateRequestsPerDayPerProjectPerModel-FreeTier", t.model), retryInfo(t.wait))
}

func violation(quotaID, model string) string {
	return `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"generativelanguage.googleapis.com/generate_content_free_tier_requests","quotaId":"` +
		quotaID + `","quotaDimensions":{"location":"global","model":` + quote(model) + `},"quotaValue":"15"}]}`
}

func retryInfo(wait time.Duration) string {
	seconds := strings.TrimSuffix(strconv.FormatFloat(wait.Seconds(), 'f', -1, 64), ".0")
	return `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"` + seconds + `s"}`
}
