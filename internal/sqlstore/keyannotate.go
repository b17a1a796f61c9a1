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

// annotate sets weight, notes and tags of keys, and tells which ones it changed. A key that would have too many tags is CodeInvalid.
func (s *Store) annotate(ctx context.Context, tx bun.Tx, rows []keyRow, edit fleet.KeyEdit, revision int64) (done fleet.KeysEdited, err error) {
	var args []any
	for i := range rows {
		r := &rows[i]
		weight, notes, tags := r.Weight, r.Notes, r.Tags
		if edit.Weight != nil {
			weight = *edit.Weight
		}
		if edit.Notes != nil {
			notes = clean(*edit.Notes, maxKeyNotes)
		}
		if len(edit.AddTags)+len(edit.RemoveTags) > 0 {
			if tags, err = retagged(r, edit); err != nil {
				return fleet.KeysEdited{}, err
			}
		}
		if weight != r.Weight || notes != r.Notes || tags != r.Tags {
			args = append(args, r.ID, weight, notes, tags, revision)
			done.Set = append(done.Set, fleet.KeyID(r.ID))
		}
	}
	if len(done.Set) == 0 {
		return done, nil
	}
	statement := s.dialect.updateEach("provider_keys", []string{"id"}, []string{"weight", "notes", "tags", "revision"}, len(done.Set), "1 = 1")
	_, err = tx.NewRaw(statement, args...).Exec(ctx)
	return done, err
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
