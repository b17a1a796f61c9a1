package sqlstore_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
)

func texts(prefix string, n int) []secret.Text {
	list := make([]secret.Text, n)
	for i := range list {
		list[i] = secret.New(fmt.Sprintf("%s-%06d", prefix, i))
	}
	return list
}

func must2[A, B any](a A, b B, err error) func(t testing.TB) (A, B) {
	return func(t testing.TB) (A, B) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
}

func testKeys(t *testing.T, open opener) {
	t.Run("Values", func(t *testing.T) { testKeyValues(t, open(t)) })
	t.Run("Add", func(t *testing.T) { testAddKeys(t, open(t)) })
	t.Run("Pages", func(t *testing.T) { testKeyPages(t, open(t)) })
	t.Run("Operator", func(t *testing.T) { testOperator(t, open(t)) })
	t.Run("Verdicts", func(t *testing.T) { testVerdicts(t, open(t)) })
	t.Run("Import", func(t *testing.T) { testImport(t, open(t)) })
}

func values(keys []fleet.Key) []string {
	var list []string
	for _, k := range keys {
		list = append(list, k.Value.Reveal())
	}
	return list
}

func testKeyValues(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	odd := []string{"sk-Case", "sk-case", "SK-CASE", "sk case", "it's \"quoted\" \\ ?0 ?", "%_!", "ключ-🔑", "v1:abc:def", strings.Repeat("k", 4096), "ß", "ss", "e\u0301", "é", "trail "}
	var list []secret.Text
	for _, v := range odd {
		list = append(list, secret.New(v))
	}
	added, duplicates := must2(s.AddKeys(ctx, g.ID, list, false))(t)
	if duplicates != 0 || !slices.Equal(sorted(values(added)), sorted(odd)) {
		t.Errorf("added %q, %d duplicates", values(added), duplicates)
	}
	ids := must(s.FindKeys(ctx, g.ID, append(list, secret.New("missing"))))(t)
	for i, v := range odd {
		key := must(s.Key(ctx, ids[i]))(t)
		if key.Value.Reveal() != v || key.State != fleet.KeyActive || key.CreatedAt.IsZero() {
			t.Errorf("%q came back as %q in state %s", v, key.Value.Reveal(), key.State)
		}
		page, _ := must2(s.Keys(ctx, fleet.KeyQuery{Value: list[i]}))(t)
		if len(page) != 1 || page[0].ID != ids[i] {
			t.Errorf("looking for %q found %q", v, values(page))
		}
	}
	if ids[len(odd)] != 0 {
		t.Error("a value that is not there has an id")
	}
	_, err := s.Key(ctx, 99999)
	wantCode(t, err, fleet.CodeNotFound)
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func testAddKeys(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	a, b := addGroup(t, s, standard("a")), addGroup(t, s, standard("b"))
	list := texts("k", 1100)
	added, duplicates := must2(s.AddKeys(ctx, a.ID, append(list[:1000:1000], list[0], list[999]), false))(t)
	if len(added) != 1000 || duplicates != 2 {
		t.Errorf("%d added, %d duplicates", len(added), duplicates)
	}
	added, duplicates = must2(s.AddKeys(ctx, a.ID, list, true))(t)
	if len(added) != 100 || duplicates != 1000 || added[0].State != fleet.KeyDisabled {
		t.Errorf("%d added, %d duplicates", len(added), duplicates)
	}
	added, _ = must2(s.AddKeys(ctx, b.ID, list[:5], false))(t)
	if len(added) != 5 {
		t.Errorf("another group took %d of 5 equal keys", len(added))
	}
	if counts := must(s.CountKeys(ctx, a.ID))(t); counts[fleet.KeyActive] != 1000 || counts[fleet.KeyDisabled] != 100 {
		t.Errorf("counts %v", counts)
	}
	for _, bad := range []string{"", "a\x00b", "a\nb", "a\xffb", strings.Repeat("x", 4097)} {
		_, _, err := s.AddKeys(ctx, b.ID, []secret.Text{secret.New("good"), secret.New(bad)}, false)
		wantCode(t, err, fleet.CodeInvalid)
		if err == nil || !strings.Contains(err.Error(), "keys[1]") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if counts := must(s.CountKeys(ctx, b.ID))(t); counts[fleet.KeyActive] != 5 {
		t.Errorf("a refused list left keys behind: %v", counts)
	}
	_, _, err := s.AddKeys(ctx, 999, list, false)
	wantCode(t, err, fleet.CodeNotFound)
	all := addGroup(t, s, fleet.Group{Name: "all", Kind: fleet.KindAggregate, Channel: fleet.ChannelOpenAI})
	_, _, err = s.AddKeys(ctx, all.ID, list, false)
	wantCode(t, err, fleet.CodeInvalid)
}

// testImport adds very many keys at once, while verdicts go on: no writer waits for the whole of it.
func testImport(t *testing.T, s *sqlstore.Store) {
	many := 100_000
	if !s.Shared() {
		many = 20_000 // SQLite is Go code, which the race detector slows down; BenchmarkAddKeys imports all
	}
	ctx := t.Context()
	g, other := addGroup(t, s, standard("g")), addGroup(t, s, standard("other"))
	keys, _ := must2(s.AddKeys(ctx, other.ID, texts("k", 1), false))(t)
	done := make(chan struct{})
	var imported []fleet.Key
	go func() {
		defer close(done)
		var err error
		if imported, _, err = s.AddKeys(ctx, g.ID, texts("sk-import-0123456789abcdef", many), false); err != nil {
			t.Error(err)
		}
	}()
	begun, longest, verdicts := time.Now(), time.Duration(0), 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		one := time.Now()
		if err := s.ApplyKeyChanges(ctx, changesOf(keys, fleet.KeyInvalid)); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(one))
		verdicts++
	}
	t.Logf("%d keys in %v, with %d verdicts, the longest of which took %v", many, time.Since(begun), verdicts, longest)
	if count := must(s.CountKeys(ctx, g.ID))(t)[fleet.KeyActive]; count != many || len(imported) != many {
		t.Errorf("%d keys are stored, %d are told", count, len(imported))
	}
	if delta := since(t, s, 0); len(delta.Changed) != many+1 {
		t.Errorf("%d keys are newer than nothing", len(delta.Changed))
	}
}

