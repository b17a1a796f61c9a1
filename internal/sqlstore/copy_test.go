package sqlstore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/sqlstore"
)

// testCopy follows a database with a local copy through everything that can happen to it.
func testCopy(t *testing.T, open opener) {
	ctx := t.Context()
	s := open(t)
	file := filepath.Join(t.TempDir(), "copy.db")
	local := migrated(t, file)
	if empty := must(local.Empty(ctx))(t); !empty {
		t.Error("a fresh copy is not empty")
	}
	same := func(what string) {
		t.Helper()
		if err := s.CopyTo(ctx, local); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := unlock(local, passphrase); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got, want := must(local.Revisions(ctx))(t), must(s.Revisions(ctx))(t); got != want {
			t.Errorf("%s: revisions %+v of %+v", what, got, want)
		}
		if got, want := must(local.Settings(ctx))(t), must(s.Settings(ctx))(t); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d settings of %d", what, len(got), len(want))
		}
		if got, want := must(local.Groups(ctx))(t), must(s.Groups(ctx))(t); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: groups\n%+v, want\n%+v", what, got, want)
		}
		if got, want := allKeys(t, local), allKeys(t, s); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d keys of %d, or other ones", what, len(got), len(want))
		}
	}
	same("empty")

	must(s.SaveSettings(ctx, map[string]string{"proxy_keys": "sk-canary-proxy-key", "max_retries": "7"}, nil))(t)
	g := fullGroup()
	g.ID = addGroup(t, s, g).ID
	other := addGroup(t, s, standard("other"))
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("sk-canary-", 1200), false))(t)
	must2(s.AddKeys(ctx, other.ID, texts("sk-canary-", 3), true))(t)
	addGroup(t, s, fleet.Group{Name: "all", Kind: fleet.KindAggregate, Channel: g.Channel, Members: []fleet.Member{{GroupID: g.ID, Weight: 2, Tier: 1}}})
	same("filled")
	same("unchanged")

	rest := fleet.KeyChange{
		KeyID: keys[0].ID, GroupID: g.ID, State: fleet.KeyActive, At: time.Now().UTC().Truncate(time.Microsecond),
		Cooldowns: []fleet.Cooldown{{Model: "m", Until: time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond), Reason: "rate_limited"}},
	}
	if err := s.ApplyKeyChanges(ctx, []fleet.KeyChange{rest}); err != nil {
		t.Fatal(err)
	}
	edited(t, s, fleet.KeySelection{Group: g.ID, IDs: []fleet.KeyID{keys[1].ID, keys[2].ID}}, fleet.KeyEdit{Act: fleet.ActDelete})
	must2(s.AddKeys(ctx, g.ID, texts("sk-canary-", 3), false))(t) // those that were deleted, with other ids
	must(s.SaveSettings(ctx, nil, []string{"max_retries"}))(t)
	same("changed")
	if err := s.DeleteGroup(ctx, other.ID); err != nil {
		t.Fatal(err)
	}
	same("a group less")

	// What is not remembered of deletions any more makes no difference in the end.
	edited(t, s, fleet.KeySelection{Group: g.ID, IDs: []fleet.KeyID{keys[3].ID}}, fleet.KeyEdit{Act: fleet.ActDelete})
	for forgotten := 1; forgotten > 0; {
		forgotten = must(s.ForgetDeletedKeys(ctx, time.Now().Add(time.Hour)))(t)
	}
	same("forgotten")

	// The copy of another installation is made anew.
	another := open(t)
	must(another.SaveSettings(ctx, map[string]string{"max_retries": "1"}, nil))(t)
	s = another
	same("another installation")

	for _, path := range []string{file, file + "-wal"} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte("sk-canary-")) {
			t.Errorf("a secret stands in clear in %s", filepath.Base(path))
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func allKeys(t *testing.T, s *sqlstore.Store) (keys []fleet.Key) {
	t.Helper()
	err := s.EachKey(t.Context(), 0, func(some []fleet.Key) error {
		keys = append(keys, some...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestCopyWithAnotherPassphrase(t *testing.T) {
	s := openAt(t, sqliteFile(t), passphrase)
	must(s.SaveSettings(t.Context(), map[string]string{"proxy_keys": "sk-canary"}, nil))(t)
	local := migrated(t, sqliteFile(t))
	if err := s.CopyTo(t.Context(), local); err != nil {
		t.Fatal(err)
	}
	err := unlock(local, "another horse")
	if fleet.CodeOf(err) != fleet.CodeInvalid || !strings.Contains(err.Error(), "ENCRYPTION_KEY") {
		t.Error(err)
	}
	// A store that no database was reached for says so.
	err = migrated(t, sqliteFile(t)).EachKey(t.Context(), 0, func([]fleet.Key) error { return nil })
	if fleet.CodeOf(err) != fleet.CodeUnavailable {
		t.Error(err)
	}
}
