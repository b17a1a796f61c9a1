package sqlstore

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// maxStatsRows bounds one answer: 30 days of hours by 25 models.
const maxStatsRows = 20_000

// Stats sums the hourly roll-ups, in ascending order of what By names. An answer of more than 20,000 rows is
// CodeTooLarge.
func (s *Store) Stats(ctx context.Context, q fleet.StatsQuery) ([]fleet.StatsRow, error) {
	var columns []string
	for _, by := range q.By {
		switch by {
		case fleet.StatsByHour:
			columns = append(columns, "hour")
		case fleet.StatsByGroup:
			columns = append(columns, "group_id")
		case fleet.StatsByModel:
			columns = append(columns, "model")
		case fleet.StatsByProxyKey:
			columns = append(columns, "proxy_key")
		default:
			return nil, fleet.InvalidFields([]fleet.FieldError{{Field: "by", Message: "must name hour, group, model or proxy_key"}})
		}
	}
	var rows []statRow
	err := s.read(ctx, "reading statistics", func(ctx context.Context, db bun.IDB) error {
		sel := db.NewSelect().Model(&rows).Limit(maxStatsRows + 1)
		for _, column := range columns {
			sel.Column(column).Group(column).Order(column)
		}
		for _, column := range sums {
			sel.ColumnExpr("COALESCE(SUM(?), 0) AS ?", bun.Ident(column), bun.Ident(column))
		}
		if !q.From.IsZero() {
			sel.Where("hour >= ?", micros(q.From))
		}
		if !q.To.IsZero() {
			sel.Where("hour < ?", micros(q.To))
		}
		if q.GroupID != 0 {
			sel.Where("(group_id = ? OR parent_id = ?)", int64(q.GroupID), int64(q.GroupID))
		}
		if q.Model != "" {
			sel.Where("model = ?", clean(q.Model, rollUpModel))
		}
		return sel.Scan(ctx)
	})
	if err != nil {
		return nil, err
	}
	if len(rows) > maxStatsRows {
		return nil, fleet.NewError(fleet.CodeTooLarge, fmt.Sprintf("the statistics have more than %d rows; ask for a shorter time or tell fewer things apart", maxStatsRows), nil)
	}
	out := make([]fleet.StatsRow, len(rows))
	for i := range rows {
		out[i] = rows[i].stats()
	}
	return out, nil
}

func (t *statRow) stats() fleet.StatsRow {
	return fleet.StatsRow{
		Hour: timeOf(t.Hour), GroupID: fleet.GroupID(t.GroupID), Model: t.Model, ProxyKeyFingerprint: t.ProxyKey,
		Requests: t.Requests, Succeeded: t.Succeeded, ClientFaults: t.ClientFaults + t.Canceled,
		Failed:  t.KeyFaults + t.Limited + t.UpstreamFaults + t.GatewayRefusals,
		Retries: t.Retries, RequestBytes: t.RequestBytes, ResponseBytes: t.ResponseBytes,
		DurationSum: durationOf(t.Duration), FirstBytes: t.FirstBytes, FirstByteSum: durationOf(t.FirstByte),
	}
}
