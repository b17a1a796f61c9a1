package metrics

import (
	"net/http"
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/provider"
)

const (
	// other sums up what has no label of its own. A group cannot have this name.
	other = "(other)"
	// none is the group of requests that named no group there is.
	none = "(none)"
)

// classes are the values of the label class.
var classes = []fleet.Class{
	fleet.ClassOK, fleet.ClassClient, fleet.ClassCanceled, fleet.ClassKeyDead, fleet.ClassKeyExhausted, fleet.ClassKeySuspect,
	fleet.ClassLimited, fleet.ClassModelDenied, fleet.ClassUpstream, fleet.ClassGateway,
}

const classCount = 10

// classIndex is the place of a class in classes. Ten short words are compared faster than hashed.
func classIndex(class fleet.Class) int {
	for i, c := range classes {
		if c == class {
			return i
		}
	}
	return classCount - 1
}

// families are the values of the label status. 499 stands for a client that went away.
var families = []string{"none", "1xx", "2xx", "3xx", "4xx", "5xx", "499"}

const familyCount = 7

func familyIndex(status int) int {
	switch {
	case status == fleet.StatusClientGone:
		return familyCount - 1
	case status >= http.StatusContinue && status < 600:
		return status / 100
	default:
		return 0
	}
}

// reasons are the values of the label reason: the words of package provider, unexplained statuses by their hundred, and
// one for whatever a later version may bring.
var reasons = []string{
	provider.ReasonOK, provider.ReasonClientGone,
	provider.ReasonInvalidKey, provider.ReasonAccountDisabled, provider.ReasonInsufficientQuota, provider.ReasonUsageLimit,
	provider.ReasonRateLimited, provider.ReasonDailyQuota, provider.ReasonWrongOrganization, provider.ReasonKeyRestricted,
	provider.ReasonUnauthorized, provider.ReasonPermissionDenied, provider.ReasonModelDenied,
	provider.ReasonInvalidRequest, provider.ReasonContextLength, provider.ReasonContentPolicy, provider.ReasonOutputLimit,
	provider.ReasonModelNotFound, provider.ReasonTooLarge, provider.ReasonOverLimitAlone, provider.ReasonOperationNotAllowed,
	provider.ReasonCredentialMissing,
	provider.ReasonOverloaded, provider.ReasonRegion, provider.ReasonEdgeBlocked, provider.ReasonEmptyAnswer, provider.ReasonProxyAuth,
	provider.ReasonRefused, provider.ReasonUnreachable, provider.ReasonDNS, provider.ReasonTLS, provider.ReasonReset,
	provider.ReasonClosedEarly, provider.ReasonCut, provider.ReasonTimeoutConnect, provider.ReasonTimeoutHeaders,
	provider.ReasonTimeoutToken, provider.ReasonTimeoutIdle, provider.ReasonTimeoutRequest, provider.ReasonBlockedAddress,
	provider.ReasonMalformedAnswer, provider.ReasonProxyFailure, provider.ReasonConnectionFailed,
	provider.ReasonAborted, provider.ReasonInvalidHeader, provider.ReasonBodyTooLarge,
	"http_3xx", "http_4xx", "http_5xx", other,
}

var reasonPlaces = func() map[string]int {
	places := make(map[string]int, len(reasons))
	for i, reason := range reasons {
		places[reason] = i
	}
	return places
}()

// reasonLabel is the label for a reason, whatever its text.
func reasonLabel(reason string) string { return reasons[reasonIndex(reason)] }

func reasonIndex(reason string) int {
	if digits, ok := strings.CutPrefix(reason, "http_"); ok && len(digits) == 3 {
		reason = "http_" + digits[:1] + "xx"
	}
	if i, ok := reasonPlaces[reason]; ok {
		return i
	}
	return len(reasons) - 1
}

// channelLabel is the label for a channel; requests without a group have none.
func channelLabel(channel fleet.Channel) string {
	for _, known := range fleet.Channels {
		if channel == known {
			return string(channel)
		}
	}
	return none
}
