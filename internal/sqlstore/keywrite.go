package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// AddKeys adds values to a standard group, active or disabled. Values that the group has already, or that come twice,
// are left out and counted. A value that no HTTP header can carry is CodeInvalid, by its place in the list, and then
// nothing is added. The work is done in short transactions: on another error, added lists what stands.
func (s *Store) AddKeys(ctx context.Context, group fleet.GroupID, values []secret.Text, disabled bool) (added []fleet.Key, duplicates int, err error) {
	if err := checkValues(values); err != nil {
		return nil, 0, err
	}
	state, reason := fleet.KeyActive, ""
	if disabled {
		state, reason = fleet.KeyDisabled, "added_disabled"
	}
	at := now()
	act := s.begin(ctx, audit.KeysAdded).in(int64(group))
	if disabled {
		act.event.After = audit.Fields{"state": audit.Raw(state)}
	}
	// What comes twice in one list is found twice in the database, too; in one statement it must not stand twice.
	err = chunks(values, func(part []secret.Text) error {
		var inserted []keyRow
		var byHash map[string]secret.Text
		err := s.sealing(func(box *secret.Box) (err error) {
			rows := make([]keyRow, 0, len(part))
			byHash = make(map[string]secret.Text, len(part))
			for _, v := range part {
				both := digests(box, v)
				hash := both[0]
				if _, twice := byHash[string(hash)]; twice {
					continue
				}
				byHash[string(hash)] = v
				row := keyRow{
					GroupID: int64(group), Hash: hash, Value: box.Seal(v, keyPlace(int64(group), hash)), State: string(state), Reason: reason,
					CreatedAt: s.stamp(at), UpdatedAt: s.stamp(at), OperatorAt: s.stamp(at), Weight: 1,
				}
				if len(both) > 1 {
					row.OtherHash = both[1]
				}
				rows = append(rows, row)
			}
			inserted, err = s.insertKeys(ctx, act, box, group, rows)
			return err
		})
		if err != nil {
			return err
		}
		act.committed()
		for _, row := range inserted {
			added = append(added, fleet.Key{
				ID: fleet.KeyID(row.ID), GroupID: group, Value: byHash[string(row.Hash)], State: state, Reason: reason, CreatedAt: at, UpdatedAt: at,
				OperatorAt: at, Weight: 1,
			})
		}
		duplicates += len(part) - len(inserted)
		return nil
	})
	return added, duplicates, err
}

func checkValues(values []secret.Text) error {
	const most = 20 // faults listed; a wrong file has one on every line
	var faults []fleet.FieldError
	for i, v := range values {
		text, why := v.Reveal(), ""
		switch {
		case text == "":
			why = "is empty"
		case len(text) > maxKeyValue:
			why = fmt.Sprintf("has %d bytes; the limit is %d", len(text), maxKeyValue)
		case !utf8.ValidString(text):
			why = "is not valid UTF-8"
		case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
			why = "holds a control character; HTTP headers cannot carry it"
		}
		if why != "" && len(faults) < most {
			faults = append(faults, fleet.FieldError{Field: fmt.Sprintf("keys[%d]", i), Message: why})
		}
	}
	return fleet.InvalidFields(faults)
}

// insertKeys returns id and hash of the rows that were not there.
func (s *Store) insertKeys(ctx context.Context, act *act, box *secret.Box, group fleet.GroupID, rows []keyRow) (inserted []keyRow, err error) {
	err = s.write(ctx, "adding keys", func(ctx context.Context, tx bun.Tx) error {
		inserted = nil
		revision, err := bump(ctx, tx, keysRevision)
		if err != nil {
			return err
		}
		for i := range rows {
			rows[i].Revision = revision
		}
		stored, _, err := readGroup(ctx, tx, group)
		if err != nil {
			return err
		}
		if stored.Kind != string(fleet.KindStandard) {
			return fleet.NewError(fleet.CodeInvalid, "group "+stored.Name+" is an aggregate and has no keys of its own; add them to its members", nil)
		}
		if len(rows) == 0 {
			return nil
		}
		if err := s.stillSealing(ctx, tx, box); err != nil {
			return err
		}
		fresh, err := withoutOthers(ctx, tx, group, rows)
		if err != nil || len(fresh) == 0 {
			return err
		}
		if s.dialect.returning {
			err = tx.NewInsert().Model(&fresh).ExcludeColumn("id").Ignore().Returning("id, hash").Scan(ctx, &inserted)
		} else {
			inserted, err = insertThenRead(ctx, tx, group, fresh)
		}
		if err != nil {
			return err
		}
		act.event.Name = stored.Name
		return s.record(ctx, tx, act, int64(len(inserted)), nil, nil)
	})
	return inserted, err
}

