package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// RekeyStep is what a change of the passphrase is at.
type RekeyStep string

// The steps, in their order.
const (
	RekeyChecking  RekeyStep = "checking"
	RekeySealing   RekeyStep = "sealing"
	RekeyVerifying RekeyStep = "verifying"
	// RekeyRewriting makes an SQLite file anew that held secrets in clear.
	RekeyRewriting RekeyStep = "rewriting the file"
)

// Rekeying is a change of the passphrase that the secrets are sealed with.
type Rekeying struct {
	From, To *secret.Box // a box without a passphrase stands for secrets in clear
	// Gentle leaves others as much time as the work takes, for a database in use.
	Gentle bool
	// CheckOnly ends after the checks.
	CheckOnly bool
	// Progress is told how many keys of how many a step has been through, again and again. It may be nil.
	Progress func(step RekeyStep, done, total int64)
	// Begin is called once after the checks, before anything is changed; its error ends the change. It may be nil.
	Begin func(ctx context.Context) error
}

// Rekeyed is what a change of the passphrase did.
type Rekeyed struct {
	Keys, Groups, Settings int64 // that have secrets
	// Already says that everything was sealed with To before.
	Already bool
	// Traces says that secrets stood in clear, and that the database may still hold pieces of them where rows stood before.
	Traces bool
	// Resumed says that an earlier change was brought to its end, Back that it was turned back.
	Resumed, Back bool
}

type rekeyingRow struct {
	bun.BaseModel `bun:"table:rekeying"`
	ID            int64  `bun:"id,pk"`
	FromKeyID     string `bun:"from_key_id"`
	FromProof     string `bun:"from_proof"`
	ToKeyID       string `bun:"to_key_id"`
	GroupsDone    int64  `bun:"groups_done"`
	KeysDone      int64  `bun:"keys_done"`
	StartedAt     int64  `bun:"started_at"`
}

const rekeyingRowID = 1

// Rekey seals everything anew that the store holds sealed, as doc.go says. It needs Install and the schema of this version,
// and no Unlock. What one call leaves undone the next one with the same two boxes, or with the two exchanged, completes; until
// then the database is used only by who has both. Errors are CodeInvalid for boxes that do not fit what is stored, for
// stored secrets that cannot be opened and for missing rights, which all are found before anything is changed.
func (s *Store) Rekey(ctx context.Context, r Rekeying) (Rekeyed, error) {
	if r.Progress == nil {
		r.Progress = func(RekeyStep, int64, int64) {}
	}
	var done Rekeyed
	row, state, err := s.rekeyState(ctx)
	if err != nil {
		return done, err
	}
	begins, err := r.judge(row, state)
	if err != nil {
		return done, err
	}
	done.Already = begins == rekeyDone
	done.Resumed, done.Back = begins == rekeyResume, begins == rekeyBack
	if done.Already {
		return done, s.rekeyCheck(ctx, &r, r.To, RekeyVerifying, &done)
	}
	if err := s.mayRekey(ctx); err != nil {
		return done, err
	}
	readable := r.From
	if begins != rekeyFresh {
		readable = r.From.Beside(r.To)
	}
	if err := s.rekeyCheck(ctx, &r, readable, RekeyChecking, &done); err != nil || r.CheckOnly {
		return done, err
	}
	if r.Begin != nil {
		if err := r.Begin(ctx); err != nil {
			return done, err
		}
	}
	return done, s.rekey(ctx, &r, &done)
}

// rekey changes the key that is written with, then what is stored, and at last forgets the old key.
func (s *Store) rekey(ctx context.Context, r *Rekeying, done *Rekeyed) error {
	if err := s.cutOver(ctx, r); err != nil {
		return err
	}
	if err := s.rekeyGroups(ctx, r); err != nil {
		return err
	}
	if err := s.rekeyKeys(ctx, r, done.Keys); err != nil {
		return err
	}
	if err := s.rekeyChunks(ctx, r); err != nil {
		return err
	}
	if err := s.rekeyUndo(ctx, r); err != nil {
		return err
	}
	if err := s.rekeyCheck(ctx, r, r.To, RekeyVerifying, done); err != nil {
		return errors.Join(err, s.rekeyAgain(context.WithoutCancel(ctx), r))
	}
	if !r.From.Encrypted() {
		if err := s.rewrite(ctx, r, done); err != nil {
			return err
		}
	}
	return s.endRekeying(ctx, r)
}

// rewrite takes what stood in clear out of the file. Without room for that, the change is done all the same.
func (s *Store) rewrite(ctx context.Context, r *Rekeying, done *Rekeyed) error {
	done.Traces = true
	if s.dialect.rewrite == nil || s.reader != s.writer {
		return nil
	}
	r.Progress(RekeyRewriting, done.Keys, done.Keys)
	err := s.dialect.rewrite(ctx, s.writer)
	if ctx.Err() != nil {
		return translate(rekeyDoing, ctx.Err())
	}
	if err != nil {
		s.log.Warn("the database file could not be made anew", zap.Error(err))
	}
	done.Traces = err != nil
	return nil
}

