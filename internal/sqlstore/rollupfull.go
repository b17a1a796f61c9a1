package sqlstore

import (
	"context"
	"sync"

	"github.com/uptrace/bun"
)

// fullTimes remembers the groups and times that have all the rows they may have: no row comes or goes there any more until
// retention, so what has none is folded without a question to the database. A pool of 100,000 keys would otherwise ask for a
// thousand rows with each batch.
type fullTimes struct {
	mu   sync.Mutex
	rows map[groupTime]map[statKey]struct{}
}

// fullTimesKept bounds what is remembered: a group and time takes about 50 kB with 500 keys.
const fullTimesKept = 128

type groupTime struct {
	table        *statTable
	start, group int64
}

func (t *statTable) groupTime(key statKey) groupTime { return groupTime{t, key.Start, key.GroupID} }

// row is the key of the row that counts what key is about: its own, or that of the rest.
func (f *fullTimes) row(table *statTable, key statKey) statKey {
	f.mu.Lock()
	defer f.mu.Unlock()
	rows, full := f.rows[table.groupTime(key)]
	if !full {
		return key
	}
	if _, known := rows[key]; known {
		return key
	}
	return table.fold(key)
}

// learn reads the rows of a group and time that is full.
func (f *fullTimes) learn(ctx context.Context, tx bun.Tx, at groupTime) error {
	var keys []statKey
	sel := tx.NewSelect().TableExpr(at.table.name).ColumnExpr("? AS start", bun.Ident(at.table.time)).Column(at.table.key...)
	if err := sel.Where("? = ?", bun.Ident(at.table.time), at.start).Where("group_id = ?", at.group).Scan(ctx, &keys); err != nil {
		return err
	}
	rows := make(map[statKey]struct{}, len(keys))
	for _, key := range keys {
		rows[key] = struct{}{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rows == nil {
		f.rows = make(map[groupTime]map[statKey]struct{})
	}
	if len(f.rows) >= fullTimesKept {
		var oldest groupTime
		for at := range f.rows {
			if oldest.table == nil || at.start < oldest.start {
				oldest = at
			}
		}
		delete(f.rows, oldest)
	}
	f.rows[at] = rows
	return nil
}
