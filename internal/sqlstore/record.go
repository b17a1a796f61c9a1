package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// Records returns one page, newest first, with attempts and without bodies, and the cursor of the next one, empty at
// the end. Time, group and failures have indexes; the other filters are applied to what those leave, so a narrow
// time makes them fast.
func (s *Store) Records(ctx context.Context, q fleet.RecordQuery) (page []fleet.RequestRecord, next string, err error) {
	var before []byte
	if q.Cursor != "" {
		id, err := fleet.ParseRecordID(q.Cursor)
		if err != nil {
			return nil, "", badCursor()
		}
		before = id[:]
	}
	limit := pageSize(q.Limit)
	// A group may have served or have been asked. One query for each keeps both on their index; an OR would sort all
	// that match.
	columns := []string{""}
	if q.GroupID != 0 {
		columns = []string{"group_id", "parent_id"}
	}
	var rows []recordRow
	err = s.read(ctx, "reading request records", func(ctx context.Context, db bun.IDB) error {
		for _, column := range columns {
			var part []recordRow
			sel := db.NewSelect().Model(&part).OrderExpr("id DESC").Limit(int64(limit) + 1)
			if before != nil {
				sel.Where("id < ?", before)
			}
			if column != "" {
				sel.Where("? = ?", bun.Ident(column), int64(q.GroupID))
			}
			if column == "parent_id" {
				sel.Where("parent_id <> 0") // makes its partial index usable
			}
			s.filterRecords(sel, q)
			if err := sel.Scan(ctx); err != nil {
				return err
			}
			rows = append(rows, part...)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	rows = newestFirst(rows)
	if len(rows) > limit {
		rows = rows[:limit]
		next = fleet.RecordID(rows[limit-1].ID).String()
	}
	page = make([]fleet.RequestRecord, len(rows))
	for i := range rows {
		page[i] = rows[i].record()
	}
	return page, next, nil
}

// newestFirst merges what both group columns found, without repeats.
func newestFirst(rows []recordRow) []recordRow {
	slices.SortFunc(rows, func(a, b recordRow) int { return strings.Compare(string(b.ID), string(a.ID)) })
	return slices.CompactFunc(rows, func(a, b recordRow) bool { return string(a.ID) == string(b.ID) })
}

// filterRecords adds the conditions. Texts from people are cleaned like stored ones, so that they can match.
func (s *Store) filterRecords(sel *bun.SelectQuery, q fleet.RecordQuery) {
	if !q.From.IsZero() {
		sel.Where("id >= ?", firstID(q.From)).Where("started_at >= ?", micros(q.From))
	}
	if !q.To.IsZero() {
		sel.Where("id < ?", firstID(q.To.Add(time.Millisecond))).Where("started_at < ?", micros(q.To))
	}
	if q.Model != "" {
		model := clean(q.Model, maxModelName)
		sel.Where("(model_asked = ? OR model_sent = ?)", model, model)
	}
	if q.Status != 0 {
		sel.Where("status = ?", q.Status)
	}
	if q.StatusFrom != 0 {
		sel.Where("status >= ?", q.StatusFrom)
	}
	if q.StatusTo != 0 {
		sel.Where("status <= ?", q.StatusTo)
	}
	if q.Class != "" {
		sel.Where("class = ?", clean(string(q.Class), maxClass))
		if q.Class != fleet.ClassOK {
			sel.Where("class <> 'ok'") // makes its partial index usable
		}
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

// Record returns one record with its attempts and bodies, or CodeNotFound.
func (s *Store) Record(ctx context.Context, id fleet.RecordID) (fleet.RequestRecord, error) {
	var row recordRow
	var bodies []bodyRow
	err := s.read(ctx, "reading the request record", func(ctx context.Context, db bun.IDB) error {
		err := db.NewSelect().Model(&row).Where("id = ?", id[:]).Scan(ctx)
		if err != nil {
			return notFound(err, "there is no request record with id "+id.String()+"; it may be past request_log_retention_days")
		}
		return db.NewSelect().Model(&bodies).Where("record_id = ?", id[:]).Scan(ctx)
	})
	if err != nil {
		return fleet.RequestRecord{}, err
	}
	record := row.record()
	if len(bodies) > 0 {
		b := bodies[0]
		record.Capture = &fleet.BodyCapture{Request: b.Request, Response: b.Response, RequestTruncated: b.RequestTruncated, ResponseTruncated: b.ResponseTruncated}
	}
	return record, nil
}
