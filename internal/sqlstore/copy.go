package sqlstore

import (
	"context"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
)

// Empty tells whether a store was migrated and never used: a local copy before its first CopyTo.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	var count int64
	err := s.read(ctx, "looking into the local copy", func(ctx context.Context, db bun.IDB) (err error) {
		count, err = db.NewSelect().Model((*installRow)(nil)).Count(ctx)
		return err
	})
	return count == 0, err
}

// CopyTo brings another store, an SQLite file that has been migrated, to what this one holds of the installation, the
// settings, the groups and the keys: what a node needs to serve. Secrets are copied as they stand, sealed by the same
// passphrase. Of the keys only those are read that changed since the last copy. A copy of another installation, or one that
// is ahead of this store because a backup was restored here, is made anew. A call that breaks off leaves a copy that
// serves, and that the next call completes.
func (s *Store) CopyTo(ctx context.Context, to *Store) error {
	const doing = "copying the configuration"
	have, same, err := s.comparedTo(ctx, to)
	if err != nil {
		return err
	}
	revisions, err := s.revisions(ctx, configurationRevision, settingsRevision, keysRevision, forgottenRevision)
	if err != nil {
		return err
	}
	if !same || have[configurationRevision] > revisions[configurationRevision] || have[keysRevision] > revisions[keysRevision] ||
		have[keysRevision] < revisions[forgottenRevision] {
		if err := to.write(ctx, doing, clearCopy); err != nil {
			return err
		}
		have = map[string]int64{configurationRevision: -1}
	}
	if have[configurationRevision] != revisions[configurationRevision] {
		if err := s.copyConfiguration(ctx, to, revisions[configurationRevision], revisions[settingsRevision]); err != nil {
			return err
		}
	}
	return s.copyKeys(ctx, to, have[keysRevision], revisions[keysRevision])
}

// comparedTo returns the revisions of a copy, and whether it is one of this installation and passphrase.
func (s *Store) comparedTo(ctx context.Context, to *Store) (have map[string]int64, same bool, err error) {
	install, err := s.installRow(ctx, "reading the installation")
	if err != nil {
		return nil, false, err
	}
	if have, err = to.revisions(ctx, configurationRevision, keysRevision); err != nil {
		return nil, false, err
	}
	empty, err := to.Empty(ctx)
	if err != nil || empty {
		return have, false, err
	}
	copied, err := to.installRow(ctx, "reading the local copy")
	return have, err == nil && copied.InstallID == install.InstallID && copied.KeyID == install.KeyID, err
}

// clearCopy empties a copy.
func clearCopy(ctx context.Context, tx bun.Tx) error {
	for _, model := range []any{(*memberRow)(nil), (*groupRow)(nil), (*settingRow)(nil), (*keyRow)(nil), (*installRow)(nil)} {
		if _, err := tx.NewDelete().Model(model).Where("1 = 1").Exec(ctx); err != nil {
			return err
		}
	}
	_, err := tx.NewUpdate().Model((*revisionRow)(nil)).Set("value = 0").Where("1 = 1").Exec(ctx)
	return err
}

// copyConfiguration replaces what is not keys. The rows may be newer than the revision, which was read before them; then
// the next copy has them again.
func (s *Store) copyConfiguration(ctx context.Context, to *Store, revision, ofSettings int64) error {
	const doing = "copying settings and groups"
	var (
		install  installRow
		settings []settingRow
		groups   []groupRow
		members  []memberRow
	)
	err := s.read(ctx, doing, func(ctx context.Context, db bun.IDB) error {
		for _, model := range []any{&install, &settings, &groups, &members} {
			if err := db.NewSelect().Model(model).Scan(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return to.write(ctx, doing, func(ctx context.Context, tx bun.Tx) error {
		for _, model := range []any{(*memberRow)(nil), (*groupRow)(nil), (*settingRow)(nil), (*installRow)(nil)} {
			if _, err := tx.NewDelete().Model(model).Where("1 = 1").Exec(ctx); err != nil {
				return err
			}
		}
		if _, err := tx.NewInsert().Model(&install).Exec(ctx); err != nil {
			return err
		}
		if err := insertAll(ctx, tx, settings); err != nil {
			return err
		}
		if err := insertAll(ctx, tx, groups); err != nil {
			return err
		}
		if err := insertAll(ctx, tx, members); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model((*keyRow)(nil)).Where("group_id NOT IN (SELECT id FROM proxy_groups)").Exec(ctx); err != nil {
			return err
		}
		if err := setRevision(ctx, tx, settingsRevision, ofSettings); err != nil {
			return err
		}
		return setRevision(ctx, tx, configurationRevision, revision)
	})
}

func insertAll[Row any](ctx context.Context, tx bun.Tx, rows []Row) error {
	return chunks(rows, func(some []Row) error {
		_, err := tx.NewInsert().Model(&some).Exec(ctx)
		return err
	})
}

// copyKeys brings the keys of a copy from one revision to another, in portions that each end at a whole revision.
func (s *Store) copyKeys(ctx context.Context, to *Store, from, upTo int64) error {
	const doing = "copying keys"
	for from < upTo {
		var changed []keyRow
		var deleted []deletedKeyRow
		err := s.read(ctx, doing, func(ctx context.Context, db bun.IDB) error {
			q := db.NewSelect().Model(&changed).Where("revision > ?", from).Where("revision <= ?", upTo).Where(orphans)
			if err := q.Order("revision", "id").Limit(maxRows + 1).Scan(ctx); err != nil {
				return err
			}
			q = db.NewSelect().Model(&deleted).Where("revision > ?", from).Where("revision <= ?", upTo)
			return q.Order("revision", "key_id").Limit(maxRows + 1).Scan(ctx)
		})
		if err != nil {
			return err
		}
		end := upTo
		if len(changed) > maxRows {
			end = min(end, changed[maxRows].Revision-1)
		}
		if len(deleted) > maxRows {
			end = min(end, deleted[maxRows].Revision-1)
		}
		err = to.write(ctx, doing, func(ctx context.Context, tx bun.Tx) error {
			for i := range changed {
				if changed[i].Revision > end {
					break
				}
				if err := replaceKey(ctx, tx, &changed[i]); err != nil {
					return err
				}
			}
			for _, row := range deleted {
				if row.Revision > end {
					break
				}
				if _, err := tx.NewDelete().Model((*keyRow)(nil)).Where("id = ?", row.KeyID).Exec(ctx); err != nil {
					return err
				}
			}
			return setRevision(ctx, tx, keysRevision, end)
		})
		if err != nil {
			return err
		}
		from = end
	}
	return nil
}

// replaceKey writes a row of a key whatever stands in its place: a value that was deleted and added again has another id.
func replaceKey(ctx context.Context, tx bun.Tx, row *keyRow) error {
	_, err := tx.NewDelete().Model((*keyRow)(nil)).Where("id = ? OR hash = ? AND group_id = ?", row.ID, row.Hash, row.GroupID).Exec(ctx)
	if err == nil {
		_, err = tx.NewInsert().Model(row).Exec(ctx)
	}
	return err
}

func setRevision(ctx context.Context, tx bun.Tx, name string, value int64) error {
	_, err := tx.NewUpdate().Model((*revisionRow)(nil)).Set("value = ?", value).Where("name = ?", name).Exec(ctx)
	return err
}

// errNotReached is what a store answers that no database has been reached for yet.
var errNotReached = fleet.NewError(fleet.CodeUnavailable, "the database has not been reached since the start of this node", nil)
