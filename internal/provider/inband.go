package provider

import (
	"net/http"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"
)

// wordStatus gives the status under which providers send an error's code or type when it is not inside a 200. Sources: the error tables of
// OpenAI, Anthropic (docs, "Errors") and google.rpc.Code.
var wordStatus = map[string]int{
	"invalid_api_key": 401, "authentication_error": 401, "unauthorized": 401, "account_deactivated": 401, "invalid_authentication_error": 401,
	"unauthenticated": 401, "invalid_organization": 401, "mismatched_organization": 401, "mismatched_project": 401,
	"insufficient_credits": 402, "billing_error": 402, "payment_required": 402, "insufficient_balance": 402,
	"permission_error": 403, "permission_denied": 403, "forbidden": 403, "unsupported_country_region_territory": 403, "insufficient_user_quota": 403,
	"model_not_found": 404, "not_found_error": 404, "not_found": 404,
	"request_too_large":  413,
	"insufficient_quota": 429, "rate_limit_exceeded": 429, "rate_limit_error": 429, "rate_limited": 429, "too_many_requests": 429, "resource_exhausted": 429,
	"tokens": 429, "requests": 429, "billing_not_active": 429, "billing_hard_limit_reached": 429, "exceeded_current_quota_error": 429,
	"rate_limit_reached_error": 429, "usage_limit_reached": 429, "throttling": 429, "throttlingexception": 429,
	"invalid_request_error": 400, "invalid_argument": 400, "failed_precondition": 400, "out_of_range": 400, "bad_request": 400, "invalid_prompt": 400,
	"context_length_exceeded": 400, "string_above_max_length": 400, "unsupported_parameter": 400, "unsupported_value": 400, "data_residency_mismatch": 400,
	"server_error": 500, "api_error": 500, "internal_server_error": 500, "internal_error": 500, "internal": 500, "unknown": 500, "data_loss": 500,
	"bad_gateway": 502, "upstream_error": 502,
	"service_unavailable": 503, "unavailable": 503, "aborted": 503, "engine_overloaded": 503, "engine_overloaded_error": 503, "vector_store_timeout": 504,
	"timeout_error": 504, "timeout": 504, "deadline_exceeded": 504, "gateway_timeout": 504, "cancelled": 499,
	"overloaded_error": 529, "overloaded": 529, "server_overloaded": 529,
}

// inBandStatus gives an error that stood inside a 200 the status it would have had. The code is more exact than the type
// ("invalid_request_error" with "rate_limit_exceeded" exists). An error that says nothing known is the provider's failure: no
// key is touched and another try may help.
func inBandStatus(body errorBody) int {
	if body.number != 0 {
		return body.number
	}
	for _, word := range [...]string{body.code, strings.ToLower(body.status), body.typ} {
		if status, ok := wordStatus[word]; ok {
			return status
		}
	}
	switch {
	case body.hasCode(contentCodes), isImageCode(body.code), body.says(contentPhrases), body.says(contextPhrases):
		return http.StatusBadRequest
	case body.hasCode(deadCodes), body.begins(deadStarts):
		return http.StatusUnauthorized
	case body.hasCode(exhaustedCodes), body.begins(exhaustedStarts), body.begins(usageLimitStarts):
		return http.StatusTooManyRequests
	case strings.Contains(body.lower, "overloaded"):
		return 529
	case strings.Contains(body.lower, "rate limit"), strings.Contains(body.lower, "too many requests"):
		return http.StatusTooManyRequests
	}
	return http.StatusInternalServerError
}

// isImageCode matches the response error codes about an input image (invalid_image_url, image_too_large, empty_image_file,
// failed_to_download_image ...).
func isImageCode(code string) bool {
	return strings.Contains(code, "image") && code != "image_generation_error"
}

// withheldReason reads from a 200 without content that the request itself is the cause: the content was withheld (Gemini's
// promptFeedback.blockReason and finishReason, OpenAI's content_filter, Anthropic's refusal) or the client allowed
// fewer tokens than the model spent on thinking. Empty: no such cause is named.
func withheldReason(raw []byte) string {
	if len(raw) == 0 {
		return ""
	}
	top := gjson.Parse(unsafe.String(unsafe.SliceData(raw), len(raw)))
	if top.IsArray() {
		top = firstElement(top)
	}
	if top.Get("promptFeedback.blockReason").Str != "" {
		return ReasonContentPolicy
	}
	switch firstOf(top, "candidates.0.finishReason", "choices.0.finish_reason", "stop_reason", "incomplete_details.reason").Str {
	case "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
		"content_filter", "refusal":
		return ReasonContentPolicy
	case "MAX_TOKENS", "length", "max_tokens", "max_output_tokens":
		return ReasonOutputLimit
	}
	return ""
}
