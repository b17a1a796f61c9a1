package fleet

import "time"

// StatsBy is what the rows of a statistics answer are told apart by.
type StatsBy string

// The ways to tell rows apart.
const (
	StatsByTime     StatsBy = "time" // by StatsQuery.Step
	StatsByGroup    StatsBy = "group"
	StatsByParent   StatsBy = "parent"
	StatsByModel    StatsBy = "model"
	StatsByProxyKey StatsBy = "proxy_key"
	StatsByKey      StatsBy = "key"
)

// The steps of time that sums are kept for.
const (
	StatsMinute = time.Minute
	StatsHour   = time.Hour
	StatsDay    = 24 * time.Hour // of UTC, summed up of hours
	// MinutesKept is how long sums by the minute are kept at least.
	MinutesKept = 3 * time.Hour
	// KeyStatsKept is how long sums by provider key are kept at least.
	KeyStatsKept = 32 * 24 * time.Hour
)

// OtherModel is the model of rows that sum up what is past the bound of models in an hour.
const OtherModel = "(other)"

// StatsQuery asks for sums over the roll-ups. Zero fields do not filter.
//
// Sums by provider key count attempts, by the hour, and know neither aggregates nor models nor proxy keys: a query with KeyID or
// StatsByKey that names one of these, or StatsMinute, is CodeInvalid.
type StatsQuery struct {
	From, To time.Time     // From <= start of a row < To
	Step     time.Duration // StatsMinute, StatsHour or StatsDay; 0 takes StatsHour
	GroupID  GroupID       // the group that served or the aggregate that was asked; of keys, their group
	ParentID GroupID       // the aggregate that was asked
	Model    string        // the model sent, exact
	ProxyKey string        // fingerprint
	KeyID    KeyID
	By       []StatsBy // none gives no rows, only the total
	// Latencies asks for the percentiles, which cost the reading of all rows.
	Latencies bool
}

// Stats are sums, in ascending order of what By names.
type Stats struct {
	Total StatsRow
	Rows  []StatsRow
}

// StatsRow is one row of sums. Of the first fields only those are set that StatsQuery.By names.
type StatsRow struct {
	Start               time.Time
	GroupID             GroupID
	ParentID            GroupID // 0 when none was asked
	KeyID               KeyID   // 0 for all keys past the bound of keys in an hour
	Model               string
	ProxyKeyFingerprint string

	Requests      int64
	Succeeded     int64 // ClassOK
	ClientFaults  int64 // ClassClient and ClassCanceled
	Failed        int64 // every other class
	Retries       int64 // attempts after the first
	RequestBytes  int64
	ResponseBytes int64
	// DurationSum and FirstByteSum are over Requests and FirstBytes requests.
	DurationSum  time.Duration
	FirstBytes   int64
	FirstByteSum time.Duration
	// Duration and FirstByte are zero unless StatsQuery.Latencies.
	Duration  Percentiles
	FirstByte Percentiles
}

// Add adds the counts and sums of o. Percentiles do not add up.
func (r *StatsRow) Add(o *StatsRow) {
	r.Requests += o.Requests
	r.Succeeded += o.Succeeded
	r.ClientFaults += o.ClientFaults
	r.Failed += o.Failed
	r.Retries += o.Retries
	r.RequestBytes += o.RequestBytes
	r.ResponseBytes += o.ResponseBytes
	r.DurationSum += o.DurationSum
	r.FirstBytes += o.FirstBytes
	r.FirstByteSum += o.FirstByteSum
}

// Percentiles are durations that 50, 95 and 99 % of the requests did not exceed, off by 4.4 % at most between a millisecond and
// an hour.
type Percentiles struct{ P50, P95, P99 time.Duration }
