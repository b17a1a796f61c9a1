package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// mostUnopened bounds the list of secrets that cannot be opened.
const mostUnopened = 20

// rekeyCheck opens everything that is sealed, compares the digests of keys with their values, and counts. Its error lists
// what is wrong.
func (s *Store) rekeyCheck(ctx context.Context, r *Rekeying, box *secret.Box, step RekeyStep, done *Rekeyed) error {
	*done = Rekeyed{Already: done.Already, Resumed: done.Resumed, Back: done.Back}
	var faults []string
	wrong := 0
	fault := func(what string, err error) {
		if wrong++; wrong <= mostUnopened {
			faults = append(faults, what+": "+why(err))
		}
	}
	if err := s.checkSettings(ctx, box, done, fault); err != nil {
		return err
	}
	if err := s.checkGroups(ctx, box, done, fault); err != nil {
		return err
	}
	if err := s.checkChunks(ctx, box, fault); err != nil {
		return err
	}
	if step == RekeyVerifying { // before, they are no reason not to begin
		if err := s.checkUndo(ctx, box, fault); err != nil {
			return err
		}
	}
	total, err := s.countKeys(ctx)
	if err != nil {
		return err
	}
	err = s.eachSealed(ctx, func(rows []keyRow) {
		for i := range rows {
			if err := checkKey(box, &rows[i]); err != nil {
				fault(fmt.Sprintf("key %d of group %d", rows[i].ID, rows[i].GroupID), err)
			}
		}
		done.Keys += int64(len(rows))
		r.Progress(step, done.Keys, max(done.Keys, total))
	})
	if err != nil || wrong == 0 {
		return err
	}
	if wrong > mostUnopened {
		faults = append(faults, fmt.Sprintf("and %d more", wrong-mostUnopened))
	}
	return fleet.NewError(fleet.CodeInvalid, fmt.Sprintf("%s found %d stored secrets that cannot be opened; delete them, or restore a backup:\n  %s",
		step, wrong, strings.Join(faults, "\n  ")), nil)
}

func why(err error) string {
	if errors.Is(err, secret.ErrOtherKey) {
		return "sealed with another key"
	}
	return "damaged"
}

// errDigest says that a key does not stand where it is looked for.
var errDigest = errors.New("the digest is not that of the value")

func checkKey(box *secret.Box, row *keyRow) error {
	if other := box.Other(); other != nil && !box.Sealed(row.Value) {
		box = other
	}
	plain, err := box.Open(row.Value, keyPlace(row.GroupID, row.Hash))
	if err == nil && !bytes.Equal(hashOf(box, plain), row.Hash) {
		err = errDigest
	}
	return err
}

func (s *Store) checkSettings(ctx context.Context, box *secret.Box, done *Rekeyed, fault func(string, error)) error {
	var rows []settingRow
	err := s.read(ctx, "reading the settings", func(ctx context.Context, db bun.IDB) error {
		return db.NewSelect().Model(&rows).Where("sealed = ?", true).Scan(ctx)
	})
	for _, row := range rows {
		done.Settings++
		if _, err := box.Open(row.Value, settingPlace(row.Name)); err != nil {
			fault("setting "+row.Name, err)
		}
	}
	return err
}

func (s *Store) checkGroups(ctx context.Context, box *secret.Box, done *Rekeyed, fault func(string, error)) error {
	for last := int64(0); ; {
		var rows []groupRow
		err := s.read(ctx, "reading the groups", func(ctx context.Context, db bun.IDB) error {
			return db.NewSelect().Model(&rows).Column("id", "name", "secrets").Where("id > ?", last).Order("id").Limit(groupRows).Scan(ctx)
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			last = row.ID
			if row.Secrets == "" {
				continue
			}
			done.Groups++
			if _, err := box.Open(row.Secrets, groupPlace(row.ID)); err != nil {
				fault("group "+row.Name, err)
			}
		}
	}
}

func (s *Store) countKeys(ctx context.Context) (total int64, err error) {
	err = s.read(ctx, "counting keys", func(ctx context.Context, db bun.IDB) error {
		total, err = db.NewSelect().Model((*keyRow)(nil)).Where(orphans).Count(ctx)
		return err
	})
	return total, err
}

// eachSealed calls fn with what is sealed of every key, in ascending order of id, some at a time.
func (s *Store) eachSealed(ctx context.Context, fn func([]keyRow)) error {
	for last := int64(0); ; {
		var rows []keyRow
		err := s.read(ctx, "reading keys", func(ctx context.Context, db bun.IDB) error {
			return db.NewSelect().Model(&rows).Column("id", "group_id", "hash", "value").Where("id > ?", last).Where(orphans).Order("id").Limit(loadRows).Scan(ctx)
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		fn(rows)
		last = rows[len(rows)-1].ID
	}
}

func unopened(what string, err error) error {
	return fleet.NewError(fleet.CodeInvalid, "the secrets of "+what+" cannot be opened ("+why(err)+"): delete it, and run the same command again", err)
}
