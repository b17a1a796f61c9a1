package sqlstore

import (
	"context"
	"errors"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// sealer returns the box that secrets are sealed with and looked up by, or an error when Unlock has not been called. While
// ENCRYPTION_KEY changes, another box stands beside it: see rekey.go.
func (s *Store) sealer() (*secret.Box, error) {
	if box := s.box.Load(); box != nil {
		return box, nil
	}
	return nil, errNotReached
}

// errKeyChanged says that the secrets of a transaction were sealed before migrate-keys changed the key that is written with.
var errKeyChanged = fleet.NewError(fleet.CodeUnavailable, "the encryption key was changed at this moment; try again", nil)

// sealing runs fn, which seals secrets with the box and writes them, and once more with the other box when that has become
// the one that is written with.
func (s *Store) sealing(fn func(box *secret.Box) error) error {
	box, err := s.sealer()
	if err != nil {
		return err
	}
	if err = fn(box); !errors.Is(err, errKeyChanged) {
		return err
	}
	return fn(s.box.Load())
}

// stillSealing refuses to write a secret with a box that is not the installation's any more: migrate-keys may have changed
// it, and as long as there was no secret, a node with another passphrase could take its place. Every transaction that writes
// a secret calls it; the caller holds a revision, and runs within sealing.
func (s *Store) stillSealing(ctx context.Context, tx bun.Tx, box *secret.Box) error {
	var stored string
	if err := tx.NewSelect().Model((*installRow)(nil)).Column("key_id").Where("id = ?", installRowID).Scan(ctx, &stored); err != nil {
		return err
	}
	if stored == box.KeyID() {
		return nil
	}
	if s.turn(box, stored) {
		return errKeyChanged
	}
	return wrongKey(stored, box)
}

// turn makes the other box the one that is written with, if it has the key id.
func (s *Store) turn(box *secret.Box, keyID string) bool {
	other := box.Other()
	if other == nil || other.KeyID() != keyID {
		return false
	}
	if s.box.CompareAndSwap(box, other) {
		s.log.Info("secrets are sealed with another key from now on", zap.String("key_id", keyID))
	}
	return true
}

// follow notices that migrate-keys changed the key that is written with: it raises the revision of the configuration, and
// whoever reads that calls this.
func (s *Store) follow(ctx context.Context) error {
	box := s.box.Load()
	if box == nil || box.Other() == nil {
		return nil
	}
	row, err := s.installRow(ctx, "reading the installation")
	if err == nil && row.KeyID != box.KeyID() {
		s.turn(box, row.KeyID)
	}
	return err
}

// WritesWithOther tells whether secrets are sealed with the box that stood beside the one given to Unlock.
func (s *Store) WritesWithOther() bool {
	given, box := s.unlocked.Load(), s.box.Load()
	return given != nil && box != nil && given.KeyID() != box.KeyID()
}

// Encryption tells how the secrets of the installation are sealed.
func (s *Store) Encryption(ctx context.Context) (fleet.Encryption, error) {
	row, state, err := s.rekeyState(ctx)
	if err != nil {
		return fleet.Encryption{}, err
	}
	given := s.unlocked.Load()
	return fleet.Encryption{
		On:       row.KeyID != "",
		Other:    given != nil && given.KeyID() != row.KeyID,
		Second:   given != nil && given.Other() != nil,
		Changing: state != nil,
	}, nil
}

// Fingerprint is what records show of a secret; it needs Unlock.
func (s *Store) Fingerprint(key secret.Text) string { return s.box.Load().Fingerprint(key) }

// digests are those by which a value may be found: two while the key changes.
func digests(box *secret.Box, value secret.Text) [][]byte {
	if other := box.Other(); other != nil {
		return [][]byte{hashOf(box, value), hashOf(other, value)}
	}
	return [][]byte{hashOf(box, value)}
}

// open opens rows. A damaged key is logged and left out. A key that is sealed with another key than the installation's is
// left out, too; but where the installation's is not this node's any more, that is an error: it must not lose what it has.
func (s *Store) open(ctx context.Context, box *secret.Box, rows []keyRow) ([]fleet.Key, error) {
	at := now()
	keys := make([]fleet.Key, 0, len(rows))
	checked := false
	for i := range rows {
		key, err := s.key(box, &rows[i], at)
		if errors.Is(err, secret.ErrOtherKey) && !checked {
			checked = true
			row, err := s.installRow(ctx, "reading the installation")
			if err != nil {
				return nil, err
			}
			if other := box.Other(); row.KeyID != box.KeyID() && (other == nil || row.KeyID != other.KeyID()) {
				return nil, wrongKey(row.KeyID, box)
			}
		}
		if err != nil {
			s.log.Error("a stored key cannot be opened and is left out; delete it and add it again",
				zap.Int64("key", rows[i].ID), zap.Int64("group", rows[i].GroupID), zap.Error(err))
			continue
		}
		keys = append(keys, key)
		giveWay(i)
	}
	return keys, nil
}
