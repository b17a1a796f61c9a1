package settings

import (
	"time"

	"gpt-load/internal/secret"
)

// Kind is the type of a setting on the wire and in forms.
type Kind string

// The kinds.
const (
	KindInt    Kind = "integer"
	KindBool   Kind = "boolean"
	KindString Kind = "string"
)

// Descriptor is one line of the table: everything that the API, the console, the documents and the
// parser need to know of a setting.
type Descriptor struct {
	Name          string
	Section       string // where it is shown: basic, requests, connections, keys, streams
	Kind          Kind
	Unit          string // of a KindInt: seconds, minutes, days; empty for a plain count
	Default       string // canonical text
	Min, Max      int64  // of a KindInt, both inclusive
	GroupOverride bool   // a group may override it
	Secret        bool   // never shown in clear outside the settings API, encrypted at rest
	Doc           string

	// apply checks a canonical text and puts it into the values.
	apply func(v *Values, text string) error
}

// Table lists every dynamic setting in the order in which they are shown.
func Table() []Descriptor { return table }

// Find returns the descriptor of a name.
func Find(name string) (Descriptor, bool) {
	i, ok := byName[name]
	if !ok {
		return Descriptor{}, false
	}
	return table[i], true
}

var byName = func() map[string]int {
	index := make(map[string]int, len(table))
	for i, d := range table {
		index[d.Name] = i
	}
	return index
}()

const day = 24 * time.Hour

// The defaults and names are those of GPT-Load 1.x where it has the setting.
var table = []Descriptor{
	text("app_url", "basic", "", "Public base URL of this installation, used in links and snippets. Empty takes the address of the request.",
		func(v *Values, s string) error { return parseBaseURL(s, &v.AppURL) }),
	secretText("proxy_keys", "basic", "Keys that clients may use for every group, separated by commas. Starts as AUTH_KEY.",
		func(v *Values, s string) error { return parseKeyList(s, &v.ProxyKeys) }),
	span("request_log_retention_days", "basic", "days", day, 7, 0, 3650, false, "How long request records are kept. 0 keeps them for ever.",
		func(v *Values) *time.Duration { return &v.RequestLogRetention }),
	span("request_log_write_interval_minutes", "basic", "minutes", time.Minute, 1, 0, 60, false, "How often spooled request records are written to the database. 0 writes every second.",
		func(v *Values) *time.Duration { return &v.RequestLogWriteInterval }),
	flag("enable_request_body_logging", "basic", true, "Keep the first 64 KiB of request and response bodies with each record. They may hold personal data.",
		func(v *Values) *bool { return &v.RequestBodyLogging }),

	span("request_timeout", "requests", "seconds", time.Second, 600, 1, 86400, true, "Longest time for one whole request that is not a stream, retries included. A stream must start within it.",
		func(v *Values) *time.Duration { return &v.RequestTimeout }),
	count("max_retries", "requests", 3, 0, 20, true, "Extra attempts of one request after its first one.",
		func(v *Values) *int { return &v.MaxRetries }),
	overridable(text("failover_status_codes", "requests", "", "Upstream statuses that are tried again with another key, such as 429,500-599. Empty leaves it to the verdict table. What a status means for the key does not change.",
		func(v *Values, s string) (err error) { v.FailoverStatusCodes, err = ParseStatusCodes(s); return err })),

	span("connect_timeout", "connections", "seconds", time.Second, 15, 1, 300, true, "Longest time to connect to an upstream, TLS included.",
		func(v *Values) *time.Duration { return &v.ConnectTimeout }),
	span("response_header_timeout", "connections", "seconds", time.Second, 600, 1, 86400, true, "Longest time from the end of the request to the upstream's response header.",
		func(v *Values) *time.Duration { return &v.ResponseHeaderTimeout }),
	span("idle_conn_timeout", "connections", "seconds", time.Second, 120, 1, 3600, true, "How long an idle upstream connection is kept.",
		func(v *Values) *time.Duration { return &v.IdleConnTimeout }),
	count("max_idle_conns", "connections", 100, 1, 100000, true, "Idle upstream connections kept in all.",
		func(v *Values) *int { return &v.MaxIdleConns }),
	count("max_idle_conns_per_host", "connections", 50, 1, 100000, true, "Idle connections kept for each upstream address.",
		func(v *Values) *int { return &v.MaxIdleConnsPerHost }),
	overridable(secretText("proxy_url", "connections", "Outgoing proxy: http, https or socks5 URL, with credentials if needed. Empty takes HTTP_PROXY, HTTPS_PROXY and NO_PROXY.",
		func(v *Values, s string) error { return parseProxyURL(s, &v.ProxyURL) })),
	overridable(text("upstream_protocol", "connections", "auto", "HTTP version for https upstreams: auto, http1 or http2. auto asks by HTTP/1.1, which costs less CPU, and those that refuse it by HTTP/2; http2 saves connections and takes HTTP/1.1 where nothing else is offered. http upstreams get HTTP/1.1.",
		func(v *Values, s string) error { return parseProtocol(s, &v.UpstreamProtocol) })),

	count("blacklist_threshold", "keys", 3, 0, 1000, true, "Consecutive counted failures that make a key invalid. 0 means never.",
		func(v *Values) *int { return &v.BlacklistThreshold }),
	span("rate_limit_cooldown_seconds", "keys", "seconds", time.Second, 10, 1, 86400, true, "First rest of a key after a 429 that names no waiting time; it doubles from one window to the next.",
		func(v *Values) *time.Duration { return &v.RateLimitCooldown }),
	span("cooldown_cap_minutes", "keys", "minutes", time.Minute, 60, 1, 10080, true, "Longest rest of a key, whatever the provider names; also the rest of a key without quota.",
		func(v *Values) *time.Duration { return &v.CooldownCap }),
	span("cooldown_wait_seconds", "keys", "seconds", time.Second, 2, 0, 60, true, "When every key rests and the soonest returns within this time, a request waits for it instead of failing.",
		func(v *Values) *time.Duration { return &v.CooldownWait }),
	overridable(text("exhausted_patterns", "keys", "", "Words in a 400, 401, 402, 403 or 429 error body that mean the key has no quota left, separated by commas, for resellers with their own texts.",
		func(v *Values, s string) error { return parsePatterns(s, &v.ExhaustedPatterns) })),
	span("key_validation_interval_minutes", "keys", "minutes", time.Minute, 60, 1, 10080, true, "How often invalid keys are tested.",
		func(v *Values) *time.Duration { return &v.KeyValidationInterval }),
	count("key_validation_concurrency", "keys", 10, 1, 1000, true, "Keys of one group tested at the same time.",
		func(v *Values) *int { return &v.KeyValidationConcurrency }),
	span("key_validation_timeout_seconds", "keys", "seconds", time.Second, 20, 1, 600, true, "Longest time for the test of one key.",
		func(v *Values) *time.Duration { return &v.KeyValidationTimeout }),

	span("first_token_timeout", "streams", "seconds", time.Second, 0, 0, 3600, true, "Longest wait for the first content of a stream; past it, the next key or member takes over. 0 switches it off.",
		func(v *Values) *time.Duration { return &v.FirstTokenTimeout }),
	span("stream_idle_timeout", "streams", "seconds", time.Second, 300, 0, 86400, true, "Longest silence inside a stream before it is ended as broken. 0 switches it off.",
		func(v *Values) *time.Duration { return &v.StreamIdleTimeout }),
}

