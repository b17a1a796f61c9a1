package sqlstore

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// Bounds of the look for one page of keys. A server looks through about a million keys a second in the order of ids, and through
// many times fewer when they come from a disk, or one here and one there: so the look is bounded by time, and the windows follow
// the speed that was found, with half of the time left to spare.
const (
	keyScanTime      = 80 * time.Millisecond
	firstKeyWindow   = 2048 // keys
	largestKeyWindow = 1 << 16
	scatteredWindow  = 1 << 12 // the same for keys that are not in the order of ids
	keyWindowGrowth  = 2
	// smallGroup is how many keys a group may have for its pages to be looked for without windows, sorting what has to be: 20,000
	// take about 20 ms.
	smallGroup = 20_000
)

// walkPlace is where a look for keys stands: behind this key of this walk.
type walkPlace struct {
	walk  int
	value int64 // in the column that the walk is sorted by
	id    int64 // 0 at the beginning of the walk
}

// String is the place as a cursor.
func (p walkPlace) String() string {
	if p.walk == 0 && p.value == 0 {
		return strconv.FormatInt(p.id, 10)
	}
	return strconv.Itoa(p.walk) + "." + strconv.FormatInt(p.value, 10) + "." + strconv.FormatInt(p.id, 10)
}

// parseWalkPlace reads what String wrote, for so many walks.
func parseWalkPlace(text string, walks int) (p walkPlace, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) == 1 {
		parts = []string{"0", "0", text}
	}
	if len(parts) != 3 {
		return p, false
	}
	var numbers [3]int64
	for i, part := range parts {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil || n < 0 {
			return p, false
		}
		numbers[i] = n
	}
	return walkPlace{walk: int(min(numbers[0], int64(walks))), value: numbers[1], id: numbers[2]}, numbers[0] < int64(walks)
}

// keyScan looks for some keys that match.
type keyScan struct {
	store *Store
	group fleet.GroupID
	walks []keyWalk // one after the other
	match keyMatch  // what the walks leave to look for
	limit int
	most  int           // keys of a small group
	time  time.Duration // for the look

	place           walkPlace
	measured, small bool // whether it is known that the group is small, and that it is
	rows            []keyRow
	next            *walkPlace // where the next page goes on; nil at the end
}

// run fills rows and next.
func (k *keyScan) run(ctx context.Context, db bun.IDB) error {
	end := time.Now().Add(k.time)
	for ; k.place.walk < len(k.walks); k.place = (walkPlace{walk: k.place.walk + 1}) {
		over, err := k.walk(ctx, db, &k.walks[k.place.walk], end)
		if err != nil || over {
			return err
		}
	}
	return nil
}

// walk goes along a walk to its end, unless the page is full or the time is over before.
func (k *keyScan) walk(ctx context.Context, db bun.IDB, w *keyWalk, end time.Time) (over bool, err error) {
	if w.complete() && k.match.isZero() {
		return k.fill(ctx, db, w, nil, 0)
	}
	if err := k.measure(ctx, db); err != nil {
		return false, err
	}
	if k.small {
		return k.fill(ctx, db, w, nil, 0)
	}
	return k.windows(ctx, db, w, end)
}

// windows goes along a walk, some keys at a time, until the page is full or the time is over.
func (k *keyScan) windows(ctx context.Context, db bun.IDB, w *keyWalk, end time.Time) (over bool, err error) {
	largest := largestKeyWindow
	if w.column != "" {
		largest = scatteredWindow
	}
	for window := firstKeyWindow; ; {
		begun := time.Now()
		bound, err := k.windowEnd(ctx, db, w, window)
		if err != nil {
			return false, err
		}
		over, err := k.fill(ctx, db, w, bound, window)
		if err != nil || over || bound == nil {
			return over, err
		}
		k.place = *bound
		left := time.Until(end)
		if left <= 0 || len(k.rows) == k.limit {
			k.next = bound
			return true, nil
		}
		fits := int(float64(window) * float64(left/2) / float64(max(time.Since(begun), time.Microsecond)))
		window = max(firstKeyWindow, min(fits, keyWindowGrowth*window, largest))
	}
}

// fill adds the keys that match from the place on, up to bound, unless that is nil, and reports whether the page is full. window is
// how many there are on the walk; 0 for the rest of it.
func (k *keyScan) fill(ctx context.Context, db bun.IDB, w *keyWalk, bound *walkPlace, window int) (over bool, err error) {
	var found []keyRow
	sel := db.NewSelect().Model(&found).ColumnExpr("key_row.*").ColumnExpr(w.value() + " AS sort_value")
	switch {
	case w.usage && window > 0:
		// The limit, which cuts nothing, tells the planner that a few keys are to be looked up one by one.
		part := w.index(db.NewSelect(), k.group).Column("u.key_id", w.column)
		k.within(part, w, bound)
		// SQLite takes the tables of a CROSS JOIN in the order in which they stand there.
		sel.ModelTableExpr("(?) AS u CROSS JOIN provider_keys AS key_row", w.order(part).Limit(int64(window))).Where("key_row.id = u.key_id")
	case w.usage:
		sel.Join("JOIN key_usage AS u ON u.key_id = key_row.id")
		k.within(sel, w, bound)
	default:
		k.within(sel, w, bound)
	}
	w.belongs(sel, k.group)
	k.match.apply(sel, k.store)
	room := k.limit - len(k.rows)
	if err := w.order(sel).Limit(int64(room) + 1).Scan(ctx); err != nil {
		return false, err
	}
	k.rows = append(k.rows, found[:min(len(found), room)]...)
	switch {
	case len(found) <= room:
		return false, nil
	case room == 0: // the page was full before this walk or window
		next := k.place
		k.next = &next
	default:
		last := k.rows[len(k.rows)-1]
		k.next = &walkPlace{walk: k.place.walk, value: last.SortValue, id: last.ID}
	}
	return true, nil
}

// windowEnd is the place of the key that is so many further on a walk; nil when there are not as many.
func (k *keyScan) windowEnd(ctx context.Context, db bun.IDB, w *keyWalk, window int) (*walkPlace, error) {
	var found []struct {
		ID    int64 `bun:"id"`
		Value int64 `bun:"sort_value"`
	}
	sel := w.index(db.NewSelect(), k.group).ColumnExpr(w.id() + " AS id").ColumnExpr(w.value() + " AS sort_value")
	k.within(sel, w, nil)
	if err := w.order(sel).Limit(1).Offset(int64(window)-1).Scan(ctx, &found); err != nil || len(found) == 0 {
		return nil, err
	}
	return &walkPlace{walk: k.place.walk, value: found[0].Value, id: found[0].ID}, nil
}

// measure finds out, once, whether the group has few keys.
func (k *keyScan) measure(ctx context.Context, db bun.IDB) error {
	if k.measured || k.group == 0 {
		return nil
	}
	var found []int64
	err := db.NewSelect().Model((*keyRow)(nil)).Column("id").Where("group_id = ?", int64(k.group)).Order("id").
		Offset(int64(k.most)).Limit(1).Scan(ctx, &found)
	k.measured, k.small = true, len(found) == 0
	return err
}

// within bounds a look by where it stands and by the end of a window.
func (k *keyScan) within(sel *bun.SelectQuery, w *keyWalk, bound *walkPlace) {
	if k.place.id != 0 || w.ascending {
		w.behind(sel, k.store.dialect, k.place)
	}
	if bound != nil {
		w.upTo(sel, k.store.dialect, *bound)
	}
}
