package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
)

type settingRow struct {
	bun.BaseModel `bun:"table:settings"`
	Name          string `bun:"name,pk"`
	Value         string `bun:"value"`
	Sealed        bool   `bun:"sealed"`
	UpdatedAt     int64  `bun:"updated_at"`
}

func settingPlace(name string) string { return "settings/" + name }

// Settings returns the system's values in their canonical text, secret ones opened. A setting that is not listed stands
// at its default.
func (s *Store) Settings(ctx context.Context) (map[string]string, error) {
	if err := s.follow(ctx); err != nil {
		return nil, err
	}
	var rows []settingRow
	err := s.read(ctx, "reading the settings", func(ctx context.Context, db bun.IDB) error {
		return db.NewSelect().Model(&rows).Scan(ctx)
	})
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(rows))
	for _, row := range rows {
		if !row.Sealed {
			values[row.Name] = row.Value
			continue
		}
		box, err := s.sealer()
		if err != nil {
			return nil, err
		}
		value, err := box.Open(row.Value, settingPlace(row.Name))
		if err != nil {
			return nil, fleet.NewError(fleet.CodeInternal, fmt.Sprintf("the stored setting %s cannot be opened; save it again", row.Name), err)
		}
		values[row.Name] = value.Reveal()
	}
	return values, nil
}

// SaveSettings writes canonical texts by name and puts the names in reset back to their defaults, all or nothing, and
// returns the new revision. A name that is not in the settings table is CodeInvalid.
func (s *Store) SaveSettings(ctx context.Context, set map[string]string, reset []string) (revision int64, err error) {
	return s.SaveSettingsAt(ctx, set, reset, 0)
}

// SaveSettingsAt is SaveSettings for whoever saw the settings at a revision: unless ifRevision is 0, it must be that of the last
// change of a setting (fleet.Revisions.Settings), else CodePreconditionFailed.
func (s *Store) SaveSettingsAt(ctx context.Context, set map[string]string, reset []string, ifRevision int64) (revision int64, err error) {
	err = s.sealing(func(box *secret.Box) error {
		revision, err = s.saveSettings(ctx, box, set, reset, ifRevision)
		return err
	})
	return revision, err
}

func (s *Store) saveSettings(ctx context.Context, box *secret.Box, set map[string]string, reset []string, ifRevision int64) (int64, error) {
	rows := make([]settingRow, 0, len(set))
	var faults []fleet.FieldError
	at := micros(now())
	for _, name := range slices.Sorted(maps.Keys(set)) {
		d, ok := settings.Find(name)
		if !ok {
			faults = append(faults, fleet.FieldError{Field: name, Message: "is not a setting"})
			continue
		}
		row := settingRow{Name: name, Value: set[name], Sealed: d.Secret, UpdatedAt: at}
		if d.Secret {
			row.Value = box.Seal(secret.New(set[name]), settingPlace(name))
		}
		rows = append(rows, row)
	}
	if err := fleet.InvalidFields(faults); err != nil {
		return 0, err
	}
	var revision int64
	changed := s.begin(ctx, audit.SettingsChanged)
	err := s.write(ctx, "saving the settings", func(ctx context.Context, tx bun.Tx) (err error) {
		if revision, err = bump(ctx, tx, configurationRevision); err != nil {
			return err
		}
		var seen int64
		if err := tx.NewSelect().Model((*revisionRow)(nil)).Column("value").Where("name = ?", settingsRevision).Scan(ctx, &seen); err != nil {
			return err
		}
		if err := fleet.CheckRevision("the settings", ifRevision, seen); err != nil {
			return err
		}
		if err := setRevision(ctx, tx, settingsRevision, revision); err != nil {
			return err
		}
		if err := s.stillSealing(ctx, tx, box); err != nil {
			return err
		}
		if err := s.recordSettings(ctx, tx, changed, box, set, reset); err != nil {
			return err
		}
		// Delete and insert instead of an upsert: the same words on every database.
		gone := append(slices.Collect(maps.Keys(set)), reset...)
		if len(gone) > 0 {
			if _, err := tx.NewDelete().Model((*settingRow)(nil)).Where("name IN (?)", bun.List(gone)).Exec(ctx); err != nil {
				return err
			}
		}
		if len(rows) > 0 {
			if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return revision, err
}

// recordSettings writes what a change of settings changes, before it is made.
func (s *Store) recordSettings(ctx context.Context, tx bun.Tx, a *act, box *secret.Box, set map[string]string, reset []string) error {
	var rows []settingRow
	names := append(slices.Collect(maps.Keys(set)), reset...)
	if len(names) == 0 {
		return nil
	}
	if err := tx.NewSelect().Model(&rows).Where("name IN (?)", bun.List(names)).Scan(ctx); err != nil {
		return err
	}
	before := make(map[string]string, len(rows))
	whole := true
	for _, row := range rows {
		before[row.Name] = row.Value
		if row.Sealed {
			value, err := box.Open(row.Value, settingPlace(row.Name))
			if err != nil { // a damaged value is no reason not to write a new one
				whole = false
				continue
			}
			before[row.Name] = value.Reveal()
		}
	}
	clear, masked := audit.ChangeOfSettings(before, set)
	a.event.Before, a.event.After = masked.Before, masked.After
	var undo *audit.Undo
	if whole {
		undo = &audit.Undo{Settings: &clear}
	}
	return s.record(ctx, tx, a, int64(len(clear.Before)), undo, box)
}