func span(name, section, unit string, of time.Duration, def, lowest, highest int64, group bool, doc string, field func(*Values) *time.Duration) Descriptor {
	d := Descriptor{Name: name, Section: section, Kind: KindInt, Unit: unit, Min: lowest, Max: highest, GroupOverride: group, Doc: doc}
	d.Default = formatInt(def)
	d.apply = func(v *Values, s string) error {
		n, err := parseInt(s, lowest, highest, unit)
		*field(v) = time.Duration(n) * of
		return err
	}
	return d
}

func count(name, section string, def, lowest, highest int64, group bool, doc string, field func(*Values) *int) Descriptor {
	d := Descriptor{Name: name, Section: section, Kind: KindInt, Min: lowest, Max: highest, GroupOverride: group, Doc: doc}
	d.Default = formatInt(def)
	d.apply = func(v *Values, s string) error {
		n, err := parseInt(s, lowest, highest, "")
		*field(v) = int(n)
		return err
	}
	return d
}

func flag(name, section string, group bool, doc string, field func(*Values) *bool) Descriptor {
	return Descriptor{
		Name: name, Section: section, Kind: KindBool, Default: "false", GroupOverride: group, Doc: doc,
		apply: func(v *Values, s string) error { return parseBool(s, field(v)) },
	}
}

func text(name, section, def, doc string, apply func(*Values, string) error) Descriptor {
	return Descriptor{Name: name, Section: section, Kind: KindString, Default: def, Doc: doc, apply: apply}
}

func secretText(name, section, doc string, apply func(*Values, string) error) Descriptor {
	d := text(name, section, "", doc, apply)
	d.Secret = true
	return d
}

func overridable(d Descriptor) Descriptor {
	d.GroupOverride = true
	return d
}

// SplitKeys splits a comma-separated list of proxy keys, dropping empty parts and repeats.
func SplitKeys(list string) []secret.Text {
	var keys []secret.Text
	_ = parseKeyList(list, &keys)
	return keys
}