func testKeyPages(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g, other := addGroup(t, s, standard("g")), addGroup(t, s, standard("other"))
	must2(s.AddKeys(ctx, other.ID, texts("other", 10), false))(t)
	must2(s.AddKeys(ctx, g.ID, texts("k", 5003), false))(t)
	var seen []fleet.KeyID
	for q := (fleet.KeyQuery{Group: g.ID, State: fleet.KeyActive, Limit: 1000}); ; {
		page, next := must2(s.Keys(ctx, q))(t)
		for _, k := range page {
			seen = append(seen, k.ID)
		}
		if q.Cursor = next; next == "" {
			break
		}
	}
	if len(seen) != 5003 || !slices.IsSorted(seen) || len(slices.Compact(seen)) != 5003 {
		t.Errorf("pages showed %d keys", len(seen))
	}
	loaded := 0
	err := s.EachKey(ctx, g.ID, func(keys []fleet.Key) error {
		loaded += len(keys)
		return nil
	})
	if err != nil || loaded != 5003 {
		t.Errorf("loaded %d keys: %v", loaded, err)
	}
	page, next := must2(s.Keys(ctx, fleet.KeyQuery{}))(t)
	if len(page) != fleet.DefaultPage || next == "" {
		t.Errorf("the default page has %d keys", len(page))
	}
	_, _, err = s.Keys(ctx, fleet.KeyQuery{Cursor: "x' OR 1"})
	wantCode(t, err, fleet.CodeInvalid)
}

func testOperator(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g, other := addGroup(t, s, standard("g")), addGroup(t, s, standard("other"))
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("k", 1300), false))(t)
	foreign, _ := must2(s.AddKeys(ctx, other.ID, texts("k", 1), false))(t)
	later := time.Now().Add(time.Second)
	var changes []fleet.KeyChange
	for _, k := range keys[:1200] {
		changes = append(changes, fleet.KeyChange{KeyID: k.ID, GroupID: g.ID, State: fleet.KeyInvalid, Reason: "invalid_api_key", Failures: 3, At: later})
	}
	if err := s.ApplyKeyChanges(ctx, changes); err != nil {
		t.Fatal(err)
	}
	restored := edited(t, s, fleet.KeySelection{Group: g.ID, State: fleet.KeyInvalid}, fleet.KeyEdit{Act: fleet.ActRestore}).Changes
	if len(restored) != 1200 || restored[0].State != fleet.KeyActive || restored[0].Reason != "" || restored[0].At.IsZero() || restored[0].GroupID != g.ID {
		t.Errorf("%d restored, first %+v", len(restored), restored[0])
	}
	if counts := must(s.CountKeys(ctx, g.ID))(t); counts[fleet.KeyActive] != 1300 {
		t.Errorf("counts %v", counts)
	}
	some := fleet.KeySelection{Group: g.ID, IDs: []fleet.KeyID{keys[3].ID, keys[1].ID, keys[3].ID, foreign[0].ID, 99999}}
	if got := edited(t, s, some, fleet.KeyEdit{Act: fleet.ActDisable}).Changes; len(got) != 2 {
		t.Errorf("%d disabled", len(got))
	}
	some.State = fleet.KeyActive
	if got := edited(t, s, some, fleet.KeyEdit{Act: fleet.ActDelete}).Deleted; len(got) != 0 {
		t.Errorf("deleted %v that are not active", got)
	}
	some.State = ""
	if got := edited(t, s, some, fleet.KeyEdit{Act: fleet.ActDelete}).Deleted; len(got) != 2 {
		t.Errorf("deleted %v", got)
	}
	if got := edited(t, s, fleet.KeySelection{Group: g.ID}, fleet.KeyEdit{Act: fleet.ActDelete}).Deleted; len(got) != 1298 {
		t.Errorf("deleted %d", len(got))
	}
	if counts := must(s.CountKeys(ctx, 0))(t); counts[fleet.KeyActive] != 1 {
		t.Errorf("another group's keys went too: %v", counts)
	}
}

