// Package adminapi holds the wire types of GPT-Load's admin API, served under /api/v1 and described by
// /api/v1/openapi.json. It needs the standard library only, so that other programs may import it; the typed
// client is in package adminclient.
//
// Ids are strings, times are RFC 3339 in UTC, durations are whole milliseconds and say so in their names.
// Secrets (provider keys, proxy keys, proxy_url) are masked as "****" and the last four characters unless a call
// asks to reveal them; a masked value is refused as input. Members that an input type does not know are errors.
package adminapi

// Prefix is where every path of this package starts.
const Prefix = "/api/v1"

// MaskPrefix starts every masked secret.
const MaskPrefix = "****"
