package sqlstore_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
)

// boxesOf makes the boxes of an installation; an empty passphrase stands for secrets in clear.
func boxOf(t testing.TB, s *sqlstore.Store, passphrase string) *secret.Box {
	t.Helper()
	return must(secret.NewBox(secret.New(passphrase), must(s.Install(context.Background()))(t).Salt))(t)
}

// contents is all that a store holds sealed, for comparison.
type contents struct {
	settings map[string]string
	groups   []fleet.Group
	keys     map[fleet.KeyID]string
}

func contentsOf(t testing.TB, s *sqlstore.Store) contents {
	t.Helper()
	ctx := context.Background()
	c := contents{settings: must(s.Settings(ctx))(t), groups: must(s.Groups(ctx))(t), keys: make(map[fleet.KeyID]string)}
	if err := s.EachKey(ctx, 0, func(keys []fleet.Key) error {
		for _, k := range keys {
			c.keys[k.ID] = k.Value.Reveal()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c contents) same(t testing.TB, other contents) {
	t.Helper()
	if !maps.Equal(c.settings, other.settings) {
		t.Errorf("the settings differ")
	}
	if fmt.Sprint(c.groups) != fmt.Sprint(other.groups) {
		t.Errorf("the groups differ")
	}
	if !maps.Equal(c.keys, other.keys) {
		t.Errorf("%d keys are not the %d there were", len(c.keys), len(other.keys))
	}
}

// filled makes an installation with something of everything that is sealed.
func filled(t testing.TB, dsn, passphrase string, keys int) contents {
	t.Helper()
	ctx := context.Background()
	s := openAt(t, dsn, passphrase)
	must(s.SaveSettings(ctx, map[string]string{"proxy_keys": "sk-client-1,sk-client-2", "proxy_url": "http://user:word@proxy:3128"}, nil))(t)
	for i := range 3 {
		g := standard(fmt.Sprintf("group-%d", i))
		if i < 2 {
			g.ProxyKeys = []secret.Text{secret.New(fmt.Sprintf("sk-group-%d", i))}
			g.HeaderRules = []fleet.HeaderRule{{Name: "X-Second", Action: "set", Value: "sk-second"}}
		}
		g = must(s.CreateGroup(ctx, g))(t)
		values := make([]secret.Text, 0, keys/3+1)
		for j := range keys/3 + 1 {
			values = append(values, secret.New(fmt.Sprintf("sk-value-%d", j))) // the same in each group
		}
		if _, _, err := s.AddKeys(ctx, g.ID, values, false); err != nil {
			t.Fatal(err)
		}
	}
	c := contentsOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

// testRekey goes through the three kinds of a change, in a row.
func testRekey(t *testing.T, database fresh) {
	ctx, dsn := t.Context(), database(t)
	before := filled(t, dsn, "", 3000)
	s := migrated(t, dsn)
	for _, change := range [][2]string{{"", "one"}, {"one", "two"}, {"two", ""}} {
		steps := make(map[sqlstore.RekeyStep]int64)
		done, err := s.Rekey(ctx, sqlstore.Rekeying{
			From: boxOf(t, s, change[0]), To: boxOf(t, s, change[1]),
			Progress: func(step sqlstore.RekeyStep, done, total int64) {
				if done < steps[step] || done > total {
					t.Errorf("%s: %d of %d after %d", step, done, total, steps[step])
				}
				steps[step] = done
			},
		})
		if err != nil {
			t.Fatalf("%q: %v", change, err)
		}
		if want := (sqlstore.Rekeyed{Keys: 3003, Groups: 2, Settings: 2}); done != want {
			t.Errorf("%q: did %+v, want %+v", change, done, want)
		}
		for _, step := range []sqlstore.RekeyStep{sqlstore.RekeyChecking, sqlstore.RekeySealing, sqlstore.RekeyVerifying} {
			if steps[step] != 3003 {
				t.Errorf("%q: %s went through %d keys", change, step, steps[step])
			}
		}
		node := openAt(t, dsn, change[1])
		before.same(t, contentsOf(t, node))
		// Found again by the new digests, and not twice.
		values := []secret.Text{secret.New("sk-value-7"), secret.New("sk-value-new")}
		group := must(node.Groups(ctx))(t)[0].ID
		ids := must(node.FindKeys(ctx, group, values))(t)
		if before.keys[ids[0]] != "sk-value-7" || ids[1] != 0 {
			t.Errorf("%q: found %v", change, ids)
		}
		if _, twice, err := node.AddKeys(ctx, group, values[:1], false); err != nil || twice != 1 {
			t.Errorf("%q: %d duplicates, %v", change, twice, err)
		}
		wantCode(t, unlock(migrated(t, dsn), change[0]), fleet.CodeInvalid)
	}
	_ = slices.Sorted(maps.Keys(before.keys))
}
