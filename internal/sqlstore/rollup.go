package sqlstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

type statRow struct {
	bun.BaseModel   `bun:"table:hourly_stats,alias:hourly_stats"`
	Hour            int64  `bun:"hour,pk"`
	GroupID         int64  `bun:"group_id,pk"`
	Model           string `bun:"model,pk"`
	ParentID        int64  `bun:"parent_id,pk"`
	ProxyKey        string `bun:"proxy_key,pk"`
	Requests        int64  `bun:"requests"`
	Succeeded       int64  `bun:"succeeded"`
	ClientFaults    int64  `bun:"client_faults"`
	Canceled        int64  `bun:"canceled"`
	KeyFaults       int64  `bun:"key_faults"`
	Limited         int64  `bun:"limited"`
	UpstreamFaults  int64  `bun:"upstream_faults"`
	GatewayRefusals int64  `bun:"gateway_refusals"`
	Streams         int64  `bun:"streams"`
	Retries         int64  `bun:"retries"`
	RequestBytes    int64  `bun:"request_bytes"`
	ResponseBytes   int64  `bun:"response_bytes"`
	Duration        int64  `bun:"duration"`
	FirstBytes      int64  `bun:"first_bytes"`
	FirstByte       int64  `bun:"first_byte"`
}

// sums are the columns that add up.
var sums = []string{
	"requests", "succeeded", "client_faults", "canceled", "key_faults", "limited", "upstream_faults", "gateway_refusals",
	"streams", "retries", "request_bytes", "response_bytes", "duration", "first_bytes", "first_byte",
}

const (
	hour = int64(time.Hour / time.Microsecond)
	// maxRollUps bounds the rows of one group and hour. Model names are what clients type: without a bound, a client
	// that makes them up would fill the table. 2,000 rows are 20 models for each of 100 proxy keys.
	maxRollUps = 2000
	// otherModel stands for the models past the bound.
	otherModel = "(other)"
	// rollUpModel clips the model's name, which is part of the primary key.
	rollUpModel = 128
)

type statKey struct {
	hour, group, parent int64
	model, proxyKey     string
}

type hourGroup struct{ hour, group int64 }

// rollUp adds what a batch sums up to, to the hourly sums.
func (s *Store) rollUp(ctx context.Context, tx bun.Tx, totals map[statKey]*statRow) error {
	if err := boundModels(ctx, tx, totals); err != nil {
		return err
	}
	list := make([]statRow, 0, len(totals))
	for _, row := range totals {
		list = append(list, *row)
	}
	// In the order of the primary key, so that two writers never wait for each other's rows crosswise.
	slices.SortFunc(list, func(a, b statRow) int {
		return cmp.Or(cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.GroupID, b.GroupID), cmp.Compare(a.Model, b.Model),
			cmp.Compare(a.ParentID, b.ParentID), cmp.Compare(a.ProxyKey, b.ProxyKey))
	})
	return chunks(list, func(part []statRow) error {
		q := tx.NewInsert().Model(&part).On(s.dialect.onConflict("hour, group_id, model, parent_id, proxy_key"))
		for _, column := range sums {
			q.Set(column + " = hourly_stats." + column + " + " + s.dialect.offered(column))
		}
		_, err := q.Exec(ctx)
		return err
	})
}

// addUp adds a record whose row is r.
func addUp(totals map[statKey]*statRow, r *recordRow, rec *fleet.RequestRecord) {
	key := statKey{
		hour: r.StartedAt - r.StartedAt%hour, group: r.GroupID, parent: r.ParentID, model: clean(r.ModelSent, rollUpModel), proxyKey: r.ProxyKey,
	}
	t := totals[key]
	if t == nil {
		t = &statRow{Hour: key.hour, GroupID: key.group, Model: key.model, ParentID: key.parent, ProxyKey: key.proxyKey}
		totals[key] = t
	}
	t.Requests++
	*t.family(fleet.Class(r.Class))++
	if r.Stream {
		t.Streams++
	}
	t.Retries += int64(max(r.AttemptCount-1, 0))
	t.RequestBytes += max(rec.RequestBytes, 0)
	t.ResponseBytes += max(rec.ResponseBytes, 0)
	t.Duration += spanOf(rec.Duration)
	if first := spanOf(rec.TimeToFirstByte); first > 0 {
		t.FirstBytes++
		t.FirstByte += first
	}
}

