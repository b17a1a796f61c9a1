package sqlstore

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// recordRow has a column for what pages filter and order by. The rest is one text: each column of a record costs about as
// much to bind and to store as the fifteenth part of the row, and records are what this store writes most.
type recordRow struct {
	bun.BaseModel `bun:"table:request_records"`
	ID            []byte `bun:"id,pk"`
	StartedAt     int64  `bun:"started_at"`
	GroupID       int64  `bun:"group_id"`
	ParentID      int64  `bun:"parent_id"`
	ProxyKey      string `bun:"proxy_key"`
	ClientIP      string `bun:"client_ip"`
	Path          string `bun:"path"`
	ModelAsked    string `bun:"model_asked"`
	ModelSent     string `bun:"model_sent"`
	Stream        bool   `bun:"stream"`
	Status        int    `bun:"status"`
	Class         string `bun:"class"`
	Error         string `bun:"error"`
	AttemptCount  int    `bun:"attempt_count"`
	Details       string `bun:"details"`
}

type bodyRow struct {
	bun.BaseModel     `bun:"table:record_bodies"`
	RecordID          []byte `bun:"record_id,pk"`
	Request           []byte `bun:"request"`
	Response          []byte `bun:"response"`
	RequestTruncated  bool   `bun:"request_truncated"`
	ResponseTruncated bool   `bun:"response_truncated"`
}

// detailsJSON is request_records.details. No name here is "k" or "t": see attemptJSON.
type detailsJSON struct {
	Duration      int64         `json:"d"`           // microseconds
	FirstByte     int64         `json:"f,omitempty"` // microseconds
	RequestBytes  int64         `json:"i"`
	ResponseBytes int64         `json:"o"`
	GroupName     string        `json:"g"`
	ParentName    string        `json:"p,omitempty"`
	Method        string        `json:"m"`
	UserAgent     string        `json:"b"`
	Attempts      []attemptJSON `json:"a,omitempty"`
}

// attemptJSON is one attempt in detailsJSON. Key and Tail are always written, spelled by encoding/json and with Key before
// another member: the filters by key search the column for their text.
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

// recordColumns are in the order of recordRow.appendArgs, bodyColumns in that of bodyRow.args.
var (
	recordColumns = []string{
		"id", "started_at", "group_id", "parent_id", "proxy_key", "client_ip", "path", "model_asked", "model_sent", "stream", "status", "class",
		"error", "attempt_count", "details",
	}
	bodyColumns = []string{"record_id", "request", "response", "request_truncated", "response_truncated"}
)

func rowOfRecord(r *fleet.RequestRecord) recordRow {
	return recordRow{
		ID: r.ID[:], StartedAt: micros(r.StartedAt), GroupID: int64(r.GroupID), ParentID: int64(r.ParentID),
		ProxyKey: clean(r.ProxyKeyFingerprint, maxFingerprint), ClientIP: clean(r.ClientIP, maxAddress), Path: clean(r.Path, maxPath),
		ModelAsked: clean(r.ModelAsked, maxModelName), ModelSent: clean(r.ModelSent, maxModelName), Stream: r.Stream, Status: statusOf(r.Status),
		Class: clean(string(r.Class), maxClass), Error: clean(r.Error, maxError), AttemptCount: len(r.Attempts), Details: detailsText(r),
	}
}

// detailsText is the text of detailsJSON, written by hand: a batch has a thousand of them.
func detailsText(r *fleet.RequestRecord) string {
	var room [512]byte // of a record with one attempt, and more
	b := strconv.AppendInt(append(room[:0], `{"d":`...), spanOf(r.Duration), 10)
	if first := spanOf(r.TimeToFirstByte); first > 0 {
		b = strconv.AppendInt(append(b, `,"f":`...), first, 10)
	}
	b = strconv.AppendInt(append(b, `,"i":`...), max(r.RequestBytes, 0), 10)
	b = strconv.AppendInt(append(b, `,"o":`...), max(r.ResponseBytes, 0), 10)
	b = appendText(append(b, `,"g":`...), clean(r.GroupName, maxName))
	if r.ParentName != "" {
		b = appendText(append(b, `,"p":`...), clean(r.ParentName, maxName))
	}
	b = appendText(append(b, `,"m":`...), clean(r.Method, maxMethod))
	b = appendText(append(b, `,"b":`...), clean(r.UserAgent, maxUserAgent))
	if len(r.Attempts) > 0 {
		b = append(b, `,"a":[`...)
		for i := range r.Attempts[:min(len(r.Attempts), maxAttempts)] {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendAttempt(b, &r.Attempts[i])
		}
		b = append(b, ']')
	}
	return string(append(b, '}'))
}

