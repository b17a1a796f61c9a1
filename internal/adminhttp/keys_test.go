package adminhttp_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/adminhttp"
	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func TestAddKeysByListAndText(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	odd := `{"type": "service_account", "a": "b, c; d"}`
	result, err := w.client.AddKeys(t.Context(), g.ID, adminapi.KeyInput{
		Keys: []string{" sk-list-1 ", "sk-list-1", odd, "", "sk\nbroken"},
		Text: "sk-text-1,sk-text-2;sk-text-3 sk-text-4\tsk-text-5\r\nsk-list-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Added != 7 || result.Duplicates != 2 || result.Rejected != 2 || len(result.Keys) != 7 {
		t.Errorf("result %+v", result)
	}
	if lines := []int{result.Rejections[0].Line, result.Rejections[1].Line}; !slices.Equal(lines, []int{4, 5}) {
		t.Errorf("rejected lines %v", lines)
	}
	if value, err := w.client.RevealKey(t.Context(), result.Keys[1].ID); err != nil || value != odd {
		t.Errorf("revealed %q, %v", value, err)
	}
	again, err := w.client.AddKeys(t.Context(), g.ID, adminapi.KeyInput{Text: `["sk-text-1", "sk-new-1"]`, Disabled: true})
	if err != nil || again.Added != 1 || again.Duplicates != 1 {
		t.Errorf("again %+v, %v", again, err)
	}
	if counts := w.Counts(1); counts.Active != 7 || counts.Disabled != 1 {
		t.Errorf("the pool counts %+v", counts)
	}
	_, err = w.client.AddKeys(t.Context(), g.ID, adminapi.KeyInput{})
	refused(t, err, adminapi.CodeInvalid)
	_, err = w.client.AddKeys(t.Context(), "99", adminapi.KeyInput{Text: "sk-1"})
	refused(t, err, adminapi.CodeNotFound)
}

func keyLines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("sk-line-" + strconv.Itoa(i) + "\n")
	}
	return b.String()
}

type spaces struct{}

