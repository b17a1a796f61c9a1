package gptload1

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/settings"
)

// The settings of 1.x that need more than a check.
const (
	statusCodes = "failover_status_codes"
	proxyKeys   = "proxy_keys"
	appURL      = "app_url"
)

const (
	// initialStatusCodes is what 1.x writes when nobody chose anything.
	initialStatusCodes = "400-403,405-999"
	highestStatusCode  = 599
)

// initialURLs are what 1.x writes as app_url when nobody chose anything.
var initialURLs = []string{"http://localhost:3001", "http://localhost:3000"}

// noCounterpart says why a setting of the 1.0 betas does not come along. Rows of them stay in a database for ever.
var noCounterpart = map[string]string{
	"server_read_timeout":                 "it is the environment variable SERVER_READ_TIMEOUT",
	"server_write_timeout":                "it is the environment variable SERVER_WRITE_TIMEOUT",
	"server_idle_timeout":                 "it is the environment variable SERVER_IDLE_TIMEOUT",
	"server_graceful_shutdown_timeout":    "it is the environment variable SERVER_GRACEFUL_SHUTDOWN_TIMEOUT",
	"response_timeout":                    "1.0 replaced it by response_header_timeout",
	"key_validation_pool_size":            "1.0 replaced it by key_validation_concurrency",
	"key_validation_task_timeout_minutes": "validation has no limit for the whole of a run any more",
	"disable_compression":                 "answers pass as the provider compressed them",
	"enable_gzip":                         "answers pass as the provider compressed them",
}

// planSettings reads system_settings. A value that equals the default here is not in the plan: 1.x stores a row for every
// setting, chosen or not.
func (d *Database) planSettings(ctx context.Context, plan *Plan) error {
	plan.Settings = make(map[string]string)
	p := page{
		doing: "reading the settings", table: settingsTable, rows: groupPageRows,
		fields: []string{d.quote("setting_key"), d.quote("setting_value")},
	}
	return d.pages(ctx, p, func(_ int64, r row) error {
		name := strings.TrimSpace(r.text("setting_key"))
		text, set, notices := systemSetting(name, r.text("setting_value"))
		plan.notice("", notices...)
		if set {
			plan.Settings[name] = text
		}
		return nil
	}, nil)
}

// systemSetting gives the canonical text of one row, and whether it is one to set.
func systemSetting(name, value string) (text string, set bool, notices []Notice) {
	descriptor, known := settings.Find(name)
	switch {
	case !known:
		return "", false, []Notice{unknownSetting(name, name)}
	case name == statusCodes && strings.TrimSpace(value) == initialStatusCodes:
		return "", false, []Notice{notice(name, LeftOut, "%s is what 1.x starts with; here the default decides by what an answer means, so it is not set", initialStatusCodes)}
	case name == appURL && slices.Contains(initialURLs, strings.TrimRight(strings.TrimSpace(value), "/")):
		return "", false, []Notice{notice(name, LeftOut, "%s is what 1.x starts with; here the default is the address of the request", strings.TrimSpace(value))}
	}
	text, set, notices = convertSetting(name, name, value, false)
	return text, set && text != descriptor.Default, notices
}

func unknownSetting(name, field string) Notice {
	if why, ok := noCounterpart[name]; ok {
		return notice(field, LeftOut, "has no counterpart: %s", why)
	}
	return notice(field, LeftOut, "has no counterpart: neither 1.x nor this version has a setting of that name")
}

// groupSettings reads the column config: an object of overrides.
func groupSettings(column string) (overrides map[string]string, notices []Notice) {
	members, err := parseObject(column)
	if err != nil {
		return nil, []Notice{notice("config", LeftOut, "the column %s; it is left out", err)}
	}
	for _, m := range members {
		field := "config." + clip(m.name)
		if isNull(m.value) {
			continue // not overridden
		}
		if _, known := settings.Find(m.name); !known {
			notices = append(notices, unknownSetting(m.name, field))
			continue
		}
		text, isScalar := scalar(m.value)
		if !isScalar {
			notices = append(notices, notice(field, LeftOut, "is a list or an object; it is left out"))
			continue
		}
		value, set, said := convertSetting(m.name, field, text, true)
		notices = append(notices, said...)
		if set {
			if overrides == nil {
				overrides = make(map[string]string)
			}
			overrides[m.name] = value
		}
	}
	return overrides, notices
}

