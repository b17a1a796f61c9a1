package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
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
	files    map[string]string // of operations
	undo     map[string]string // of events
}

func contentsOf(t testing.TB, s *sqlstore.Store) contents {
	t.Helper()
	ctx := context.Background()
	c := contents{settings: must(s.Settings(ctx))(t), groups: must(s.Groups(ctx))(t), keys: make(map[fleet.KeyID]string), files: make(map[string]string), undo: undosOf(t, s)}
	page, _ := must2(s.Operations(ctx, operation.Query{Limit: fleet.MaxPage}))(t)
	for _, o := range page {
		for _, stream := range []operation.Stream{operation.Input, operation.Result} {
			for seq := 0; ; seq++ {
				piece := must(s.Chunk(ctx, o.ID, stream, seq))(t)
				if piece == nil {
					break
				}
				c.files[fmt.Sprint(o.ID, stream, seq)] = string(piece)
			}
		}
	}
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
	if !maps.Equal(c.files, other.files) {
		t.Errorf("the files of operations differ")
	}
	for id, undo := range c.undo { // there may be more
		if other.undo[id] != undo {
			t.Errorf("the way back of event %s is not the one there was", id)
		}
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
	for _, g := range must(s.Groups(ctx))(t)[:2] {
		g.ProxyKeys = append(g.ProxyKeys, secret.New("sk-later"))
		must(s.UpdateGroup(ctx, g, 0))(t)
	}
	fillFiles(t, s)
	c := contentsOf(t, s)
	if len(c.undo) != 3 {
		t.Errorf("%d events can be undone, want 3", len(c.undo))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

// fillFiles begins an import whose file has several pieces, and gives an operation a result.
func fillFiles(t testing.TB, s *sqlstore.Store) {
	t.Helper()
	ctx := context.Background()
	groups := must(s.Groups(ctx))(t)
	upload := must(s.CreateOperation(ctx, operation.Operation{Kind: operation.Import, GroupID: groups[0].ID, State: operation.Uploading}))(t)
	for seq := range 20 {
		if err := s.AppendInput(ctx, upload.ID, seq, []byte(fmt.Sprintf("sk-file-%d\x00\xff", seq))); err != nil {
			t.Fatal(err)
		}
	}
	must(s.CreateOperation(ctx, operation.Operation{Kind: operation.Export, GroupID: groups[1].ID, State: operation.Waiting}))(t)
	o, _, err := s.ClaimOperation(ctx, "node")
	if err != nil {
		t.Fatal(err)
	}
	claim := operation.Claim{ID: o.ID, Number: o.Claim}
	if err := s.AdvanceOperation(ctx, claim, operation.Progress{}, []byte("sk-exported")); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishOperation(ctx, claim, operation.Succeeded, ""); err != nil {
		t.Fatal(err)
	}
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
		if want := (sqlstore.Rekeyed{Keys: 3003, Groups: 2, Settings: 2, Traces: change[0] == ""}); done != want {
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
}

// testRekeyRefuses is about keys that do not fit, in each position, and about what cannot be opened.
func testRekeyRefuses(t *testing.T, database fresh) {
	ctx, dsn := t.Context(), database(t)
	before := filled(t, dsn, "one", 10)
	s := migrated(t, dsn)
	one, two, wrong, clear := boxOf(t, s, "one"), boxOf(t, s, "two"), boxOf(t, s, "wrong"), boxOf(t, s, "")
	for name, c := range map[string]struct {
		from, to *secret.Box
		says     string
	}{
		"wrong old key":        {wrong, two, one.KeyID()},
		"wrong, to clear":      {wrong, clear, one.KeyID()},
		"old key not given":    {clear, two, "give that one with --from"},
		"the same":             {one, one, "the same"},
		"both wrong":           {wrong, two, "is not the key"},
		"nothing to the wrong": {clear, wrong, "give that one"},
	} {
		_, err := s.Rekey(ctx, sqlstore.Rekeying{From: c.from, To: c.to, Begin: func(context.Context) error {
			t.Errorf("%s: it would begin", name)
			return nil
		}})
		wantCode(t, err, fleet.CodeInvalid)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	done := must(s.Rekey(ctx, sqlstore.Rekeying{From: two, To: one}))(t)
	if want := (sqlstore.Rekeyed{Keys: 12, Groups: 2, Settings: 2, Already: true}); done != want {
		t.Errorf("what is done already: %+v", done)
	}
	done = must(s.Rekey(ctx, sqlstore.Rekeying{From: one, To: two, CheckOnly: true}))(t)
	if want := (sqlstore.Rekeyed{Keys: 12, Groups: 2, Settings: 2}); done != want {
		t.Errorf("a check: %+v", done)
	}
	stop := errors.New("stop")
	if _, err := s.Rekey(ctx, sqlstore.Rekeying{From: one, To: two, Begin: func(context.Context) error { return stop }}); !errors.Is(err, stop) {
		t.Error(err)
	}
	before.same(t, contentsOf(t, openAt(t, dsn, "one")))

	// In clear there is no old key to be given.
	must(s.Rekey(ctx, sqlstore.Rekeying{From: one, To: clear}))(t)
	_, err := s.Rekey(ctx, sqlstore.Rekeying{From: wrong, To: two})
	wantCode(t, err, fleet.CodeInvalid)
	if err == nil || !strings.Contains(err.Error(), "leave --from out") {
		t.Error(err)
	}
	must(s.Rekey(ctx, sqlstore.Rekeying{From: clear, To: one}))(t)

	// What cannot be opened is listed, and nothing is changed.
	rawSQL(t, dsn, "UPDATE provider_keys SET value = 'v1:"+one.KeyID()+":AAAA' WHERE id = 3")
	rawSQL(t, dsn, "UPDATE provider_keys SET value = 'v0:sk-put-in' WHERE id = 5")
	rawSQL(t, dsn, "UPDATE proxy_groups SET secrets = 'junk' WHERE name = 'group-1'")
	rawSQL(t, dsn, "UPDATE settings SET value = 'junk' WHERE name = 'proxy_url'")
	_, err = s.Rekey(ctx, sqlstore.Rekeying{From: one, To: two, Begin: func(context.Context) error {
		t.Error("it would begin")
		return nil
	}})
	wantCode(t, err, fleet.CodeInvalid)
	for _, says := range []string{"4 stored secrets", "key 3 of group 1: damaged", "key 5 of group 2: sealed with another key", "group group-1: damaged", "setting proxy_url: damaged"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("it does not say %q: %v", says, err)
		}
	}
	if err := unlock(s, "one"); err != nil {
		t.Error(err)
	}
}

// testRekeyNothing is about an installation without a secret.
func testRekeyNothing(t *testing.T, database fresh) {
	ctx, s := t.Context(), migrated(t, database(t))
	done := must(s.Rekey(ctx, sqlstore.Rekeying{From: boxOf(t, s, ""), To: boxOf(t, s, "one")}))(t)
	if done != (sqlstore.Rekeyed{Traces: true}) {
		t.Errorf("%+v", done)
	}
	if err := unlock(s, "one"); err != nil {
		t.Error(err)
	}
	if err := unlock(s, "two"); err != nil {
		t.Errorf("while no secret is stored any passphrase is taken: %v", err)
	}
}

// interrupted runs a change that ends after some batches of keys, and reports whether it did not get to the end.
func interrupted(t testing.TB, s *sqlstore.Store, from, to string, batches int) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := s.Rekey(ctx, sqlstore.Rekeying{From: boxOf(t, s, from), To: boxOf(t, s, to), Progress: func(step sqlstore.RekeyStep, _, _ int64) {
		if step == sqlstore.RekeySealing {
			if batches--; batches == 0 {
				cancel()
			}
		}
	}})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return err != nil
}

// testRekeyHalf looks at a change that was interrupted in the middle.
func testRekeyHalf(t *testing.T, database fresh) {
	ctx, dsn := t.Context(), database(t)
	before := filled(t, dsn, "one", 1500)
	late := openAt(t, dsn, "one")
	s := migrated(t, dsn)
	both := func(first, second string) *sqlstore.Store {
		node := migrated(t, dsn)
		if err := node.Unlock(ctx, boxOf(t, node, first).Beside(boxOf(t, node, second))); err != nil {
			t.Fatalf("%s beside %s: %v", second, first, err)
		}
		return node
	}
	early := both("two", "one")
	if !early.WritesWithOther() {
		t.Error("a node with both keys writes with the new one before the cut-over")
	}
	if got, want := must(early.Encryption(ctx))(t), (fleet.Encryption{On: true, Other: true, Second: true}); got != want {
		t.Errorf("before the cut-over: %+v", got)
	}
	if !interrupted(t, s, "one", "two", 2) {
		t.Fatal("it came to its end")
	}
	if got, want := must(early.Encryption(ctx))(t), (fleet.Encryption{On: true, Second: true, Changing: true}); got != want {
		t.Errorf("half way: %+v", got)
	}
	for _, passphrase := range []string{"one", "two", ""} {
		err := unlock(migrated(t, dsn), passphrase)
		wantCode(t, err, fleet.CodeInvalid)
		if err == nil || !strings.Contains(err.Error(), "migrate-keys") {
			t.Errorf("one key, %q: %v", passphrase, err)
		}
	}
	for _, c := range [][2]string{{"one", "two"}, {"two", "one"}} {
		before.same(t, contentsOf(t, both(c[0], c[1])))
	}
	for _, c := range [][2]string{{"one", "three"}, {"three", "two"}, {"two", "three"}, {"", "one"}} {
		_, err := s.Rekey(ctx, sqlstore.Rekeying{From: boxOf(t, s, c[0]), To: boxOf(t, s, c[1])})
		wantCode(t, err, fleet.CodeInvalid)
		if err == nil || !strings.Contains(err.Error(), "not finished") {
			t.Errorf("%q: %v", c, err)
		}
	}

	// A node that was there before, with both keys: it finds what is there under either, and adds none twice.
	group := must(early.Groups(ctx))(t)[1].ID
	values := []secret.Text{secret.New("sk-value-new")}
	for i := range 501 {
		values = append(values, secret.New(fmt.Sprintf("sk-value-%d", i)))
	}
	for i, id := range must(early.FindKeys(ctx, group, values))(t) {
		if (id == 0) != (i == 0) || i > 0 && before.keys[id] != values[i].Reveal() {
			t.Fatalf("value %d was found as %d", i, id)
		}
	}
	for _, i := range []int{1, 500} { // one that is done, one that is not
		page, _, err := early.Keys(ctx, fleet.KeyQuery{Group: group, Value: values[i]})
		if err != nil || len(page) != 1 || !page[0].Value.Equal(values[i]) {
			t.Errorf("value %d: %v, %v", i, page, err)
		}
	}
	added, twice, err := early.AddKeys(ctx, group, values, false)
	if err != nil || len(added) != 1 || twice != 501 {
		t.Errorf("%d added, %d duplicates, %v", len(added), twice, err)
	}
	if early.WritesWithOther() {
		t.Error("it writes with the old key after the cut-over")
	}
	before.keys[added[0].ID] = "sk-value-new"
	must(early.SaveSettings(ctx, map[string]string{"proxy_keys": "sk-client-3"}, nil))(t)
	before.settings["proxy_keys"] = "sk-client-3"

	// One with the old key only writes nothing and loses nothing.
	_, _, err = late.AddKeys(ctx, group, values, false)
	wantCode(t, err, fleet.CodeInvalid)
	_, err = late.SaveSettings(ctx, map[string]string{"proxy_keys": "sk-old"}, nil)
	wantCode(t, err, fleet.CodeInvalid)
	_, _, err = late.KeysSince(ctx, 0, 5000)
	wantCode(t, err, fleet.CodeInvalid)
	wantCode(t, late.EachKey(ctx, 0, func([]fleet.Key) error { return nil }), fleet.CodeInvalid)

	done := must(s.Rekey(ctx, sqlstore.Rekeying{From: boxOf(t, s, "one"), To: boxOf(t, s, "two")}))(t)
	if !done.Resumed || done.Keys != 1504 {
		t.Errorf("%+v", done)
	}
	before.same(t, contentsOf(t, openAt(t, dsn, "two")))
	before.same(t, contentsOf(t, early))
}

// testRekeyKilled interrupts changes at random moments, turns some of them back, and looks at what is left each time.
func testRekeyKilled(t *testing.T, database fresh) {
	const kills = 50
	ctx, dsn := t.Context(), database(t)
	before := filled(t, dsn, "one", 2000)
	s := migrated(t, dsn)
	boxes := map[string]*secret.Box{"one": boxOf(t, s, "one"), "two": boxOf(t, s, "two")}
	// How long all of it takes, to know when to interrupt.
	begun := time.Now()
	must(s.Rekey(ctx, sqlstore.Rekeying{From: boxes["one"], To: boxes["two"]}))(t)
	whole := time.Since(begun)

	from, to := "two", "one"
	ended, back := 0, 0
	for kill := range kills {
		if rand.N(4) == 0 {
			from, to = to, from
			back++
		}
		short, cancel := context.WithTimeout(ctx, rand.N(whole*3/2))
		done, err := s.Rekey(short, sqlstore.Rekeying{From: boxes[from], To: boxes[to]})
		cancel()
		switch {
		case err == nil && !done.Already:
			ended++
			from, to = to, from
		case err != nil && fleet.CodeOf(err) != fleet.CodeUnavailable:
			t.Fatalf("kill %d: %v", kill, err)
		}
		node := migrated(t, dsn)
		if err := node.Unlock(ctx, boxes[from].Beside(boxes[to])); err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		before.same(t, contentsOf(t, node))
		_ = node.Close()
	}
	if _, err := s.Rekey(ctx, sqlstore.Rekeying{From: boxes["one"], To: boxes["two"]}); err != nil {
		t.Fatal(err)
	}
	before.same(t, contentsOf(t, openAt(t, dsn, "two")))
	t.Logf("a whole change takes %v; of %d that were interrupted %d had ended, %d times the direction changed", whole, kills, ended, back)
}