// withoutOthers leaves out what the group has under the digest of the other key, which the unique index does not tell from a
// new one.
func withoutOthers(ctx context.Context, tx bun.Tx, group fleet.GroupID, rows []keyRow) ([]keyRow, error) {
	var others [][]byte
	for i := range rows {
		if rows[i].OtherHash != nil {
			others = append(others, rows[i].OtherHash)
		}
	}
	if len(others) == 0 {
		return rows, nil
	}
	var found [][]byte
	err := tx.NewSelect().Model((*keyRow)(nil)).Column("hash").Where("hash IN (?)", bun.List(others)).Where("group_id = ?", int64(group)).Scan(ctx, &found)
	if err != nil || len(found) == 0 {
		return rows, err
	}
	known := make(map[string]bool, len(found))
	for _, hash := range found {
		known[string(hash)] = true
	}
	return slices.DeleteFunc(slices.Clone(rows), func(row keyRow) bool { return known[string(row.OtherHash)] }), nil
}

// insertThenRead is for databases that do not say which rows they added: no other writer of keys is in between.
func insertThenRead(ctx context.Context, tx bun.Tx, group fleet.GroupID, rows []keyRow) (inserted []keyRow, err error) {
	hashes := make([][]byte, len(rows))
	for i := range rows {
		hashes[i] = rows[i].Hash
	}
	read := func() (found []keyRow, err error) {
		err = tx.NewSelect().Model(&found).Column("id", "hash").Where("hash IN (?)", bun.List(hashes)).Where("group_id = ?", int64(group)).Order("id").Scan(ctx)
		return found, err
	}
	stored, err := read()
	if err != nil {
		return nil, err
	}
	there := make(map[string]bool, len(stored))
	for _, row := range stored {
		there[string(row.Hash)] = true
	}
	fresh := slices.DeleteFunc(slices.Clone(rows), func(row keyRow) bool { return there[string(row.Hash)] })
	if len(fresh) == 0 {
		return nil, nil
	}
	if _, err := tx.NewInsert().Model(&fresh).ExcludeColumn("id").Exec(ctx); err != nil {
		return nil, err
	}
	all, err := read()
	return slices.DeleteFunc(all, func(row keyRow) bool { return there[string(row.Hash)] }), err
}

// deleteAndRemember deletes keys of a group, and lets other nodes know.
func (s *Store) deleteAndRemember(ctx context.Context, tx bun.Tx, group fleet.GroupID, ids []int64, revision int64) error {
	if err := deleteKeys(ctx, tx, ids); err != nil {
		return err
	}
	gone := make([]deletedKeyRow, len(ids))
	for i, id := range ids {
		gone[i] = deletedKeyRow{KeyID: id, GroupID: int64(group), Revision: revision, DeletedAt: s.stamp(now())}
	}
	_, err := tx.NewInsert().Model(&gone).Exec(ctx)
	return err
}

// deleteKeys deletes keys and what is counted of them.
func deleteKeys(ctx context.Context, tx bun.Tx, ids []int64) error {
	if _, err := tx.NewDelete().Model((*keyRow)(nil)).Where("id IN (?)", bun.List(ids)).Exec(ctx); err != nil {
		return err
	}
	_, err := tx.NewDelete().Table("key_usage").Where("key_id IN (?)", bun.List(ids)).Exec(ctx)
	return err
}
