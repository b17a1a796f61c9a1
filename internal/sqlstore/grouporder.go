package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// OrderGroups puts all groups into an order, which must name each of them once: then Sort counts from 1. A list that names
// another set of groups than there are was made from groups that have changed since, and is CodeConflict; a group that comes
// twice is CodeInvalid. Only groups whose Sort changes get a new revision.
func (s *Store) OrderGroups(ctx context.Context, ids []fleet.GroupID) (revision int64, err error) {
	place := make(map[int64]int, len(ids))
	for i, id := range ids {
		if first, twice := place[int64(id)]; twice {
			return 0, fleet.InvalidFields([]fleet.FieldError{{
				Field: fmt.Sprintf("group_ids[%d]", i), Message: fmt.Sprintf("stands there twice; it is also group_ids[%d]", first-1),
			}})
		}
		place[int64(id)] = i + 1
	}
	err = s.write(ctx, "ordering the groups", func(ctx context.Context, tx bun.Tx) (err error) {
		if revision, err = bump(ctx, tx, configurationRevision); err != nil {
			return err
		}
		var rows []groupRow
		if err := tx.NewSelect().Model(&rows).Column("id", "name", "folded_name", "sort").Order("id").Scan(ctx); err != nil {
			return err
		}
		if err := sameGroups(rows, ids); err != nil {
			return err
		}
		if err := s.recordOrder(ctx, tx, rows, ids); err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(r groupRow) bool { return r.Sort == place[r.ID] })
		return chunks(rows, func(part []groupRow) error {
			at := micros(now())
			args := make([]any, 0, 4*len(part)+1)
			for _, r := range part {
				args = append(args, r.ID, place[r.ID], revision, at)
			}
			statement := s.dialect.updateEach("proxy_groups", []string{"id"}, []string{"sort", "revision", "updated_at"}, len(part), "1 = 1")
			_, err := tx.NewRaw(statement, args...).Exec(ctx)
			return err
		})
	})
	return revision, err
}

// sameGroups tells what an order misses, and what it names that is not there.
func sameGroups(rows []groupRow, ids []fleet.GroupID) error {
	const most = 10 // named
	there := make(map[int64]bool, len(rows))
	for _, r := range rows {
		there[r.ID] = true
	}
	var gone, missing []string
	for _, id := range ids {
		if !there[int64(id)] {
			gone = append(gone, fmt.Sprint(id))
		}
		delete(there, int64(id))
	}
	for _, r := range rows {
		if there[r.ID] {
			missing = append(missing, fmt.Sprintf("%d (%s)", r.ID, r.Name))
		}
	}
	if len(gone)+len(missing) == 0 {
		return nil
	}
	var faults []fleet.FieldError
	add := func(what string, list []string) {
		if more := len(list) - most; more > 0 {
			list = append(list[:most:most], fmt.Sprintf("%d more", more))
		}
		if len(list) > 0 {
			faults = append(faults, fleet.FieldError{Field: "group_ids", Message: what + strings.Join(list, ", ")})
		}
	}
	add("misses ", missing)
	add("names what is not there: ", gone)
	return &fleet.Error{Code: fleet.CodeConflict, Message: "the list is not that of the groups there are, and nothing was changed; list the groups again and order those", Fields: faults}
}

// inOrder compares groups by the order in which they are shown.
func inOrder(a, b groupRow) int {
	return cmp.Or(cmp.Compare(a.Sort, b.Sort), cmp.Compare(a.FoldedName, b.FoldedName))
}
