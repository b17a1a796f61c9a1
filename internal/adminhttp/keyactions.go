package adminhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
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
	mountKeyAction(api, adminapi.ActionSet, "Set weight, notes and tags of keys", a.setKeys)
}

// setKeys checks what is to be set; what a person reads of faults names all of them.
func (a *API) setKeys(ctx context.Context, in *keyAction[adminapi.KeyValues]) (*keyActionAnswer[adminapi.KeysChanged], error) {
	v := &in.Body
	edit := fleet.KeyEdit{Act: fleet.ActSet, Weight: v.Weight, Notes: v.Notes, AddTags: v.AddTags, RemoveTags: v.RemoveTags}
	var faults []fleet.FieldError
	if v.Weight == nil && v.Notes == nil && len(v.AddTags)+len(v.RemoveTags) == 0 {
		faults = append(faults, fleet.FieldError{Field: "weight", Message: "nothing is set; send weight, notes, add_tags or remove_tags"})
	}
	if v.Notes != nil && strings.ContainsRune(*v.Notes, 0) {
		faults = append(faults, fleet.FieldError{Field: "notes", Message: "holds a NUL character; leave it out"})
	}
	for field, tags := range map[string][]string{"add_tags": v.AddTags, "remove_tags": v.RemoveTags} {
		if len(tags) > keyfile.MaxTags || slices.ContainsFunc(tags, func(tag string) bool { return !keyfile.IsTag(tag) }) {
			faults = append(faults, fleet.FieldError{Field: field, Message: fmt.Sprintf("must be at most %d tags, each of 1 to %d letters, digits and - _ . :", keyfile.MaxTags, keyfile.MaxTag)})
		}
	}
	if err := fleet.InvalidFields(faults); err != nil {
		return nil, err
	}
	return a.editKeys(ctx, in.ID, v.KeySelection, edit)
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
	set := false
	err = a.Store.EditKeys(ctx, which, edit, func(done fleet.KeysEdited) {
		changed += done.Count()
		if len(done.Changes)+len(done.Deleted) > 0 {
			a.Pools.KeysChanged(ctx, which.Group, nil, done.Changes, done.Deleted)
		}
		set = set || len(done.Set) > 0
	})
	if set {
		err = errors.Join(err, a.settleValues(ctx))
	}
	return changed, err
}

// settleValues lets the pools read weights, notes and tags as they stand in the store now.
func (a *API) settleValues(ctx context.Context) error {
	a.Operations.Changed()
	return a.Operations.Settle(ctx)
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
