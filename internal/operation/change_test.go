package operation_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
	"gpt-load/internal/sqlstore"
)

// halting lets a number of steps of changes through, commits one more without its answer, and then ends no step until the node
// ends: as a node does that is killed.
type halting struct {
	*sqlstore.Store
	mu     sync.Mutex
	steps  int
	halted chan struct{}
}

func (h *halting) EditSomeKeys(ctx context.Context, c operation.Claim, which fleet.KeySelection, edit fleet.KeyEdit, after fleet.KeyID,
	record func(fleet.KeysEdited, fleet.KeyID) (operation.Progress, []byte),
) error {
	h.mu.Lock()
	h.steps--
	left := h.steps
	h.mu.Unlock()
	if err := h.Store.EditSomeKeys(ctx, c, which, edit, after, record); err != nil || left > 0 {
		return err
	}
	close(h.halted)
	<-ctx.Done()
	return ctx.Err()
}

func TestChangeTakenOver(t *testing.T) {
	w := newWorld(t)
	importing, end := w.node("importing", w.store)
	o, err := importing.Upload(t.Context(), operation.Operation{GroupID: w.group.ID}, strings.NewReader(lines(2600)))
	if err != nil {
		t.Fatal(err)
	}
	w.ended(o.ID)
	end()

	first := &halting{Store: w.store, steps: 2, halted: make(chan struct{})}
	s, endFirst := w.node("first", first)
	o, err = s.Start(t.Context(), operation.Operation{
		Kind: operation.Change, GroupID: w.group.ID,
		Options: operation.Options{Filter: &fleet.KeyFilter{NeverUsed: true}, Edit: fleet.KeyEdit{Act: fleet.ActDisable}},
	})
	if err != nil || o.Total != 2600 {
		t.Fatal(o, err)
	}
	<-first.halted
	endFirst()
	if half := w.until(o.ID, "given back", func(o operation.Operation) bool { return o.State == operation.Waiting }); half.Done != 1000 {
		t.Errorf("half way: %+v", half)
	}
	w.node("second", w.store)
	done := w.ended(o.ID)
	if done.State != operation.Succeeded || done.Done != 2600 || done.Counts["disabled"] != 2600 || done.Node != "second" {
		t.Errorf("done: %+v", done)
	}
	var result strings.Builder
	if err := s.WriteResult(t.Context(), done, &result); err != nil || strings.Count(result.String(), "\n") != 2600 {
		t.Errorf("the result has %d lines, %v", strings.Count(result.String(), "\n"), err)
	}
	if counts, err := w.store.CountKeys(t.Context(), w.group.ID); err != nil || counts[fleet.KeyDisabled] != 2600 {
		t.Errorf("keys: %v, %v", counts, err)
	}
}

func TestCopyAndExportByFilter(t *testing.T) {
	w := newWorld(t)
	s, _ := w.node("node", w.store)
	o, err := s.Upload(t.Context(), operation.Operation{GroupID: w.group.ID}, strings.NewReader("key,state,reason\nsk-a,active,\nsk-b,invalid,no_such\nsk-c,invalid,other\n"))
	if err != nil {
		t.Fatal(err)
	}
	w.ended(o.ID)
	other, err := w.store.CreateGroup(t.Context(), fleet.Group{Name: "other", Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI, Upstreams: w.group.Upstreams})
	if err != nil {
		t.Fatal(err)
	}
	filter := &fleet.KeyFilter{Reason: "no_such"}
	for _, o := range []operation.Operation{
		{Kind: operation.Copy, GroupID: other.ID, Options: operation.Options{From: w.group.ID, Filter: filter}},
		{Kind: operation.Export, GroupID: w.group.ID, Options: operation.Options{Format: "text", Filter: filter}},
		{Kind: operation.Deletion, GroupID: w.group.ID, Options: operation.Options{Filter: filter}},
	} {
		begun, err := s.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if done := w.ended(begun.ID); done.State != operation.Succeeded || done.Total != 1 || done.Done != 1 {
			t.Errorf("%s: %+v", o.Kind, done)
		}
	}
}
