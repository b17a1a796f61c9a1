package adminhttp

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
	"gpt-load/pkg/adminapi"
)

// Bounds of one action on keys.
const (
	maxSelected  = 10_000  // ids
	maxAtOnce    = 1000    // keys that a filter may fit for the answer to wait for them; more become an operation
	maxTested    = 100     // the same for tests
	mostMatching = 100_000 // counted by a dry run
	fewExamples  = 5
)

type keyAction[T any] struct {
	GroupRef
	Body T
}

// keyActionAnswer is 202 when an operation goes on.
type keyActionAnswer[T any] struct {
	Status int
	Body   T
}

func (a *API) mountKeyActions(api huma.API) {
	mountKeyAction(api, adminapi.ActionTest, "Test keys now, by the same path as real traffic", a.testKeys)
	for _, simple := range []struct {
		name, summary string
		act           fleet.KeyAct
	}{
		{adminapi.ActionRestore, "Make invalid keys active again; failures and rests are forgotten, disabled keys are left alone", fleet.ActRestore},
		{adminapi.ActionEnable, "Make disabled keys active again", fleet.ActEnable},
		{adminapi.ActionDisable, "Take keys out until they are enabled", fleet.ActDisable},
		{adminapi.ActionDelete, "Delete keys for good", fleet.ActDelete},
	} {
		mountKeyAction(api, simple.name, simple.summary, func(ctx context.Context, in *keyAction[adminapi.KeySelection]) (*keyActionAnswer[adminapi.KeysChanged], error) {
			return a.editKeys(ctx, in.ID, in.Body, fleet.KeyEdit{Act: simple.act})
		})
	}
	mountKeyAction(api, adminapi.ActionResetCooldowns, "End the rests of active keys, for one model or all; failures stand",
		func(ctx context.Context, in *keyAction[adminapi.CooldownReset]) (*keyActionAnswer[adminapi.KeysChanged], error) {
			return a.editKeys(ctx, in.ID, in.Body.KeySelection, fleet.KeyEdit{Act: fleet.ActResetCooldowns, Model: in.Body.Model})
		})
}

func mountKeyAction[I, O any](api huma.API, name, summary string, handle func(context.Context, *keyAction[I]) (*keyActionAnswer[O], error)) {
	op := huma.Operation{
		OperationID: name + "-keys", Method: http.MethodPost, Path: "/groups/{id}/keys/" + name, Tags: []string{"keys"}, Summary: summary,
		Description: "The keys are named by ids, by a filter or all. Few are changed before the answer comes; for many it is 202 and names the operation that goes on with them.",
		Responses:   map[string]*huma.Response{},
	}
	routeWithin(longTimeout, api, op, handle)
	// Added after the registration: with one of them there, huma would leave out the errors.
	op.Responses["202"] = &huma.Response{Description: "An operation goes on with the keys", Content: op.Responses["200"].Content}
}

// editKeys does an act at once or by an operation, or says what it would be about.
func (a *API) editKeys(ctx context.Context, group string, in adminapi.KeySelection, edit fleet.KeyEdit) (*keyActionAnswer[adminapi.KeysChanged], error) {
	which, err := a.selection(ctx, group, in)
	if err != nil {
		return nil, err
	}
	if err := suits(which, edit); err != nil {
		return nil, err
	}
	out := &keyActionAnswer[adminapi.KeysChanged]{Status: http.StatusOK}
	if in.DryRun {
		out.Body.Matching, out.Body.More, out.Body.Examples, err = a.dryRun(ctx, which, edit)
		return out, err
	}
	if len(which.IDs) == 0 {
		_, more, err := a.Store.CountSelected(ctx, which, edit, maxAtOnce)
		if err != nil {
			return nil, err
		}
		if more {
			out.Status = http.StatusAccepted
			out.Body.Operation, err = a.startEdit(ctx, which, edit)
			return out, err
		}
	}
	out.Body.Changed, err = a.editNow(ctx, which, edit)
	return out, err
}

// suits refuses an act on keys in a state that it is not for, which would do nothing.
func suits(which fleet.KeySelection, edit fleet.KeyEdit) error {
	from := edit.From()
	if len(from) == 0 || len(which.Filter.States) == 0 {
		return nil
	}
	for _, state := range which.Filter.States {
		if state == fleet.KeyCooling {
			state = fleet.KeyActive
		}
		if slices.Contains(from, state) {
			return nil
		}
	}
	return invalid("state", "names no keys that this action is for")
}

// editNow does an act to all keys of a selection before it returns how many.
func (a *API) editNow(ctx context.Context, which fleet.KeySelection, edit fleet.KeyEdit) (changed int, err error) {
	err = a.Store.EditKeys(ctx, which, edit, func(done fleet.KeysEdited) {
		changed += done.Count()
		a.Pools.KeysChanged(ctx, which.Group, nil, done.Changes, done.Deleted)
	})
	return changed, err
}

// startEdit begins an operation.
func (a *API) startEdit(ctx context.Context, which fleet.KeySelection, edit fleet.KeyEdit) (*adminapi.Operation, error) {
	o := operation.Operation{Kind: operation.Change, GroupID: which.Group, Options: operation.Options{Filter: &which.Filter}}
	switch edit.Act {
	case fleet.ActDelete:
		o.Kind = operation.Deletion
	case fleet.ActTest:
		o.Kind = operation.Validation
	default:
		o.Options.Edit = edit
	}
	o, err := a.Operations.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	begun := a.wireOperation(o)
	return &begun, nil
}

func (a *API) dryRun(ctx context.Context, which fleet.KeySelection, edit fleet.KeyEdit) (matching int, more bool, examples []adminapi.Key, err error) {
	if matching, more, err = a.Store.CountSelected(ctx, which, edit, mostMatching); err != nil || matching == 0 {
		return 0, false, nil, err
	}
	keys, err := a.Store.SelectedKeys(ctx, which, edit, fewExamples)
	if err != nil {
		return 0, false, nil, err
	}
	examples, err = a.wireKeys(ctx, keys)
	return matching, more, examples, err
}