// family is the counter of a class. An unknown class is a gateway's word that this version does not know.
func (t *statRow) family(class fleet.Class) *int64 {
	switch class {
	case fleet.ClassOK:
		return &t.Succeeded
	case fleet.ClassClient:
		return &t.ClientFaults
	case fleet.ClassCanceled:
		return &t.Canceled
	case fleet.ClassKeyDead, fleet.ClassKeyExhausted, fleet.ClassKeySuspect, fleet.ClassModelDenied:
		return &t.KeyFaults
	case fleet.ClassLimited:
		return &t.Limited
	case fleet.ClassUpstream:
		return &t.UpstreamFaults
	case fleet.ClassGateway:
	}
	return &t.GatewayRefusals
}

// boundModels moves the sums of models that a full (hour, group) has not met yet to otherModel.
func boundModels(ctx context.Context, tx bun.Tx, totals map[statKey]*statRow) error {
	wanted := make(map[hourGroup]int)
	for key := range totals {
		wanted[hourGroup{key.hour, key.group}]++
	}
	for at, more := range wanted {
		have, err := tx.NewSelect().Model((*statRow)(nil)).Where("hour = ?", at.hour).Where("group_id = ?", at.group).Count(ctx)
		if err != nil {
			return err
		}
		if int(have)+more <= maxRollUps {
			continue
		}
		var stored []statRow
		err = tx.NewSelect().Model(&stored).Column("model", "parent_id", "proxy_key").Where("hour = ?", at.hour).Where("group_id = ?", at.group).Scan(ctx)
		if err != nil {
			return err
		}
		known := make(map[statKey]bool, len(stored))
		for _, row := range stored {
			known[statKey{hour: at.hour, group: at.group, parent: row.ParentID, model: row.Model, proxyKey: row.ProxyKey}] = true
		}
		foldUnknown(totals, at, known)
	}
	return nil
}

// foldUnknown keeps what is known and, while there is room, what comes first in the order of names.
func foldUnknown(totals map[statKey]*statRow, at hourGroup, known map[statKey]bool) {
	var unknown []statKey
	for key := range totals {
		if key.hour == at.hour && key.group == at.group && !known[key] {
			unknown = append(unknown, key)
		}
	}
	slices.SortFunc(unknown, func(a, b statKey) int {
		return cmp.Or(cmp.Compare(a.model, b.model), cmp.Compare(a.proxyKey, b.proxyKey), cmp.Compare(a.parent, b.parent))
	})
	for _, key := range unknown[min(len(unknown), max(0, maxRollUps-len(known))):] {
		from := totals[key]
		delete(totals, key)
		key.model = otherModel
		into := totals[key]
		if into == nil {
			into = &statRow{Hour: key.hour, GroupID: key.group, Model: key.model, ParentID: key.parent, ProxyKey: key.proxyKey}
			totals[key] = into
		}
		into.add(from)
	}
}

func (t *statRow) add(o *statRow) {
	t.Requests += o.Requests
	t.Succeeded += o.Succeeded
	t.ClientFaults += o.ClientFaults
	t.Canceled += o.Canceled
	t.KeyFaults += o.KeyFaults
	t.Limited += o.Limited
	t.UpstreamFaults += o.UpstreamFaults
	t.GatewayRefusals += o.GatewayRefusals
	t.Streams += o.Streams
	t.Retries += o.Retries
	t.RequestBytes += o.RequestBytes
	t.ResponseBytes += o.ResponseBytes
	t.Duration += o.Duration
	t.FirstBytes += o.FirstBytes
	t.FirstByte += o.FirstByte
}
