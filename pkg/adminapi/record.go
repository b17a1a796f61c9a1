package adminapi

import "time"

// Record is what is kept of one proxied request.
type Record struct {
	ID                  string    `json:"id" doc:"The request id that the client got."`
	StartedAt           time.Time `json:"started_at"`
	DurationMS          int64     `json:"duration_ms"`
	FirstByteMS         int64     `json:"first_byte_ms" doc:"From the start to the first body byte sent; 0 when none was."`
	GroupID             string    `json:"group_id" doc:"The group that served; empty when unknown."`
	GroupName           string    `json:"group_name"`
	ParentID            string    `json:"parent_id" doc:"The aggregate that was asked; empty when none."`
	ParentName          string    `json:"parent_name"`
	ProxyKeyFingerprint string    `json:"proxy_key_fingerprint"`
	ClientIP            string    `json:"client_ip"`
	UserAgent           string    `json:"user_agent"`
	Method              string    `json:"method"`
	Path                string    `json:"path"`
	ModelAsked          string    `json:"model_asked"`
	ModelSent           string    `json:"model_sent"`
	Stream              bool      `json:"stream"`
	Status              int       `json:"status" doc:"What the client got; 499 when it went away first."`
	Class               string    `json:"class" doc:"Who the request ended by." enum:"ok,client,canceled,key_dead,key_exhausted,key_suspect,limited,model_denied,upstream,gateway"`
	Error               string    `json:"error"`
	RequestBytes        int64     `json:"request_bytes"`
	ResponseBytes       int64     `json:"response_bytes"`
	Attempts            []Attempt `json:"attempts"`
	Capture             *Capture  `json:"capture,omitempty" doc:"Only of a single record, and only with enable_request_body_logging."`
}

// Attempt is one try at one key and one upstream.
type Attempt struct {
	GroupID    string `json:"group_id"`
	KeyID      string `json:"key_id"`
	KeyTail    string `json:"key_tail"`
	Upstream   string `json:"upstream" doc:"Host and port."`
	Status     int    `json:"status" doc:"0 when no answer came."`
	Class      string `json:"class"`
	DurationMS int64  `json:"duration_ms"`
	Reason     string `json:"reason" doc:"Why it ended like this and why the request went on."`
}

// Capture holds the beginning of both bodies.
type Capture struct {
	Request  Body `json:"request"`
	Response Body `json:"response"`
}

// Body is the beginning of one body.
type Body struct {
	Content   string `json:"content"`
	Encoding  string `json:"encoding" doc:"How content is written: text, or base64 when the bytes are not UTF-8." enum:"text,base64"`
	Truncated bool   `json:"truncated"`
}

// RecordPage is one page of records, newest first.
type RecordPage struct {
	Records    []Record `json:"records"`
	NextCursor string   `json:"next_cursor,omitempty"`
}

// RecordTail is what was written since a cursor, or the newest records to begin with, oldest first.
type RecordTail struct {
	Records []Record `json:"records"`
	Cursor  string   `json:"cursor" doc:"Pass it as cursor for what comes next."`
	More    bool     `json:"more" doc:"There may be more already: ask again at once."`
}

// The formats of an export of records.
const (
	RecordsCSV   = "csv"
	RecordsJSONL = "jsonl"
)

// RecordFilter narrows a page of records. Zero fields do not filter.
type RecordFilter struct {
	From, To   time.Time
	GroupID    string // the group that served or the aggregate that was asked
	ParentID   string // the aggregate that was asked
	Model      string // asked or sent
	Status     int
	StatusFrom int
	StatusTo   int
	Class      string
	Stream     *bool
	Retried    *bool
	KeyID      string
	KeyTail    string
	ProxyKey   string // fingerprint
	ClientIP   string
	Text       string // part of the error, the path or the request id
	Limit      int    // 1 to 1000; 0 takes 50
	Cursor     string
}
