package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// Install is what makes this installation's secrets its own.
type Install struct {
	ID    string // random, made with the database
	Salt  []byte // 32 random bytes for secret.NewBox
	KeyID string // of the passphrase that the stored secrets are sealed with; empty for none
}

type installRow struct {
	bun.BaseModel `bun:"table:installation"`
	ID            int64  `bun:"id,pk"`
	InstallID     string `bun:"install_id"`
	Salt          []byte `bun:"salt"`
	KeyID         string `bun:"key_id"`
	Proof         string `bun:"proof"`
	CreatedAt     int64  `bun:"created_at"`
}

const (
	installRowID = 1
	saltBytes    = 32
	proofPlace   = "installation/proof"
)

// Install returns the installation's row, which the first call makes.
func (s *Store) Install(ctx context.Context) (Install, error) {
	const doing = "reading the installation"
	row, err := s.installRow(ctx, doing)
	if errors.Is(err, sql.ErrNoRows) {
		err = s.write(ctx, doing, func(ctx context.Context, tx bun.Tx) error {
			fresh := installRow{ID: installRowID, InstallID: rand.Text(), Salt: make([]byte, saltBytes), CreatedAt: micros(now())}
			_, _ = rand.Read(fresh.Salt) // crypto/rand.Read never fails since Go 1.24
			_, err := tx.NewInsert().Model(&fresh).Ignore().Exec(ctx)
			return err
		})
		if err != nil {
			return Install{}, err
		}
		row, err = s.installRow(ctx, doing)
	}
	if err != nil {
		return Install{}, err
	}
	return Install{ID: row.InstallID, Salt: row.Salt, KeyID: row.KeyID}, nil
}

func (s *Store) installRow(ctx context.Context, doing string) (installRow, error) {
	var row installRow
	err := s.read(ctx, doing, func(ctx context.Context, db bun.IDB) error {
		return db.NewSelect().Model(&row).Where("id = ?", installRowID).Scan(ctx)
	})
	return row, err
}

// Unlock checks that the box, or the one beside it, is the one that the stored secrets are sealed with, and uses it from now
// on; after a change by Rekey, the other. While no secret is stored, any box is adopted. A wrong, missing or unexpected passphrase is CodeInvalid with a message that names
// ENCRYPTION_KEY, what the database was written with, and the remedy. Install must have been called before.
func (s *Store) Unlock(ctx context.Context, box *secret.Box) error {
	const doing = "checking ENCRYPTION_KEY against the database"
	row, state, err := s.rekeyState(ctx)
	if err != nil {
		return err
	}
	// The clock is known before the first key is read.
	if _, err := s.Revisions(ctx); err != nil {
		return err
	}
	if writes, err := fitting(row, state, box); err != nil || writes != nil {
		if err == nil {
			s.use(box, writes)
		}
		return err
	}
	// In one write transaction that keeps all writers of secrets out, so that of two nodes with different passphrases one is
	// refused.
	var writes *secret.Box
	err = s.write(ctx, doing, func(ctx context.Context, tx bun.Tx) error {
		if err := lockRevisions(ctx, tx); err != nil {
			return err
		}
		row, state, err := readRekeying(ctx, tx)
		if err != nil {
			return err
		}
		if writes, err = fitting(row, state, box); err != nil || writes != nil {
			return err
		}
		writes = box
		if row.Proof != "" {
			stored, err := holdsSecrets(ctx, tx)
			if err != nil {
				return err
			}
			if stored {
				return wrongKey(row.KeyID, box)
			}
		}
		_, err = tx.NewUpdate().Model((*installRow)(nil)).
			Set("key_id = ?", box.KeyID()).
			Set("proof = ?", box.Seal(secret.New(row.InstallID), proofPlace)).
			Where("id = ?", installRowID).Exec(ctx)
		return err
	})
	if err != nil {
		return err
	}
	s.use(box, writes)
	return nil
}

func (s *Store) use(given, writes *secret.Box) {
	s.unlocked.Store(given)
	s.box.Store(writes)
}

// fitting returns the box that secrets are written with, which is the one given or the other beside it, and nil when it is
// neither.
func fitting(row installRow, state *rekeyingRow, box *secret.Box) (*secret.Box, error) {
	writes := box
	if !proves(row.Proof, row.InstallID, box) {
		if writes = box.Other(); writes == nil || !proves(row.Proof, row.InstallID, writes) {
			writes = nil
		}
	}
	if state == nil {
		return writes, nil
	}
	if writes != nil && writes.Other() != nil && proves(state.FromProof, row.InstallID, writes.Other()) {
		return writes, nil
	}
	return nil, fleet.NewError(fleet.CodeInvalid, fmt.Sprintf(
		"the change of ENCRYPTION_KEY from %s to %s is not finished: run `gpt-load migrate-keys` again as before, or, for a change with --online, start this node with both keys in ENCRYPTION_KEY and ENCRYPTION_KEY_OLD",
		keyInWords(state.FromKeyID), keyInWords(state.ToKeyID)), nil)
}

// proves reports whether a box made a proof, by itself and not by one beside it.
func proves(proof, installID string, box *secret.Box) bool {
	if !box.Sealed(proof) {
		return false
	}
	id, err := box.Open(proof, proofPlace)
	return err == nil && id.Reveal() == installID
}

func holdsSecrets(ctx context.Context, tx bun.Tx) (bool, error) {
	for _, q := range []*bun.SelectQuery{
		tx.NewSelect().Model((*keyRow)(nil)),
		tx.NewSelect().Model((*settingRow)(nil)).Where("sealed = ?", true),
		tx.NewSelect().Model((*groupRow)(nil)).Where("secrets <> ''"),
	} {
		exists, err := q.Exists(ctx)
		if err != nil || exists {
			return exists, err
		}
	}
	return false, nil
}

func wrongKey(stored string, box *secret.Box) error {
	const another = "or point DATABASE_DSN at another database"
	var message string
	switch {
	case stored == "":
		message = "ENCRYPTION_KEY (or ENCRYPTION_KEY_FILE) is set, but the secrets in this database are stored in clear: unset it, " + another
	case !box.Encrypted():
		message = fmt.Sprintf("ENCRYPTION_KEY is not set, but the secrets in this database are sealed with the key of id %s: "+
			"set ENCRYPTION_KEY (or ENCRYPTION_KEY_FILE) to the passphrase they were stored with, %s", stored, another)
	default:
		message = fmt.Sprintf("ENCRYPTION_KEY (or ENCRYPTION_KEY_FILE) is not the one that the secrets in this database are sealed with: "+
			"its key id is %s, theirs is %s: set the passphrase they were stored with, %s", box.KeyID(), stored, another)
	}
	return fleet.NewError(fleet.CodeInvalid, message, nil)
}
