package sqlstore

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// filterRecords adds the conditions. Texts from people are cleaned like stored ones, so that they can match.
func (s *Store) filterRecords(sel *bun.SelectQuery, q fleet.RecordQuery) {
	// Ids know milliseconds.
	if !q.From.IsZero() {
		sel.Where("started_at >= ?", micros(q.From))
	}
	if !q.To.IsZero() {
		sel.Where("started_at < ?", micros(q.To))
	}
	if q.GroupID != 0 {
		sel.Where("(group_id = ? OR parent_id = ?)", int64(q.GroupID), int64(q.GroupID))
	}
	if q.ParentID != 0 {
		sel.Where("parent_id = ?", int64(q.ParentID))
	}
	if q.Model != "" {
		model := clean(q.Model, maxModelName)
		sel.Where("(model_asked = ? OR model_sent = ?)", model, model)
	}
	filterStatus(sel, q)
	if q.Class != "" {
		sel.Where("class = ?", clean(string(q.Class), maxClass))
	}
	if q.Stream != nil {
		sel.Where("stream = ?", *q.Stream)
	}
	if q.Retried != nil && *q.Retried {
		sel.Where("attempt_count > 1")
	} else if q.Retried != nil {
		sel.Where("attempt_count <= 1")
	}
	if q.KeyID != 0 {
		sel.Where(s.dialect.contains("details"), fmt.Sprintf(`"k":%d,`, q.KeyID))
	}
	if q.KeyTail != "" {
		tail, _ := json.Marshal(clean(q.KeyTail, maxTail)) // spelled as in the column
		sel.Where(s.dialect.contains("details"), `"t":`+string(tail))
	}
	if q.ProxyKeyFingerprint != "" {
		sel.Where("proxy_key = ?", clean(q.ProxyKeyFingerprint, maxFingerprint))
	}
	if q.ClientIP != "" {
		sel.Where("client_ip = ?", clean(q.ClientIP, maxAddress))
	}
	if q.Text != "" {
		s.filterText(sel, clean(q.Text, maxError))
	}
}

// leastFailure is the lowest status of a failure, from which on an index holds statuses.
const leastFailure = 400

func filterStatus(sel *bun.SelectQuery, q fleet.RecordQuery) *bun.SelectQuery {
	if q.Status != 0 {
		sel.Where("status = ?", q.Status)
	}
	if q.StatusFrom != 0 {
		sel.Where("status >= ?", q.StatusFrom)
	}
	if q.StatusTo != 0 {
		sel.Where("status <= ?", q.StatusTo)
	}
	return sel
}

func (s *Store) filterText(sel *bun.SelectQuery, text string) {
	pattern := likePattern(strings.ToLower(text))
	sel.WhereGroup(" AND ", func(sel *bun.SelectQuery) *bun.SelectQuery {
		sel.Where("LOWER(error) LIKE ? ESCAPE '!'", pattern).WhereOr("LOWER(path) LIKE ? ESCAPE '!'", pattern)
		if id := strings.ReplaceAll(text, "-", ""); id != "" && strings.Trim(id, "0123456789abcdefABCDEF") == "" {
			sel.WhereOr(s.dialect.hex("id")+" LIKE ?", "%"+strings.ToUpper(id)+"%")
		}
		return sel
	})
}
