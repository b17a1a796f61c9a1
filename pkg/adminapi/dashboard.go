package adminapi

import "time"

// Dashboard is the state of the installation at a glance. Keys and findings are what the node that answers knows.
type Dashboard struct {
	At     time.Time        `json:"at"`
	Keys   KeyCounts        `json:"keys" doc:"Of all groups."`
	Groups []DashboardGroup `json:"groups" doc:"Every group, in the order of display."`

	RequestsPerMinute Trend  `json:"requests_per_minute" doc:"Over the last ten whole minutes and the ten before, as far as records reached the database: see request_log_write_interval_minutes."`
	Day               DaySum `json:"day"`
	Chart             Chart  `json:"chart"`

	Security []Finding `json:"security" doc:"What is not as safe as it could be, the worst first."`
}

// DashboardGroup is a group with what its keys can do now.
type DashboardGroup struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	Kind string    `json:"kind" enum:"standard,aggregate"`
	Keys KeyCounts `json:"keys" doc:"For an aggregate, the sum over its members."`
}

// Trend is a figure and the one before it.
type Trend struct {
	Now           float64  `json:"now"`
	Before        float64  `json:"before"`
	ChangePercent *float64 `json:"change_percent,omitempty" doc:"Of now against before; absent when before is 0."`
}

// DaySum is about the 24 hours up to the end of the hour that is under way, and the 24 hours before.
type DaySum struct {
	Requests    Trend `json:"requests"`
	Failed      Trend `json:"failed" doc:"Requests that failed, but not by the client's own mistakes."`
	FailureRate Trend `json:"failure_rate" doc:"Percent of the requests."`
}

// Chart has a series of all requests, of each of the groups that served most of them, and of the rest.
type Chart struct {
	Period string        `json:"period" enum:"1h,24h,7d,30d"`
	Step   string        `json:"step" enum:"minute,hour,day"`
	From   time.Time     `json:"from"`
	To     time.Time     `json:"to" doc:"End of the step that is under way."`
	Total  []ChartPoint  `json:"total"`
	Groups []ChartSeries `json:"groups" doc:"The most requests first."`
	Others []ChartPoint  `json:"others" doc:"What is not in groups, also requests that no group served."`
}

// ChartSeries is what one group served.
type ChartSeries struct {
	GroupID   string       `json:"group_id"`
	GroupName string       `json:"group_name" doc:"Empty for a group that was deleted."`
	Points    []ChartPoint `json:"points"`
}

// ChartPoint is one step of a series.
type ChartPoint struct {
	Start        time.Time `json:"start"`
	Requests     int64     `json:"requests"`
	Succeeded    int64     `json:"succeeded"`
	ClientFaults int64     `json:"client_faults"`
	Failed       int64     `json:"failed"`
}

// Finding is something that is not as safe as it could be.
type Finding struct {
	Code      string   `json:"code" doc:"Stable word." enum:"auth_key_weak,encryption_key_weak,metrics_token_weak,secrets_shared,encryption_off,encryption_change_unfinished,encryption_key_other,encryption_key_old_left,proxy_key_is_auth_key,proxy_keys_weak"`
	Severity  string   `json:"severity" enum:"high,medium,low"`
	Message   string   `json:"message"`
	Remedy    string   `json:"remedy" doc:"What to do about it."`
	ProxyKeys []string `json:"proxy_keys,omitempty" doc:"Fingerprints of the first twenty keys that it is about."`
}