// Read implements io.Reader.
func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestListAndSearchKeys(t *testing.T) {
	w := newWorld(t)
	a, b := w.group(openai("a")), w.group(openai("b"))
	for _, g := range []string{a.ID, b.ID} {
		if _, err := w.client.AddKeys(t.Context(), g, adminapi.KeyInput{Text: keyLines(25)}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	filter := adminclient.KeyFilter{Limit: 10}
	for pages := 1; ; pages++ {
		page, err := w.client.Keys(t.Context(), a.ID, filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range page.Keys {
			if seen[k.ID] || k.GroupID != a.ID || !strings.HasPrefix(k.Masked, adminapi.MaskPrefix) {
				t.Errorf("page %d: %+v", pages, k)
			}
			seen[k.ID] = true
		}
		if filter.Cursor = page.NextCursor; filter.Cursor == "" {
			if pages != 3 || len(seen) != 25 {
				t.Errorf("%d keys on %d pages", len(seen), pages)
			}
			break
		}
	}
	_, err := w.client.Keys(t.Context(), a.ID, adminclient.KeyFilter{Cursor: "nonsense"})
	refused(t, err, adminapi.CodeInvalid)
	_, err = w.client.Keys(t.Context(), a.ID, adminclient.KeyFilter{KeyFilter: adminapi.KeyFilter{State: "active,resting"}})
	refused(t, err, adminapi.CodeInvalid)
	_, err = w.client.Keys(t.Context(), a.ID, adminclient.KeyFilter{Limit: 1001})
	refused(t, err, adminapi.CodeInvalid)

	everywhere, err := w.client.SearchKey(t.Context(), "", "sk-line-7")
	if err != nil || len(everywhere.Keys) != 2 {
		t.Errorf("found %d, %v", len(everywhere.Keys), err)
	}
	inB, err := w.client.SearchKey(t.Context(), b.ID, "sk-line-7")
	if err != nil || len(inB.Keys) != 1 || inB.Keys[0].GroupID != b.ID {
		t.Errorf("found %+v, %v", inB, err)
	}
	none, err := w.client.SearchKey(t.Context(), "", "sk-line-")
	if err != nil || len(none.Keys) != 0 {
		t.Errorf("found %+v, %v", none, err)
	}
}

func TestStatesOfKeys(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	added, err := w.client.AddKeys(t.Context(), g.ID, adminapi.KeyInput{Text: "sk-state-000001 sk-state-000002 sk-state-000003"})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{added.Keys[0].ID, added.Keys[1].ID, added.Keys[2].ID}
	pool, now := w.pools.Get(1), w.clock()
	kill(t, w, ids[0])

	expect := func(what string, states ...string) {
		t.Helper()
		for i, want := range states {
			k, err := w.client.Key(t.Context(), ids[i])
			if err != nil || k.State != want {
				t.Errorf("%s: key %d is %s for %q, want %s, %v", what, i, k.State, k.Reason, want, err)
			}
		}
	}
	act := func(do func(string, adminapi.KeySelection) (int, error), which adminapi.KeySelection, want int) {
		t.Helper()
		if n, err := do(g.ID, which); n != want || err != nil {
			t.Errorf("changed %d, want %d, %v", n, want, err)
		}
	}
	on := func(do func(ctx context.Context, group string, which adminapi.KeySelection) (int, error)) func(string, adminapi.KeySelection) (int, error) {
		return func(group string, which adminapi.KeySelection) (int, error) { return do(t.Context(), group, which) }
	}
	disable, enable, restore, del := on(w.client.DisableKeys), on(w.client.EnableKeys), on(w.client.RestoreKeys), on(w.client.DeleteKeys)

	expect("a dead key", adminapi.KeyInvalid, adminapi.KeyActive, adminapi.KeyActive)
	act(disable, adminapi.KeySelection{IDs: ids[:2]}, 2)
	expect("disabled", adminapi.KeyDisabled, adminapi.KeyDisabled, adminapi.KeyActive)
	act(restore, adminapi.KeySelection{IDs: ids[:2]}, 0)
	expect("restore leaves disabled keys", adminapi.KeyDisabled, adminapi.KeyDisabled)
	act(enable, adminapi.KeySelection{State: adminapi.KeyDisabled}, 2)
	expect("enabled", adminapi.KeyActive, adminapi.KeyActive, adminapi.KeyActive)

	kill(t, w, ids[0])
	pick, _ := pool.Lookup(keyID(t, ids[1]), now)
	pool.Fault(pick, "m", keypool.Fault{Class: fleet.ClassLimited, Until: now.Add(time.Minute), AllModels: true, Reason: "rate_limited"}, faultOptions, now)
	expect("dead and resting", adminapi.KeyInvalid, adminapi.KeyCooling, adminapi.KeyActive)
	act(restore, adminapi.KeySelection{IDs: ids[:2]}, 2)
	expect("restored", adminapi.KeyActive, adminapi.KeyActive, adminapi.KeyActive)

	act(del, adminapi.KeySelection{IDs: []string{ids[0], ids[0]}}, 1)
	kill(t, w, ids[1])
	act(del, adminapi.KeySelection{State: adminapi.KeyInvalid}, 1)
	_, err = w.client.Key(t.Context(), ids[1])
	refused(t, err, adminapi.CodeNotFound)
	if counts := w.Counts(1); counts.Total() != 1 {
		t.Errorf("the pool counts %+v", counts)
	}

	for _, which := range []adminapi.KeySelection{
		{}, {IDs: ids, State: adminapi.KeyActive}, {State: "resting"}, {IDs: []string{"x"}}, {IDs: make([]string, 10_001)}, {State: adminapi.KeyActive},
	} {
		_, err := w.client.EnableKeys(t.Context(), g.ID, which)
		refused(t, err, adminapi.CodeInvalid)
	}
}

var faultOptions = keypool.Options{BlacklistThreshold: 3, RateLimitCooldown: time.Second, CooldownCap: time.Hour}

// kill lets a verdict retire a key, in the pool and, as the writer does later, in the store.
func kill(t *testing.T, w *world, id string) {
	t.Helper()
	now := time.Now().Add(time.Second) // later than what an operator did just before
	pool := w.pools.Get(1)
	pick, ok := pool.Lookup(keyID(t, id), now)
	if !ok {
		t.Fatalf("the pool has no key %s", id)
	}
	change, _ := pool.Fault(pick, "m", keypool.Fault{Class: fleet.ClassKeyDead, Reason: "invalid_api_key", Evidence: "no such key"}, faultOptions, now)
	if err := w.store.ApplyKeyChanges(t.Context(), []fleet.KeyChange{change}); err != nil {
		t.Fatal(err)
	}
}

func keyID(t *testing.T, text string) fleet.KeyID {
	t.Helper()
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return fleet.KeyID(id)
}

func TestTestKeysNow(t *testing.T) {
	w := newWorld(t)
	g := w.group(openai("a"))
	added, err := w.client.AddKeys(t.Context(), g.ID, adminapi.KeyInput{Text: "sk-1 sk-2"})
	if err != nil {
		t.Fatal(err)
	}
	bad := keyID(t, added.Keys[1].ID)
	w.test = func(id fleet.KeyID) (adminhttp.TestResult, error) {
		if id == bad {
			return adminhttp.TestResult{Status: 401, Class: fleet.ClassKeyDead, Reason: "invalid_api_key", Evidence: "no", Duration: 1500 * time.Microsecond}, nil
		}
		return adminhttp.TestResult{OK: true, Status: 200, Class: fleet.ClassOK}, nil
	}
	got, err := w.client.TestKeys(t.Context(), g.ID, added.Keys[1].ID, added.Keys[0].ID)
	if err != nil || len(got.Results) != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := adminapi.KeyTest{ID: added.Keys[1].ID, Status: 401, Class: "key_dead", Reason: "invalid_api_key", Evidence: "no", DurationMS: 1, State: "active"}
	if got.Results[0] != want || !got.Results[1].OK {
		t.Errorf("got %+v", got.Results)
	}
	w.test = func(fleet.KeyID) (adminhttp.TestResult, error) {
		return adminhttp.TestResult{}, errors.New("no sk-canary")
	}
	_, err = w.client.TestKeys(t.Context(), g.ID, added.Keys[0].ID)
	if e := refused(t, err, adminapi.CodeInternal); strings.Contains(e.Error(), "canary") {
		t.Errorf("says %q", e.Message)
	}
	_, err = w.client.TestKeys(t.Context(), g.ID, make([]string, 101)...)
	refused(t, err, adminapi.CodeInvalid)
	_, err = w.client.TestKeys(t.Context(), g.ID)
	refused(t, err, adminapi.CodeInvalid)
}