func testVerdicts(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("k", 4), false))(t)
	at := keys[0].CreatedAt.Add(time.Second)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	rests := []fleet.Cooldown{{Until: until, Reason: "rate_limited"}, {Model: "m\x00 'x'", Until: until.Add(time.Microsecond), Reason: "quota"}}
	change := func(i int, state fleet.KeyState, at time.Time) fleet.KeyChange {
		return fleet.KeyChange{KeyID: keys[i].ID, GroupID: g.ID, State: state, Reason: "why", Evidence: "bad \x00 \xff " + strings.Repeat("e", 400), Failures: 2, At: at}
	}
	cooling := change(0, fleet.KeyCooling, at)
	cooling.Cooldowns = append(slices.Clone(rests), fleet.Cooldown{Model: "over", Until: at.Add(-time.Hour)}, fleet.Cooldown{Model: strings.Repeat("m", 5000), Until: until})
	wrongGroup, gone, odd := change(3, fleet.KeyInvalid, at), change(3, fleet.KeyInvalid, at), change(3, "odd", at)
	wrongGroup.GroupID, gone.KeyID = 999, 99999
	err := s.ApplyKeyChanges(ctx, []fleet.KeyChange{
		cooling, change(1, fleet.KeyActive, at.Add(time.Second)), change(1, fleet.KeyInvalid, at), change(2, fleet.KeyActive, at), change(2, fleet.KeyInvalid, at),
		wrongGroup, gone, odd,
	})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]fleet.Key, len(keys))
	for i, k := range keys {
		got[i] = must(s.Key(ctx, k.ID))(t)
	}
	if got[0].State != fleet.KeyActive || !reflect.DeepEqual(got[0].Cooldowns, rests) || got[0].Failures != 2 || !got[0].UpdatedAt.Equal(at) || len(got[0].Evidence) != 300 {
		t.Errorf("cooling: %+v", got[0])
	}
	if got[1].State != fleet.KeyActive || got[2].State != fleet.KeyInvalid || got[3].State != fleet.KeyActive {
		t.Errorf("states %s %s %s", got[1].State, got[2].State, got[3].State)
	}

	disabled := edited(t, s, fleet.KeySelection{Group: g.ID, IDs: []fleet.KeyID{keys[0].ID}}, fleet.KeyEdit{Act: fleet.ActDisable}).Changes
	restored := edited(t, s, fleet.KeySelection{Group: g.ID, IDs: []fleet.KeyID{keys[2].ID}}, fleet.KeyEdit{Act: fleet.ActRestore}).Changes
	err = s.ApplyKeyChanges(ctx, []fleet.KeyChange{change(0, fleet.KeyActive, disabled[0].At.Add(time.Hour)), change(2, fleet.KeyInvalid, restored[0].At.Add(-time.Microsecond))})
	if err != nil {
		t.Fatal(err)
	}
	if k := must(s.Key(ctx, keys[0].ID))(t); k.State != fleet.KeyDisabled || k.Cooldowns != nil || k.Reason != fleet.ReasonDisabled {
		t.Errorf("a verdict brought back what an operator disabled: %+v", k)
	}
	if k := must(s.Key(ctx, keys[2].ID))(t); k.State != fleet.KeyActive || k.Failures != 0 {
		t.Errorf("a late verdict undid an operator's act: %+v", k)
	}

	// A node that has not heard yet that a key is dead reports a rest of it.
	dead := change(3, fleet.KeyInvalid, at)
	rest := change(3, fleet.KeyActive, at.Add(time.Second))
	rest.Cooldowns = rests
	for _, c := range []fleet.KeyChange{dead, rest} {
		if err := s.ApplyKeyChanges(ctx, []fleet.KeyChange{c}); err != nil {
			t.Fatal(err)
		}
	}
	if k := must(s.Key(ctx, keys[3].ID))(t); k.State != fleet.KeyInvalid {
		t.Errorf("a rest revived a dead key: %+v", k)
	}
}
