package accesslog

import (
	"strconv"
	"strings"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/jsonbody"
)

// longestLine bounds one line, in bytes: the texts are clipped, and JSON makes up to six bytes of each.
const (
	longestLine = 24 << 10
	longestText = 256
)

// appendLine writes the fields of one record. Both forms have the same ones, and leave out those that are empty.
func (l *Log) appendLine(to []byte, r *fleet.RequestRecord) []byte {
	at := r.StartedAt
	if l.Location != nil {
		at = at.In(l.Location)
	}
	w := line{bytes: to, json: l.JSON}
	w.begin(at)
	w.text("id", r.ID.String())
	w.text("client", r.ClientIP)
	w.text("method", r.Method)
	w.text("path", r.Path)
	w.text("group", r.GroupName)
	w.text("aggregate", r.ParentName)
	w.text("model", r.ModelAsked)
	if r.ModelSent != r.ModelAsked {
		w.text("model_sent", r.ModelSent)
	}
	w.flag("stream", r.Stream)
	w.number("status", int64(r.Status))
	w.text("class", string(r.Class))
	w.milliseconds("took_ms", r.Duration)
	w.milliseconds("first_byte_ms", r.TimeToFirstByte)
	w.number("request_bytes", r.RequestBytes)
	w.number("response_bytes", r.ResponseBytes)
	w.number("attempts", int64(len(r.Attempts)))
	if n := len(r.Attempts); n > 0 {
		w.text("upstream", r.Attempts[n-1].Upstream)
		w.text("key_tail", r.Attempts[n-1].KeyTail)
	}
	w.text("proxy_key", r.ProxyKeyFingerprint)
	w.text("user_agent", r.UserAgent)
	w.text("error", r.Error)
	return w.end()
}

// line is one line that grows.
type line struct {
	bytes []byte
	json  bool
}

func (w *line) begin(at time.Time) {
	if w.json {
		w.bytes = append(w.bytes, `{"time":"`...)
	}
	w.bytes = at.AppendFormat(w.bytes, "2006-01-02T15:04:05.000Z07:00")
	if w.json {
		w.bytes = append(w.bytes, '"')
	}
}

func (w *line) end() []byte {
	if w.json {
		w.bytes = append(w.bytes, '}')
	}
	return append(w.bytes, '\n')
}

func (w *line) name(name string) {
	if w.json {
		w.bytes = append(w.bytes, `,"`...)
		w.bytes = append(w.bytes, name...)
		w.bytes = append(w.bytes, `":`...)
		return
	}
	w.bytes = append(w.bytes, ' ')
	w.bytes = append(w.bytes, name...)
	w.bytes = append(w.bytes, '=')
}

func (w *line) text(name, value string) {
	if value == "" {
		return
	}
	w.name(name)
	if len(value) > longestText {
		value = strings.ToValidUTF8(value[:longestText], "")
	}
	switch {
	case w.json:
		w.bytes = jsonbody.AppendQuoted(w.bytes, value)
	case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r == '=' || r >= 0x7f }):
		w.bytes = strconv.AppendQuoteToASCII(w.bytes, value)
	default:
		w.bytes = append(w.bytes, value...)
	}
}

func (w *line) number(name string, value int64) {
	w.name(name)
	w.bytes = strconv.AppendInt(w.bytes, value, 10)
}

func (w *line) milliseconds(name string, d time.Duration) {
	if d > 0 {
		w.name(name)
		w.bytes = strconv.AppendFloat(w.bytes, float64(d.Microseconds())/1000, 'f', 3, 64)
	}
}

func (w *line) flag(name string, yes bool) {
	if yes {
		w.name(name)
		w.bytes = append(w.bytes, "true"...)
	}
}
