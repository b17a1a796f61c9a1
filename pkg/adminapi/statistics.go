package adminapi

import "time"

// What the rows of statistics are told apart by.
const (
	ByTime     = "time" // steps
	ByGroup    = "group"
	ByParent   = "parent"
	ByModel    = "model"
	ByProxyKey = "proxy_key"
	ByKey      = "key"
)

// The steps of time that rows can be told apart by.
const (
	StepMinute = "minute" // of the last three hours
	StepHour   = "hour"
	StepDay    = "day" // of UTC
)

// The periods of the statistics of a group.
const (
	PeriodHour  = "1h"
	PeriodDay   = "24h"
	PeriodWeek  = "7d"
	PeriodMonth = "30d"
)

// StatisticsFilter asks for sums over whole steps of time. Zero fields do not filter.
type StatisticsFilter struct {
	From, To    time.Time // zero takes the last 24 hours; at most 400 days apart
	Step        string    // empty is StepHour
	GroupID     string    // the group that served or the aggregate that was asked
	ParentID    string    // the aggregate that was asked
	Model       string
	ProxyKey    string // fingerprint
	KeyID       string
	By          []string // any of ByTime and so on
	Percentiles bool
}

// Statistics are the sums of the roll-ups, which live longer than the records.
type Statistics struct {
	From  time.Time       `json:"from"`
	To    time.Time       `json:"to"`
	Total StatisticsRow   `json:"total"`
	Rows  []StatisticsRow `json:"rows"`
}

// StatisticsRow is one row of sums. Sums by provider key count attempts.
type StatisticsRow struct {
	Start               time.Time `json:"start,omitzero"`
	GroupID             string    `json:"group_id,omitempty"`
	ParentID            string    `json:"parent_id,omitempty"`
	Model               string    `json:"model,omitempty" doc:"(other) sums up what is past 2,000 rows of a group in an hour."`
	ProxyKeyFingerprint string    `json:"proxy_key_fingerprint,omitempty"`
	KeyID               string    `json:"key_id,omitempty" doc:"Absent for the keys after the first 500 that a group used in an hour."`
	KeyMasked           string    `json:"key_masked,omitempty" doc:"Of statistics of a group; absent for a key that was deleted."`

	Requests        int64        `json:"requests"`
	Succeeded       int64        `json:"succeeded"`
	ClientFaults    int64        `json:"client_faults" doc:"The client's own mistakes and clients that went away."`
	Failed          int64        `json:"failed" doc:"Every other failure."`
	Retries         int64        `json:"retries" doc:"Attempts after the first."`
	RequestBytes    int64        `json:"request_bytes"`
	ResponseBytes   int64        `json:"response_bytes"`
	MeanDurationMS  int64        `json:"mean_duration_ms"`
	MeanFirstByteMS int64        `json:"mean_first_byte_ms" doc:"Over the requests that sent a body byte."`
	Duration        *Percentiles `json:"duration,omitempty"`
	FirstByte       *Percentiles `json:"first_byte,omitempty" doc:"Over the requests that sent a body byte."`
}

// Percentiles are durations that 50, 95 and 99 % of requests did not exceed.
type Percentiles struct {
	P50MS int64 `json:"p50_ms" doc:"Off by 4.4 % at most, up to an hour."`
	P95MS int64 `json:"p95_ms"`
	P99MS int64 `json:"p99_ms"`
}

// GroupStatistics say how a group did in a period.
type GroupStatistics struct {
	GroupID string          `json:"group_id"`
	Period  string          `json:"period" enum:"1h,24h,7d,30d"`
	From    time.Time       `json:"from"`
	To      time.Time       `json:"to" doc:"End of the step that is under way."`
	Step    string          `json:"step" doc:"Of series." enum:"minute,hour,day"`
	Total   StatisticsRow   `json:"total"`
	Before  StatisticsRow   `json:"before" doc:"The total of as long a time right before, without percentiles."`
	Series  []StatisticsRow `json:"series" doc:"A row for each step, without requests as well."`

	Models    StatisticsShares  `json:"models"`
	ProxyKeys StatisticsShares  `json:"proxy_keys"`
	Keys      *StatisticsShares `json:"keys,omitempty" doc:"Attempts by provider key, over the whole hours that the period touches. Absent for an aggregate, which has no keys."`
	Members   *StatisticsShares `json:"members,omitempty" doc:"Of an aggregate: the groups that served. Absent for a group of its own."`
}

// StatisticsShares are rows with the most requests first, and what all others sum up to.
type StatisticsShares struct {
	Rows   []StatisticsRow `json:"rows"`
	Others *StatisticsRow  `json:"others,omitempty" doc:"Without percentiles; absent when there are no others."`
}
