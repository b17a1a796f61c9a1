package sqlstore

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

type recordRow struct {
	bun.BaseModel `bun:"table:request_records"`
	ID            []byte `bun:"id,pk"`
	StartedAt     int64  `bun:"started_at"`
	Duration      int64  `bun:"duration"`
	FirstByte     int64  `bun:"first_byte"`
	GroupID       int64  `bun:"group_id"`
	GroupName     string `bun:"group_name"`
	ParentID      int64  `bun:"parent_id"`
	ParentName    string `bun:"parent_name"`
	ProxyKey      string `bun:"proxy_key"`
	ClientIP      string `bun:"client_ip"`
	UserAgent     string `bun:"user_agent"`
	Method        string `bun:"method"`
	Path          string `bun:"path"`
	ModelAsked    string `bun:"model_asked"`
	ModelSent     string `bun:"model_sent"`
	Stream        bool   `bun:"stream"`
	Status        int    `bun:"status"`
	Class         string `bun:"class"`
	Error         string `bun:"error"`
	RequestBytes  int64  `bun:"request_bytes"`
	ResponseBytes int64  `bun:"response_bytes"`
	AttemptCount  int    `bun:"attempt_count"`
	Attempts      string `bun:"attempts"`
}

type bodyRow struct {
	bun.BaseModel     `bun:"table:record_bodies"`
	RecordID          []byte `bun:"record_id,pk"`
	Request           []byte `bun:"request"`
	Response          []byte `bun:"response"`
	RequestTruncated  bool   `bun:"request_truncated"`
	ResponseTruncated bool   `bun:"response_truncated"`
}

// attemptJSON is one element of request_records.attempts. Key and Tail are always written, in this order: the filters
// by key search for their text.
type attemptJSON struct {
	Group    int64  `json:"g"`
	Key      int64  `json:"k"`
	Tail     string `json:"t"`
	Upstream string `json:"u,omitempty"`
	Status   int    `json:"s,omitempty"`
	Class    string `json:"c"`
	Duration int64  `json:"d"` // microseconds
	Reason   string `json:"r,omitempty"`
}

// Bounds of a record in bytes, where the domain type states none. What is longer is clipped, so that one record can
// neither be refused by a column nor fill a page of people's answers.
const (
	maxName        = 128
	maxFingerprint = 64
	maxAddress     = 64
	maxUserAgent   = 256
	maxMethod      = 32
	maxPath        = 1024
	maxClass       = 32
	maxError       = 500
	maxTail        = 16
	maxUpstream    = 256
	maxReason      = 200
	maxAttempts    = 64
	maxBody        = 1 << 20 // of each captured body; the data plane captures less
)

// recordColumns are in the order of recordRow.appendArgs, bodyColumns in that of insertBodies.
var (
	recordColumns = []string{
		"id", "started_at", "duration", "first_byte", "group_id", "group_name", "parent_id", "parent_name", "proxy_key", "client_ip",
		"user_agent", "method", "path", "model_asked", "model_sent", "stream", "status", "class", "error", "request_bytes", "response_bytes",
		"attempt_count", "attempts",
	}
	bodyColumns = []string{"record_id", "request", "response", "request_truncated", "response_truncated"}
)

func rowOfRecord(r *fleet.RequestRecord) recordRow {
	return recordRow{
		ID: r.ID[:], StartedAt: micros(r.StartedAt), Duration: spanOf(r.Duration), FirstByte: spanOf(r.TimeToFirstByte),
		GroupID: int64(r.GroupID), GroupName: clean(r.GroupName, maxName), ParentID: int64(r.ParentID), ParentName: clean(r.ParentName, maxName),
		ProxyKey: clean(r.ProxyKeyFingerprint, maxFingerprint), ClientIP: clean(r.ClientIP, maxAddress), UserAgent: clean(r.UserAgent, maxUserAgent),
		Method: clean(r.Method, maxMethod), Path: clean(r.Path, maxPath),
		ModelAsked: clean(r.ModelAsked, maxModelName), ModelSent: clean(r.ModelSent, maxModelName), Stream: r.Stream,
		Status: min(max(r.Status, 0), 999), Class: clean(string(r.Class), maxClass), Error: clean(r.Error, maxError),
		RequestBytes: max(r.RequestBytes, 0), ResponseBytes: max(r.ResponseBytes, 0), AttemptCount: len(r.Attempts), Attempts: attemptsText(r.Attempts),
	}
}

