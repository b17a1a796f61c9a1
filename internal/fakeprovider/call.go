package fakeprovider

import (
	"net/http"
	"time"
)

// Call is one request as it came in, and what became of it. Admin requests are not calls.
type Call struct {
	Seq  int // counted from 1
	At   time.Time
	Path string // decoded, without the /at/NAME prefix
	URI  string // as on the request line, prefix included

	Method   string
	Host     string
	Header   http.Header
	Upstream string // NAME of /at/NAME/, empty without

	Key         string       // the credential in the format's own place; empty when none stands there
	Credentials []Credential // every credential found, also in places the format does not read

	Model  string // as asked, knobs included
	Stream bool

	Body       []byte // the first Options.KeepBody bytes, as sent
	BodyBytes  int64
	BodySHA256 string // hexadecimal, of the whole body; empty when calls are not kept

	Rule       string // name of the rule that decided; empty for none
	Fault      string // what was done to the call: a fault, break or flaw; empty when healthy
	Unexpected bool   // no rule spoke, in strict mode

	Status     int // 0 when no headers were sent
	Done       bool
	Duration   time.Duration // until Done
	Canceled   bool          // the caller left before it had its answer
	CanceledAt time.Time
}

// Credential is one credential of a request and the place where it stood.
type Credential struct {
	Spot  string // bearer, x-api-key, x-goog-api-key, api-key or query
	Value string
}

// Totals are the counters that Await watches.
type Totals struct {
	Calls       int // arrived, body included
	InFlight    int
	MaxInFlight int
	Done        int
	Canceled    int
	Unexpected  int
}

// Stats are all counters. The maps hold at most 1<<20 entries each; what comes later is counted under "(other)".
type Stats struct {
	Totals
	ByKey   map[string]Count
	ByModel map[string]Count
	ByPath  map[string]Count
}

// Count is what is counted for one key, model or path.
type Count struct {
	Calls       int
	InFlight    int
	MaxInFlight int
}
