package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// maxStatsRows bounds one answer: 30 days of hours by 25 models.
const maxStatsRows = 20_000

// statsColumns are the columns of what rows are told apart by, in each table that has them; time is statTable.time.
var statsColumns = map[fleet.StatsBy]string{
	fleet.StatsByTime: "start", fleet.StatsByGroup: "group_id", fleet.StatsByParent: "parent_id", fleet.StatsByModel: "model",
	fleet.StatsByProxyKey: "proxy_key", fleet.StatsByKey: "key_id",
}

// Stats sums up the roll-ups. An answer of more than 20,000 rows is CodeTooLarge.
func (s *Store) Stats(ctx context.Context, q fleet.StatsQuery) (fleet.Stats, error) {
	table, err := tableOf(q)
	if err != nil {
		return fleet.Stats{}, err
	}
	var columns []string
	for _, by := range q.By {
		columns = append(columns, statsColumns[by])
	}
	sums := make(map[statKey]*readSums)
	err = s.read(ctx, "reading statistics", func(ctx context.Context, db bun.IDB) error {
		if err := readStatSums(ctx, db, table, q, columns, sums); err != nil || !q.Latencies {
			return err
		}
		return readHistograms(ctx, db, table, q, columns, sums)
	})
	if err != nil {
		return fleet.Stats{}, err
	}
	var total readSums
	stats := fleet.Stats{Rows: make([]fleet.StatsRow, 0, len(sums))}
	for key, row := range sums {
		total.add(&row.statSums)
		total.durations.merge(&row.durations)
		total.firstBytes.merge(&row.firstBytes)
		if len(q.By) > 0 {
			stats.Rows = append(stats.Rows, row.stats(key))
		}
	}
	stats.Total = total.stats(statKey{})
	slices.SortFunc(stats.Rows, func(a, b fleet.StatsRow) int { return compareStats(a, b, q.By) })
	return stats, nil
}

// tableOf chooses the table, and refuses what it cannot tell apart.
func tableOf(q fleet.StatsQuery) (*statTable, error) {
	var faults []fleet.FieldError
	fault := func(field, message string) { faults = append(faults, fleet.FieldError{Field: field, Message: message}) }
	table := &hourlyStats
	if !slices.Contains([]time.Duration{0, fleet.StatsMinute, fleet.StatsHour, fleet.StatsDay}, q.Step) {
		fault("step", "must be a minute, an hour or a day")
	}
	byKey := q.KeyID != 0 || slices.Contains(q.By, fleet.StatsByKey)
	switch {
	case byKey:
		table = &keyStats
		const unknown = "cannot be combined with provider keys, whose sums count attempts and do not know it"
		for field, asked := range map[string]bool{"parent_id": q.ParentID != 0, "model": q.Model != "", "proxy_key": q.ProxyKey != ""} {
			if asked {
				fault(field, unknown)
			}
		}
		if q.Step == fleet.StatsMinute {
			fault("step", "must be an hour or a day for provider keys")
		}
	case q.Step == fleet.StatsMinute:
		table = &minuteStats
	}
	for _, by := range q.By {
		column, known := statsColumns[by]
		if !known {
			fault("by", "must name time, group, parent, model, proxy_key or key")
		} else if by != fleet.StatsByTime && !slices.Contains(table.key, column) {
			fault("by", "cannot name "+string(by)+" together with provider keys, whose sums do not know it")
		}
	}
	slices.SortFunc(faults, func(a, b fleet.FieldError) int { return cmp.Compare(a.Field, b.Field) })
	return table, fleet.InvalidFields(faults)
}

// readSums is one row of an answer.
type readSums struct {
	statSums
	durations, firstBytes tally
}

// sumRow is a row of a table or of sums.
type sumRow struct {
	statKey
	statSums
}

func selectStats(db bun.IDB, table *statTable, q fleet.StatsQuery, columns []string) *bun.SelectQuery {
	sel := db.NewSelect().TableExpr(table.name)
	for _, column := range columns {
		switch {
		case column != "start":
			sel.Column(column)
		case q.Step == fleet.StatsDay:
			sel.ColumnExpr("?0 - ?0 % ?1 AS start", bun.Ident(table.time), day)
		default:
			sel.ColumnExpr("? AS start", bun.Ident(table.time))
		}
	}
	if !q.From.IsZero() {
		sel.Where("? >= ?", bun.Ident(table.time), micros(q.From))
	}
	if !q.To.IsZero() {
		sel.Where("? < ?", bun.Ident(table.time), micros(q.To))
	}
	switch {
	case q.GroupID != 0 && table == &keyStats:
		sel.Where("group_id = ?", int64(q.GroupID))
	case q.GroupID != 0:
		sel.Where("(group_id = ? OR parent_id = ?)", int64(q.GroupID), int64(q.GroupID))
	}
	if q.ParentID != 0 {
		sel.Where("parent_id = ?", int64(q.ParentID))
	}
	if q.KeyID != 0 {
		sel.Where("key_id = ?", int64(q.KeyID))
	}
	if q.Model != "" {
		sel.Where("model = ?", clean(q.Model, rollUpModel))
	}
	if q.ProxyKey != "" {
		sel.Where("proxy_key = ?", clean(q.ProxyKey, maxFingerprint))
	}
	return sel
}