// convertSetting brings one value of a known setting into the table's bounds. Messages never quote a secret.
func convertSetting(name, field, value string, group bool) (text string, set bool, notices []Notice) {
	switch name {
	case statusCodes:
		if strings.TrimSpace(value) == "" {
			return "", group, []Notice{notice(field, Noted, "is empty: 1.x tries no status again then; here it leaves that to what an answer means")}
		}
		var changed bool
		if value, changed = convertStatusCodes(value); changed {
			notices = append(notices, notice(field, Changed, "codes above %d do not exist in HTTP; the list becomes %s", highestStatusCode, value))
		}
	case proxyKeys:
		value, notices = convertProxyKeys(value)
	}
	text, fault := settings.Normalize(name, value, group)
	if fault == nil {
		return text, true, notices
	}
	d, _ := settings.Find(name)
	if n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil && d.Kind == settings.KindInt && (n < d.Min || n > d.Max) {
		bound := strconv.FormatInt(min(max(n, d.Min), d.Max), 10)
		if text, again := settings.Normalize(name, bound, group); again == nil {
			return text, true, append(notices, notice(field, Changed, "%s; it becomes %s", fault.Message, bound))
		}
	}
	return "", false, append(notices, notice(field, LeftOut, "%s; it is left out", fault.Message))
}

// convertStatusCodes cuts codes above 599, which 1.x allows up to 999; separators may be line breaks there, and empty
// parts are ignored. What is wrong otherwise stays as it is, for the table to refuse.
func convertStatusCodes(value string) (text string, changed bool) {
	var parts []string
	for part := range strings.SplitSeq(strings.ReplaceAll(value, "\n", ","), ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		low, err := strconv.Atoi(strings.TrimSpace(from))
		if err != nil {
			return value, false
		}
		high := low
		if isRange {
			if high, err = strconv.Atoi(strings.TrimSpace(to)); err != nil {
				return value, false
			}
		}
		if high > highestStatusCode && high <= 999 && low <= high {
			changed = true
			if low > highestStatusCode {
				continue
			}
			part = fmt.Sprintf("%d-%d", low, highestStatusCode)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ","), changed
}

// convertProxyKeys leaves out the keys that the table refuses, so that one does not take the others with it.
func convertProxyKeys(list string) (string, []Notice) {
	var kept []string
	var notices []Notice
	for i, key := range splitKeys(list) {
		if _, fault := settings.Normalize(proxyKeys, key, false); fault != nil {
			notices = append(notices, notice(proxyKeys, LeftOut, "key %d: %s; it is left out", i+1, fault.Message))
			continue
		}
		kept = append(kept, key)
	}
	if n := len(kept); n > fleet.MaxGroupProxyKeys {
		kept = kept[:fleet.MaxGroupProxyKeys]
		notices = append(notices, notice(proxyKeys, LeftOut, "%d keys; the limit is %d: the last ones are left out", n, fleet.MaxGroupProxyKeys))
	}
	return strings.Join(kept, ","), notices
}

// splitKeys splits a list of proxy keys as 1.x does, without repeats.
func splitKeys(list string) []string {
	var keys []string
	seen := make(map[string]bool)
	for key := range strings.SplitSeq(list, ",") {
		if len(keys) == maxEntries {
			break // validation says that there are too many
		}
		if key = strings.TrimSpace(key); key != "" && !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// hasContent reports whether a JSON column holds more than an empty list or object.
func hasContent(column string) bool {
	var v any
	if json.Unmarshal([]byte(column), &v) != nil {
		return strings.TrimSpace(column) != ""
	}
	switch v := v.(type) {
	case nil:
		return false
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}
