package sqlstore

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

type keyRow struct {
	bun.BaseModel `bun:"table:provider_keys"`
	ID            int64  `bun:"id,pk,autoincrement"`
	GroupID       int64  `bun:"group_id"`
	Hash          []byte `bun:"hash"`
	Value         string `bun:"value"`
	State         string `bun:"state"`
	Reason        string `bun:"reason"`
	Evidence      string `bun:"evidence"`
	Failures      int    `bun:"failures"`
	Cooldowns     string `bun:"cooldowns"`
	OperatorAt    int64  `bun:"operator_at"`
	CreatedAt     int64  `bun:"created_at"`
	UpdatedAt     int64  `bun:"updated_at"`
	Revision      int64  `bun:"revision"`
	Weight        int    `bun:"weight"`
	Notes         string `bun:"notes"`
	Tags          string `bun:"tags"`

	// OtherHash is the digest by the box beside the one that seals; nil without one.
	OtherHash []byte `bun:"-"`
	// SortValue is what a look for keys sorted this one by.
	SortValue int64 `bun:"sort_value,scanonly"`
}

// cooldownJSON is one element of provider_keys.cooldowns.
type cooldownJSON struct {
	Model  string `json:"m,omitempty"`
	Until  int64  `json:"u"` // microseconds
	Reason string `json:"r,omitempty"`
}

// Bounds of the texts of a key, in bytes.
const (
	maxKeyValue    = 4096 // the longest credentials in use, signed tokens, stay below 2 KiB
	maxKeyReason   = 64
	maxKeyEvidence = 300
	maxKeyNotes    = 2000
	maxKeyTag      = 160
	maxModelName   = 512
	maxCooldowns   = 256 // of one key; a key cannot be asked for more models than its pool tells apart
)

// keyPlace is the associated data of a key's value. The digest stands in it because the id is not known before the
// row is written.
func keyPlace(group int64, hash []byte) string {
	place := make([]byte, 0, 14+20+1+2*len(hash))
	place = append(place, "provider_keys/"...)
	place = strconv.AppendInt(place, group, 10)
	place = append(place, '/')
	return string(hex.AppendEncode(place, hash))
}

func hashOf(box *secret.Box, value secret.Text) []byte {
	digest, _ := hex.DecodeString(box.Hash(value)) // Hash writes nothing but hexadecimal digits
	return digest
}

// key opens a row.
func (s *Store) key(box *secret.Box, row *keyRow, at time.Time) (fleet.Key, error) {
	value, err := box.Open(row.Value, keyPlace(row.GroupID, row.Hash))
	if err != nil {
		return fleet.Key{}, err
	}
	return fleet.Key{
		ID: fleet.KeyID(row.ID), GroupID: fleet.GroupID(row.GroupID), Value: value,
		State: fleet.KeyState(row.State), Reason: row.Reason, Evidence: row.Evidence, Failures: row.Failures,
		Cooldowns: s.cooldowns(row.Cooldowns, at), CreatedAt: s.moment(row.CreatedAt), UpdatedAt: s.moment(row.UpdatedAt),
		OperatorAt: s.moment(row.OperatorAt), Weight: row.Weight, Notes: row.Notes, Tags: tagsOf(row.Tags),
	}, nil
}

// cooldowns reads the stored rests that are not over at the given moment. What cannot be read is no rest: the
// provider will say so again.
func (s *Store) cooldowns(text string, at time.Time) []fleet.Cooldown {
	if text == "" {
		return nil
	}
	var stored []cooldownJSON
	if json.Unmarshal([]byte(text), &stored) != nil {
		return nil
	}
	var rests []fleet.Cooldown
	for _, c := range stored {
		if until := s.moment(c.Until); until.After(at) {
			rests = append(rests, fleet.Cooldown{Model: c.Model, Until: until, Reason: c.Reason})
		}
	}
	return rests
}

// cooldownText is the stored form. A model name that is too long to be stored is no name that a provider serves.
func (s *Store) cooldownText(rests []fleet.Cooldown) string {
	var stored []cooldownJSON
	for _, c := range rests[:min(len(rests), maxCooldowns)] {
		if len(c.Model) <= maxModelName {
			stored = append(stored, cooldownJSON{Model: c.Model, Until: s.stamp(c.Until), Reason: clean(c.Reason, maxKeyReason)})
		}
	}
	if len(stored) == 0 {
		return ""
	}
	text, err := json.Marshal(stored)
	if err != nil { // strings and integers always marshal
		return ""
	}
	return string(text)
}
