package sqlstore_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/operation"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
)

func testOperations(t *testing.T, open opener) {
	t.Run("Life", func(t *testing.T) { testOperationLife(t, open(t)) })
	t.Run("OneAtATime", func(t *testing.T) { testOperationOneAtATime(t, open(t)) })
	t.Run("Input", func(t *testing.T) { testOperationInput(t, open(t)) })
	t.Run("Claims", func(t *testing.T) { testOperationClaims(t, open(t)) })
	t.Run("ImportKeys", func(t *testing.T) { testImportKeys(t, open(t)) })
	t.Run("EditSomeKeys", func(t *testing.T) { testEditSomeKeys(t, open(t)) })
	t.Run("Pages", func(t *testing.T) { testOperationPages(t, open(t)) })
}

func waiting(kind operation.Kind, group fleet.GroupID) operation.Operation {
	return operation.Operation{Kind: kind, GroupID: group, State: operation.Waiting}
}

func claimOf(o operation.Operation) operation.Claim {
	return operation.Claim{ID: o.ID, Number: o.Claim}
}

// claimed makes an operation that this test works on.
func claimed(t testing.TB, s *sqlstore.Store, o operation.Operation) operation.Claim {
	t.Helper()
	made := must(s.CreateOperation(t.Context(), o))(t)
	got, ok, err := s.ClaimOperation(t.Context(), "node")
	if err != nil || !ok || got.ID != made.ID {
		t.Fatalf("claimed %+v, %v, %v; want operation %d", got, ok, err, made.ID)
	}
	return claimOf(got)
}

func testOperationLife(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	made := must(s.CreateOperation(ctx, operation.Operation{
		Kind: operation.Export, GroupID: g.ID, State: operation.Waiting, Total: 7, Options: operation.Options{Format: keyfile.CSV, State: fleet.KeyInvalid},
	}))(t)
	if made.ID == 0 || made.GroupName != "g" || made.Total != 7 || made.Options.Format != keyfile.CSV || time.Since(made.CreatedAt) > time.Minute {
		t.Errorf("made %+v", made)
	}
	got, ok, err := s.ClaimOperation(ctx, "node-1")
	if err != nil || !ok || got.State != operation.Running || got.Node != "node-1" || got.StartedAt.IsZero() || !reflect.DeepEqual(got.Options, made.Options) {
		t.Fatalf("claimed %+v, %v, %v", got, ok, err)
	}
	claim := claimOf(got)
	p := operation.Progress{Done: 3, Counts: map[string]int64{"exported": 3}, Position: 9}
	if err := s.AdvanceOperation(ctx, claim, p, []byte("first")); err != nil {
		t.Fatal(err)
	}
	p.Done, p.Chunks, p.Bytes = 7, 1, 5
	if err := s.AdvanceOperation(ctx, claim, p, []byte("\x00second\xff")); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishOperation(ctx, claim, operation.Succeeded, ""); err != nil {
		t.Fatal(err)
	}
	end := must(s.Operation(ctx, made.ID))(t)
	if end.State != operation.Succeeded || end.Done != 7 || end.Counts["exported"] != 3 || end.Chunks != 2 || end.Bytes != 13 || end.EndedAt.IsZero() {
		t.Errorf("at the end: %+v", end)
	}
	for seq, want := range []string{"first", "\x00second\xff", ""} {
		if piece := must(s.Chunk(ctx, made.ID, operation.Result, seq))(t); string(piece) != want {
			t.Errorf("piece %d is %q, want %q", seq, piece, want)
		}
	}
	wantCode(t, s.FinishOperation(ctx, claim, operation.Failed, ""), fleet.CodeConflict)
	_, err = s.CancelOperation(ctx, made.ID)
	wantCode(t, err, fleet.CodeConflict)
	_, err = s.Operation(ctx, made.ID+1)
	wantCode(t, err, fleet.CodeNotFound)
	if n := must(s.PruneOperations(ctx))(t); n != 0 {
		t.Errorf("%d new operations were pruned", n)
	}
}

