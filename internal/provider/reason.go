package provider

// The reasons: a closed set, so that they may label metrics. Those of a status nobody explained are
// "http_" and the status, from reasonOfStatus.
const (
	ReasonOK         = "ok"
	ReasonClientGone = "client_gone"

	// The key.
	ReasonInvalidKey        = "invalid_api_key"
	ReasonAccountDisabled   = "account_disabled" // suspended, deactivated, leaked, terminated
	ReasonInsufficientQuota = "insufficient_quota"
	ReasonUsageLimit        = "usage_limit" // a spending limit with a stated end
	ReasonRateLimited       = "rate_limited"
	ReasonDailyQuota        = "daily_quota"
	ReasonWrongOrganization = "wrong_organization"
	ReasonKeyRestricted     = "key_restricted" // by address, referrer, service
	ReasonUnauthorized      = "unauthorized"   // 401 without an explanation
	ReasonPermissionDenied  = "permission_denied"
	ReasonModelDenied       = "model_denied"

	// The client.
	ReasonInvalidRequest      = "invalid_request"
	ReasonContextLength       = "context_length_exceeded"
	ReasonContentPolicy       = "content_policy"
	ReasonOutputLimit         = "output_limit" // nothing left to say within the tokens that the client allowed
	ReasonModelNotFound       = "model_not_found"
	ReasonTooLarge            = "request_too_large"
	ReasonOverLimitAlone      = "request_exceeds_limit" // one request larger than the whole allowance
	ReasonOperationNotAllowed = "operation_not_allowed" // needs another kind of credential, a scope, or somebody else's file
	ReasonCredentialMissing   = "credential_missing"    // the provider saw none: a header rule or a wrong channel

	// The provider and the way to it.
	ReasonOverloaded       = "overloaded"
	ReasonRegion           = "region_not_supported"
	ReasonEdgeBlocked      = "edge_blocked"
	ReasonEmptyAnswer      = "empty_answer"
	ReasonProxyAuth        = "proxy_authentication"
	ReasonRefused          = "connection_refused"
	ReasonUnreachable      = "unreachable"
	ReasonDNS              = "dns_failure"
	ReasonTLS              = "tls_failure"
	ReasonReset            = "connection_reset"
	ReasonClosedEarly      = "closed_before_headers"
	ReasonCut              = "answer_cut" // broken off after its header
	ReasonTimeoutConnect   = "timeout_connect"
	ReasonTimeoutHeaders   = "timeout_headers"
	ReasonTimeoutToken     = "timeout_first_token"
	ReasonTimeoutIdle      = "timeout_stream_idle"
	ReasonTimeoutRequest   = "timeout_request"
	ReasonBlockedAddress   = "blocked_address"
	ReasonMalformedAnswer  = "malformed_answer"
	ReasonProxyFailure     = "proxy_failure"
	ReasonConnectionFailed = "connection_failed"

	// The gateway itself.
	ReasonAborted       = "aborted"
	ReasonInvalidHeader = "invalid_request_header"
	ReasonBodyTooLarge  = "body_too_large"
)

// reasonOfStatus names a status from 100 to 599; all others share one word.
func reasonOfStatus(status int) string {
	if status < 100 || status > 599 {
		return "http_other"
	}
	return "http_" + string([]byte{byte('0' + status/100), byte('0' + status/10%10), byte('0' + status%10)})
}
