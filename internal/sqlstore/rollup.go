package sqlstore

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

const (
	minute = int64(time.Minute / time.Microsecond)
	hour   = int64(time.Hour / time.Microsecond)
	day    = 24 * hour
	// rollUpModel clips the model's name, which is part of the primary key.
	rollUpModel = 128
)

// statTable is a table of sums.
type statTable struct {
	name string
	time string   // its column of the time that a row begins at
	key  []string // the other columns of its primary key
	span int64    // microseconds that a row is about
	// most bounds the rows of one group and time. Model names are what clients type: without a bound, a client that makes
	// them up would fill the table.
	most int
	// fold is the row that takes what is past the bound.
	fold func(key statKey) statKey
}

var (
	// hourlyStats has at most 2,000 rows for a group and hour: 20 models for each of 100 proxy keys.
	hourlyStats = statTable{
		name: "hourly_stats", time: "hour", key: []string{"group_id", "model", "parent_id", "proxy_key"}, span: hour, most: 2000, fold: foldModel,
	}
	minuteStats = statTable{
		name: "minute_stats", time: "minute", key: []string{"group_id", "model", "parent_id", "proxy_key"}, span: minute, most: 500, fold: foldModel,
	}
	// keyStats has rows for the first 500 keys that a group uses in an hour. A pool that uses more of them does so to spread
	// requests evenly, and key_usage counts them all.
	keyStats = statTable{name: "hourly_key_stats", time: "hour", key: []string{"group_id", "key_id"}, span: hour, most: 500, fold: foldKey}
)

func foldModel(key statKey) statKey {
	key.Model = fleet.OtherModel
	return key
}

func foldKey(key statKey) statKey {
	key.KeyID = 0
	return key
}

// statKey is the primary key of a row, in each table as far as it has the columns.
type statKey struct {
	Start    int64  `bun:"start"`
	GroupID  int64  `bun:"group_id"`
	ParentID int64  `bun:"parent_id"`
	KeyID    int64  `bun:"key_id"`
	Model    string `bun:"model"`
	ProxyKey string `bun:"proxy_key"`
}

// args are the values of a table's primary key.
func (k *statKey) args(t *statTable) []any {
	args := []any{k.Start}
	for _, column := range t.key {
		switch column {
		case "group_id":
			args = append(args, k.GroupID)
		case "parent_id":
			args = append(args, k.ParentID)
		case "key_id":
			args = append(args, k.KeyID)
		case "model":
			args = append(args, k.Model)
		case "proxy_key":
			args = append(args, k.ProxyKey)
		}
	}
	return args
}

func compareStatKeys(a, b statKey) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.GroupID, b.GroupID), cmp.Compare(a.KeyID, b.KeyID), cmp.Compare(a.Model, b.Model),
		cmp.Compare(a.ParentID, b.ParentID), cmp.Compare(a.ProxyKey, b.ProxyKey))
}

// statSums are what adds up.
type statSums struct {
	Requests        int64 `bun:"requests"`
	Succeeded       int64 `bun:"succeeded"`
	ClientFaults    int64 `bun:"client_faults"`
	Canceled        int64 `bun:"canceled"`
	KeyFaults       int64 `bun:"key_faults"`
	Limited         int64 `bun:"limited"`
	UpstreamFaults  int64 `bun:"upstream_faults"`
	GatewayRefusals int64 `bun:"gateway_refusals"`
	Streams         int64 `bun:"streams"`
	Retries         int64 `bun:"retries"`
	RequestBytes    int64 `bun:"request_bytes"`
	ResponseBytes   int64 `bun:"response_bytes"`
	Duration        int64 `bun:"duration"`
	FirstBytes      int64 `bun:"first_bytes"`
	FirstByte       int64 `bun:"first_byte"`
}

// sumColumns are in the order of statSums.fields.
var sumColumns = []string{
	"requests", "succeeded", "client_faults", "canceled", "key_faults", "limited", "upstream_faults", "gateway_refusals",
	"streams", "retries", "request_bytes", "response_bytes", "duration", "first_bytes", "first_byte",
}

var histogramColumns = []string{"duration_histogram", "first_byte_histogram"}

func (s *statSums) fields() [15]*int64 {
	return [...]*int64{
		&s.Requests, &s.Succeeded, &s.ClientFaults, &s.Canceled, &s.KeyFaults, &s.Limited, &s.UpstreamFaults, &s.GatewayRefusals,
		&s.Streams, &s.Retries, &s.RequestBytes, &s.ResponseBytes, &s.Duration, &s.FirstBytes, &s.FirstByte,
	}
}

func (s *statSums) add(o *statSums) {
	from := o.fields()
	for i, into := range s.fields() {
		*into += *from[i]
	}
}

// family is the counter of a class. An unknown class is a gateway's word that this version does not know.
func (s *statSums) family(class fleet.Class) *int64 {
	switch class {
	case fleet.ClassOK:
		return &s.Succeeded
	case fleet.ClassClient:
		return &s.ClientFaults
	case fleet.ClassCanceled:
		return &s.Canceled
	case fleet.ClassKeyDead, fleet.ClassKeyExhausted, fleet.ClassKeySuspect, fleet.ClassModelDenied:
		return &s.KeyFaults
	case fleet.ClassLimited:
		return &s.Limited
	case fleet.ClassUpstream:
		return &s.UpstreamFaults
	case fleet.ClassGateway:
	}
	return &s.GatewayRefusals
}