func testOperationOneAtATime(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	a, b := addGroup(t, s, standard("a")), addGroup(t, s, standard("b"))
	first := must(s.CreateOperation(ctx, waiting(operation.Import, a.ID)))(t)
	must(s.CreateOperation(ctx, waiting(operation.Import, b.ID)))(t)
	must(s.CreateOperation(ctx, waiting(operation.Export, a.ID)))(t)
	_, err := s.CreateOperation(ctx, waiting(operation.Import, a.ID))
	wantCode(t, err, fleet.CodeConflict)
	if e, ok := err.(*fleet.Error); !ok || len(e.Fields) != 1 || e.Fields[0].Message != strconv.FormatInt(int64(first.ID), 10) { //nolint:errorlint // the store returns it as it is
		t.Errorf("the error does not name operation %d: %v", first.ID, err)
	}
	if o := must(s.CancelOperation(ctx, first.ID))(t); o.State != operation.Canceled {
		t.Errorf("canceled while it waits, it is %s", o.State)
	}
	must(s.CreateOperation(ctx, waiting(operation.Import, a.ID)))(t)
	_, err = s.CreateOperation(ctx, waiting(operation.Import, 999))
	wantCode(t, err, fleet.CodeNotFound)
	all := addGroup(t, s, fleet.Group{Name: "all", Kind: fleet.KindAggregate, Channel: a.Channel, Members: []fleet.Member{{GroupID: a.ID, Weight: 1}}})
	_, err = s.CreateOperation(ctx, waiting(operation.Import, all.ID))
	wantCode(t, err, fleet.CodeInvalid)
	for n := 3; n < operation.MaxActive; n++ {
		must(s.CreateOperation(ctx, waiting(operation.Import, addGroup(t, s, standard(fmt.Sprint("more", n))).ID)))(t)
	}
	_, err = s.CreateOperation(ctx, waiting(operation.Copy, a.ID))
	wantCode(t, err, fleet.CodeConflict)
}