// readStatSums lets the database add up.
func readStatSums(ctx context.Context, db bun.IDB, table *statTable, q fleet.StatsQuery, columns []string, into map[statKey]*readSums) error {
	var rows []sumRow
	sel := selectStats(db, table, q, columns).Limit(maxStatsRows + 1)
	for _, column := range columns {
		sel.Group(column)
	}
	for _, column := range sumColumns {
		sel.ColumnExpr("COALESCE(SUM(?), 0) AS ?", bun.Ident(column), bun.Ident(column))
	}
	if err := sel.Scan(ctx, &rows); err != nil {
		return err
	}
	if len(rows) > maxStatsRows {
		return fleet.NewError(fleet.CodeTooLarge, fmt.Sprintf("the statistics have more than %d rows; ask for a shorter time or tell fewer things apart", maxStatsRows), nil)
	}
	for _, row := range rows {
		into[row.statKey] = &readSums{statSums: row.statSums}
	}
	return nil
}

// readHistograms adds up what no database can.
func readHistograms(ctx context.Context, db bun.IDB, table *statTable, q fleet.StatsQuery, columns []string, into map[statKey]*readSums) error {
	sel := selectStats(db, table, q, columns)
	for _, column := range histogramColumns {
		sel.Column(column)
	}
	rows, err := sel.Rows(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var row storedHistogram
	fields := map[string]any{
		"start": &row.Start, "group_id": &row.GroupID, "parent_id": &row.ParentID, "key_id": &row.KeyID, "model": &row.Model, "proxy_key": &row.ProxyKey,
	}
	targets := make([]any, 0, len(columns)+len(histogramColumns))
	for _, column := range columns {
		targets = append(targets, fields[column])
	}
	targets = append(targets, (*sqlBytes)(&row.Durations), (*sqlBytes)(&row.FirstBytes))
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		if sums := into[row.statKey]; sums != nil { // else it came after the sums
			sums.durations.addStored(row.Durations)
			sums.firstBytes.addStored(row.FirstBytes)
		}
	}
	return rows.Err()
}

func (t *readSums) stats(key statKey) fleet.StatsRow {
	row := fleet.StatsRow{
		GroupID: fleet.GroupID(key.GroupID), ParentID: fleet.GroupID(key.ParentID), KeyID: fleet.KeyID(key.KeyID),
		Model: key.Model, ProxyKeyFingerprint: key.ProxyKey,
		Requests: t.Requests, Succeeded: t.Succeeded, ClientFaults: t.ClientFaults + t.Canceled,
		Failed:  t.KeyFaults + t.Limited + t.UpstreamFaults + t.GatewayRefusals,
		Retries: t.Retries, RequestBytes: t.RequestBytes, ResponseBytes: t.ResponseBytes,
		DurationSum: durationOf(t.Duration), FirstBytes: t.FirstBytes, FirstByteSum: durationOf(t.FirstByte),
		Duration: t.durations.percentiles(), FirstByte: t.firstBytes.percentiles(),
	}
	if key.Start != 0 {
		row.Start = timeOf(key.Start)
	}
	return row
}

func (t *tally) percentiles() fleet.Percentiles {
	return fleet.Percentiles{P50: t.percentile(0.50), P95: t.percentile(0.95), P99: t.percentile(0.99)}
}

func compareStats(a, b fleet.StatsRow, by []fleet.StatsBy) int {
	for _, column := range by {
		order := 0
		switch column {
		case fleet.StatsByTime:
			order = a.Start.Compare(b.Start)
		case fleet.StatsByGroup:
			order = cmp.Compare(a.GroupID, b.GroupID)
		case fleet.StatsByParent:
			order = cmp.Compare(a.ParentID, b.ParentID)
		case fleet.StatsByModel:
			order = cmp.Compare(a.Model, b.Model)
		case fleet.StatsByProxyKey:
			order = cmp.Compare(a.ProxyKeyFingerprint, b.ProxyKeyFingerprint)
		case fleet.StatsByKey:
			order = cmp.Compare(a.KeyID, b.KeyID)
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

// sqlBytes takes over the bytes of a column without a copy, until the next row.
type sqlBytes []byte

// Scan implements sql.Scanner.
func (b *sqlBytes) Scan(value any) error {
	*b, _ = value.([]byte) // a text would be an empty histogram of SQLite
	return nil
}