// statTotal is what a batch adds to a row.
type statTotal struct {
	statSums
	durations, firstBytes histogram
}

func (t *statTotal) add(o *statTotal) {
	t.statSums.add(&o.statSums)
	t.durations.merge(o.durations)
	t.firstBytes.merge(o.firstBytes)
}

type statTotals map[statKey]*statTotal

func (t statTotals) at(key statKey) *statTotal {
	total := t[key]
	if total == nil {
		total = &statTotal{}
		t[key] = total
	}
	return total
}

// rollUp adds what a batch sums up to, to the rows of a table. The caller holds recordsRevision: nobody else changes the rows
// between the look at a histogram and its new value.
func (s *Store) rollUp(ctx context.Context, tx bun.Tx, table *statTable, totals statTotals) error {
	stored, err := s.storedHistograms(ctx, tx, table, totals, nil)
	if err != nil {
		return err
	}
	folded, err := s.foldUnknown(ctx, tx, table, totals, stored)
	if err != nil {
		return err
	}
	if folded {
		if stored, err = s.storedHistograms(ctx, tx, table, totals, stored); err != nil {
			return err
		}
	}
	columns := slices.Concat([]string{table.time}, table.key, sumColumns, histogramColumns)
	set := make([]string, 0, len(sumColumns)+len(histogramColumns))
	for _, column := range sumColumns {
		set = append(set, column+" = "+table.name+"."+column+" + "+s.dialect.offered(column))
	}
	for _, column := range histogramColumns {
		set = append(set, column+" = "+s.dialect.offered(column))
	}
	onConflict := " ON " + s.dialect.onConflict(table.time+", "+strings.Join(table.key, ", ")) + s.dialect.doSet + strings.Join(set, ", ")
	return chunks(totals.keys(), func(part []statKey) error {
		args := make([]any, 0, len(part)*len(columns))
		for i := range part {
			total := totals[part[i]]
			if old, ok := stored[part[i]]; ok {
				total.durations.addStored(old.Durations)
				total.firstBytes.addStored(old.FirstBytes)
			}
			args = append(args, part[i].args(table)...)
			for _, sum := range total.fields() {
				args = append(args, *sum)
			}
			args = append(args, total.durations.encode(), total.firstBytes.encode())
		}
		_, err := tx.NewRaw(insertPlain(table.name, columns, len(part))+onConflict, args...).Exec(ctx)
		return err
	})
}

// keys are in the order of time and group.
func (t statTotals) keys() []statKey {
	list := make([]statKey, 0, len(t))
	for key := range t {
		list = append(list, key)
	}
	slices.SortFunc(list, compareStatKeys)
	return list
}

type storedHistogram struct {
	statKey
	Durations  []byte `bun:"duration_histogram"`
	FirstBytes []byte `bun:"first_byte_histogram"`
}

// storedHistograms adds to known what the table has of the rows of totals.
func (s *Store) storedHistograms(ctx context.Context, tx bun.Tx, table *statTable, totals statTotals, known map[statKey]storedHistogram) (map[statKey]storedHistogram, error) {
	if known == nil {
		known = make(map[statKey]storedHistogram, len(totals))
	}
	var wanted []statKey
	for _, key := range totals.keys() {
		if _, ok := known[key]; !ok {
			wanted = append(wanted, key)
		}
	}
	key := slices.Concat([]string{table.time}, table.key)
	return known, chunks(wanted, func(part []statKey) error {
		var args []any
		for i := range part {
			args = append(args, part[i].args(table)...)
		}
		columns := "k." + table.time + " AS start, " + each(table.key, "k.%s", ", ") + ", " + each(histogramColumns, "k.%s", ", ")
		var rows []storedHistogram
		if err := tx.NewRaw(s.dialect.selectEach(table.name, columns, key, len(part)), args...).Scan(ctx, &rows); err != nil {
			return err
		}
		for _, row := range rows {
			known[row.statKey] = row
		}
		return nil
	})
}

// foldUnknown moves what a full group and time has no row for, to the row of the rest. While there is room, what comes first
// in the order of keys gets a row.
func (s *Store) foldUnknown(ctx context.Context, tx bun.Tx, table *statTable, totals statTotals, stored map[statKey]storedHistogram) (folded bool, err error) {
	unknown := make(map[groupTime][]statKey)
	for key := range totals {
		if _, ok := stored[key]; !ok {
			at := table.groupTime(key)
			unknown[at] = append(unknown[at], key)
		}
	}
	for at, keys := range unknown {
		have, err := tx.NewSelect().TableExpr(table.name).Where("? = ?", bun.Ident(table.time), at.start).Where("group_id = ?", at.group).Count(ctx)
		if err != nil {
			return folded, err
		}
		if int(have) >= table.most {
			if err := s.full.learn(ctx, tx, at); err != nil {
				return folded, err
			}
		}
		slices.SortFunc(keys, compareStatKeys)
		for _, key := range keys[min(len(keys), max(0, table.most-int(have))):] {
			if rest := table.fold(key); rest != key {
				from := totals[key]
				delete(totals, key)
				totals.at(rest).add(from)
				folded = true
			}
		}
	}
	return folded, nil
}
