package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/secret"
)

// cutOver makes the new key the one that is written with, and keeps in the database what it takes to come to the end. Settings
// are few: they are sealed anew at once.
func (s *Store) cutOver(ctx context.Context, r *Rekeying) error {
	return s.write(ctx, rekeyDoing, func(ctx context.Context, tx bun.Tx) error {
		for _, name := range []string{configurationRevision, keysRevision} {
			if _, err := bump(ctx, tx, name); err != nil {
				return err
			}
		}
		row, state, err := readRekeying(ctx, tx)
		if err != nil {
			return err
		}
		begins, err := r.judge(row, state)
		if err != nil || begins == rekeyResume || begins == rekeyDone {
			return err
		}
		next := rekeyingRow{ID: rekeyingRowID, FromKeyID: r.From.KeyID(), FromProof: row.Proof, ToKeyID: r.To.KeyID(), StartedAt: s.stamp(now())}
		if next.FromProof == "" { // no secret was ever stored
			next.FromProof = r.From.Seal(secret.New(row.InstallID), proofPlace)
		}
		if _, err := tx.NewDelete().Model(state).Where("id = ?", rekeyingRowID).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(&next).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model((*installRow)(nil)).Set("key_id = ?", r.To.KeyID()).
			Set("proof = ?", r.To.Seal(secret.New(row.InstallID), proofPlace)).Where("id = ?", installRowID).Exec(ctx)
		if err != nil {
			return err
		}
		return r.sealSettings(ctx, tx)
	})
}