func testOperationInput(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	upload := operation.Operation{Kind: operation.Import, GroupID: g.ID, State: operation.Uploading}
	o := must(s.CreateOperation(ctx, upload))(t)
	pieces := [][]byte{bytes.Repeat([]byte("sk-canary-input\n"), operation.ChunkBytes/16), {0x1f, 0x8b, 0, 0xff}}
	for seq, piece := range pieces {
		if err := s.AppendInput(ctx, o.ID, seq, piece); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok, err := s.ClaimOperation(ctx, "node"); ok || err != nil {
		t.Fatalf("an upload was claimed: %v", err)
	}
	for seq, want := range append(pieces, nil) {
		if got := must(s.Chunk(ctx, o.ID, operation.Input, seq))(t); !bytes.Equal(got, want) {
			t.Errorf("piece %d came back with %d bytes", seq, len(got))
		}
	}
	begun := must(s.BeginOperation(ctx, o.ID, 12, 34))(t)
	if begun.State != operation.Waiting || begun.Total != 12 || begun.InputBytes != 34 {
		t.Errorf("begun: %+v", begun)
	}
	wantCode(t, s.AppendInput(ctx, o.ID, 2, []byte("x")), fleet.CodeConflict)
	must(s.CancelOperation(ctx, o.ID))(t)
	if left := must(s.Chunk(ctx, o.ID, operation.Input, 0))(t); left != nil {
		t.Error("the file of an operation that ended is still there")
	}

	o = must(s.CreateOperation(ctx, upload))(t)
	if err := s.AbortUpload(ctx, o.ID, "it broke off"); err != nil {
		t.Fatal(err)
	}
	if o = must(s.Operation(ctx, o.ID))(t); o.State != operation.Failed || o.Error != "it broke off" {
		t.Errorf("aborted: %+v", o)
	}
	o = must(s.CreateOperation(ctx, upload))(t)
	must(s.CancelOperation(ctx, o.ID))(t)
	wantCode(t, s.AppendInput(ctx, o.ID, 0, []byte("x")), fleet.CodeConflict)
	if err := s.AbortUpload(ctx, o.ID, "it broke off"); err != nil {
		t.Fatal(err)
	}
	if o = must(s.Operation(ctx, o.ID))(t); o.State != operation.Canceled {
		t.Errorf("canceled while it was uploaded, it is %s", o.State)
	}
}

func testOperationClaims(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	made := must(s.CreateOperation(ctx, waiting(operation.Deletion, g.ID)))(t)
	var mu sync.Mutex
	var winners []operation.Operation
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			o, ok, err := s.ClaimOperation(ctx, fmt.Sprint("node-", n))
			if err != nil {
				t.Error(err)
			}
			if ok {
				mu.Lock()
				winners = append(winners, o)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(winners) != 1 {
		t.Fatalf("%d nodes have the claim", len(winners))
	}
	first := claimOf(winners[0])
	if cancel, err := s.HoldOperation(ctx, first); cancel || err != nil {
		t.Fatal(cancel, err)
	}
	if err := s.ReleaseOperation(ctx, first); err != nil {
		t.Fatal(err)
	}
	next, ok, err := s.ClaimOperation(ctx, "other")
	if err != nil || !ok || next.ID != made.ID || next.Claim != first.Number+1 {
		t.Fatal(next, ok, err)
	}
	// Who lost the claim can do nothing more, not even a step that it has begun.
	_, err = s.HoldOperation(ctx, first)
	wantCode(t, err, fleet.CodeConflict)
	wantCode(t, s.ReleaseOperation(ctx, first), fleet.CodeConflict)
	wantCode(t, s.FinishOperation(ctx, first, operation.Succeeded, ""), fleet.CodeConflict)
	wantCode(t, s.AdvanceOperation(ctx, first, operation.Progress{}, []byte("x")), fleet.CodeConflict)
	err = s.ImportKeys(ctx, first, g.ID, []keyfile.Key{{Value: secret.New("late")}}, func([]bool) (operation.Progress, []byte) { return operation.Progress{}, nil })
	wantCode(t, err, fleet.CodeConflict)
	if ids := must(s.FindKeys(ctx, g.ID, []secret.Text{secret.New("late")}))(t); ids[0] != 0 {
		t.Error("a step without the claim added a key")
	}
	must(s.CancelOperation(ctx, made.ID))(t)
	if cancel, err := s.HoldOperation(ctx, claimOf(next)); !cancel || err != nil {
		t.Errorf("the node does not hear of the cancellation: %v", err)
	}
	if err := s.FinishOperation(ctx, claimOf(next), operation.Canceled, ""); err != nil {
		t.Fatal(err)
	}
}

func testImportKeys(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g, other := addGroup(t, s, standard("g")), addGroup(t, s, standard("other"))
	must2(s.AddKeys(ctx, other.ID, texts("k", 3), false))(t)
	before, _ := must2(s.AddKeys(ctx, g.ID, texts("there", 1), true))(t)
	claim := claimed(t, s, waiting(operation.Import, g.ID))
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	keys := []keyfile.Key{
		{Value: secret.New("new-1"), Weight: 7, Notes: "of Ada", Tags: []string{"eu", "trial"}},
		{Value: before[0].Value, State: fleet.KeyInvalid},
		{Value: secret.New("new-1")},
		{Value: secret.New("new-2"), State: fleet.KeyInvalid, Reason: "invalid_api_key", Evidence: "no such key", Failures: 3},
		{Value: secret.New("k-000000"), Cooldowns: []fleet.Cooldown{{Model: "m", Until: until, Reason: "rate_limited"}}},
	}
	step := func(want []bool) {
		t.Helper()
		err := s.ImportKeys(ctx, claim, g.ID, keys, func(added []bool) (operation.Progress, []byte) {
			if !slices.Equal(added, want) {
				t.Errorf("added %v, want %v", added, want)
			}
			return operation.Progress{Done: 5, Position: 5, Counts: map[string]int64{"added": 3}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	step([]bool{true, false, false, true, true})
	step(make([]bool, len(keys)))
	page, _, err := s.Keys(ctx, fleet.KeyQuery{Group: g.ID})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range page {
		text := k.Value.Reveal() + " " + string(k.State) + " " + k.Reason + " " + k.Evidence + " " + strconv.Itoa(k.Failures)
		text += fmt.Sprint(" ", k.Weight, " ", k.Notes, k.Tags)
		for _, c := range k.Cooldowns {
			text += " " + c.Model + " " + c.Reason + " " + strconv.FormatBool(c.Until.Equal(until))
		}
		got = append(got, text)
	}
	want := []string{"there-000000 disabled added_disabled  0 1 []", "new-1 active   0 7 of Ada[eu trial]", "new-2 invalid invalid_api_key no such key 3 1 []", "k-000000 active   0 1 [] m rate_limited true"}
	if !slices.Equal(got, want) {
		t.Errorf("the group holds %q, want %q", got, want)
	}
	o := must(s.Operation(ctx, claim.ID))(t)
	if o.Done != 5 || o.Position != 5 || o.Counts["added"] != 3 {
		t.Errorf("the operation stands at %+v", o.Progress)
	}
	// What a step adds is what other nodes hear of.
	delta, _, err := s.KeysSince(ctx, 1, 0)
	if err != nil || len(delta.Changed) < 3 {
		t.Errorf("%d keys changed, %v", len(delta.Changed), err)
	}
	if err := s.DeleteGroup(ctx, g.ID); err != nil {
		t.Fatal(err)
	}
	err = s.ImportKeys(ctx, claim, g.ID, keys, func([]bool) (operation.Progress, []byte) { return operation.Progress{}, nil })
	wantCode(t, err, fleet.CodeNotFound)
}

func testEditSomeKeys(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	g := addGroup(t, s, standard("g"))
	keys, _ := must2(s.AddKeys(ctx, g.ID, texts("k", 1100), false))(t)
	must2(s.AddKeys(ctx, g.ID, texts("off", 2), true))(t)
	claim := claimed(t, s, waiting(operation.Deletion, g.ID))
	which := fleet.KeySelection{Group: g.ID, State: fleet.KeyActive}
	var after fleet.KeyID
	for round, want := range []int{500, 500, 100} {
		err := s.EditSomeKeys(ctx, claim, which, fleet.KeyEdit{Act: fleet.ActDelete}, after, func(done fleet.KeysEdited, next fleet.KeyID) (operation.Progress, []byte) {
			ids := done.Deleted
			if len(ids) != want || (next == 0) != (round == 2) {
				t.Errorf("round %d deleted %d keys, want %d", round, len(ids), want)
			}
			for i, id := range ids {
				if id != keys[round*500+i].ID {
					t.Fatalf("round %d deleted %d in place %d", round, id, i)
				}
			}
			after = next
			return operation.Progress{Position: int64(after)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if left := must(s.CountKeys(ctx, g.ID))(t); left[fleet.KeyActive] != 0 || left[fleet.KeyDisabled] != 2 {
		t.Errorf("left: %v", left)
	}
	rest, next, err := s.KeysAfter(ctx, fleet.KeySelection{Group: g.ID}, 0, 1)
	if err != nil || len(rest) != 1 || next != rest[0].ID {
		t.Fatal(len(rest), next, err)
	}
	rest, next, err = s.KeysAfter(ctx, fleet.KeySelection{Group: g.ID, State: fleet.KeyDisabled}, next, 1)
	if err != nil || len(rest) != 1 || next != 0 || !strings.HasPrefix(rest[0].Value.Reveal(), "off") {
		t.Fatal(len(rest), next, err)
	}
}

func testOperationPages(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	var made []operation.ID
	for n := range 5 {
		g := addGroup(t, s, standard(fmt.Sprint("g", n)))
		made = append(made, must(s.CreateOperation(ctx, waiting(operation.Import, g.ID)))(t).ID)
	}
	must(s.CancelOperation(ctx, made[1]))(t)
	var seen []operation.ID
	for cursor := ""; ; {
		page, next, err := s.Operations(ctx, operation.Query{Kind: operation.Import, State: operation.Waiting, Limit: 2, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page {
			seen = append(seen, o.ID)
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if want := []operation.ID{made[4], made[3], made[2], made[0]}; !slices.Equal(seen, want) {
		t.Errorf("pages list %v, want %v", seen, want)
	}
	_, _, err := s.Operations(ctx, operation.Query{Cursor: "x"})
	wantCode(t, err, fleet.CodeInvalid)
}
