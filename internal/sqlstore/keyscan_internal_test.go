package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/testenv"
)

// TestKeyLists compares pages of every order and filter with what a look at all keys finds, on each database: with the look
// that small groups get, and with one that ends after each window.
func TestKeyLists(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *Store{
		"SQLite":     openInternal,
		"PostgreSQL": func(t *testing.T) *Store { return openServer(t, testenv.Postgres(t).NewDatabase(t)) },
		"MariaDB":    func(t *testing.T) *Store { return openServer(t, testenv.MariaDB(t).NewDatabase(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			l := fillKeyList(t, s)
			for _, narrow := range []bool{false, true} {
				if narrow {
					s.smallGroup, s.keyScanTime = 0, 0
				}
				for _, sort := range append([]fleet.KeySort{""}, fleet.KeySorts...) {
					for what, f := range l.filters() {
						l.check(t, fmt.Sprintf("%s, sorted by %q, narrow %v", what, sort, narrow), fleet.KeyQuery{Group: l.group, Filter: f, Sort: sort, Limit: 500})
					}
				}
			}
			l.checkPlaces(t)
		})
	}
}

// keyList is a group of keys of every kind, some thousands so that there are several windows, beside another group.
type keyList struct {
	store *Store
	group fleet.GroupID
	rows  []keyRow
	used  map[int64]int64
	now   time.Time
}

func fillKeyList(t *testing.T, s *Store) *keyList {
	t.Helper()
	ctx := t.Context()
	l := &keyList{store: s, now: now(), used: map[int64]int64{}}
	var values []secret.Text
	for i := range 2*firstKeyWindow + 300 {
		values = append(values, secret.New(fmt.Sprintf("sk-list-%06d", i)))
	}
	for _, name := range []string{"other", "g"} {
		g, err := s.CreateGroup(ctx, fleet.Group{Name: name, Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI})
		if err == nil {
			_, _, err = s.AddKeys(ctx, g.ID, values, false)
		}
		if err != nil {
			t.Fatal(err)
		}
		l.group = g.ID
	}
	rest := func(model string, in time.Duration) string {
		return s.cooldownText([]fleet.Cooldown{{Model: "a{\"u\":1", Until: l.now.Add(time.Hour), Reason: "model_denied"}, {Model: model, Until: l.now.Add(in), Reason: "rate_limited"}})
	}
	day := (24 * time.Hour).Microseconds()
	err := s.write(ctx, "filling a list of keys", func(ctx context.Context, tx bun.Tx) error {
		for _, change := range []struct {
			statement string
			args      []any
		}{
			{"UPDATE provider_keys SET created_at = created_at - ? + id", []any{30 * day}},
			{"UPDATE provider_keys SET state = 'invalid', reason = 'invalid_api_key' WHERE id % 6 = 4", nil},
			{"UPDATE provider_keys SET state = 'disabled', reason = 'disabled_by_operator' WHERE id % 6 = 5", nil},
			{"UPDATE provider_keys SET cooldowns = ? WHERE id % 7 = 0", []any{rest("", time.Hour)}},
			{"UPDATE provider_keys SET cooldowns = ? WHERE id % 7 = 1", []any{rest("m", time.Hour)}},
			{"UPDATE provider_keys SET cooldowns = ? WHERE id % 7 = 2", []any{rest("", -time.Hour)}},
			{"UPDATE provider_keys SET failures = id % 11 WHERE id % 5 = 0", nil},
			{"UPDATE provider_keys SET weight = 1", nil},
			{"UPDATE provider_keys SET weight = id % 9 + 1 WHERE id % 4 = 0", nil},
			{"UPDATE provider_keys SET notes = 'Bought by ÄNNE_100%!' WHERE id % 8 = 3", nil},
			{`UPDATE provider_keys SET tags = '["trial","eu-west"]' WHERE id % 9 = 4`, nil},
			{"INSERT INTO key_usage (key_id, requests, failures, last_used_at) SELECT id, 1, 0, ? + (id * 7919 % 1000) FROM provider_keys WHERE id % 3 = 0", []any{micros(l.now) - day}},
		} {
			if _, err := tx.NewRaw(change.statement, change.args...).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.reader.NewSelect().Model(&l.rows).Where("group_id = ?", int64(l.group)).Order("id").Scan(ctx); err != nil {
		t.Fatal(err)
	}
	var usage []usageRow
	if err := s.reader.NewSelect().Model(&usage).Scan(ctx); err != nil {
		t.Fatal(err)
	}
	for _, u := range usage {
		l.used[u.KeyID] = u.LastUsedAt
	}
	return l
}

func (l *keyList) filters() map[string]fleet.KeyFilter {
	middle := l.store.moment(l.rows[len(l.rows)/2].CreatedAt)
	return map[string]fleet.KeyFilter{
		"all":       {},
		"active":    {States: []fleet.KeyState{fleet.KeyActive}},
		"cooling":   {States: []fleet.KeyState{fleet.KeyCooling}},
		"both":      {States: []fleet.KeyState{fleet.KeyCooling, fleet.KeyActive}},
		"invalid":   {States: []fleet.KeyState{fleet.KeyInvalid}},
		"unusable":  {States: []fleet.KeyState{fleet.KeyInvalid, fleet.KeyCooling}},
		"reason":    {Reason: "invalid_api_key"},
		"rested":    {Reason: "rate_limited", States: []fleet.KeyState{fleet.KeyCooling}},
		"created":   {CreatedFrom: middle.Add(-time.Millisecond), CreatedTo: middle.Add(time.Millisecond)},
		"used":      {UsedFrom: l.now.Add(-24 * time.Hour), UsedTo: l.now.Add(-24*time.Hour + 300*time.Microsecond)},
		"never":     {NeverUsed: true},
		"notes":     {Notes: "BY Änne_100%!"},
		"ascii":     {Notes: "bought BY"},
		"not notes": {Notes: "x100"},
		"tag":       {Tag: "eu-west"},
		"no tag":    {Tag: "eu"},
		"nothing":   {Reason: "no_such_reason"},
		"all of it": {States: []fleet.KeyState{fleet.KeyActive}, CreatedFrom: middle, UsedTo: l.now, Reason: "model_denied"},
	}
}

// matches is the filter as a person would read it.
func (l *keyList) matches(f fleet.KeyFilter, row *keyRow) bool {
	shown, reasons := fleet.KeyState(row.State), []string{row.Reason}
	for _, c := range l.store.cooldowns(row.Cooldowns, time.Time{}) {
		reasons = append(reasons, c.Reason)
		if c.Model == "" && c.Until.After(l.now) && shown == fleet.KeyActive {
			shown = fleet.KeyCooling
		}
	}
	created, used := l.store.moment(row.CreatedAt), timeOf(l.used[row.ID])
	// SQLite knows the case of ASCII letters only.
	notes := strings.Contains(strings.ToLower(row.Notes), strings.ToLower(f.Notes))
	if l.store.dialect == &sqliteDialect {
		notes = strings.Contains(asciiLower(row.Notes), asciiLower(f.Notes))
	}
	return (f.Notes == "" || notes) && (f.Tag == "" || slices.Contains(tagsOf(row.Tags), f.Tag)) && (len(f.States) == 0 || slices.Contains(f.States, shown)) &&
		(f.Reason == "" || slices.Contains(reasons, f.Reason)) &&
		!created.Before(f.CreatedFrom) && (f.CreatedTo.IsZero() || created.Before(f.CreatedTo)) &&
		(f.UsedFrom.IsZero() || !used.IsZero() && !used.Before(f.UsedFrom)) && (f.UsedTo.IsZero() || !used.IsZero() && used.Before(f.UsedTo)) &&
		(!f.NeverUsed || used.IsZero())
}

func asciiLower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, text)
}

// sorted is what a list has to be.
func (l *keyList) sorted(q fleet.KeyQuery) (ids []int64) {
	rows := slices.DeleteFunc(slices.Clone(l.rows), func(row keyRow) bool { return !l.matches(q.Filter, &row) })
	slices.SortStableFunc(rows, func(a, b keyRow) int {
		switch newest := cmp.Compare(b.ID, a.ID); q.Sort {
		case fleet.KeysNewest:
			return newest
		case fleet.KeysLastUsed:
			return cmp.Or(cmp.Compare(l.used[b.ID], l.used[a.ID]), newest)
		case fleet.KeysWeight:
			return cmp.Or(cmp.Compare(b.Weight, a.Weight), newest)
		case fleet.KeysFailures:
			return cmp.Or(cmp.Compare(b.Failures, a.Failures), newest)
		}
		return cmp.Compare(a.ID, b.ID)
	})
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	return ids
}

func (l *keyList) check(t *testing.T, what string, q fleet.KeyQuery) {
	t.Helper()
	var ids []int64
	for pages := 1; ; pages++ {
		page, next, err := l.store.Keys(t.Context(), q)
		if err != nil || len(page) > q.Limit || pages > 100 {
			t.Fatalf("%s: page %d of %d keys: %v", what, pages, len(page), err)
		}
		for _, k := range page {
			ids = append(ids, int64(k.ID))
		}
		if q.Cursor = next; next == "" {
			break
		}
	}
	if want := l.sorted(q); !slices.Equal(ids, want) {
		t.Errorf("%s: %d keys, not %d: %v ... instead of %v ...", what, len(ids), len(want), ids[:min(10, len(ids))], want[:min(10, len(want))])
	}
}

func (l *keyList) checkPlaces(t *testing.T) {
	t.Helper()
	for _, cursor := range []string{"x", "1.2", "1.2.3", "0.-1.2", "0.1.2.3", "99999999999999999999", strings.Repeat(".", 100)} {
		_, _, err := l.store.Keys(t.Context(), fleet.KeyQuery{Group: l.group, Cursor: cursor})
		if fleet.CodeOf(err) != fleet.CodeInvalid || err == nil {
			t.Errorf("the cursor %q: %v", cursor, err)
		}
	}
	if _, _, err := l.store.Keys(t.Context(), fleet.KeyQuery{Group: l.group, Sort: "beauty"}); err == nil || fleet.CodeOf(err) != fleet.CodeInvalid {
		t.Errorf("an order that there is not: %v", err)
	}
}