// appendAttempt appends the text of attemptJSON.
func appendAttempt(b []byte, a *fleet.Attempt) []byte {
	b = strconv.AppendInt(append(b, `{"g":`...), int64(a.GroupID), 10)
	b = strconv.AppendInt(append(b, `,"k":`...), int64(a.KeyID), 10)
	b = appendText(append(b, `,"t":`...), clean(a.KeyTail, maxTail))
	if a.Upstream != "" {
		b = appendText(append(b, `,"u":`...), clean(a.Upstream, maxUpstream))
	}
	if a.Status > 0 {
		b = strconv.AppendInt(append(b, `,"s":`...), int64(statusOf(a.Status)), 10)
	}
	b = appendText(append(b, `,"c":`...), clean(string(a.Class), maxClass))
	b = strconv.AppendInt(append(b, `,"d":`...), spanOf(a.Duration), 10)
	if a.Reason != "" {
		b = appendText(append(b, `,"r":`...), clean(a.Reason, maxReason))
	}
	return append(b, '}')
}

func statusOf(status int) int { return min(max(status, 0), 999) }

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
		r.ID, r.StartedAt, r.GroupID, r.ParentID, texts.arg(0, r.ProxyKey), texts.arg(1, r.ClientIP), texts.arg(2, r.Path),
		texts.arg(3, r.ModelAsked), texts.arg(3, r.ModelSent), r.Stream, int64(r.Status), texts.arg(4, r.Class), r.Error,
		int64(r.AttemptCount), r.Details)
}

// textArgs remembers the last argument of a column, because most texts of a record are those of the one before: a string
// that becomes an interface value costs an allocation.
type textArgs [5]any

func (t *textArgs) arg(column int, text string) any {
	if last, ok := t[column].(string); !ok || last != text {
		t[column] = text
	}
	return t[column]
}

// args are the arguments of bodyColumns.
func (b *bodyRow) args() []any {
	return []any{b.RecordID, b.Request, b.Response, b.RequestTruncated, b.ResponseTruncated}
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

// record builds the domain type without the bodies. Details that cannot be read are left out: a record is history, not a
// thing to stop at.
func (r *recordRow) record() fleet.RequestRecord {
	var d detailsJSON
	if json.Unmarshal([]byte(r.Details), &d) != nil {
		d = detailsJSON{}
	}
	rec := fleet.RequestRecord{
		StartedAt: timeOf(r.StartedAt), Duration: durationOf(d.Duration), TimeToFirstByte: durationOf(d.FirstByte),
		GroupID: fleet.GroupID(r.GroupID), GroupName: d.GroupName, ParentID: fleet.GroupID(r.ParentID), ParentName: d.ParentName,
		ProxyKeyFingerprint: r.ProxyKey, ClientIP: r.ClientIP, UserAgent: d.UserAgent, Method: d.Method, Path: r.Path,
		ModelAsked: r.ModelAsked, ModelSent: r.ModelSent, Stream: r.Stream, Status: r.Status, Class: fleet.Class(r.Class), Error: r.Error,
		RequestBytes: d.RequestBytes, ResponseBytes: d.ResponseBytes,
	}
	copy(rec.ID[:], r.ID)
	if len(d.Attempts) > 0 {
		rec.Attempts = make([]fleet.Attempt, len(d.Attempts))
	}
	for i, a := range d.Attempts {
		rec.Attempts[i] = fleet.Attempt{
			GroupID: fleet.GroupID(a.Group), KeyID: fleet.KeyID(a.Key), KeyTail: a.Tail, Upstream: a.Upstream, Status: a.Status,
			Class: fleet.Class(a.Class), Duration: durationOf(a.Duration), Reason: a.Reason,
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
