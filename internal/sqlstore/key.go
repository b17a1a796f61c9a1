package sqlstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// loadRows is the number of keys that EachKey reads at a time: enough that the statement's own cost does not count.
const loadRows = 2000

// orphans excludes the keys of groups that are deleted but not swept yet.
const orphans = "group_id NOT IN (SELECT id FROM deleted_groups)"

// EachKey calls fn with every key of a group (0: of every group) in ascending order of id, some at a time, values
// opened and cool-downs that are not over attached. It holds no transaction while fn runs: keys added or changed meanwhile
// may be seen in either state. fn keeps what it is given. An error of fn ends it and is returned as it is.
func (s *Store) EachKey(ctx context.Context, group fleet.GroupID, fn func([]fleet.Key) error) error {
	box, err := s.sealer()
	if err != nil {
		return err
	}
	var last int64
	for {
		var rows []keyRow
		err := s.read(ctx, "reading keys", func(ctx context.Context, db bun.IDB) error {
			q := db.NewSelect().Model(&rows).Where("id > ?", last).Order("id").Limit(loadRows)
			if group != 0 {
				q.Where("group_id = ?", int64(group))
			}
			return q.Where(orphans).Scan(ctx)
		})
		if err != nil {
			return err
		}
		keys, err := s.open(ctx, box, rows)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			if err := fn(keys); err != nil {
				return err
			}
		}
		if len(rows) < loadRows {
			return nil
		}
		last = rows[len(rows)-1].ID
	}
}

// Keys returns one page, and the cursor of the next one, empty at the end.
//
// Orders and stored states have indexes. What else a query asks for is looked for along those, some keys after the other, for
// keyScanTime: then the page ends where the look came to, with fewer keys than asked for, or none, and the cursor goes on from
// there.
func (s *Store) Keys(ctx context.Context, q fleet.KeyQuery) (page []fleet.Key, next string, err error) {
	box, err := s.sealer()
	if err != nil {
		return nil, "", err
	}
	if q.Sort != "" && !slices.Contains(fleet.KeySorts, q.Sort) {
		return nil, "", fleet.InvalidFields([]fleet.FieldError{{Field: "sort", Message: fmt.Sprintf("must be one of %v", fleet.KeySorts)}})
	}
	scan := s.keyScan(&q)
	if q.Cursor != "" {
		var ok bool
		if scan.place, ok = parseWalkPlace(q.Cursor, len(scan.walks)); !ok {
			return nil, "", badCursor()
		}
	}
	if !q.Value.IsEmpty() {
		scan.match.hashes, scan.measured, scan.small = digests(box, q.Value), true, true
	}
	if err := s.read(ctx, "reading keys", scan.run); err != nil {
		return nil, "", err
	}
	if scan.next != nil {
		next = scan.next.String()
	}
	page, err = s.open(ctx, box, scan.rows)
	return page, next, err
}

// keyScan makes the look for a query, from its beginning.
func (s *Store) keyScan(q *fleet.KeyQuery) *keyScan {
	k := &keyScan{store: s, group: q.Group, limit: pageSize(q.Limit), most: s.smallGroup, time: s.keyScanTime}
	k.walks, k.match = s.keyWalks(q)
	return k
}

// Key returns one key, or CodeNotFound.
func (s *Store) Key(ctx context.Context, id fleet.KeyID) (fleet.Key, error) {
	box, err := s.sealer()
	if err != nil {
		return fleet.Key{}, err
	}
	var row keyRow
	err = s.read(ctx, "reading one of the keys", func(ctx context.Context, db bun.IDB) error {
		err := db.NewSelect().Model(&row).Where("id = ?", int64(id)).Where(orphans).Scan(ctx)
		return notFound(err, fmt.Sprintf("there is no key with id %d", id))
	})
	if err != nil {
		return fleet.Key{}, err
	}
	key, err := s.key(box, &row, now())
	if err != nil {
		return fleet.Key{}, fleet.NewError(fleet.CodeInternal, fmt.Sprintf("the stored key %d cannot be opened; delete it and add it again", id), err)
	}
	return key, nil
}

// FindKeys returns the id of each value in a group, in the order of values, 0 where the group does not have it.
func (s *Store) FindKeys(ctx context.Context, group fleet.GroupID, values []secret.Text) ([]fleet.KeyID, error) {
	box, err := s.sealer()
	if err != nil {
		return nil, err
	}
	ids := make([]fleet.KeyID, 0, len(values))
	err = chunks(values, func(part []secret.Text) error {
		known := make([][][]byte, len(part))
		var hashes [][]byte
		for i, v := range part {
			known[i] = digests(box, v)
			hashes = append(hashes, known[i]...)
		}
		var rows []keyRow
		err := s.read(ctx, "looking for keys", func(ctx context.Context, db bun.IDB) error {
			return db.NewSelect().Model(&rows).Column("id", "hash").Where("hash IN (?)", bun.List(hashes)).Where("group_id = ?", int64(group)).Scan(ctx)
		})
		if err != nil {
			return err
		}
		found := make(map[string]int64, len(rows))
		for _, row := range rows {
			found[string(row.Hash)] = row.ID
		}
		for _, of := range known {
			var id int64
			for _, hash := range of {
				id = max(id, found[string(hash)])
			}
			ids = append(ids, fleet.KeyID(id))
		}
		return nil
	})
	return ids, err
}

// CountKeys counts the keys of a group (0: of every group) by stored state. Which active ones rest, only the live
// pool knows.
func (s *Store) CountKeys(ctx context.Context, group fleet.GroupID) (map[fleet.KeyState]int, error) {
	var rows []struct {
		State string `bun:"state"`
		Count int    `bun:"count"`
	}
	err := s.read(ctx, "counting keys", func(ctx context.Context, db bun.IDB) error {
		q := db.NewSelect().Model((*keyRow)(nil)).Column("state").ColumnExpr("COUNT(*) AS count").Where(orphans).Group("state")
		if group != 0 {
			q.Where("group_id = ?", int64(group))
		}
		return q.Scan(ctx, &rows)
	})
	if err != nil {
		return nil, err
	}
	counts := make(map[fleet.KeyState]int, len(rows))
	for _, row := range rows {
		counts[fleet.KeyState(row.State)] = row.Count
	}
	return counts, nil
}

func pageSize(limit int) int {
	if limit <= 0 {
		return fleet.DefaultPage
	}
	return min(limit, fleet.MaxPage)
}

func badCursor() error {
	return fleet.InvalidFields([]fleet.FieldError{{Field: "cursor", Message: "is not one that a page answered as next; start without it"}})
}