func (r *Rekeying) sealSettings(ctx context.Context, tx bun.Tx) error {
	var rows []settingRow
	if err := tx.NewSelect().Model(&rows).Where("sealed = ?", true).Scan(ctx); err != nil {
		return err
	}
	for _, row := range rows {
		value, err := r.seal(row.Value, settingPlace(row.Name), settingPlace(row.Name))
		if err != nil {
			return fmt.Errorf("setting %s: %w", row.Name, err)
		}
		if _, err := tx.NewUpdate().Model((*settingRow)(nil)).Set("value = ?", value).Where("name = ?", row.Name).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// seal seals a text anew for the place where it is to stand.
func (r *Rekeying) seal(sealed, from, to string) (string, error) {
	plain, err := r.From.Beside(r.To).Open(sealed, from)
	if err != nil {
		return "", err
	}
	return r.To.Seal(plain, to), nil
}

// mine reads how far this change has come. Another call may have turned it meanwhile, or ended it.
func (r *Rekeying) mine(ctx context.Context, tx bun.Tx) (rekeyingRow, error) {
	row, state, err := readRekeying(ctx, tx)
	if err != nil {
		return rekeyingRow{}, err
	}
	begins, err := r.judge(row, state)
	if err != nil || begins == rekeyResume {
		if err != nil {
			return rekeyingRow{}, err
		}
		return *state, nil
	}
	return rekeyingRow{}, refused("another migrate-keys has ended this change or turned it back; run one at a time")
}

// groupRows is the number of groups in one transaction: each may hold a few hundred KiB of rules.
const groupRows = 50

// rekeyGroups seals what groups hold.
func (s *Store) rekeyGroups(ctx context.Context, r *Rekeying) error {
	for more := true; more; {
		err := s.write(ctx, rekeyDoing, func(ctx context.Context, tx bun.Tx) error {
			if _, err := bump(ctx, tx, configurationRevision); err != nil {
				return err
			}
			state, err := r.mine(ctx, tx)
			if err != nil {
				return err
			}
			var rows []groupRow
			q := tx.NewSelect().Model(&rows).Column("id", "name", "secrets").Where("id > ?", state.GroupsDone).Order("id").Limit(groupRows)
			if err := q.Scan(ctx); err != nil {
				return err
			}
			for _, row := range rows {
				state.GroupsDone = row.ID
				if row.Secrets == "" || r.To.Sealed(row.Secrets) {
					continue
				}
				secrets, err := r.seal(row.Secrets, groupPlace(row.ID), groupPlace(row.ID))
				if err != nil {
					return unopened("group "+row.Name, err)
				}
				if _, err := tx.NewUpdate().Model((*groupRow)(nil)).Set("secrets = ?", secrets).Where("id = ?", row.ID).Exec(ctx); err != nil {
					return err
				}
			}
			more = len(rows) == groupRows
			_, err = tx.NewUpdate().Model(&state).Column("groups_done").WherePK().Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rekeyKeys seals the keys, and makes the digests that they are found by anew.
func (s *Store) rekeyKeys(ctx context.Context, r *Rekeying, total int64) error {
	done, err := s.rekeyedKeys(ctx)
	if err != nil {
		return err
	}
	for more := true; more; {
		var seen int
		begun := time.Now()
		err := s.write(ctx, rekeyDoing, func(ctx context.Context, tx bun.Tx) error {
			var err error
			seen, more, err = s.rekeySome(ctx, tx, r)
			return err
		})
		if err != nil {
			return err
		}
		done += int64(seen)
		r.Progress(RekeySealing, done, max(done, total))
		if r.Gentle && more {
			if err := rest(ctx, time.Since(begun)); err != nil {
				return translate(rekeyDoing, err)
			}
		}
	}
	return nil
}

// rekeyedKeys counts the keys that an earlier call went through.
func (s *Store) rekeyedKeys(ctx context.Context) (done int64, err error) {
	err = s.read(ctx, "counting keys", func(ctx context.Context, db bun.IDB) error {
		done, err = db.NewSelect().Model((*keyRow)(nil)).Where("id <= (SELECT keys_done FROM rekeying)").Where(orphans).Count(ctx)
		return err
	})
	return done, err
}

func (s *Store) rekeySome(ctx context.Context, tx bun.Tx, r *Rekeying) (seen int, more bool, err error) {
	revision, err := bump(ctx, tx, keysRevision)
	if err != nil {
		return 0, false, err
	}
	state, err := r.mine(ctx, tx)
	if err != nil {
		return 0, false, err
	}
	var rows []keyRow
	q := tx.NewSelect().Model(&rows).Column("id", "group_id", "hash", "value").Where("id > ?", state.KeysDone).Where(orphans).Order("id").Limit(maxRows)
	if err := q.Scan(ctx); err != nil || len(rows) == 0 {
		return 0, false, err
	}
	state.KeysDone = rows[len(rows)-1].ID
	old := make([]keyRow, 0, len(rows))
	for i := range rows {
		if r.To.Sealed(rows[i].Value) {
			continue
		}
		if err := r.sealKey(&rows[i]); err != nil {
			return 0, false, unopened(fmt.Sprintf("key %d of group %d", rows[i].ID, rows[i].GroupID), err)
		}
		old = append(old, rows[i])
	}
	for some := range slices.Chunk(old, changeRows) {
		if err := s.writeSealed(ctx, tx, some, revision); err != nil {
			return 0, false, err
		}
	}
	_, err = tx.NewUpdate().Model(&state).Column("keys_done").WherePK().Exec(ctx)
	return len(rows), len(rows) == maxRows, err
}

func (r *Rekeying) sealKey(row *keyRow) error {
	plain, err := r.From.Open(row.Value, keyPlace(row.GroupID, row.Hash))
	if err != nil {
		return err
	}
	row.Hash = hashOf(r.To, plain)
	row.Value = r.To.Seal(plain, keyPlace(row.GroupID, row.Hash))
	return nil
}

func (s *Store) writeSealed(ctx context.Context, tx bun.Tx, rows []keyRow, revision int64) error {
	args := make([]any, 0, 4*len(rows))
	for i := range rows {
		args = append(args, rows[i].ID, s.dialect.bytes(rows[i].Hash), rows[i].Value, revision)
	}
	statement := s.dialect.updateEach("provider_keys", []string{"id"}, []string{"hash", "value", "revision"}, len(rows), "1 = 1")
	_, err := tx.NewRaw(statement, args...).Exec(ctx)
	return err
}

// rekeyAgain lets the next call go through everything once more.
func (s *Store) rekeyAgain(ctx context.Context, r *Rekeying) error {
	return s.write(ctx, rekeyDoing, func(ctx context.Context, tx bun.Tx) error {
		if err := lockRevisions(ctx, tx); err != nil {
			return err
		}
		state, err := r.mine(ctx, tx)
		if err != nil {
			return err
		}
		state.GroupsDone, state.KeysDone = 0, 0
		_, err = tx.NewUpdate().Model(&state).Column("groups_done", "keys_done").WherePK().Exec(ctx)
		return err
	})
}

// endRekeying forgets the old key.
func (s *Store) endRekeying(ctx context.Context, r *Rekeying) error {
	return s.write(ctx, rekeyDoing, func(ctx context.Context, tx bun.Tx) error {
		if err := lockRevisions(ctx, tx); err != nil {
			return err
		}
		state, err := r.mine(ctx, tx)
		if err != nil {
			return err
		}
		a := s.begin(audit.WithActor(ctx, audit.Actor{Who: audit.Command}), audit.EncryptionKeyChanged)
		a.event.Before, a.event.After = audit.Fields{"key_id": audit.Raw(state.FromKeyID)}, audit.Fields{"key_id": audit.Raw(state.ToKeyID)}
		if err := s.record(ctx, tx, a, 1, nil, nil); err != nil {
			return err
		}
		_, err = tx.NewDelete().Model(&state).WherePK().Exec(ctx)
		return err
	})
}
