package sqlstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// Bounds of the look for one page. A server reads about 3 million records a second from its memory, and this many times
// fewer from a disk: so the look is bounded by time, and the windows follow the speed that was found.
const (
	recordScanTime = 120 * time.Millisecond
	firstWindow    = 4096 // records; takes milliseconds, even from a disk
	largestWindow  = 1 << 18
	windowGrowth   = 4
)

// recordScan looks for one page of records.
type recordScan struct {
	store  *Store
	q      fleet.RecordQuery
	limit  int
	before []byte // only records with lower ids; nil for all

	filter fleet.RecordQuery // what the walk leaves to look for

	rows []recordRow
	next []byte // where the next page goes on; nil at the end
}

// recordWalk is an index to walk along, as the conditions that it is made for.
type recordWalk func(sel *bun.SelectQuery) *bun.SelectQuery

// walks chooses what to walk along, the rarest first: of failures there are few. A group may have served or have been asked;
// one walk for each keeps both on their index, where an OR would sort all that match. rest is what is left to look for on the
// way.
func (r *recordScan) walks() (list []recordWalk, rest fleet.RecordQuery) {
	q := r.q
	rest = q
	rest.From, rest.To, rest.Limit, rest.Cursor = time.Time{}, time.Time{}, 0, ""
	switch {
	case q.Class != "" && q.Class != fleet.ClassOK:
		rest.Class = ""
		list = []recordWalk{func(sel *bun.SelectQuery) *bun.SelectQuery {
			return sel.Where("class = ?", clean(string(q.Class), maxClass)).Where("class <> 'ok'") // makes the partial index usable
		}}
	case max(q.Status, q.StatusFrom) >= leastFailure && r.store.dialect.failures:
		rest.Status, rest.StatusFrom, rest.StatusTo = 0, 0, 0
		list = []recordWalk{func(sel *bun.SelectQuery) *bun.SelectQuery {
			return filterStatus(sel.Where("status >= ?", leastFailure), q)
		}}
	case q.ParentID != 0:
		rest.ParentID = 0
		list = []recordWalk{walkParent(q.ParentID)}
	case q.GroupID != 0:
		rest.GroupID = 0
		list = []recordWalk{walkGroup(q.GroupID), walkParent(q.GroupID)}
	default:
		list = []recordWalk{func(sel *bun.SelectQuery) *bun.SelectQuery { return sel }}
	}
	return list, rest
}

func walkGroup(id fleet.GroupID) recordWalk {
	return func(sel *bun.SelectQuery) *bun.SelectQuery { return sel.Where("group_id = ?", int64(id)) }
}

func walkParent(id fleet.GroupID) recordWalk {
	return func(sel *bun.SelectQuery) *bun.SelectQuery {
		return sel.Where("parent_id = ?", int64(id)).Where("parent_id <> 0") // makes the partial index usable
	}
}

// records are what was found, in the form of the domain.
func (r *recordScan) records() []fleet.RequestRecord {
	list := make([]fleet.RequestRecord, len(r.rows))
	for i := range r.rows {
		list[i] = r.rows[i].record()
	}
	return list
}

func (r *recordScan) run(ctx context.Context, db bun.IDB) error {
	walks, rest := r.walks()
	r.filter = rest
	r.filter.From, r.filter.To = r.q.From, r.q.To
	if rest == (fleet.RecordQuery{}) {
		// Each record on the way matches.
		if err := r.fetch(ctx, db, walks, nil, r.limit+1); err != nil {
			return err
		}
		if len(r.rows) > r.limit {
			r.rows = r.rows[:r.limit]
			r.next = r.rows[r.limit-1].ID
		}
		return nil
	}
	end := time.Now().Add(r.store.scanTime)
	for window := firstWindow; ; {
		begun := time.Now()
		bound, err := r.windowEnd(ctx, db, walks, window)
		if err != nil {
			return err
		}
		if err := r.fetch(ctx, db, walks, bound, r.limit-len(r.rows)+1); err != nil {
			return err
		}
		r.before, r.next = bound, bound
		if len(r.rows) > r.limit || len(r.rows) == r.limit && bound != nil {
			r.rows = r.rows[:r.limit]
			r.next = r.rows[r.limit-1].ID
			return nil
		}
		left := time.Until(end)
		if bound == nil || left <= 0 {
			return nil
		}
		fits := int(float64(window) * float64(left) / float64(max(time.Since(begun), time.Microsecond)))
		window = max(firstWindow, min(fits, windowGrowth*window, largestWindow))
	}
}

// windowEnd returns the id of the record that is so many further on a walk; nil when there are not as many. Of two walks the
// window ends where the first one does.
func (r *recordScan) windowEnd(ctx context.Context, db bun.IDB, walks []recordWalk, window int) (end []byte, err error) {
	for _, walk := range walks {
		var found [][]byte
		sel := walk(r.within(db.NewSelect().Model((*recordRow)(nil)).Column("id"), nil))
		if err := sel.OrderExpr("id DESC").Limit(1).Offset(int64(window)-1).Scan(ctx, &found); err != nil {
			return nil, err
		}
		if len(found) > 0 && string(found[0]) > string(end) {
			end = found[0]
		}
	}
	return end, nil
}

// fetch adds the first records that match, at most so many, of those down to bound.
func (r *recordScan) fetch(ctx context.Context, db bun.IDB, walks []recordWalk, bound []byte, limit int) error {
	var found []recordRow
	for _, walk := range walks {
		var part []recordRow
		sel := walk(r.within(db.NewSelect().Model(&part), bound))
		r.store.filterRecords(sel, r.filter)
		if err := sel.OrderExpr("id DESC").Limit(int64(limit)).Scan(ctx); err != nil {
			return err
		}
		found = append(found, part...)
	}
	found = newestFirst(found)
	r.rows = append(r.rows, found[:min(len(found), limit)]...)
	return nil
}

// within bounds the ids: by the page before, by the window and by the times asked for.
func (r *recordScan) within(sel *bun.SelectQuery, bound []byte) *bun.SelectQuery {
	if r.before != nil {
		sel.Where("id < ?", r.before)
	}
	if bound != nil {
		sel.Where("id >= ?", bound)
	}
	if !r.q.From.IsZero() {
		sel.Where("id >= ?", firstID(r.q.From))
	}
	if !r.q.To.IsZero() {
		sel.Where("id < ?", firstID(r.q.To.Add(time.Millisecond)))
	}
	return sel
}

// newestFirst merges what several walks found, without repeats.
func newestFirst(rows []recordRow) []recordRow {
	slices.SortFunc(rows, func(a, b recordRow) int { return strings.Compare(string(b.ID), string(a.ID)) })
	return slices.CompactFunc(rows, func(a, b recordRow) bool { return string(a.ID) == string(b.ID) })
}
