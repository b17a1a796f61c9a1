package gptload1

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

const (
	// maxKeyBytes is the longest provider key, the same as in the admin API and the store.
	maxKeyBytes = 4096
	// maxStoredKey is that key encrypted, in bytes of text; longer ones are not even read.
	maxStoredKey = 2 * (nonceBytes + maxKeyBytes + tagBytes)
	maxNoteRunes = 255 // of 1.x on MySQL and PostgreSQL; SQLite does not enforce it
	// shownRows are the row ids that a notice names.
	shownRows = 5

	statusActive  = "active"
	statusInvalid = "invalid"
)

// InvalidReason is the stable word for why an imported key is invalid: 1.x keeps no reason.
const InvalidReason = "invalid_in_1x"

// Key is one provider key of 1.x.
type Key struct {
	Value      secret.Text
	State      fleet.KeyState // KeyActive or KeyInvalid
	Notes      string         // at most 255 characters, without control characters
	Failures   int            // consecutive counted failures
	Requests   int64          // that 1.x counted
	LastUsedAt time.Time      // zero when it never was, or when the column makes no sense
	CreatedAt  time.Time
}

// KeyTally counts the rows of api_keys of one group.
type KeyTally struct {
	Active  int // come along and serve
	Invalid int // come along as invalid
	// Duplicates are among Active and Invalid: rows whose value stands in the group already. Adding them changes nothing, so
	// the first row of a value decides its state.
	Duplicates int
	LeftOut    int // do not come along; the notices say why
}

// Total is the number of rows.
func (t KeyTally) Total() int { return t.Active + t.Invalid + t.LeftOut }

// keyFault is why a row does not come along, or not as it stands.
type keyFault string

const (
	keyUnopened  keyFault = "encrypted with another key than this one, or damaged"
	keyEmpty     keyFault = "without a value"
	keyTooLong   keyFault = "longer than 4096 bytes"
	keyNotText   keyFault = "not UTF-8 text"
	keyControl   keyFault = "with a control character, which no HTTP header can carry"
	keyStatus    keyFault = "with a status other than active and invalid, which 1.x does not serve"
	keyNotes     keyFault = "with notes that are too long or hold control characters"
	keyClearText keyFault = "in clear between encrypted ones"
)

var keyFaults = []keyFault{keyUnopened, keyEmpty, keyTooLong, keyNotText, keyControl, keyStatus, keyNotes, keyClearText}

// effect is what becomes of a row with the fault, and remedy says it in words.
func (f keyFault) effect() (effect Effect, remedy string) {
	switch f {
	case keyStatus:
		return Changed, "imported as invalid"
	case keyNotes:
		return Changed, "imported with notes that are cut and cleaned"
	case keyClearText:
		return Noted, "imported, because 1.x serves them"
	}
	return LeftOut, "not imported"
}

// storedKey is a row of api_keys, opened.
type storedKey struct {
	id      int64
	group   int64
	key     Key
	sealing sealing
	faults  []keyFault
	leftOut bool
}

func (s *storedKey) fault(f keyFault) {
	s.faults = append(s.faults, f)
	effect, _ := f.effect()
	s.leftOut = s.leftOut || effect == LeftOut
}

// eachStoredKey reads api_keys whole or one group's part.
func (d *Database) eachStoredKey(ctx context.Context, where string, each func(storedKey) error, behind func() error) error {
	value := d.quote("key_value")
	fields := append(
		d.fieldsOf(keysTable, "key_hash", "group_id", "status", "failure_count", "request_count", "last_used_at", "created_at"),
		// No row is larger than it may be, whatever stands in the table.
		"CASE WHEN octet_length("+value+") <= "+strconv.Itoa(maxStoredKey)+" THEN "+value+" END AS key_text",
		"octet_length("+value+") AS key_bytes",
	)
	if d.has(keysTable, "notes") {
		fields = append(fields, "SUBSTR("+d.quote("notes")+", 1, "+strconv.Itoa(maxNoteRunes+1)+") AS notes")
	}
	p := page{doing: "reading the keys", table: keysTable, fields: fields, where: where, rows: pageRows}
	return d.pages(ctx, p, func(id int64, r row) error { return each(d.storedKey(id, r)) }, behind)
}

func (d *Database) storedKey(id int64, r row) storedKey {
	s := storedKey{id: id}
	s.group, _ = r.integer("group_id")
	value, how := d.opener.open(r.text("key_text"), r.text("key_hash"))
	s.sealing = how
	bytes, _ := r.integer("key_bytes")
	switch {
	case bytes > maxStoredKey:
		s.fault(keyTooLong)
	case how == unopened:
		s.fault(keyUnopened)
	default:
		// 1.x takes the spaces around a key away before it stores it.
		value = strings.TrimSpace(value)
		if f := keyValueFault(value); f != "" {
			s.fault(f)
		} else {
			s.key.Value = secret.New(value)
		}
	}
	s.key.State = fleet.KeyActive
	if status := r.text("status"); status != statusActive {
		s.key.State = fleet.KeyInvalid
		if status != statusInvalid {
			s.fault(keyStatus)
		}
	}
	notes := r.text("notes")
	if s.key.Notes = cleanNotes(notes); s.key.Notes != notes {
		s.fault(keyNotes)
	}
	failures, _ := r.integer("failure_count")
	s.key.Failures = int(min(max(failures, 0), math.MaxInt32))
	s.key.Requests, _ = r.integer("request_count")
	s.key.LastUsedAt, s.key.CreatedAt = r.time("last_used_at"), r.time("created_at")
	return s
}

