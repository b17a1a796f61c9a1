package adminhttp

import (
	"context"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"

	"gpt-load/internal/fleet"
	"gpt-load/internal/settings"
	"gpt-load/pkg/adminapi"
)

func (a *API) testKeys(ctx context.Context, in *keyAction[adminapi.KeySelection]) (*keyActionAnswer[adminapi.KeyTests], error) {
	if len(in.Body.IDs) > maxTested {
		return nil, invalid("ids", fmt.Sprintf("has %d entries; the limit is %d, use a filter for more", len(in.Body.IDs), maxTested))
	}
	which, err := a.selection(ctx, in.ID, in.Body)
	if err != nil {
		return nil, err
	}
	edit := fleet.KeyEdit{Act: fleet.ActTest}
	out := &keyActionAnswer[adminapi.KeyTests]{Status: http.StatusOK}
	out.Body.Results = []adminapi.KeyTest{}
	if in.Body.DryRun {
		out.Body.Matching, out.Body.More, out.Body.Examples, err = a.dryRun(ctx, which, edit)
		return out, err
	}
	if len(which.IDs) == 0 {
		n, more, err := a.Store.CountSelected(ctx, which, edit, maxTested)
		if err != nil || n == 0 {
			return out, err
		}
		if more {
			out.Status = http.StatusAccepted
			out.Body.Operation, err = a.startEdit(ctx, which, edit)
			return out, err
		}
		keys, err := a.Store.SelectedKeys(ctx, which, edit, maxTested)
		if err != nil {
			return nil, err
		}
		which.IDs = mapped(keys, func(k fleet.Key) fleet.KeyID { return k.ID })
	}
	out.Body.Results, err = a.testNow(ctx, which.Group, which.IDs)
	return out, err
}

// testNow tests keys side by side, as many as the group lets be tested at a time.
func (a *API) testNow(ctx context.Context, group fleet.GroupID, ids []fleet.KeyID) ([]adminapi.KeyTest, error) {
	g, err := a.Store.Group(ctx, group)
	if err != nil {
		return nil, err
	}
	system, err := a.Store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	values, _ := settings.Resolve(system, g.Settings)

	results := make([]adminapi.KeyTest, len(ids))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(values.KeyValidationConcurrency)
	for i, id := range ids {
		work.Go(func() error {
			var err error
			results[i], err = a.testKey(ctx, group, id)
			return err
		})
	}
	return results, work.Wait()
}

func (a *API) testKey(ctx context.Context, group fleet.GroupID, id fleet.KeyID) (adminapi.KeyTest, error) {
	found, err := a.Tester.TestKey(ctx, group, id)
	if fleet.CodeOf(err) == fleet.CodeNotFound { // deleted meanwhile: no reason to keep the other results back
		return adminapi.KeyTest{ID: idText(id), Reason: string(fleet.CodeNotFound), Evidence: err.Error()}, nil
	}
	return adminapi.KeyTest{
		ID: idText(id), OK: found.OK, Status: found.Status, Class: string(found.Class), Reason: found.Reason,
		Evidence: found.Evidence, DurationMS: found.Duration.Milliseconds(), State: a.stateNow(ctx, group, id),
	}, err
}

// stateNow is how a key stands after a test; empty when it was deleted meanwhile.
func (a *API) stateNow(ctx context.Context, group fleet.GroupID, id fleet.KeyID) string {
	key, ok := a.Pools.Live(group, id)
	if !ok {
		var err error
		if key, err = a.Store.Key(ctx, id); err != nil {
			return ""
		}
	}
	return a.wireKey(key).State
}