// attemptsText is the JSON of attemptJSON, written by hand: a batch has a thousand of them.
func attemptsText(attempts []fleet.Attempt) string {
	if len(attempts) == 0 {
		return ""
	}
	var room [256]byte // most records have one attempt
	b := append(room[:0], '[')
	for i := range attempts[:min(len(attempts), maxAttempts)] {
		a := &attempts[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"g":`...), int64(a.GroupID), 10)
		b = strconv.AppendInt(append(b, `,"k":`...), int64(a.KeyID), 10)
		b = appendText(append(b, `,"t":`...), clean(a.KeyTail, maxTail))
		if a.Upstream != "" {
			b = appendText(append(b, `,"u":`...), clean(a.Upstream, maxUpstream))
		}
		if a.Status > 0 {
			b = strconv.AppendInt(append(b, `,"s":`...), int64(min(a.Status, 999)), 10)
		}
		b = appendText(append(b, `,"c":`...), clean(string(a.Class), maxClass))
		b = strconv.AppendInt(append(b, `,"d":`...), spanOf(a.Duration), 10)
		if a.Reason != "" {
			b = appendText(append(b, `,"r":`...), clean(a.Reason, maxReason))
		}
		b = append(b, '}')
	}
	return string(append(b, ']'))
}

// appendText spells a text as encoding/json does, so that a filter finds it by its spelling.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c >= utf8.RuneSelf, c == '"', c == '\\', c == '<', c == '>', c == '&':
			quoted, _ := json.Marshal(text) // a string always marshals
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

// appendArgs appends the arguments of recordColumns.
func (r *recordRow) appendArgs(args []any, texts *textArgs) []any {
	return append(args,
		r.ID, r.StartedAt, r.Duration, r.FirstByte, r.GroupID, texts.arg(0, r.GroupName), r.ParentID, texts.arg(1, r.ParentName),
		texts.arg(2, r.ProxyKey), texts.arg(3, r.ClientIP), texts.arg(4, r.UserAgent), texts.arg(5, r.Method), texts.arg(6, r.Path),
		texts.arg(7, r.ModelAsked), texts.arg(7, r.ModelSent), r.Stream, int64(r.Status), texts.arg(8, r.Class), r.Error, r.RequestBytes, r.ResponseBytes,
		int64(r.AttemptCount), r.Attempts)
}

// textArgs remembers the last argument of a column, because most texts of a record are those of the one before: a string
// that becomes an interface value costs an allocation.
type textArgs [9]any

func (t *textArgs) arg(column int, text string) any {
	if last, ok := t[column].(string); !ok || last != text {
		t[column] = text
	}
	return t[column]
}

func rowOfBodies(r *fleet.RequestRecord) bodyRow {
	row := bodyRow{
		RecordID: r.ID[:], Request: r.Capture.Request, Response: r.Capture.Response,
		RequestTruncated: r.Capture.RequestTruncated, ResponseTruncated: r.Capture.ResponseTruncated,
	}
	for _, body := range []struct {
		bytes *[]byte
		cut   *bool
	}{{&row.Request, &row.RequestTruncated}, {&row.Response, &row.ResponseTruncated}} {
		if *body.bytes == nil {
			*body.bytes = []byte{} // nil would be NULL
		}
		if len(*body.bytes) > maxBody {
			*body.bytes, *body.cut = (*body.bytes)[:maxBody], true
		}
	}
	return row
}

// record builds the domain type without the bodies. Attempts that cannot be read are left out: a record is history,
// not a thing to stop at.
func (r *recordRow) record() fleet.RequestRecord {
	rec := fleet.RequestRecord{
		StartedAt: timeOf(r.StartedAt), Duration: durationOf(r.Duration), TimeToFirstByte: durationOf(r.FirstByte),
		GroupID: fleet.GroupID(r.GroupID), GroupName: r.GroupName, ParentID: fleet.GroupID(r.ParentID), ParentName: r.ParentName,
		ProxyKeyFingerprint: r.ProxyKey, ClientIP: r.ClientIP, UserAgent: r.UserAgent, Method: r.Method, Path: r.Path,
		ModelAsked: r.ModelAsked, ModelSent: r.ModelSent, Stream: r.Stream, Status: r.Status, Class: fleet.Class(r.Class), Error: r.Error,
		RequestBytes: r.RequestBytes, ResponseBytes: r.ResponseBytes,
	}
	copy(rec.ID[:], r.ID)
	var list []attemptJSON
	if r.Attempts != "" && json.Unmarshal([]byte(r.Attempts), &list) == nil {
		rec.Attempts = make([]fleet.Attempt, len(list))
		for i, a := range list {
			rec.Attempts[i] = fleet.Attempt{
				GroupID: fleet.GroupID(a.Group), KeyID: fleet.KeyID(a.Key), KeyTail: a.Tail, Upstream: a.Upstream, Status: a.Status,
				Class: fleet.Class(a.Class), Duration: durationOf(a.Duration), Reason: a.Reason,
			}
		}
	}
	return rec
}

// spanOf bounds a duration to what sums of a year of requests cannot overflow: 30 days.
func spanOf(d time.Duration) int64 {
	const longest = 30 * 24 * time.Hour
	return min(max(d, 0), longest).Microseconds()
}

func durationOf(micros int64) time.Duration { return time.Duration(micros) * time.Microsecond }

// firstID is the lowest record id of a millisecond: the first 48 bits of a UUID version 7 count them (RFC 9562
// section 5.7). Times outside of what they can count are bounded.
func firstID(t time.Time) []byte {
	ms := min(max(t.UnixMilli(), 0), 1<<48-1)
	return []byte{byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
}