// keyValueFault is the rule of the admin API's imports.
func keyValueFault(value string) keyFault {
	switch {
	case value == "":
		return keyEmpty
	case len(value) > maxKeyBytes:
		return keyTooLong
	case !utf8.ValidString(value):
		return keyNotText
	case strings.ContainsFunc(value, unicode.IsControl):
		return keyControl
	}
	return ""
}

func cleanNotes(notes string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(notes, "\ufffd"))
	if runes := []rune(clean); len(runes) > maxNoteRunes {
		clean = string(runes[:maxNoteRunes])
	}
	return clean
}

// EachKey calls each with the keys of one group of the plan in the order in which 1.x made them, at most 1,000 at a time, and
// counts them as the plan did: 1.x may have changed some meanwhile. The same value may come twice; the first one counts. The
// slice is reused. An error of each ends it and comes back as it is.
func (d *Database) EachKey(ctx context.Context, g Group, each func([]Key) error) (KeyTally, error) {
	var tally KeyTally
	keys := make([]Key, 0, pageRows)
	err := d.eachStoredKey(ctx, d.quote("group_id")+" = "+strconv.FormatInt(g.SourceID, 10), func(s storedKey) error {
		tally.add(s)
		if !s.leftOut {
			keys = append(keys, s.key)
		}
		return nil
	}, func() error {
		defer func() { keys = keys[:0] }()
		if len(keys) == 0 {
			return nil
		}
		return each(keys)
	})
	return tally, err
}

func (t *KeyTally) add(s storedKey) {
	switch {
	case s.leftOut:
		t.LeftOut++
	case s.key.State == fleet.KeyActive:
		t.Active++
	default:
		t.Invalid++
	}
}

// groupKeys is what the plan finds in one group's part of api_keys.
type groupKeys struct {
	tally  KeyTally
	counts map[keyFault]int
	rows   map[keyFault][]int64 // the first ones
}

func (g *groupKeys) add(s storedKey) {
	g.tally.add(s)
	for _, f := range s.faults {
		if g.counts == nil {
			g.counts, g.rows = make(map[keyFault]int), make(map[keyFault][]int64)
		}
		g.counts[f]++
		if len(g.rows[f]) < shownRows {
			g.rows[f] = append(g.rows[f], s.id)
		}
	}
}

// addCounts adds what another one found, without its tally.
func (g *groupKeys) addCounts(other *groupKeys) {
	if g.counts == nil {
		g.counts, g.rows = make(map[keyFault]int), make(map[keyFault][]int64)
	}
	for f, n := range other.counts {
		g.counts[f] += n
		g.rows[f] = other.rows[f]
	}
}

// notices say what is wrong with the rows of a group.
func (g *groupKeys) notices(group string) []Notice {
	var notices []Notice
	for _, f := range keyFaults {
		n := g.counts[f]
		if n == 0 {
			continue
		}
		ids := make([]string, len(g.rows[f]))
		for i, id := range g.rows[f] {
			ids[i] = strconv.FormatInt(id, 10)
		}
		more := ""
		if n > len(ids) {
			more = " and others"
		}
		effect, remedy := f.effect()
		notices = append(notices, Notice{
			Group: group, Field: keysTable, Effect: effect,
			Message: fmt.Sprintf("%s %s (id %s%s); %s", plural(n, "row"), f, strings.Join(ids, ", "), more, remedy),
		})
	}
	if n := g.tally.Duplicates; n > 0 {
		notices = append(notices, Notice{
			Group: group, Field: keysTable, Effect: LeftOut,
			Message: plural(n, "row") + " with a value that stands in the group already; the first row of each value is imported",
		})
	}
	return notices
}

// sealings counts how the values of api_keys stand.
type sealings [4]int

// check judges the passphrase by every row there is.
func (n sealings) check(given bool) error {
	switch {
	case !given && n[unopened] > 0:
		return fleet.NewError(fleet.CodeInvalid, fmt.Sprintf("%s in the 1.x database encrypted, and no encryption key is given; "+
			"give the ENCRYPTION_KEY of the 1.x installation", isAre(n[unopened])), nil)
	case given && n[opened] == 0 && n[unopened] > 0:
		return fleet.NewError(fleet.CodeInvalid, fmt.Sprintf("the encryption key is wrong: it opens none of the %s in the 1.x database; "+
			"give the ENCRYPTION_KEY of the 1.x installation", plural(n[unopened], "encrypted key")), nil)
	case given && n[opened] == 0 && n[inClear] > 0:
		return fleet.NewError(fleet.CodeInvalid, "the 1.x database holds its keys in clear; give no encryption key", nil)
	}
	return nil
}

func isAre(n int) string {
	if n == 1 {
		return "1 key is"
	}
	return fmt.Sprintf("%d keys are", n)
}