const rekeyDoing = "changing the key of the encryption"

// rekeyState reads the installation and the change that is not finished, nil for none.
func (s *Store) rekeyState(ctx context.Context) (row installRow, state *rekeyingRow, err error) {
	err = s.read(ctx, "reading the installation", func(ctx context.Context, db bun.IDB) error {
		row, state, err = readRekeying(ctx, db)
		return err
	})
	return row, state, err
}

func readRekeying(ctx context.Context, db bun.IDB) (row installRow, state *rekeyingRow, err error) {
	if err := db.NewSelect().Model(&row).Where("id = ?", installRowID).Scan(ctx); err != nil {
		return row, nil, err
	}
	state = new(rekeyingRow)
	err = db.NewSelect().Model(state).Where("id = ?", rekeyingRowID).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return row, nil, nil
	}
	return row, state, err
}

// What a call has to do.
type rekeyBegin int

const (
	rekeyFresh  rekeyBegin = iota // everything
	rekeyResume                   // what an earlier one left
	rekeyBack                     // an earlier one's work, undone
	rekeyDone                     // nothing
)

// judge compares the boxes with what is stored.
func (r *Rekeying) judge(row installRow, state *rekeyingRow) (rekeyBegin, error) {
	if r.From.KeyID() == r.To.KeyID() {
		return 0, refused("the old and the new key are the same; there is nothing to change")
	}
	to := proves(row.Proof, row.InstallID, r.To)
	from := proves(row.Proof, row.InstallID, r.From)
	if state != nil {
		switch {
		case to && proves(state.FromProof, row.InstallID, r.From):
			return rekeyResume, nil
		case from && proves(state.FromProof, row.InstallID, r.To):
			return rekeyBack, nil
		}
		return 0, refused(fmt.Sprintf("a change from %s to %s, begun on %s, is not finished, and these are not its keys: run it again with the same --from and --to, or exchange the two to turn it back",
			keyInWords(state.FromKeyID), keyInWords(state.ToKeyID), timeOf(state.StartedAt).Format(time.DateTime+" MST")))
	}
	switch {
	case from || row.Proof == "":
		return rekeyFresh, nil
	case to:
		return rekeyDone, nil
	case row.KeyID == "":
		return 0, refused("the secrets in this database are stored in clear: leave --from out")
	case !r.From.Encrypted():
		return 0, refused("the secrets in this database are sealed with " + keyInWords(row.KeyID) + ": give that one with --from")
	}
	return 0, refused(fmt.Sprintf("--from is not the key that the secrets in this database are sealed with: its key id is %s, theirs is %s", r.From.KeyID(), row.KeyID))
}

func refused(why string) error { return fleet.NewError(fleet.CodeInvalid, why, nil) }

func keyInWords(id string) string {
	if id == "" {
		return "no key"
	}
	return "the key of id " + id
}

// mayRekey tries everything that a change does on no row at all: who lacks a right hears so before the first change.
func (s *Store) mayRekey(ctx context.Context) error {
	undo := errors.New("undo")
	err := s.write(ctx, "trying whether the encryption key may be changed", func(ctx context.Context, tx bun.Tx) error {
		if err := lockRevisions(ctx, tx); err != nil {
			return err
		}
		for _, statement := range []string{
			"UPDATE installation SET proof = proof WHERE id = 0",
			"UPDATE settings SET value = value WHERE 1 = 0",
			"UPDATE proxy_groups SET secrets = secrets WHERE 1 = 0",
			"UPDATE provider_keys SET value = value WHERE 1 = 0",
			"UPDATE operation_chunks SET content = content WHERE 1 = 0",
			"UPDATE audit_undo SET content = content WHERE 1 = 0",
			"UPDATE rekeying SET keys_done = keys_done WHERE id = 0",
			"DELETE FROM rekeying WHERE id = 0",
			"INSERT INTO rekeying (id, from_key_id, from_proof, to_key_id, groups_done, keys_done, started_at) SELECT id, from_key_id, from_proof, to_key_id, groups_done, keys_done, started_at FROM rekeying WHERE id = 0",
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return fleet.NewError(fleet.CodeConflict, "", undo) // translate leaves it as it is
	})
	if errors.Is(err, undo) {
		return nil
	}
	return err
}

// lockRevisions keeps all writers of secrets waiting until the transaction ends.
func lockRevisions(ctx context.Context, tx bun.Tx) error {
	for _, name := range []string{configurationRevision, keysRevision} {
		if err := lock(ctx, tx, name); err != nil {
			return err
		}
	}
	return nil
}
