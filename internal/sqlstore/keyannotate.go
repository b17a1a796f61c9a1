package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
)

// annotated returns those keys that an edit gives another weight, other notes or tags, as they are then. A key that would have too
// many tags is CodeInvalid.
func annotated(rows []keyRow, edit fleet.KeyEdit) (after []keyRow, err error) {
	for i := range rows {
		r := rows[i]
		if edit.Weight != nil {
			r.Weight = *edit.Weight
		}
		if edit.Notes != nil {
			r.Notes = clean(*edit.Notes, maxKeyNotes)
		}
		if len(edit.AddTags)+len(edit.RemoveTags) > 0 {
			if r.Tags, err = retagged(&r, edit); err != nil {
				return nil, err
			}
		}
		if r.Weight != rows[i].Weight || r.Notes != rows[i].Notes || r.Tags != rows[i].Tags {
			after = append(after, r)
		}
	}
	return after, nil
}

// setValues stores weight, notes and tags of keys.
func (s *Store) setValues(ctx context.Context, tx bun.Tx, after []keyRow, revision int64) error {
	if len(after) == 0 {
		return nil
	}
	var args []any
	for i := range after {
		args = append(args, after[i].ID, after[i].Weight, after[i].Notes, after[i].Tags, revision)
	}
	statement := s.dialect.updateEach("provider_keys", []string{"id"}, []string{"weight", "notes", "tags", "revision"}, len(after), "1 = 1")
	_, err := tx.NewRaw(statement, args...).Exec(ctx)
	return err
}

func rowIDs(rows []keyRow) []fleet.KeyID {
	ids := make([]fleet.KeyID, len(rows))
	for i := range rows {
		ids[i] = fleet.KeyID(rows[i].ID)
	}
	return ids
}

// retagged is the stored form of a key's tags with some more and without some others.
func retagged(r *keyRow, edit fleet.KeyEdit) (string, error) {
	tags := tagsOf(r.Tags)
	for _, tag := range edit.AddTags {
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	tags = slices.DeleteFunc(tags, func(tag string) bool { return slices.Contains(edit.RemoveTags, tag) })
	if len(tags) > keyfile.MaxTags {
		return "", fleet.InvalidFields([]fleet.FieldError{{Field: "add_tags", Message: fmt.Sprintf("would give key %d %d tags; the limit is %d, remove some", r.ID, len(tags), keyfile.MaxTags)}})
	}
	return tagText(tags), nil
}

func tagsOf(text string) (tags []string) {
	if text != "" && json.Unmarshal([]byte(text), &tags) != nil {
		return nil
	}
	return tags
}

func tagText(tags []string) string {
	if len(tags) == 0 {
		return ""
	}
	text, _ := json.Marshal(tags) // strings always marshal
	return string(text)
}
