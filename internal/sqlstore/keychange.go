package sqlstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

// changeRows is the number of changes in one statement.
const changeRows = 100

// ApplyKeyChanges writes what verdicts and validation found. Of several changes of one key the newest counts. A key that
// an operator disabled, one that an operator touched later than the change, and one that is gone stay as they are. A change
// that lists rests is that of a node which takes the key for active: it rests an active key and revives none.
func (s *Store) ApplyKeyChanges(ctx context.Context, changes []fleet.KeyChange) error {
	newest := make(map[fleet.KeyID]int, len(changes))
	for i, c := range changes {
		if before, ok := newest[c.KeyID]; !ok || !c.At.Before(changes[before].At) {
			newest[c.KeyID] = i
		}
	}
	rows := make([]keyRow, 0, len(newest))
	classes := make(map[int64]fleet.Class)
	for i := range changes {
		if newest[changes[i].KeyID] != i {
			continue
		}
		if row, ok := s.rowOfChange(&changes[i]); ok {
			rows = append(rows, row)
			if class := changes[i].Class; class != "" {
				classes[row.ID] = class
			}
		}
	}
	// In the order of ids, so that two writers never wait for each other's rows crosswise.
	slices.SortFunc(rows, func(a, b keyRow) int { return cmp.Compare(a.ID, b.ID) })
	return chunks(rows, func(part []keyRow) error {
		return s.write(ctx, "saving key states", func(ctx context.Context, tx bun.Tx) error {
			revision, err := bump(ctx, tx, keysRevision)
			if err != nil {
				return err
			}
			if err := s.recordVerdicts(ctx, tx, part, classes); err != nil {
				return err
			}
			for some := range slices.Chunk(part, changeRows) {
				if err := s.applyChanges(ctx, tx, some, revision); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// rowOfChange fills what a change sets.
func (s *Store) rowOfChange(c *fleet.KeyChange) (row keyRow, ok bool) {
	state := c.State
	switch state {
	case fleet.KeyActive, fleet.KeyInvalid, fleet.KeyDisabled:
	case fleet.KeyCooling: // shown, not stored: an active key with rests
		state = fleet.KeyActive
	default:
		// One wrong change must not keep the others of its batch out for ever.
		s.log.Error("a key change with an unknown state was left out", zap.Int64("key", int64(c.KeyID)), zap.String("state", clean(string(state), maxKeyReason)))
		return keyRow{}, false
	}
	return keyRow{
		ID: int64(c.KeyID), GroupID: int64(c.GroupID), State: string(state), Reason: clean(c.Reason, maxKeyReason),
		Evidence: clean(c.Evidence, maxKeyEvidence), Failures: max(0, c.Failures), Cooldowns: s.cooldownText(c.Cooldowns), UpdatedAt: s.stamp(c.At),
	}, true
}

// A change names the key in changeKey and sets changeColumns.
var (
	changeKey     = []string{"id", "group_id"}
	changeColumns = []string{"state", "reason", "evidence", "failures", "cooldowns", "updated_at", "revision"}
)

// applyChanges writes some changes in one statement: the revision is held meanwhile, and each statement is a way to the
// server and back.
func (s *Store) applyChanges(ctx context.Context, tx bun.Tx, rows []keyRow, revision int64) error {
	args := make([]any, 0, (len(changeKey)+len(changeColumns))*len(rows)+1)
	for i := range rows {
		r := &rows[i]
		args = append(args, r.ID, r.GroupID, r.State, r.Reason, r.Evidence, r.Failures, r.Cooldowns, r.UpdatedAt, revision)
	}
	statement := s.dialect.updateEach("provider_keys", changeKey, changeColumns, len(rows),
		"k.state <> ? AND k.operator_at <= v.updated_at AND (v.cooldowns = '' OR k.state = ?)")
	_, err := tx.NewRaw(statement, append(args, string(fleet.KeyDisabled), string(fleet.KeyActive))...).Exec(ctx)
	return err
}
