package keyfile

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// Bounds of what a file says of a key. Sizes of texts are those of the store.
const (
	MaxValueBytes = 4096 // most keys have under 200 bytes, a Google service account about 2,400
	MaxWeight     = 100
	MaxNotes      = 500 // characters
	MaxTags       = 10
	MaxTag        = 40 // characters of letters, digits, - _ . :
	maxReason     = 64 // bytes
	maxEvidence   = 300
	maxModel      = 512
	maxCooldowns  = 256
)

// Key is what a file says of one key. Zero fields but Value are not said.
type Key struct {
	Value  secret.Text
	Weight int // 1 to MaxWeight
	Notes  string
	Tags   []string
	// State is active, invalid or disabled.
	State     fleet.KeyState
	Reason    string
	Evidence  string
	Failures  int
	Cooldowns []fleet.Cooldown
}

// Entry is one key of a file, or why something in its place is none.
type Entry struct {
	Line   int    // of the file after decompression where it begins, from 1
	Number int    // among the entries, from 1
	Fault  string // empty for a key
	Key    Key
}

// SaysMore reports whether anything but the value is said.
func (k *Key) SaysMore() bool {
	return k.Weight != 0 || k.Notes != "" || len(k.Tags) > 0 || k.State != "" || k.Reason != "" || k.Evidence != "" || k.Failures != 0 || len(k.Cooldowns) > 0
}

// ValueFault says why a text cannot be a key, and nothing when it can: what no HTTP header can carry.
func ValueFault(value string) string {
	switch {
	case value == "":
		return "is empty"
	case len(value) > MaxValueBytes:
		return fmt.Sprintf("is longer than %d bytes; is this a list of keys?", MaxValueBytes)
	case !utf8.ValidString(value):
		return "is not UTF-8 text"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "holds a control character, which no HTTP header can carry"
	}
	return ""
}

// fault says what is wrong with a key, if anything.
func (k *Key) fault() string {
	if why := ValueFault(k.Value.Reveal()); why != "" {
		return why
	}
	switch {
	case k.Weight < 0 || k.Weight > MaxWeight:
		return fmt.Sprintf("weight must be a whole number from 1 to %d", MaxWeight)
	case !utf8.ValidString(k.Notes) || utf8.RuneCountInString(k.Notes) > MaxNotes || strings.ContainsRune(k.Notes, 0):
		return fmt.Sprintf("notes must be a text of at most %d characters", MaxNotes)
	case len(k.Tags) > MaxTags:
		return fmt.Sprintf("tags are %d; the limit is %d", len(k.Tags), MaxTags)
	case slices.ContainsFunc(k.Tags, func(tag string) bool { return !IsTag(tag) }):
		return fmt.Sprintf("each of the tags must have 1 to %d letters, digits and - _ . :", MaxTag)
	case k.State != "" && k.State != fleet.KeyActive && k.State != fleet.KeyInvalid && k.State != fleet.KeyDisabled:
		return "state must be active, invalid or disabled"
	case len(k.Reason) > maxReason || !printable(k.Reason):
		return fmt.Sprintf("reason must be a word of at most %d bytes", maxReason)
	case len(k.Evidence) > maxEvidence || !utf8.ValidString(k.Evidence) || strings.ContainsRune(k.Evidence, 0):
		return fmt.Sprintf("evidence must be a text of at most %d bytes", maxEvidence)
	case k.Failures < 0 || k.Failures > 1<<30:
		return "failures must be a whole number, 0 or more"
	case len(k.Cooldowns) > maxCooldowns:
		return fmt.Sprintf("cooldowns are %d; the limit is %d", len(k.Cooldowns), maxCooldowns)
	}
	for _, c := range k.Cooldowns {
		if c.Until.IsZero() || len(c.Model) > maxModel || !printable(c.Model) || len(c.Reason) > maxReason || !printable(c.Reason) {
			return fmt.Sprintf("each of the cooldowns needs until, a time as RFC 3339 has it, and may have model (at most %d bytes) and reason (at most %d)", maxModel, maxReason)
		}
	}
	return ""
}

// IsTag reports whether a text can be a tag.
func IsTag(tag string) bool {
	return tag != "" && utf8.RuneCountInString(tag) <= MaxTag && !strings.ContainsFunc(tag, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.:", r)
	})
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// object is a key as JSON.
type object struct {
	Key       string     `json:"key"`
	Weight    int        `json:"weight,omitempty"`
	Notes     string     `json:"notes,omitempty"`
	Tags      []string   `json:"tags,omitempty"`
	State     string     `json:"state,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	Evidence  string     `json:"evidence,omitempty"`
	Failures  int        `json:"failures,omitempty"`
	Cooldowns []cooldown `json:"cooldowns,omitempty"`

	// What GPT-Load shows of a key beside that; it is not taken over.
	ID        any `json:"id,omitempty"`
	GroupID   any `json:"group_id,omitempty"`
	Masked    any `json:"masked,omitempty"`
	CreatedAt any `json:"created_at,omitempty"`
	UpdatedAt any `json:"updated_at,omitempty"`
}

// cooldown is a rest as JSON.
type cooldown struct {
	Model  string    `json:"model,omitempty"` // empty means every model
	Until  time.Time `json:"until"`
	Reason string    `json:"reason,omitempty"`
}

func (o *object) key() Key {
	k := Key{
		Value: secret.New(strings.TrimSpace(o.Key)), Weight: o.Weight, Notes: o.Notes, Tags: o.Tags, State: fleet.KeyState(o.State),
		Reason: o.Reason, Evidence: o.Evidence, Failures: o.Failures, Cooldowns: restsOf(o.Cooldowns),
	}
	return k
}

func restsOf(list []cooldown) []fleet.Cooldown {
	var rests []fleet.Cooldown
	for _, c := range list {
		rests = append(rests, fleet.Cooldown{Model: c.Model, Until: c.Until, Reason: c.Reason})
	}
	return rests
}

func cooldownsOf(rests []fleet.Cooldown) []cooldown {
	var list []cooldown
	for _, c := range rests {
		list = append(list, cooldown{Model: c.Model, Until: c.Until.UTC(), Reason: c.Reason})
	}
	return list
}

func objectOf(k *Key) object {
	return object{
		Key: k.Value.Reveal(), Weight: k.Weight, Notes: k.Notes, Tags: k.Tags, State: string(k.State), Reason: k.Reason,
		Evidence: k.Evidence, Failures: k.Failures, Cooldowns: cooldownsOf(k.Cooldowns),
	}
}
